#include "base/json_writer.h"
#include "cli/json_text.h"
#include "cli/query_text.h"
#include "cli/status.h"
#include "cli/table.h"
#include "cmocka_includes.h"

#include <math.h>
#include <string.h>

static void assert_string_is_written(const char *text, size_t length, const char *expected) {
  sf_buffer buffer = {0};
  assert_true(sf_json_append_string(&buffer, text, length));
  assert_string_equal((char *)buffer.data, expected);
  sf_buffer_free(&buffer);
}

static void strings_are_escaped(void **state) {
  (void)state;
  assert_string_is_written("", 0, "\"\"");
  assert_string_is_written("a\"b\\c/d", 7, "\"a\\\"b\\\\c/d\"");
  assert_string_is_written("\n\r\t\x01\x1f\x7f", 6, "\"\\n\\r\\t\\u0001\\u001f\\u007f\"");
  assert_string_is_written("a\0b", 3, "\"a\\u0000b\"");
  assert_string_is_written("\xc3\xbc\xe6\xbc\xa2\xf0\x9f\xa6\x86", 9, "\"\xc3\xbc\xe6\xbc\xa2\xf0\x9f\xa6\x86\"");
}

static void bytes_that_are_not_utf8_are_replaced(void **state) {
  (void)state;
  assert_string_is_written("\xff", 1, "\"\\ufffd\"");
  assert_string_is_written("a\xc3", 2, "\"a\\ufffd\"");
  assert_string_is_written("\xc0\xaf", 2, "\"\\ufffd\\ufffd\"");                       /* longer than it need be */
  assert_string_is_written("\xed\xa0\x80", 3, "\"\\ufffd\\ufffd\\ufffd\"");            /* a surrogate */
  assert_string_is_written("\xf4\x90\x80\x80", 4, "\"\\ufffd\\ufffd\\ufffd\\ufffd\""); /* above U+10FFFF */
}

static void assert_number_is_written(double value, const char *expected) {
  sf_buffer buffer = {0};
  assert_true(sf_cli_json_append_double(&buffer, value));
  assert_string_equal((char *)buffer.data, expected);
  sf_buffer_free(&buffer);
}

static void numbers_have_the_digits_that_read_back(void **state) {
  (void)state;
  assert_number_is_written(0.1, "0.1");
  assert_number_is_written(0.1 + 0.2, "0.30000000000000004");
  assert_number_is_written(2, "2");
  assert_number_is_written(-1.5e-300, "-1.5e-300");
  assert_number_is_written(5e-324, "4.94065645841247e-324");
  assert_number_is_written(1.7976931348623157e308, "1.7976931348623157e+308");
  assert_number_is_written((double)NAN, "null");
  assert_number_is_written((double)INFINITY, "null");
}

static void assert_compact(const char *text, const char *expected) {
  sf_buffer buffer = {0};
  assert_true(sf_buffer_append_text(&buffer, "before"));
  sf_code code = sf_cli_json_append_compact(&buffer, text, strlen(text), "payload", NULL);
  assert_int_equal(code, expected != NULL ? SF_OK : SF_DB_ADAPTER_ERROR);
  assert_memory_equal(buffer.data, "before", 6);
  assert_string_equal((char *)buffer.data + 6, expected == NULL ? "" : expected);
  sf_buffer_free(&buffer);
}

static void json_is_made_compact_and_kept_as_it_is(void **state) {
  (void)state;
  assert_compact(" { \"a b\" : [ 1 , 2.50 ,\n\t\"x \\\" : y\\\\\" ] } \r\n", "{\"a b\":[1,2.50,\"x \\\" : y\\\\\"]}");
  assert_compact("123456789012345678901234567890", "123456789012345678901234567890");
  assert_compact("{\"N\": \"Infinity\"}", "{\"N\":\"Infinity\"}");
  assert_compact("null", "null");
  assert_compact("\"\\u0000\"", "\"\\u0000\"");
  assert_compact("{\"\\u0000\": \"\\ud800\"}", "{\"\\u0000\":\"\\ud800\"}");
  assert_compact("[1e400, 1.50E+2, -0]", "[1e400,1.50E+2,-0]");
}

static void what_python_writes_for_numbers_that_json_lacks_becomes_null(void **state) {
  (void)state;
  assert_compact("NaN", "null");
  assert_compact("{\"a\": [NaN, Infinity, -Infinity, \"NaN\"]}", "{\"a\":[null,null,null,\"NaN\"]}");
}

static void what_is_not_json_is_told(void **state) {
  (void)state;
  static const char *const texts[] = {"",      " ",     "{",        "{} {}",        "[1,]",     "{'a': 1}",
                                      "Nan",   "[nan]", "-NaN",     "+Infinity",    "\"a\nb\"", "\"a\x01\"",
                                      "1 2",   "tr ue", "/* a */1", "\"\xff\"",     "[1",       "01",
                                      "[-01]", "1.",    "[1.e5]",   "{\"a'\": 'b'}"};
  for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
    assert_compact(texts[i], NULL);
}

static void a_query_is_read(void **state) {
  (void)state;
  double *values;
  size_t count;
  const char *text = " [ 1, -2.5e-3 ,\t0,1E+2, 12345678901234567890123 ] \n";
  assert_int_equal(sf_cli_query_parse(text, strlen(text), &values, &count, NULL), SF_OK);
  assert_int_equal(count, 5);
  const double expected[] = {1, -2.5e-3, 0, 100, 12345678901234567890123.0};
  assert_memory_equal(values, expected, sizeof(expected));
  free(values);
  assert_int_equal(sf_cli_query_parse("[]", 2, &values, &count, NULL), SF_OK);
  assert_int_equal(count, 0);
  free(values);
}

static void a_query_that_is_no_array_of_numbers_is_refused(void **state) {
  (void)state;
  static const char *const texts[] = {"",      "1",    "[",      "[1",    "[1,",     "[1,]",  "[,1]",  "[1 2]",
                                      "[01]",  "[+1]", "[.5]",   "[1.]",  "[1e]",    "[0x1]", "[nan]", "[NaN]",
                                      "[inf]", "[-]",  "[null]", "[[1]]", "[\"1\"]", "[1]]",  "[1] x", "{}"};
  for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
    double *values;
    size_t count;
    sf_error error;
    assert_int_equal(sf_cli_query_parse(texts[i], strlen(texts[i]), &values, &count, &error),
                     SF_CONFIG_VALIDATION_ERROR);
    assert_non_null(strstr(error.message, "expected"));
  }
}

static void a_query_with_a_zero_byte_is_refused(void **state) {
  (void)state;
  double *values;
  size_t count;
  assert_int_equal(sf_cli_query_parse("[1]\0[2]", 7, &values, &count, NULL), SF_CONFIG_VALIDATION_ERROR);
}

/* ---------------------------------------------------------------------------------------------------------------- Table */

static void assert_table(const char *const *cells, size_t count, size_t width, const char *expected) {
  sf_cli_table table;
  assert_true(sf_cli_table_begin(&table, 2));
  for (size_t i = 0; i < count; i++)
    assert_true(sf_cli_table_add(&table, sf_strdup(cells[i]), i < 2 || i % 2 == 0));
  char *text = NULL;
  size_t length = 0;
  FILE *stream = open_memstream(&text, &length);
  assert_non_null(stream);
  assert_true(sf_cli_table_print(&table, width, stream));
  fclose(stream);
  assert_string_equal(text, expected);
  free(text);
  sf_cli_table_free(&table);
}

static void columns_are_aligned(void **state) {
  (void)state;
  static const char *const cells[] = {"id", "word", "7", "a", "123", "long"};
  assert_table(cells, 6, 0, " id  word\n  7  a\n123  long\n");
}

static void text_is_cut_to_the_width(void **state) {
  (void)state;
  static const char *const cells[] = {"id", "word", "7", "abcdefghijklmnop", "8", "\xc3\xbc\xc3\xbc"};
  assert_table(cells, 6, 14, "id  word\n 7  abcdefghi\xe2\x80\xa6\n 8  \xc3\xbc\xc3\xbc\n");
}

/* ------------------------------------------------------------------------------------------------------------- Suggestions */

static const char *name_at(size_t index, const void *user_data) {
  (void)user_data;
  static const char *const names[] = {"search", "shards", "info"};
  return index < 3 ? names[index] : NULL;
}

static void a_mistyped_name_finds_its_neighbour(void **state) {
  (void)state;
  assert_string_equal(sf_cli_suggest("serch", name_at, NULL), "search");
  assert_string_equal(sf_cli_suggest("shard", name_at, NULL), "shards");
  assert_string_equal(sf_cli_suggest("inof", name_at, NULL), "info");
  assert_null(sf_cli_suggest("frobnicate", name_at, NULL));
  assert_null(sf_cli_suggest("", name_at, NULL));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(strings_are_escaped),
      cmocka_unit_test(bytes_that_are_not_utf8_are_replaced),
      cmocka_unit_test(numbers_have_the_digits_that_read_back),
      cmocka_unit_test(json_is_made_compact_and_kept_as_it_is),
      cmocka_unit_test(what_python_writes_for_numbers_that_json_lacks_becomes_null),
      cmocka_unit_test(what_is_not_json_is_told),
      cmocka_unit_test(a_query_is_read),
      cmocka_unit_test(a_query_that_is_no_array_of_numbers_is_refused),
      cmocka_unit_test(a_query_with_a_zero_byte_is_refused),
      cmocka_unit_test(columns_are_aligned),
      cmocka_unit_test(text_is_cut_to_the_width),
      cmocka_unit_test(a_mistyped_name_finds_its_neighbour),
  };
  return cmocka_run_group_tests_name("cli_text", tests, NULL, NULL);
}
