#include "snapshot/pointer.h"

#include "cmocka_includes.h"

#include <string.h>

#define REF "\"manifest_ref\": \"s3://b/manifests/n/manifest\""
#define REST "\"run_id\": \"r\", \"updated_at\": \"2026-01-02T03:04:05.500000Z\""

static void a_pointer_is_read(void **state) {
  (void)state;
  static const char *const texts[] = {
      "{" REF ", " REST ", \"manifest_content_type\": \"application/x-sqlite3\", \"format_version\": 1}",
      " {" REF ", " REST ", \"manifest_content_type\": null, \"more\": [18446744073709551616]} \n",
      "{" REF ", " REST "}",
  };
  for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
    sf_pointer pointer;
    assert_int_equal(sf_pointer_parse(texts[i], strlen(texts[i]), &pointer, NULL), SF_OK);
    assert_string_equal(pointer.manifest_ref, "s3://b/manifests/n/manifest");
    assert_string_equal(pointer.run_id, "r");
    assert_string_equal(pointer.updated_at, "2026-01-02T03:04:05.500000Z");
    assert_true(pointer.updated_seconds == 1767323045.5);
    sf_pointer_free(&pointer);
  }
}

static void a_pointer_that_does_not_hold_is_refused(void **state) {
  (void)state;
  static const struct {
    const char *text;
    const char *message_part;
  } cases[] = {
      {"", "expected JSON"},
      {"{" REF ", " REST, "expected JSON"},
      {"{" REF ", " REST "} {}", "expected JSON"},
      {"{'run_id': 'r'}", "expected JSON"},
      {"[]", "expected a JSON object, found array"},
      {"null", "expected a JSON object, found null"},
      {"7", "expected a JSON object, found int"},
      {"{" REST "}", "\"manifest_ref\" to be a string, found nothing"},
      {"{\"manifest_ref\": null, " REST "}", "\"manifest_ref\" to be a string, found nothing"},
      {"{\"manifest_ref\": \"\", " REST "}", "\"manifest_ref\" to name a manifest"},
      {"{\"manifest_ref\": \"a\\u0000b\", " REST "}", "\"manifest_ref\" to be a string"},
      {"{\"manifest_ref\": {\"a\": 1}, " REST "}", "\"manifest_ref\" to be a string, found {\"a\":1}"},
      {"{" REF ", \"updated_at\": \"2026-01-02T03:04:05Z\"}", "\"run_id\" to be a string"},
      {"{" REF ", \"run_id\": \"r\"}", "\"updated_at\" to be a string"},
      {"{" REF ", \"run_id\": \"r\", \"updated_at\": \"yesterday\"}", "\"updated_at\" in ISO 8601, found yesterday"},
      {"{" REF ", \"run_id\": \"r\", \"updated_at\": 1767323045}", "\"updated_at\" to be a string, found 1767323045"},
      {"{" REF ", " REST ", \"format_version\": 2}", "\"format_version\" to be an integer from 1 to 1, found 2"},
      {"{" REF ", " REST ", \"format_version\": \"1\"}", "\"format_version\" to be an integer"},
      {"{" REF ", " REST ", \"manifest_content_type\": \"application/json\"}", "found application/json"},
      {"{" REF ", " REST ", \"x\": \"\xff\"}", "expected JSON"},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    sf_pointer pointer = {0};
    sf_error error = {0};
    sf_code code = sf_pointer_parse(cases[i].text, strlen(cases[i].text), &pointer, &error);
    if (code != SF_MANIFEST_PARSE_ERROR || strncmp(error.message, "_CURRENT: ", 10) != 0 ||
        strstr(error.message, cases[i].message_part) == NULL)
      fail_msg("%s: %d '%s'", cases[i].text, (int)code, error.message);
    assert_null(pointer.manifest_ref);
  }
  sf_pointer pointer;
  assert_int_equal(sf_pointer_parse("{}\0{}", 5, &pointer, NULL), SF_MANIFEST_PARSE_ERROR);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_pointer_is_read),
      cmocka_unit_test(a_pointer_that_does_not_hold_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
