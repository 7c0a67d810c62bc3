/* Ids in the writer's own spelling: what is read without a JSON parser is what a JSON parser reads. */
#include "formats/sqlite_vec/written_id.h"

#include "base/json.h"
#include "random.h"

#include <cmocka_includes.h>
#include <stdio.h>
#include <string.h>

static void reads_integer(const char *text, int64_t integer) {
  sf_written_id id = {0};
  assert_true(sf_written_id_read(text, strlen(text), &id));
  assert_int_equal(id.type, SF_ID_INTEGER);
  assert_true(id.integer == integer);
  assert_null(id.string);
}

static void reads_string(const char *text, const char *string) {
  sf_written_id id = {0};
  assert_true(sf_written_id_read(text, strlen(text), &id));
  assert_int_equal(id.type, SF_ID_STRING);
  assert_int_equal(id.length, strlen(string));
  assert_memory_equal(id.string, string, id.length);
}

static void the_writers_spelling_is_read(void **state) {
  (void)state;
  reads_integer("{\"v\": 0, \"t\": \"int\"}", 0);
  reads_integer("{\"v\": -1, \"t\": \"int\"}", -1);
  reads_integer("{\"v\": 999999999999999999, \"t\": \"int\"}", 999999999999999999);
  reads_integer("{\"v\": -999999999999999999, \"t\": \"int\"}", -999999999999999999);
  reads_string("{\"v\": \"\", \"t\": \"str\"}", "");
  reads_string("{\"v\": \"a b/c\", \"t\": \"str\"}", "a b/c");
  reads_string("{\"v\": \", 't': 'str'}\", \"t\": \"str\"}", ", 't': 'str'}");
}

static void every_other_spelling_is_left_to_the_parser(void **state) {
  (void)state;
  static const char *const texts[] = {
      "",
      "{",
      "{\"v\": ",
      "{\"v\": 7",
      "{\"v\": 7, \"t\": \"int\"",
      "{\"v\": 7, \"t\": \"int\"} ",
      " {\"v\": 7, \"t\": \"int\"}",
      "{\"v\":7,\"t\":\"int\"}",
      "{\"t\": \"int\", \"v\": 7}",
      "{\"v\": , \"t\": \"int\"}",
      "{\"v\": -, \"t\": \"int\"}",
      "{\"v\": -0, \"t\": \"int\"}",
      "{\"v\": 07, \"t\": \"int\"}",
      "{\"v\": 7.0, \"t\": \"int\"}",
      "{\"v\": 1000000000000000000, \"t\": \"int\"}",
      "{\"v\": 9223372036854775808, \"t\": \"int\"}",
      "{\"v\": 7, \"t\": \"str\"}",
      "{\"v\": \"7\", \"t\": \"int\"}",
      "{\"v\": \"a\\\"b\", \"t\": \"str\"}",
      "{\"v\": \"a\\u0041\", \"t\": \"str\"}",
      "{\"v\": \"é\", \"t\": \"str\"}",
      "{\"v\": \"a\tb\", \"t\": \"str\"}",
      "{\"v\": \"\x7f\", \"t\": \"str\"}",
      "{\"v\": \"a",
  };
  for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
    sf_written_id id;
    assert_false(sf_written_id_read(texts[i], strlen(texts[i]), &id));
  }
}

static bool json_agrees(const char *text, size_t length, const sf_written_id *id) {
  sf_json json;
  int64_t integer = 0;
  if (sf_json_parse_object(text, length, SF_JSON_EXACT, "id", SF_ERROR, &json, NULL) != SF_OK)
    return false;
  const json_t *value = sf_json_member(json.root, "v");
  const char *tag = json_string_value(sf_json_member(json.root, "t"));
  bool same;
  if (id->type == SF_ID_INTEGER)
    same = strcmp(tag, "int") == 0 && sf_json_to_int64(value, &integer) && integer == id->integer;
  else
    same = strcmp(tag, "str") == 0 && json_string_length(value) == id->length &&
           memcmp(json_string_value(value), id->string, id->length) == 0;
  same = same && json_object_size(json.root) == 2;
  sf_json_free(&json);
  return same;
}

static void what_is_read_is_what_json_reads_however_the_text_is_changed(void **state) {
  (void)state;
  static const char *const seeds[] = {"{\"v\": 1234567890123456789, \"t\": \"int\"}", "{\"v\": -5, \"t\": \"int\"}",
                                      "{\"v\": \"key-17\", \"t\": \"str\"}"};
  static const char alphabet[] = "0123456789-+.eE\"\\{}:, tvintsr\x01\xc3\xa9";
  uint64_t random = 11;
  size_t num_read = 0;
  for (int round = 0; round < 300000; round++) {
    char text[64];
    size_t length = (size_t)snprintf(text, sizeof(text), "%s", seeds[random_below(&random, 3)]);
    for (uint64_t changes = random_below(&random, 3); changes > 0; changes--)
      text[random_below(&random, length)] = alphabet[random_below(&random, sizeof(alphabet) - 1)];
    sf_written_id id;
    if (!sf_written_id_read(text, length, &id))
      continue;
    num_read++;
    assert_true(json_agrees(text, length, &id));
  }
  assert_true(num_read > 10000);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_writers_spelling_is_read),
      cmocka_unit_test(every_other_spelling_is_left_to_the_parser),
      cmocka_unit_test(what_is_read_is_what_json_reads_however_the_text_is_changed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
