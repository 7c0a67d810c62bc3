#include "base/error.h"
#include "cmocka_includes.h"

#include <stdlib.h>
#include <string.h>

static void an_error_carries_code_retryable_and_message(void **state) {
  (void)state;
  sf_error error;
  assert_int_equal(sf_fail(&error, SF_S3_TRANSIENT_ERROR, "GET %s: status %d", "a/b", 503), SF_S3_TRANSIENT_ERROR);
  assert_int_equal(error.code, SF_S3_TRANSIENT_ERROR);
  assert_true(error.retryable);
  assert_string_equal(error.message, "GET a/b: status 503");
}

static void a_null_error_is_allowed(void **state) {
  (void)state;
  assert_int_equal(sf_fail(NULL, SF_ERROR, "x"), SF_ERROR);
  assert_int_equal(sf_error_prefix(NULL, "x"), SF_ERROR);
  sf_error_clear(NULL);
}

static void a_prefix_keeps_the_code(void **state) {
  (void)state;
  sf_error error;
  sf_fail(&error, SF_DB_ADAPTER_ERROR, "file is not a database");
  assert_int_equal(sf_error_prefix(&error, "shard %d", 3), SF_DB_ADAPTER_ERROR);
  assert_string_equal(error.message, "shard 3: file is not a database");
}

/* Characters of two bytes, so that cuts at any place would halve some. */
static void fill(char *text, size_t size) {
  for (size_t i = 0; i + 2 < size; i += 2)
    memcpy(text + i, "\xc3\xbc", 2);
  text[size - 2 + size % 2] = '\0';
}

static void assert_is_shortened(const char *message, const char *begin, const char *end) {
  size_t length = strlen(message);
  assert_in_range(length, 690, 710);
  assert_memory_equal(message, begin, strlen(begin));
  assert_string_equal(message + length - strlen(end), end);
  assert_non_null(strstr(message, "\xc3\xbc…\xc3\xbc"));
  assert_null(strchr(message, '?')); /* no half characters */
}

static void a_long_message_loses_its_middle_between_characters(void **state) {
  (void)state;
  static const size_t sizes[] = {801, 1399, 1401, 100001};
  for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
    char *text = malloc(sizes[i]);
    fill(text, sizes[i]);
    sf_error error;
    for (int shift = 0; shift < 2; shift++) {
      sf_fail(&error, SF_ERROR, "id%s: expected %s, found less", shift ? "s" : "", text);
      assert_is_shortened(error.message, shift ? "ids: expected " : "id: expected ", ", found less");
      sf_error_prefix(&error, "row %d", 17);
      assert_is_shortened(error.message, "row 17: id", ", found less");
    }
    free(text);
  }
}

static void a_message_with_room_is_kept_whole(void **state) {
  (void)state;
  char text[701];
  sf_error error;
  memset(text, 'x', sizeof(text) - 1);
  text[sizeof(text) - 1] = '\0';
  sf_fail(&error, SF_ERROR, "%s", text);
  assert_string_equal(error.message, text);
}

static void only_three_codes_are_retryable(void **state) {
  (void)state;
  for (int code = 0; code <= SF_OUT_OF_MEMORY_ERROR; code++) {
    bool expected = code == SF_S3_TRANSIENT_ERROR || code == SF_MANIFEST_STORE_ERROR || code == SF_POOL_EXHAUSTED_ERROR;
    assert_int_equal(sf_code_retryable((sf_code)code), expected);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_error_carries_code_retryable_and_message),
      cmocka_unit_test(a_null_error_is_allowed),
      cmocka_unit_test(a_prefix_keeps_the_code),
      cmocka_unit_test(a_long_message_loses_its_middle_between_characters),
      cmocka_unit_test(a_message_with_room_is_kept_whole),
      cmocka_unit_test(only_three_codes_are_retryable),
  };
  return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
