/* JSON: the public cases of JSONTestSuite, what the library in use has no values for, locales, and memory that runs out. */
#include "base/json.h"
#include "base/json_text.h"
#include "base/json_writer.h"
#include "base/memory.h"
#include "cmocka_includes.h"

#include <float.h>
#include <locale.h>
#include <string.h>

static bool parses_as(const char *text, size_t length, sf_json_dialect dialect) {
  sf_json json;
  sf_error error = {0};
  sf_code code = sf_json_parse(text, length, dialect, "text", SF_ERROR, &json, &error);
  if (code != SF_OK)
    assert_int_equal(strncmp(error.message, "text: ", 6), 0);
  sf_json_free(&json);
  return code == SF_OK;
}

static bool parses(const char *text, size_t length) {
  return parses_as(text, length, SF_JSON_STRICT);
}

/* ------------------------------------------------------------------------------------------------ The public cases */

static int base64_digit(char character) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const char *found = character != '\0' ? strchr(digits, character) : NULL;
  return found != NULL ? (int)(found - digits) : -1;
}

/* With a NUL after the bytes. */
static char *decode_base64(const char *text, size_t *length) {
  char *bytes = sf_calloc(strlen(text) + 1, 1);
  assert_non_null(bytes);
  unsigned bits = 0;
  int num_bits = 0;
  *length = 0;
  for (; base64_digit(*text) >= 0; text++) {
    bits = bits << 6 | (unsigned)base64_digit(*text);
    num_bits += 6;
    if (num_bits >= 8) {
      num_bits -= 8;
      bytes[(*length)++] = (char)(bits >> num_bits);
    }
  }
  bytes[*length] = '\0';
  return bytes;
}

static void the_public_cases_are_taken_and_refused_as_their_names_say(void **state) {
  (void)state;
  json_t *cases = json_load_file(SF_TEST_DATA "/json/parsing.json", 0, NULL);
  assert_non_null(cases);
  assert_int_equal(json_object_size(cases), 318);
  size_t failures = 0;
  const char *name;
  json_t *encoded;
  json_object_foreach(cases, name, encoded) {
    size_t length;
    char *text = decode_base64(json_string_value(encoded), &length);
    bool taken = parses(text, length);
    if ((name[0] == 'y' && !taken) || (name[0] == 'n' && taken)) {
      print_error("%s: %s\n", name, taken ? "taken" : "refused");
      failures++;
    }
    /* What is exactly JSON is JSON, and what is JSON is also taken from those who write NaN. */
    assert_true(!parses_as(text, length, SF_JSON_EXACT) || taken);
    assert_true(!taken || parses_as(text, length, SF_JSON_WITH_NAN));
    free(text);
  }
  json_decref(cases);
  assert_int_equal(failures, 0);
}

/* ---------------------------------------------------------------------------------------------------------- Texts */

static const char *const valid[] = {"null",
                                    "7",
                                    "-0.5e-3",
                                    "\"\\u0000\"",
                                    " [] ",
                                    "{\"a\":{}}",
                                    "true",
                                    "18446744073709551616",
                                    "-99999999999999999999999999",
                                    "[1e400, -1e400, 1e-400]",
                                    "\"99999999999999999999\"",
                                    "\"\\ud800\"",
                                    "{\"\\udc00\": \"\\ud83d\\ude00\"}",
                                    "{\"a\\u0000b\": 1}",
                                    "{\"a\": 1, \"a\": 2}"};
static const char *const invalid[] = {"",
                                      " ",
                                      "nul",
                                      "01",
                                      "+1",
                                      ".5",
                                      "'a'",
                                      "[1,]",
                                      "NaN",
                                      "[NaN]",
                                      "Infinity",
                                      "-Infinity",
                                      "1.",
                                      "1.e1",
                                      "00",
                                      "-01",
                                      "1e",
                                      "-",
                                      "{a: 1}",
                                      "{'a':1}",
                                      "/**/ null",
                                      "[1 2",
                                      "\"\xff\"",
                                      "\"\xc3\"",
                                      "7 7",
                                      "{} x",
                                      "\"a\tb\"",
                                      "\"a\x01\"",
                                      "\"\\x41\"",
                                      "\"\\u12\"",
                                      "\"\\ud8\"",
                                      "\xef\xbb\xbf{}",
                                      "[1e99",
                                      "{\"a\"}",
                                      "{\"a\":1,}",
                                      "1e400x",
                                      "\"\\u000g\"",
                                      "tru\0e",
                                      "99999999999999999999.",
                                      "\"\xed\xa0\x80\"",
                                      "[99999999999999999999x]",
                                      "099999999999999999999"};

static void json_is_taken_strictly_and_whole(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof(valid) / sizeof(valid[0]); i++)
    if (!parses(valid[i], strlen(valid[i])))
      fail_msg("%s is refused", valid[i]);
  for (size_t i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++)
    if (parses(invalid[i], strlen(invalid[i])))
      fail_msg("%s is taken", invalid[i]);
  assert_false(parses("1\0", 2));
  assert_false(parses("[]\0x", 4));
  assert_false(parses("\"a\0b\"", 5));
}

static void what_python_writes_is_taken_where_it_is_asked_for(void **state) {
  (void)state;
  static const char *const good[] = {"NaN", "-Infinity", "[NaN,Infinity,-Infinity]", "{\"NaN\": NaN}"};
  static const char *const bad[] = {"nan",        "-NaN",     "NaNs",   "1NaN", "Infinity1",
                                    "--Infinity", "{NaN: 1}", "NaNNaN", "NaN1", "-InfinityNaN"};
  for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
    assert_true(parses_as(good[i], strlen(good[i]), SF_JSON_WITH_NAN));
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
    if (parses_as(bad[i], strlen(bad[i]), SF_JSON_WITH_NAN))
      fail_msg("%s is taken", bad[i]);
}

static void what_values_cannot_hold_is_refused_where_they_must_be_exact(void **state) {
  (void)state;
  static const char *const texts[] = {"18446744073709551616", "9223372036854775808", "-9223372036854775809", "1e400",
                                      "\"\\ud800\"",          "\"\\udc00\\ud800\"",  "{\"a\\u0000b\": 1}"};
  for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
    assert_false(parses_as(texts[i], strlen(texts[i]), SF_JSON_EXACT));
  static const char exact[] = "{\"a\": [9223372036854775807, 1e308, \"\\ud83d\\ude00\", \"\\u0000\"]}";
  assert_true(parses_as(exact, strlen(exact), SF_JSON_EXACT));
}

static void json_is_nested_to_a_bound(void **state) {
  (void)state;
  enum { DEEPEST = 2 * SF_JSON_MAX_DEPTH };
  for (size_t depth = 1; depth < DEEPEST; depth += depth == SF_JSON_MAX_DEPTH ? 1 : 31) {
    char text[2 * DEEPEST + 1];
    memset(text, '[', depth);
    memset(text + depth, ']', depth);
    text[2 * depth] = '\0';
    if (parses(text, 2 * depth) != (depth <= SF_JSON_MAX_DEPTH))
      fail_msg("depth %zu", depth);
  }
}

/* --------------------------------------------------------------------------------------------------------- Values */

static void integers_are_read_exactly_or_not_at_all(void **state) {
  (void)state;
  static const struct {
    const char *text;
    bool fits;
    int64_t value;
  } cases[] = {
      {"[0]", true, 0},
      {"[-0]", true, 0},
      {"[9223372036854775807]", true, INT64_MAX},
      {"[-9223372036854775808]", true, INT64_MIN},
      {"[9223372036854775808]", false, 0},
      {"[18446744073709551615]", false, 0},
      {"[18446744073709551616]", false, 0},
      {"[-9223372036854775809]", false, 0},
      {"[100000000000000000000000000000000]", false, 0},
      {"[1.0]", false, 0},
      {"[1e3]", false, 0},
      {"[\"1\"]", false, 0},
      {"[true]", false, 0},
      {"[null]", false, 0},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    sf_json json;
    int64_t value = 0;
    assert_int_equal(sf_json_parse(cases[i].text, strlen(cases[i].text), SF_JSON_STRICT, "text", SF_ERROR, &json, NULL),
                     SF_OK);
    bool fits = sf_json_to_int64(json_array_get(json.root, 0), &value);
    if (fits != cases[i].fits || value != cases[i].value)
      fail_msg("%s: %d %lld", cases[i].text, fits, (long long)value);
    sf_json_free(&json);
  }
}

static void replacing_a_value_leaves_all_else_unchanged(void **state) {
  (void)state;
  static const char text[] = "[\"a\\\"18446744073709551616\\\\\", 18446744073709551616, -18446744073709551616, "
                             "1e400, \"\\ud800x\", {\"a\\u0000b\": \"\\u0000\"}, -1e400, 7]";
  sf_json json;
  assert_int_equal(sf_json_parse(text, strlen(text), SF_JSON_STRICT, "text", SF_ERROR, &json, NULL), SF_OK);
  const json_t *object = json_array_get(json.root, 5);
  assert_string_equal(json_string_value(json_array_get(json.root, 0)), "a\"18446744073709551616\\");
  assert_true(json_real_value(json_array_get(json.root, 1)) == 1.844674407370955e19);
  assert_true(json_real_value(json_array_get(json.root, 2)) == -1.844674407370955e19);
  assert_true(json_real_value(json_array_get(json.root, 3)) == 1e308);
  assert_string_equal(json_string_value(json_array_get(json.root, 4)), "\xef\xbf\xbdx");
  assert_null(json_object_get(object, "a"));
  assert_int_equal(json_string_length(json_object_get(object, "a\xef\xbf\xbd"
                                                              "b")),
                   1);
  assert_true(json_real_value(json_array_get(json.root, 6)) == -1e308);
  assert_int_equal(json_integer_value(json_array_get(json.root, 7)), 7);
  sf_json_free(&json);
}

static void of_members_with_one_name_the_last_counts(void **state) {
  (void)state;
  static const char text[] = "{\"a\": 1, \"b\": {\"a\": 9}, \"\\u0061\": 2}";
  sf_json json;
  sf_json_text member;
  int64_t value = 0;
  assert_int_equal(sf_json_parse_object(text, strlen(text), SF_JSON_STRICT, "text", SF_ERROR, &json, NULL), SF_OK);
  assert_int_equal(json_integer_value(json_object_get(json.root, "a")), 2);
  assert_true(sf_json_find_member(text, strlen(text), "a", &member));
  assert_true(sf_json_text_to_int64(member, &value) && value == 2);
  sf_json_free(&json);
}

static void members_are_found_as_they_were_written(void **state) {
  (void)state;
  static const char text[] =
      " { \"a\\n\" : [1, {\"b\": \"]}\"}] ,\"\\ud83d\\ude00\":18446744073709551615, \"c\":1.50e2\n}";
  sf_json_text member;
  uint64_t value;
  double number;
  assert_true(sf_json_find_member(text, strlen(text), "a\n", &member));
  assert_int_equal(member.length, 16);
  assert_memory_equal(member.data, "[1, {\"b\": \"]}\"}]", 16);
  assert_true(sf_json_find_member(text, strlen(text), "\xf0\x9f\x98\x80", &member));
  assert_true(sf_json_text_to_uint64(member, &value) && value == UINT64_MAX);
  assert_true(sf_json_find_member(text, strlen(text), "c", &member));
  assert_int_equal(member.length, 6);
  assert_true(sf_json_text_to_double(member, &number) && number == 150);
  assert_false(sf_json_find_member(text, strlen(text), "b", &member));
  assert_false(sf_json_find_member("{}", 2, "b", &member));
}

/* The text in memory of just its length, for the address sanitizer: digits after it are another number's. */
static sf_json_text copy_exactly(const char *text) {
  char *copy = malloc(strlen(text));
  assert_non_null(copy);
  memcpy(copy, text, strlen(text));
  return (sf_json_text){.data = copy, .length = strlen(text)};
}

static void integers_are_read_within_the_length_of_their_text(void **state) {
  (void)state;
  static const struct {
    const char *text;
    bool is_signed; /* fits an int64 */
    bool is_unsigned;
    int64_t value;
  } cases[] = {
      {"0", true, true, 0},
      {"-0", true, false, 0},
      {"7", true, true, 7},
      {"9223372036854775807", true, true, INT64_MAX},
      {"-9223372036854775808", true, false, INT64_MIN},
      {"9223372036854775808", false, true, INT64_MIN}, /* as an unsigned one */
      {"18446744073709551615", false, true, -1},
      {"18446744073709551616", false, false, 0},
      {"-9223372036854775809", false, false, 0},
      {"99999999999999999999999999999", false, false, 0},
      {"1.0", false, false, 0},
      {"1e2", false, false, 0},
      {"01", false, false, 0},
      {"-", false, false, 0},
      {"+1", false, false, 0},
      {" 1", false, false, 0},
      {"1 ", false, false, 0},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    sf_json_text number = copy_exactly(cases[i].text);
    int64_t value = 0;
    uint64_t unsigned_value = 0;
    if (sf_json_text_to_int64(number, &value) != cases[i].is_signed ||
        sf_json_text_to_uint64(number, &unsigned_value) != cases[i].is_unsigned)
      fail_msg("%s", cases[i].text);
    if (cases[i].is_signed)
      assert_true(value == cases[i].value);
    if (cases[i].is_unsigned)
      assert_true(unsigned_value == (uint64_t)cases[i].value);
    free((char *)(uintptr_t)number.data);
  }
  int64_t value;
  assert_true(sf_json_text_to_int64((sf_json_text){.data = "1234", .length = 2}, &value) && value == 12);
  assert_false(sf_json_text_to_int64((sf_json_text){.data = "1", .length = 0}, &value));
}

static void check_double(const char *text, bool is_finite, double expected) {
  sf_json_text number = copy_exactly(text);
  double value = 0;
  if (sf_json_text_to_double(number, &value) != is_finite || (is_finite && value != expected))
    fail_msg("%.80s: %a", text, value);
  free((char *)(uintptr_t)number.data);
}

static void doubles_are_read_within_the_length_of_their_text(void **state) {
  (void)state;
  double value;
  check_double("0", true, 0);
  check_double("1.5", true, 1.5);
  check_double("-1.25e2", true, -125);
  check_double("5e-324", true, 0x1p-1074);
  check_double("1e309", false, 0);
  check_double("1e99999999999999999999", false, 0);
  check_double("1e-99999999999999999999", true, 0);
  check_double("0.00000000000000000000000000000000000000000000000000000000000000000000015", true, 1.5e-70);
  check_double("-1500000000000000000000000000000000000000000000000000000000000000000000000E-70", true, -150);
  check_double("0e00000000000000000000000000000000000000000000000000000000000000000000000001", true, 0);
  check_double("1.", false, 0);
  assert_true(sf_json_text_to_double((sf_json_text){.data = "1234", .length = 2}, &value) && value == 12);
  assert_false(sf_json_text_to_double((sf_json_text){.data = "1", .length = 0}, &value));
}

/* 1 + 2^-53 is halfway between 1 and the next double, and rounds to 1; any digit after it, however far, rounds it up. */
static void each_digit_of_a_long_number_has_a_part_in_its_value(void **state) {
  (void)state;
  static const char halfway[] = "1.00000000000000011102230246251565404236316680908203125";
  static char text[2001];
  memset(text, '0', 2000);
  memcpy(text, halfway, strlen(halfway));
  check_double(text, true, 1);
  text[1999] = '1';
  check_double(text, true, 1 + 0x1p-52);
  memcpy(text + 1994, "1e-100", 6);
  check_double(text, true, 0x1.bff2ee48e0531p-333);
  memset(text, '9', 2000);
  memcpy(text + 1994, "e-1994", 6);
  check_double(text, true, 1);
}

/* A locale that writes 1,5; the system may have none. */
static bool set_comma_locale(void) {
  static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE", "fr_FR"};
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
    if (setlocale(LC_ALL, names[i]) != NULL)
      return true;
  return false;
}

static void numbers_are_read_alike_in_every_locale(void **state) {
  (void)state;
  static const char text[] = "[1.5, 1.5e400]";
  sf_json json;
  if (!set_comma_locale())
    skip();
  assert_int_equal(sf_json_parse(text, strlen(text), SF_JSON_STRICT, "text", SF_ERROR, &json, NULL), SF_OK);
  assert_true(json_real_value(json_array_get(json.root, 0)) == 1.5);
  sf_json_free(&json);
  assert_string_equal(localeconv()->decimal_point, ",");
  setlocale(LC_ALL, "C");
}

static void objects_are_written(void **state) {
  (void)state;
  sf_buffer text = {0};
  sf_json_writer writer;
  sf_json_writer_begin(&writer);
  sf_json_write_text(&writer, "a", "\"\n");
  sf_json_write_begin(&writer, "b");
  sf_json_write_integer(&writer, "c", -7);
  sf_json_write_json(&writer, "d", "[1]");
  sf_json_write_end(&writer);
  sf_json_write_text(&writer, "e", NULL);
  assert_int_equal(sf_json_writer_end(&writer, "object", &text, NULL), SF_OK);
  assert_string_equal((char *)text.data, "{\"a\":\"\\\"\\n\",\"b\":{\"c\":-7,\"d\":[1]},\"e\":null}");
  sf_buffer_free(&text);
}

/* --------------------------------------------------------------------------------------------------------- Memory */

static size_t allocations_left = SIZE_MAX;

/* What the documents' blocks come from; others in the program have memory all the while. */
void *__wrap_sf_reallocarray(void *memory, size_t count, size_t size);
void *__real_sf_reallocarray(void *memory, size_t count, size_t size);

void *__wrap_sf_reallocarray(void *memory, size_t count, size_t size) {
  if (allocations_left == 0)
    return NULL;
  allocations_left--;
  return __real_sf_reallocarray(memory, count, size);
}

/* Names and values longer than the buffers that parsers begin with; many, for several blocks. */
static char *make_document(void) {
  sf_buffer text = {0};
  assert_true(sf_buffer_append_text(&text, "{\"hash_algorithm\": \"xxh3_64\""));
  for (int i = 0; i < 400; i++)
    assert_true(
        sf_buffer_append_format(&text, ", \"sharding_strategy_%d\": [\"a text of some length %d\", %d]", i, i, i));
  assert_true(sf_buffer_append_text(&text, "}"));
  return (char *)text.data;
}

static void running_out_of_memory_is_reported_as_that(void **state) {
  (void)state;
  char *text = make_document();
  size_t refusals = 0;
  sf_code code = SF_OUT_OF_MEMORY_ERROR;
  while (code != SF_OK) {
    sf_json json;
    sf_error error = {0};
    allocations_left = refusals;
    code = sf_json_parse_object(text, strlen(text), SF_JSON_STRICT, "text", SF_ERROR, &json, &error);
    allocations_left = SIZE_MAX;
    if (code != SF_OK) {
      assert_int_equal(code, SF_OUT_OF_MEMORY_ERROR);
      assert_null(json.root);
      refusals++;
    } else {
      assert_int_equal(json_object_size(json.root), 401);
      assert_non_null(json_object_get(json.root, "sharding_strategy_399"));
    }
    sf_json_free(&json);
  }
  assert_true(refusals > 3);
  free(text);
}

static size_t foreign_calls;

static void *foreign_malloc(size_t size) {
  foreign_calls++;
  return malloc(size);
}

/* A program around this one may use the same library with allocation functions of its own. */
static void others_keep_their_allocation_functions(void **state) {
  (void)state;
  json_set_alloc_funcs(foreign_malloc, free);
  foreign_calls = 0;
  assert_true(parses("[1, \"two\"]", 10));
  assert_int_equal(foreign_calls, 0);
  json_t *foreign = json_pack("{s: i}", "a", 1);
  assert_non_null(foreign);
  assert_true(foreign_calls > 0);
  json_decref(foreign);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_public_cases_are_taken_and_refused_as_their_names_say),
      cmocka_unit_test(json_is_taken_strictly_and_whole),
      cmocka_unit_test(what_python_writes_is_taken_where_it_is_asked_for),
      cmocka_unit_test(what_values_cannot_hold_is_refused_where_they_must_be_exact),
      cmocka_unit_test(json_is_nested_to_a_bound),
      cmocka_unit_test(integers_are_read_exactly_or_not_at_all),
      cmocka_unit_test(replacing_a_value_leaves_all_else_unchanged),
      cmocka_unit_test(of_members_with_one_name_the_last_counts),
      cmocka_unit_test(members_are_found_as_they_were_written),
      cmocka_unit_test(integers_are_read_within_the_length_of_their_text),
      cmocka_unit_test(doubles_are_read_within_the_length_of_their_text),
      cmocka_unit_test(each_digit_of_a_long_number_has_a_part_in_its_value),
      cmocka_unit_test(numbers_are_read_alike_in_every_locale),
      cmocka_unit_test(objects_are_written),
      cmocka_unit_test(running_out_of_memory_is_reported_as_that),
      cmocka_unit_test(others_keep_their_allocation_functions),
  };
  return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
