#include "snapshot/npy.h"

#include "base/memory.h"
#include "cmocka_includes.h"

#include <math.h>
#include <string.h>

/* A file of the given version and dictionary, with `length` bytes of elements. */
static sf_buffer file_of(int major, const char *dictionary, const void *elements, size_t length) {
  sf_buffer file = {0};
  size_t header_length = strlen(dictionary);
  uint8_t preamble[12] = {0x93, 'N', 'U', 'M', 'P', 'Y', (uint8_t)major, 0, (uint8_t)header_length, 0, 0, 0};
  assert_true(sf_buffer_append(&file, preamble, major == 1 ? 10 : 12));
  assert_true(sf_buffer_append_text(&file, dictionary));
  assert_true(sf_buffer_append(&file, elements, length));
  return file;
}

static sf_code parse(int major, const char *dictionary, const void *elements, size_t length, sf_npy *array,
                     sf_error *error) {
  sf_buffer file = file_of(major, dictionary, elements, length);
  sf_code code = sf_npy_parse(file.data, file.length, "c.npy", array, error);
  sf_buffer_free(&file);
  return code;
}

static void assert_refused(const char *dictionary, size_t length, const char *message_part) {
  static const uint8_t zeros[256];
  sf_npy array = {0};
  sf_error error;
  assert_int_equal(parse(1, dictionary, zeros, length, &array, &error), SF_READER_STATE_ERROR);
  assert_non_null(strstr(error.message, "c.npy"));
  assert_non_null(strstr(error.message, message_part));
  assert_null(array.values);
}

static void a_matrix_in_c_order_is_read_in_all_versions(void **state) {
  (void)state;
  const uint8_t elements[] = {0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0x20, 0x41};
  for (int major = 1; major <= 3; major++) {
    sf_npy array;
    sf_error error;
    assert_int_equal(parse(major, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }   \n", elements,
                           sizeof(elements), &array, &error),
                     SF_OK);
    assert_int_equal(array.num_rows, 2);
    assert_int_equal(array.num_columns, 2);
    assert_int_equal(array.num_dimensions, 2);
    assert_int_equal(array.type.kind, SF_NPY_FLOAT);
    assert_int_equal(array.type.size, 4);
    const double expected[] = {1, -2, 0, 10};
    assert_memory_equal(array.values, expected, sizeof(expected));
    sf_npy_free(&array);
  }
}

static void fortran_order_is_turned_into_c_order(void **state) {
  (void)state;
  const uint8_t elements[] = {0, 0x3c, 0, 0x40, 0, 0x42, 0, 0x44, 0, 0x45, 0, 0x46}; /* 1 2 3 4 5 6 */
  sf_npy array;
  assert_int_equal(parse(1, "{\"shape\": (2L, 3L), \"fortran_order\": True, \"descr\": \"<f2\"}", elements,
                         sizeof(elements), &array, NULL),
                   SF_OK);
  const double expected[] = {1, 3, 5, 2, 4, 6};
  assert_memory_equal(array.values, expected, sizeof(expected));
  sf_npy_free(&array);
}

static void one_dimension_is_one_row(void **state) {
  (void)state;
  const uint8_t elements[] = {0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0x40};
  sf_npy array;
  assert_int_equal(
      parse(1, "{'descr': '<f8', 'fortran_order': False, 'shape': (2,)}", elements, sizeof(elements), &array, NULL),
      SF_OK);
  assert_int_equal(array.num_rows, 1);
  assert_int_equal(array.num_columns, 2);
  assert_int_equal(array.num_dimensions, 1);
  assert_true(array.values[0] == 1 && array.values[1] == 2);
  sf_npy_free(&array);
}

static void every_kind_of_float16_is_exact(void **state) {
  (void)state;
  const uint8_t elements[] = {1, 0, 0xff, 3, 0, 4, 0xff, 0x7b, 0, 0xfc, 1, 0x7e, 0, 0x80};
  sf_npy array;
  assert_int_equal(
      parse(1, "{'descr': '<f2', 'fortran_order': False, 'shape': (7,)}", elements, sizeof(elements), &array, NULL),
      SF_OK);
  assert_true(array.values[0] == ldexp(1, -24));
  assert_true(array.values[1] == ldexp(1023, -24));
  assert_true(array.values[2] == ldexp(1, -14));
  assert_true(array.values[3] == 65504);
  assert_true(isinf(array.values[4]) && array.values[4] < 0);
  assert_true(isnan(array.values[5]));
  assert_true(array.values[6] == 0 && signbit(array.values[6]));
  sf_npy_free(&array);
}

static void elements_of_every_type_and_byte_order_are_read(void **state) {
  (void)state;
  /* 1 to 8 bytes of an element, and what it means */
  static const struct {
    const char *descr;
    uint8_t bytes[9];
    double expected;
  } cases[] = {
      {">f2", "\xc4\x02", -4.0078125},
      {">f4", "\x3f\x80\0\0", 1},
      {">f8", "\xc0\x59\0\0\0\0\0\0", -100},
      {"=f4", "\0\0\x80\x3f", 1},
      {"|i1", "\x80", -128},
      {"|u1", "\xff", 255},
      {"<i2", "\xfe\xff", -2},
      {">i2", "\xff\xfe", -2},
      {"<u2", "\xff\xff", 65535},
      {">u2", "\x01\x02", 258},
      {"<i4", "\0\0\0\x80", -2147483648.0},
      {">i4", "\x7f\xff\xff\xff", 2147483647},
      {"<u4", "\xff\xff\xff\xff", 4294967295.0},
      {">u4", "\0\0\x01\0", 256},
      {"<i8", "\xff\xff\xff\xff\xff\xff\xff\xff", -1},
      {">i8", "\0\0\0\x01\0\0\0\0", 4294967296.0},
      {"<i8", "\x01\0\0\0\0\0\x20\0", 9007199254740992.0},
      {"<u8", "\xff\xff\xff\xff\xff\xff\xff\xff", 18446744073709551616.0},
      {">u8", "\x80\0\0\0\0\0\0\0", 9223372036854775808.0},
      {"|b1", "\x01", 1},
      {"|b1", "\0", 0},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    sf_npy array;
    sf_error error = {0};
    char *dictionary = sf_format("{'descr': '%s', 'fortran_order': False, 'shape': (1, 1)}", cases[i].descr);
    if (parse(1, dictionary, cases[i].bytes, (size_t)(cases[i].descr[2] - '0'), &array, &error) != SF_OK)
      fail_msg("%s", error.message);
    if (array.values[0] != cases[i].expected)
      fail_msg("%s: expected %f, found %f", cases[i].descr, cases[i].expected, array.values[0]);
    sf_npy_free(&array);
    free(dictionary);
  }
}

static void integers_that_int64_can_not_hold_are_refused(void **state) {
  (void)state;
  const sf_npy_type uint64 = {.kind = SF_NPY_UINT, .size = 8};
  const sf_npy_type int16 = {.kind = SF_NPY_INT, .size = 2, .is_big_endian = true};
  const sf_npy_type float32 = {.kind = SF_NPY_FLOAT, .size = 4};
  int64_t value;
  assert_true(sf_npy_integer(uint64, (const uint8_t *)"\xff\xff\xff\xff\xff\xff\xff\x7f", &value));
  assert_true(value == INT64_MAX);
  assert_false(sf_npy_integer(uint64, (const uint8_t *)"\0\0\0\0\0\0\0\x80", &value));
  assert_true(sf_npy_integer(int16, (const uint8_t *)"\xff\x00", &value));
  assert_true(value == -256);
  assert_false(sf_npy_integer(float32, (const uint8_t *)"\0\0\0\0", &value));
}

static void no_rows_are_allowed_and_no_columns_are_not(void **state) {
  (void)state;
  sf_npy array;
  assert_int_equal(parse(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 3)}", "", 0, &array, NULL), SF_OK);
  assert_int_equal(array.num_rows, 0);
  assert_int_equal(array.num_columns, 3);
  sf_npy_free(&array);
  assert_refused("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 0)}", 0, "rows of 0 components");
}

static void a_header_that_does_not_hold_is_refused_by_name(void **state) {
  (void)state;
  static const char *const types[] = {"<f16", "<f3", "<c8", "<U4", "|S4", "|V2", "<M8[ns]",
                                      "<i3",  "|f4", "|b2", "f4",  "<f",  "<",   ""};
  for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
    char *dictionary = sf_format("{'descr': '%s', 'fortran_order': False, 'shape': (1, 1)}", types[i]);
    char *found = sf_format("type '%s', expected floats", types[i]);
    assert_refused(dictionary, 4, found);
    free(dictionary);
    free(found);
  }
  assert_refused("{'descr': '|O', 'fortran_order': False, 'shape': (1, 1)}", 8, "'|O' (Python objects)");
  assert_refused("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", 4, "structured type");
  assert_refused("{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}", 4, "'fortran_order'");
  assert_refused("{'descr': '<f4', 'fortran_order': False, 'shape': (1 1)}", 4, "'shape'");
  assert_refused("{'descr': '<f4', 'fortran_order': False, 'shape': ()}", 4, "a single number");
  assert_refused("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1)}", 4, "more than 2");
  assert_refused("{'descr': '<f4', 'fortran_order': False}", 4, "lacks");
  assert_refused("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", 4, "'descr'");
  assert_refused("{'descr': '<f4' 'fortran_order': False, 'shape': (1,)}", 4, "not a dictionary");
  assert_refused("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x", 4, "follows");
  assert_refused("[]", 4, "not a dictionary");
  assert_refused("", 4, "not a dictionary");
}

static void a_shape_that_the_bytes_do_not_fit_is_refused(void **state) {
  (void)state;
  assert_refused("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2)}", 12, "12 bytes");
  assert_refused("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2)}", 20, "20 bytes");
  assert_refused("{'descr': '<f8', 'fortran_order': False, 'shape': (4611686018427387904, 4)}", 0, "do not fit");
  assert_refused("{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999, 4)}", 0, "integers");
}

static void a_file_cut_anywhere_is_refused(void **state) {
  (void)state;
  static const uint8_t zeros[16];
  sf_buffer file = file_of(2, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }\n", zeros, sizeof(zeros));
  for (size_t length = 0; length < file.length; length++) {
    sf_npy array;
    sf_error error;
    uint8_t *exact = malloc(length + 1);
    assert_non_null(exact);
    memcpy(exact, file.data, length);
    assert_int_equal(sf_npy_parse(exact, length, "c.npy", &array, &error), SF_READER_STATE_ERROR);
    free(exact);
  }
  sf_buffer_free(&file);
}

static void another_version_or_magic_is_refused(void **state) {
  (void)state;
  sf_npy array;
  sf_error error;
  assert_int_equal(parse(4, "{}", "", 0, &array, &error), SF_READER_STATE_ERROR);
  assert_non_null(strstr(error.message, "version 4.0"));
  assert_int_equal(sf_npy_parse("PK\x03\x04zip file", 12, "q.npz", &array, &error), SF_READER_STATE_ERROR);
  assert_non_null(strstr(error.message, "q.npz: not a .npy file"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_matrix_in_c_order_is_read_in_all_versions),
      cmocka_unit_test(fortran_order_is_turned_into_c_order),
      cmocka_unit_test(one_dimension_is_one_row),
      cmocka_unit_test(every_kind_of_float16_is_exact),
      cmocka_unit_test(elements_of_every_type_and_byte_order_are_read),
      cmocka_unit_test(integers_that_int64_can_not_hold_are_refused),
      cmocka_unit_test(no_rows_are_allowed_and_no_columns_are_not),
      cmocka_unit_test(a_header_that_does_not_hold_is_refused_by_name),
      cmocka_unit_test(a_shape_that_the_bytes_do_not_fit_is_refused),
      cmocka_unit_test(a_file_cut_anywhere_is_refused),
      cmocka_unit_test(another_version_or_magic_is_refused),
  };
  return cmocka_run_group_tests_name("npy", tests, NULL, NULL);
}
