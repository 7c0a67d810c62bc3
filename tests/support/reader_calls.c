#include "support/reader_calls.h"

#include <cmocka_includes.h>

reader_calls calls_begin(void **state, const sf_reader_options *options) {
  reader_calls test = {.fixture = *state};
  assert_int_equal(sf_completion_queue_create(&test.queue, NULL), SF_OK);
  test.reader = fixture_open(test.fixture, options);
  return test;
}

void calls_finish(const reader_calls *test) {
  sf_reader_free(test->reader);
  sf_completion_queue_free(test->queue);
}

sf_operation *calls_submit(const reader_calls *test, size_t query) {
  sf_search_request request = fixture_request(test->fixture, query);
  sf_operation *operation = NULL;
  assert_int_equal(sf_reader_search_submit(test->reader, &request, test->queue, NULL, &operation, NULL), SF_OK);
  return operation;
}

sf_operation *calls_submit_refresh(const reader_calls *test) {
  sf_operation *operation = NULL;
  assert_int_equal(sf_reader_refresh_submit(test->reader, test->queue, NULL, &operation, NULL), SF_OK);
  return operation;
}

sf_operation *calls_submit_close(const reader_calls *test, int64_t timeout_ms) {
  sf_operation *operation = NULL;
  assert_int_equal(sf_reader_close_submit(test->reader, timeout_ms, test->queue, NULL, &operation, NULL), SF_OK);
  return operation;
}

void expect_code(sf_operation *operation, sf_code expected) {
  sf_error error;
  assert_true(sf_operation_wait(operation, -1));
  assert_int_equal(sf_operation_result(operation, &error), expected);
  sf_operation_release(operation);
}

void calls_expect_answer(const reader_calls *test, sf_operation *operation, int snapshot, size_t query) {
  assert_true(sf_operation_wait(operation, -1));
  sf_search_response *response = sf_operation_take_response(operation);
  assert_non_null(response);
  assert_true(fixture_answers(test->fixture, snapshot, query, response));
  sf_search_response_free(response);
  sf_operation_release(operation);
}
