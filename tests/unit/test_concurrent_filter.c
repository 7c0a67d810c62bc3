/* Filtered searches and counts of a reader at once, in the order that a gated storage gives them. */
#include "support/reader_calls.h"

#include <cmocka_includes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUM_ROWS = 20, NUM_FILTERS = 5 };

static const char *const filters[NUM_FILTERS] = {
    "payload.id % 2 == 0",
    "payload.id >= 30 && payload.id < 50",
    "id == 7 || id == '9'",
    "payload.id > 1000000000",
    "true",
};

/* Whether the row with that id, of the fixture's first snapshot, matches. */
static bool matches(size_t filter, int64_t id) {
  bool has_payload = id % 5 != 0;
  const bool results[NUM_FILTERS] = {has_payload && id % 2 == 0, has_payload && id >= 30 && id < 50, id == 7 || id == 9,
                                     false, true};
  return results[filter];
}

static int64_t id_of(const sf_search_result *result) {
  return result->id_type == SF_ID_STRING ? strtoll(result->id_string, NULL, 10) : result->id_integer;
}

static sf_search_request request_with(const reader_calls *test, size_t query, const char *filter) {
  sf_search_request request = fixture_request(test->fixture, query);
  request.filter = filter;
  return request;
}

static sf_search_response *search(const reader_calls *test, const sf_search_request *request) {
  sf_search_response *response = NULL;
  sf_error error;
  if (sf_reader_search(test->reader, request, &response, &error) != SF_OK)
    fail_msg("%s", error.message);
  return response;
}

static sf_operation *submit(const reader_calls *test, size_t query, size_t filter) {
  sf_search_request request = request_with(test, query, filters[filter]);
  sf_operation *operation = NULL;
  assert_int_equal(sf_reader_search_submit(test->reader, &request, test->queue, NULL, &operation, NULL), SF_OK);
  return operation;
}

/* Every row of the first snapshot in the order of its score. */
static sf_search_response *search_all(const reader_calls *test, size_t query) {
  sf_search_request request = request_with(test, query, NULL);
  request.top_k = FIXTURE_SHARDS * NUM_ROWS;
  return search(test, &request);
}

/* The response has the 10 nearest of all rows that match. */
static void expect_nearest(const sf_search_response *all, size_t filter, const sf_search_response *response) {
  size_t count = 0;
  for (size_t i = 0; i < sf_search_response_count(all) && count < 10; i++) {
    const sf_search_result *expected = sf_search_response_result(all, i);
    if (!matches(filter, id_of(expected)))
      continue;
    const sf_search_result *found = sf_search_response_result(response, count++);
    assert_non_null(found);
    assert_int_equal(id_of(found), id_of(expected));
    assert_memory_equal(&found->score, &expected->score, sizeof(double));
  }
  assert_int_equal(sf_search_response_count(response), count);
}

static void expect_nearest_of_operation(const sf_search_response *all, size_t filter, sf_operation *operation) {
  assert_true(sf_operation_wait(operation, -1));
  sf_search_response *response = sf_operation_take_response(operation);
  assert_non_null(response);
  expect_nearest(all, filter, response);
  sf_search_response_free(response);
  sf_operation_release(operation);
}

static uint64_t count_rows(const reader_calls *test, const char *filter) {
  sf_count_request request = SF_COUNT_REQUEST_INIT;
  uint64_t count = UINT64_MAX;
  request.filter = filter;
  assert_int_equal(sf_reader_count(test->reader, &request, &count, NULL), SF_OK);
  return count;
}

static void searches_with_different_filters_at_once_give_each_its_own_rows(void **state) {
  reader_calls test = calls_begin(state, NULL);
  sf_operation *operations[FIXTURE_QUERIES];
  gate_shut("db=");
  for (size_t i = 0; i < FIXTURE_QUERIES; i++)
    operations[i] = submit(&test, i / 4, i % NUM_FILTERS);
  gate_await_waiting(FIXTURE_SHARDS);
  gate_open();
  for (size_t i = 0; i < FIXTURE_QUERIES; i++) {
    sf_search_response *all = search_all(&test, i / 4);
    expect_nearest_of_operation(all, i % NUM_FILTERS, operations[i]);
    sf_search_response_free(all);
  }
  calls_finish(&test);
}

static void each_request_of_a_batch_has_its_own_filter(void **state) {
  reader_calls test = calls_begin(state, NULL);
  sf_search_request requests[NUM_FILTERS];
  sf_search_response *responses[NUM_FILTERS];
  sf_search_response *all = search_all(&test, 3);
  for (size_t i = 0; i < NUM_FILTERS; i++)
    requests[i] = request_with(&test, 3, filters[i]);
  assert_int_equal(sf_reader_batch_search(test.reader, requests, NUM_FILTERS, responses, NULL), SF_OK);
  for (size_t i = 0; i < NUM_FILTERS; i++) {
    expect_nearest(all, i, responses[i]);
    sf_search_response_free(responses[i]);
  }
  sf_search_response_free(all);
  calls_finish(&test);
}

static void rows_that_match_are_counted(void **state) {
  reader_calls test = calls_begin(state, NULL);
  for (size_t i = 0; i < NUM_FILTERS; i++) {
    uint64_t expected = 0;
    for (int64_t id = 0; id < FIXTURE_SHARDS * NUM_ROWS; id++)
      expected += matches(i, id);
    assert_int_equal(count_rows(&test, filters[i]), expected);
  }
  calls_finish(&test);
}

static void filters_that_are_wrong_are_refused_at_once(void **state) {
  static const char *const wrong[] = {"payload.id >", "nothing == 1", "1 + 2", "payload.id == ", ""};
  reader_calls test = calls_begin(state, NULL);
  for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
    sf_search_request request = request_with(&test, 0, wrong[i]);
    sf_count_request counted = SF_COUNT_REQUEST_INIT;
    sf_operation *operation = NULL;
    sf_search_response *response;
    sf_error error;
    counted.filter = wrong[i];
    assert_int_equal(sf_reader_search(test.reader, &request, &response, &error), SF_CONFIG_VALIDATION_ERROR);
    assert_memory_equal(error.message, "filter: 1:", 10);
    assert_int_equal(sf_reader_search_submit(test.reader, &request, NULL, NULL, &operation, NULL),
                     SF_CONFIG_VALIDATION_ERROR);
    assert_int_equal(sf_reader_count_submit(test.reader, &counted, NULL, NULL, &operation, NULL),
                     SF_CONFIG_VALIDATION_ERROR);
    assert_null(operation);
  }
  assert_int_equal(gate_loads(), 0);
  calls_finish(&test);
}

static void a_limit_that_a_row_reaches_fails_every_search_with_the_filter(void **state) {
  /* a million elements in all */
  static const char expression[] =
      "size(payload) >= 0 && "
      "[0,1,2,3,4,5,6,7,8,9].all(a, [0,1,2,3,4,5,6,7,8,9].all(b, "
      "[0,1,2,3,4,5,6,7,8,9].all(c, [0,1,2,3,4,5,6,7,8,9].all(d, "
      "[0,1,2,3,4,5,6,7,8,9].all(e, [0,1,2,3,4,5,6,7,8,9].all(f, a + b + c + d + e + f >= 0))))))";
  reader_calls test = calls_begin(state, NULL);
  for (int round = 0; round < 2; round++) {
    sf_search_request request = request_with(&test, 0, expression);
    sf_search_response *response;
    sf_error error;
    assert_int_equal(sf_reader_search(test.reader, &request, &response, &error), SF_CONFIG_VALIDATION_ERROR);
    assert_memory_equal(error.message, "filter: ", 8);
    assert_non_null(strstr(error.message, "steps"));
  }
  assert_int_equal(count_rows(&test, "true"), FIXTURE_SHARDS * NUM_ROWS);
  calls_finish(&test);
}

/* A reader whose only loading thread is busy with shard 3, and whose other shards are loaded. */
static reader_calls begin_with_a_busy_loader(void **state, sf_operation **blocking) {
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  options.num_loaders = 1;
  reader_calls test = calls_begin(state, &options);
  sf_search_request request = fixture_request(test.fixture, 0);
  request.num_shard_ids = FIXTURE_SHARDS - 1;
  sf_search_response_free(search(&test, &request));
  gate_shut("db=00003");
  *blocking = calls_submit(&test, 0);
  gate_await_waiting(1);
  return test;
}

static sf_operation *submit_to_loaded_shards(const reader_calls *test, const char *filter) {
  sf_search_request request = request_with(test, 0, filter);
  sf_operation *operation = NULL;
  request.num_shard_ids = FIXTURE_SHARDS - 1;
  assert_int_equal(sf_reader_search_submit(test->reader, &request, test->queue, NULL, &operation, NULL), SF_OK);
  return operation;
}

static void a_search_that_waits_for_bitmaps_is_cancelled_at_once(void **state) {
  sf_operation *blocking;
  reader_calls test = begin_with_a_busy_loader(state, &blocking);
  sf_operation *cancelled = submit_to_loaded_shards(&test, filters[0]);
  sf_operation *other = submit_to_loaded_shards(&test, filters[0]);
  sf_operation *alone = submit_to_loaded_shards(&test, filters[1]);
  sf_operation_cancel(cancelled);
  sf_operation_cancel(alone);
  expect_code(cancelled, SF_CANCELLED_ERROR);
  expect_code(alone, SF_CANCELLED_ERROR);
  assert_false(sf_operation_is_done(other));
  gate_open();
  expect_code(other, SF_OK);
  expect_code(blocking, SF_OK);
  calls_finish(&test);
}

static void a_search_that_waits_for_bitmaps_may_be_released(void **state) {
  sf_operation *blocking;
  reader_calls test = begin_with_a_busy_loader(state, &blocking);
  sf_operation_release(submit_to_loaded_shards(&test, filters[0]));
  gate_open();
  expect_code(blocking, SF_OK);
  assert_null(sf_completion_queue_pop(test.queue));
  calls_finish(&test);
}

static void a_reader_is_closed_while_bitmaps_are_waited_for(void **state) {
  sf_operation *blocking;
  reader_calls test = begin_with_a_busy_loader(state, &blocking);
  sf_operation *operation = submit_to_loaded_shards(&test, filters[0]);
  assert_int_equal(sf_reader_close(test.reader, 0, NULL), SF_OK);
  expect_code(operation, SF_CANCELLED_ERROR);
  expect_code(blocking, SF_CANCELLED_ERROR);
  calls_finish(&test);
}

static void closing_without_end_waits_for_bitmaps(void **state) {
  sf_operation *blocking;
  reader_calls test = begin_with_a_busy_loader(state, &blocking);
  sf_operation *operation = submit_to_loaded_shards(&test, filters[0]);
  sf_operation *closing = calls_submit_close(&test, -1);
  gate_open();
  expect_code(operation, SF_OK);
  expect_code(blocking, SF_OK);
  expect_code(closing, SF_OK);
  calls_finish(&test);
}

static void a_search_keeps_its_snapshot_while_shards_and_bitmaps_are_evicted_and_the_reader_is_refreshed(void **state) {
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  options.max_cached_shards = 1;
  options.max_filter_bytes = 1;
  reader_calls test = calls_begin(state, &options);
  sf_search_response *all = search_all(&test, 0);
  sf_operation *operations[FIXTURE_QUERIES];
  for (size_t i = 0; i < FIXTURE_QUERIES; i++)
    operations[i] = submit(&test, 0, i % NUM_FILTERS);
  snapshot_publish(test.fixture->snapshots[1]);
  bool changed = false;
  assert_int_equal(sf_reader_refresh(test.reader, &changed, NULL), SF_OK);
  assert_true(changed);
  assert_int_equal(count_rows(&test, "id == 7"), 0); /* the newer one has other ids */
  assert_int_equal(count_rows(&test, "payload.id > 1000000"), 64);
  for (size_t i = 0; i < FIXTURE_QUERIES; i++)
    expect_nearest_of_operation(all, i % NUM_FILTERS, operations[i]);
  sf_search_response_free(all);
  calls_finish(&test);
}

static int set_up(void **state) {
  *state = fixture_make(8, NUM_ROWS);
  return 0;
}

static int tear_down(void **state) {
  fixture_free(*state);
  return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(searches_with_different_filters_at_once_give_each_its_own_rows),
      TEST(each_request_of_a_batch_has_its_own_filter),
      TEST(rows_that_match_are_counted),
      TEST(filters_that_are_wrong_are_refused_at_once),
      TEST(a_limit_that_a_row_reaches_fails_every_search_with_the_filter),
      TEST(a_search_that_waits_for_bitmaps_is_cancelled_at_once),
      TEST(a_search_that_waits_for_bitmaps_may_be_released),
      TEST(a_reader_is_closed_while_bitmaps_are_waited_for),
      TEST(closing_without_end_waits_for_bitmaps),
      TEST(a_search_keeps_its_snapshot_while_shards_and_bitmaps_are_evicted_and_the_reader_is_refreshed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
