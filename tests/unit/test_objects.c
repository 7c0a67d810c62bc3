/* Single objects below a root. */
#include "support/scratch.h"

#include <cmocka_includes.h>
#include <shardyfusion.h>
#include <string.h>

static sf_code call(const char *root, sf_object_action action, const char *key, const char *text,
                    sf_object_answer **answer, sf_error *error) {
  sf_object_request request = SF_OBJECT_REQUEST_INIT;
  request.action = action;
  request.key = key;
  request.bytes = text;
  request.length = text == NULL ? 0 : strlen(text);
  return sf_object_call(root, NULL, &request, answer, error);
}

static void write_object(const char *root, const char *key, const char *text) {
  sf_object_answer *answer = NULL;
  assert_int_equal(call(root, SF_OBJECT_WRITE, key, text, &answer, NULL), SF_OK);
  sf_free(answer);
}

static void assert_reads(const char *root, const char *key, const char *text) {
  sf_object_answer *answer = NULL;
  assert_int_equal(call(root, SF_OBJECT_READ, key, NULL, &answer, NULL), SF_OK);
  assert_int_equal(answer->found, text != NULL);
  assert_int_equal(answer->length, text == NULL ? 0 : strlen(text));
  assert_memory_equal(answer->bytes, text == NULL ? "" : text, answer->length);
  sf_free(answer);
}

static void objects_are_written_read_listed_and_removed(void **state) {
  (void)state;
  char *root = scratch_make();
  sf_object_answer *answer = NULL;
  write_object(root, "a/b/one", "1");
  write_object(root, "a/two", "22");
  write_object(root, "a/two", "");
  assert_reads(root, "a/b/one", "1");
  assert_reads(root, "a/two", "");
  assert_reads(root, "a/three", NULL);
  assert_int_equal(call(root, SF_OBJECT_LIST, "a/", NULL, &answer, NULL), SF_OK);
  assert_int_equal(answer->num_names, 2);
  assert_string_equal(answer->names[0], "b/");
  assert_string_equal(answer->names[1], "two");
  sf_free(answer);
  assert_int_equal(call(root, SF_OBJECT_REMOVE_ALL, "a/", NULL, &answer, NULL), SF_OK);
  sf_free(answer);
  assert_reads(root, "a/two", NULL);
  assert_int_equal(call(root, SF_OBJECT_LIST, "", NULL, &answer, NULL), SF_OK);
  assert_int_equal(answer->num_names, 0);
  sf_free(answer);
  scratch_remove(root);
}

static void an_object_of_a_directory_has_no_etag(void **state) {
  (void)state;
  char *root = scratch_make();
  sf_object_answer *answer = NULL;
  write_object(root, "a/one", "1");
  for (int i = 0; i < 2; i++) {
    assert_int_equal(call(root, SF_OBJECT_ETAG, i == 0 ? "a/one" : "a/two", NULL, &answer, NULL), SF_OK);
    assert_int_equal(answer->found, i == 0);
    assert_int_equal(answer->length, 0);
    sf_free(answer);
  }
  scratch_remove(root);
}

static void a_key_that_leads_elsewhere_is_refused(void **state) {
  (void)state;
  char *root = scratch_make();
  sf_error error;
  sf_object_answer *answer = NULL;
  static const char *const keys[] = {"", "/a", "../a", "a/../../b", "a//b", "./a", "a/.", "a/", NULL};
  for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
    assert_int_equal(call(root, SF_OBJECT_WRITE, keys[i], "x", &answer, &error), SF_CONFIG_VALIDATION_ERROR);
  static const char *const folders[] = {"a", "../", "a/../", "/", ""};
  for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
    assert_int_equal(call(root, SF_OBJECT_REMOVE_ALL, folders[i], NULL, &answer, &error), SF_CONFIG_VALIDATION_ERROR);
  assert_int_equal(call(root, (sf_object_action)7, "a", NULL, &answer, &error), SF_CONFIG_VALIDATION_ERROR);
  assert_non_null(strstr(error.message, "found 7"));
  assert_int_equal(sf_object_call(root, NULL, NULL, &answer, &error), SF_CONFIG_VALIDATION_ERROR);
  assert_null(answer);
  scratch_remove(root);
}

static void a_call_in_the_background_owns_what_it_was_given(void **state) {
  (void)state;
  char *root = scratch_make();
  char key[] = "a";
  char text[] = "text";
  sf_operation *operation = NULL;
  sf_object_request request = SF_OBJECT_REQUEST_INIT;
  request.action = SF_OBJECT_WRITE;
  request.key = key;
  request.bytes = text;
  request.length = strlen(text);
  assert_int_equal(sf_object_call_submit(root, NULL, &request, NULL, NULL, NULL, &operation, NULL), SF_OK);
  memset(key, 'x', 1);
  memset(text, 'x', 4);
  assert_true(sf_operation_wait(operation, -1));
  assert_int_equal(sf_operation_result(operation, NULL), SF_OK);
  sf_object_answer *answer = sf_operation_take_object_answer(operation);
  assert_non_null(answer);
  assert_null(sf_operation_take_object_answer(operation));
  sf_free(answer);
  sf_operation_release(operation);
  assert_reads(root, "a", "text");
  request.key = "..";
  assert_int_equal(sf_object_call_submit(root, NULL, &request, NULL, NULL, NULL, &operation, NULL),
                   SF_CONFIG_VALIDATION_ERROR);
  scratch_remove(root);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(objects_are_written_read_listed_and_removed),
      cmocka_unit_test(an_object_of_a_directory_has_no_etag),
      cmocka_unit_test(a_key_that_leads_elsewhere_is_refused),
      cmocka_unit_test(a_call_in_the_background_owns_what_it_was_given),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
