#include "base/error.h"
#include "cmocka_includes.h"

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

static void a_long_message_is_cut_between_characters(void **state) {
  (void)state;
  char text[1400];
  for (size_t i = 0; i + 2 < sizeof(text); i += 2)
    memcpy(text + i, "\xc3\xbc", 2);
  text[sizeof(text) - 2] = '\0';
  sf_error error;
  sf_fail(&error, SF_ERROR, "%s", text);
  size_t length = strlen(error.message);
  assert_int_equal(length, 1022); /* 1023 would fit, and would cut a character in two */
  assert_int_equal((unsigned char)error.message[length - 1], 0xbc);
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
      cmocka_unit_test(a_long_message_is_cut_between_characters),
      cmocka_unit_test(only_three_codes_are_retryable),
  };
  return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
