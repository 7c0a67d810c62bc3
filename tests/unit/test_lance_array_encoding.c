/* Encodings that version 2.0 knows and that no writer of today can be made to choose. */
#include "cmocka_includes.h"
#include "formats/lance/array_encoding.h"

#include <string.h>

/* A page of the given buffers, in memory. */
typedef struct test_page {
  sf_lance_data_file file;
  sf_lance_column column;
  sf_lance_page page;
  uint64_t offsets[2];
  uint64_t sizes[2];
  uint8_t bytes[4096];
  sf_lance_page_cache cache;
} test_page;

static void page_open(test_page *test, Sf__Lance__ArrayEncoding *encoding, const void *first, size_t first_length,
                      const void *second, size_t second_length) {
  sf_error error;
  memset(test, 0, sizeof(*test));
  memcpy(test->bytes, first, first_length);
  memcpy(test->bytes + first_length, second, second_length);
  test->offsets[1] = first_length;
  test->sizes[0] = first_length;
  test->sizes[1] = second_length;
  test->page = (sf_lance_page){
      .num_rows = 8, .num_buffers = 2, .buffer_offsets = test->offsets, .buffer_sizes = test->sizes, .array = encoding};
  test->column = (sf_lance_column){.file = &test->file, .name = "id", .pages = &test->page, .num_pages = 1};
  sf_lance_bytes all = {test->bytes, first_length + second_length};
  assert_int_equal(sf_lance_object_open_bytes(all, "test.lance", &test->file.object, &error), SF_OK);
}

static void page_close(test_page *test) {
  sf_lance_page_cache_free(&test->cache);
  sf_lance_object_close(test->file.object);
}

static void assert_row(test_page *test, uint64_t row, const char *expected) {
  sf_lance_bytes string = {0};
  bool is_null = false;
  sf_error error = {0};
  if (sf_lance_array_string(&test->column, &test->page, row, &test->cache, &is_null, &string, &error) != SF_OK)
    fail_msg("%s", error.message);
  assert_int_equal(is_null, expected == NULL);
  if (expected == NULL)
    return;
  assert_int_equal(string.length, strlen(expected));
  assert_memory_equal(string.data, expected, string.length);
}

static void assert_refused(test_page *test, uint64_t row, const char *part_of_message) {
  sf_lance_bytes string;
  bool is_null;
  sf_error error = {0};
  assert_int_equal(sf_lance_array_string(&test->column, &test->page, row, &test->cache, &is_null, &string, &error),
                   SF_DB_ADAPTER_ERROR);
  if (strstr(error.message, part_of_message) == NULL)
    fail_msg("%s", error.message);
}

/* The parts of an encoding, to be put together by each test. */
typedef struct parts {
  Sf__Lance__ArrayEncoding root;
  Sf__Lance__ArrayEncoding indices;
  Sf__Lance__ArrayEncoding bytes;
  Sf__Lance__BinaryArray binary;
  Sf__Lance__BitpackedArray bitpacked;
  Sf__Lance__BitpackedForNonNegArray blocks;
  Sf__Lance__FixedSizeBinaryArray fixed;
  Sf__Lance__FlatArray flat;
  Sf__Lance__Buffer first;
  Sf__Lance__Buffer second;
} parts;

static void parts_init(parts *of) {
  *of = (parts){
      .root = SF__LANCE__ARRAY_ENCODING__INIT,
      .indices = SF__LANCE__ARRAY_ENCODING__INIT,
      .bytes = SF__LANCE__ARRAY_ENCODING__INIT,
      .binary = SF__LANCE__BINARY_ARRAY__INIT,
      .bitpacked = SF__LANCE__BITPACKED_ARRAY__INIT,
      .blocks = SF__LANCE__BITPACKED_FOR_NON_NEG_ARRAY__INIT,
      .fixed = SF__LANCE__FIXED_SIZE_BINARY_ARRAY__INIT,
      .flat = SF__LANCE__FLAT_ARRAY__INIT,
      .first = SF__LANCE__BUFFER__INIT,
      .second = SF__LANCE__BUFFER__INIT,
  };
  of->second.buffer_index = 1;
  of->flat.bits_per_value = 8;
  of->flat.buffer = &of->second;
  of->bytes.array_encoding_case = SF__LANCE__ARRAY_ENCODING__ARRAY_ENCODING_FLAT;
  of->bytes.flat = &of->flat;
  of->root.array_encoding_case = SF__LANCE__ARRAY_ENCODING__ARRAY_ENCODING_BINARY;
  of->root.binary = &of->binary;
  of->binary.indices = &of->indices;
  of->binary.bytes = &of->bytes;
  of->binary.null_adjustment = 100;
}

static void indices_can_be_packed_to_a_few_bits(void **state) {
  (void)state;
  parts of;
  test_page test;
  /* 2, 2, 103 (null) and 6, in 7 bits each, least significant first. */
  uint32_t packed = 2 | 2 << 7 | 103u << 14 | 6u << 21;
  parts_init(&of);
  of.indices.array_encoding_case = SF__LANCE__ARRAY_ENCODING__ARRAY_ENCODING_BITPACKED;
  of.indices.bitpacked = &of.bitpacked;
  of.bitpacked.compressed_bits_per_value = 7;
  of.bitpacked.uncompressed_bits_per_value = 64;
  of.bitpacked.buffer = &of.first;
  page_open(&test, &of.root, &packed, sizeof(packed), "abxdef", 6);
  assert_row(&test, 0, "ab");
  assert_row(&test, 1, "");
  assert_row(&test, 2, NULL);
  assert_row(&test, 3, "def");
  assert_refused(&test, 4, "outside");
  page_close(&test);
}

static void indices_can_be_packed_in_blocks(void **state) {
  (void)state;
  parts of;
  test_page test;
  uint8_t block[128] = {0};
  parts_init(&of);
  /* One bit a value, of 8-bit values: row s of lane l is value s × 128 + l. Only value 0 is 1: the first string ends at
   * 1. */
  block[0] = 1;
  of.indices.array_encoding_case = SF__LANCE__ARRAY_ENCODING__ARRAY_ENCODING_BITPACKED_FOR_NON_NEG;
  of.indices.bitpacked_for_non_neg = &of.blocks;
  of.blocks.compressed_bits_per_value = 1;
  of.blocks.uncompressed_bits_per_value = 8;
  of.blocks.buffer = &of.first;
  page_open(&test, &of.root, block, sizeof(block), "x", 1);
  assert_row(&test, 0, "x");
  assert_refused(&test, 1, "string 1 lies at 1 to 0");
  page_close(&test);
}

static void strings_of_one_length_need_no_indices(void **state) {
  (void)state;
  parts of;
  test_page test;
  parts_init(&of);
  of.root.array_encoding_case = SF__LANCE__ARRAY_ENCODING__ARRAY_ENCODING_FIXED_SIZE_BINARY;
  of.root.fixed_size_binary = &of.fixed;
  of.fixed.bytes = &of.bytes;
  of.fixed.byte_width = 3;
  page_open(&test, &of.root, "", 0, "onetwosix", 9);
  assert_row(&test, 1, "two");
  assert_row(&test, 2, "six");
  assert_refused(&test, 3, "outside");
  page_close(&test);
}

static void what_strings_can_not_be_is_refused_by_name(void **state) {
  (void)state;
  parts of;
  test_page test;
  Sf__Lance__UnsupportedArray unsupported = SF__LANCE__UNSUPPORTED_ARRAY__INIT;
  parts_init(&of);
  of.root.array_encoding_case = SF__LANCE__ARRAY_ENCODING__ARRAY_ENCODING_PACKED_STRUCT;
  of.root.packed_struct = &unsupported;
  page_open(&test, &of.root, "", 0, "", 0);
  assert_refused(&test, 0, "packed struct encoding is not supported for strings");
  page_close(&test);
}

static void a_buffer_that_is_not_of_the_page_is_refused(void **state) {
  (void)state;
  parts of;
  test_page test;
  parts_init(&of);
  of.root.array_encoding_case = SF__LANCE__ARRAY_ENCODING__ARRAY_ENCODING_FIXED_SIZE_BINARY;
  of.root.fixed_size_binary = &of.fixed;
  of.fixed.bytes = &of.bytes;
  of.second.buffer_type = 1;
  page_open(&test, &of.root, "", 0, "abc", 3);
  assert_refused(&test, 0, "a buffer of the column");
  of.second.buffer_type = 0;
  of.second.buffer_index = 2;
  assert_refused(&test, 0, "buffer 2 is not among the page's 2");
  page_close(&test);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(indices_can_be_packed_to_a_few_bits),
      cmocka_unit_test(indices_can_be_packed_in_blocks),
      cmocka_unit_test(strings_of_one_length_need_no_indices),
      cmocka_unit_test(what_strings_can_not_be_is_refused_by_name),
      cmocka_unit_test(a_buffer_that_is_not_of_the_page_is_refused),
  };
  return cmocka_run_group_tests_name("lance array encodings", tests, NULL, NULL);
}
