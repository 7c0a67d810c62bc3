/* Rows by their ids, and how many rows there are, from readers whose storage is gated. */
#include "support/reader_calls.h"

#include <cmocka_includes.h>
#include <stdio.h>
#include <string.h>

enum { NUM_ROWS = 20 };

/* Ids of the fixture's first snapshot: those divisible by 3 are strings. */
typedef struct asked {
  sf_row_id ids[FIXTURE_SHARDS * NUM_ROWS];
  char texts[FIXTURE_SHARDS * NUM_ROWS][24];
  size_t count;
} asked;

static void ask(asked *of, int64_t id) {
  size_t i = of->count++;
  of->ids[i] = (sf_row_id){.type = SF_ID_INTEGER, .integer = id};
  if (id % 3 != 0)
    return;
  int length = snprintf(of->texts[i], sizeof(of->texts[i]), "%lld", (long long)id);
  of->ids[i] = (sf_row_id){.type = SF_ID_STRING, .string = of->texts[i], .length = (size_t)length};
}

static void ask_all(asked *of) {
  of->count = 0;
  for (int64_t id = FIXTURE_SHARDS * NUM_ROWS - 1; id >= 0; id--)
    ask(of, id);
}

static sf_fetch_request request_of(const asked *of) {
  sf_fetch_request request = SF_FETCH_REQUEST_INIT;
  request.ids = of->ids;
  request.num_ids = of->count;
  return request;
}

static sf_search_response *fetch(const reader_calls *test, const sf_fetch_request *request) {
  sf_search_response *response = NULL;
  sf_error error;
  if (sf_reader_fetch(test->reader, request, &response, &error) != SF_OK)
    fail_msg("%s", error.message);
  assert_int_equal(sf_search_response_count(response), request->num_ids);
  return response;
}

static sf_operation *submit(const reader_calls *test, const sf_fetch_request *request) {
  sf_operation *operation = NULL;
  assert_int_equal(sf_reader_fetch_submit(test->reader, request, test->queue, NULL, &operation, NULL), SF_OK);
  return operation;
}

static void expect_all(const reader_calls *test, int snapshot, const sf_search_response *response) {
  size_t count = FIXTURE_SHARDS * NUM_ROWS;
  const built_snapshot *of = test->fixture->snapshots[snapshot];
  assert_int_equal(sf_search_response_count(response), count);
  for (size_t i = 0; i < count; i++)
    assert_true(
        snapshot_has_row(of, (int64_t)(count - 1 - i) + of->plan.first_id, sf_search_response_result(response, i)));
}

static void expect_all_of_operation(const reader_calls *test, int snapshot, sf_operation *operation) {
  assert_true(sf_operation_wait(operation, -1));
  sf_search_response *response = sf_operation_take_response(operation);
  assert_non_null(response);
  expect_all(test, snapshot, response);
  sf_search_response_free(response);
  sf_operation_release(operation);
}

static void rows_come_in_the_order_of_their_ids_with_payloads_and_vectors(void **state) {
  reader_calls test = calls_begin(state, NULL);
  asked all;
  ask_all(&all);
  sf_fetch_request request = request_of(&all);
  request.include_vectors = true;
  sf_search_response *response = fetch(&test, &request);
  expect_all(&test, 0, response);
  for (size_t i = 0; i < all.count; i++) {
    const sf_search_result *result = sf_search_response_result(response, i);
    assert_non_null(result->vector);
    assert_true(result->score == 0);
  }
  assert_int_equal(sf_search_response_num_shards_queried(response), FIXTURE_SHARDS);
  sf_search_response_free(response);
  calls_finish(&test);
}

static void rows_come_without_payloads_and_vectors_where_none_are_wanted(void **state) {
  reader_calls test = calls_begin(state, NULL);
  asked one = {.count = 0};
  ask(&one, 31);
  sf_fetch_request request = request_of(&one);
  sf_search_response *response = fetch(&test, &request);
  assert_true(snapshot_has_row(test.fixture->snapshots[0], 31, sf_search_response_result(response, 0)));
  assert_null(sf_search_response_result(response, 0)->vector);
  assert_int_equal(sf_search_response_result(response, 0)->dim, 0);
  sf_search_response_free(response);
  request.omit_payloads = true;
  response = fetch(&test, &request);
  assert_null(sf_search_response_result(response, 0)->payload);
  assert_int_equal(sf_search_response_result(response, 0)->id_integer, 31);
  sf_search_response_free(response);
  calls_finish(&test);
}

static void expect_missing(const sf_search_result *result) {
  assert_true(result->is_missing);
  assert_null(result->id_string);
  assert_null(result->payload);
  assert_null(result->vector);
  assert_int_equal(result->id_integer, 0);
  assert_int_equal(result->dim, 0);
}

static void ids_that_no_row_has_are_missing_and_repeated_ones_are_found_each_time(void **state) {
  reader_calls test = calls_begin(state, NULL);
  asked some = {.count = 0};
  ask(&some, 4);
  ask(&some, 100000); /* beyond */
  ask(&some, 4);
  ask(&some, 6);
  some.ids[some.count++] = (sf_row_id){.type = SF_ID_INTEGER, .integer = 6}; /* which is a string */
  some.ids[some.count++] = (sf_row_id){.type = SF_ID_STRING, .string = "4", .length = 1};
  some.ids[some.count++] = (sf_row_id){.type = SF_ID_STRING};
  ask(&some, 6);
  sf_fetch_request request = request_of(&some);
  request.include_vectors = true;
  sf_search_response *response = fetch(&test, &request);
  const int64_t expected[] = {4, -1, 4, 6, -1, -1, -1, 6};
  for (size_t i = 0; i < some.count; i++) {
    const sf_search_result *result = sf_search_response_result(response, i);
    if (expected[i] < 0)
      expect_missing(result);
    else
      assert_true(snapshot_has_row(test.fixture->snapshots[0], expected[i], result));
  }
  sf_search_response_free(response);
  calls_finish(&test);
}

static void only_the_shards_that_are_named_are_looked_in(void **state) {
  static const int64_t named[] = {2, 99, 1, 2, -1};
  reader_calls test = calls_begin(state, NULL);
  asked all;
  ask_all(&all);
  sf_fetch_request request = request_of(&all);
  request.has_shard_ids = true;
  request.shard_ids = named;
  request.num_shard_ids = 5;
  sf_search_response *response = fetch(&test, &request);
  assert_int_equal(sf_search_response_num_shards_queried(response), 2);
  assert_int_equal(gate_loads(), 2);
  for (size_t i = 0; i < all.count; i++) {
    size_t id = all.count - 1 - i;
    assert_int_equal(sf_search_response_result(response, i)->is_missing, id < NUM_ROWS || id >= 3 * NUM_ROWS);
  }
  sf_search_response_free(response);
  calls_finish(&test);
}

static void no_ids_give_an_empty_response_and_load_nothing(void **state) {
  reader_calls test = calls_begin(state, NULL);
  sf_fetch_request request = SF_FETCH_REQUEST_INIT;
  sf_search_response_free(fetch(&test, &request));
  sf_operation *operation = submit(&test, &request);
  assert_ptr_equal(sf_completion_queue_wait(test.queue, -1), operation);
  expect_code(operation, SF_OK);
  assert_int_equal(gate_loads(), 0);
  calls_finish(&test);
}

static void expect_refused(const reader_calls *test, const sf_row_id *ids, size_t count, const char *message) {
  sf_fetch_request request = SF_FETCH_REQUEST_INIT;
  sf_search_response *response = NULL;
  sf_operation *operation = NULL;
  sf_error error;
  request.ids = ids;
  request.num_ids = count;
  assert_int_equal(sf_reader_fetch(test->reader, &request, &response, &error), SF_CONFIG_VALIDATION_ERROR);
  assert_string_equal(error.message, message);
  assert_int_equal(sf_reader_fetch_submit(test->reader, &request, test->queue, NULL, &operation, &error),
                   SF_CONFIG_VALIDATION_ERROR);
  assert_null(operation);
}

static void ids_that_can_be_none_are_refused(void **state) {
  reader_calls test = calls_begin(state, NULL);
  sf_row_id ids[2] = {{.type = SF_ID_INTEGER}, {.type = SF_ID_STRING, .string = "a\xff", .length = 2}};
  expect_refused(&test, ids, 2, "id 1: expected UTF-8, found other bytes at position 1");
  ids[1] = (sf_row_id){.type = SF_ID_STRING, .length = 3};
  expect_refused(&test, ids, 2, "id 1: expected 3 bytes, found NULL");
  ids[0].type = (sf_id_type)7;
  expect_refused(&test, ids, 2, "id 0: expected an integer or a string, found type 7");
  expect_refused(&test, NULL, 2, "ids: expected 2 of them, found NULL");
  sf_search_response *response;
  sf_fetch_request empty = {0};
  assert_int_equal(sf_reader_fetch(test.reader, &empty, &response, NULL), SF_CONFIG_VALIDATION_ERROR);
  assert_int_equal(sf_reader_fetch(test.reader, NULL, &response, NULL), SF_CONFIG_VALIDATION_ERROR);
  calls_finish(&test);
}

static void no_more_shards_are_loaded_at_a_time_than_max_concurrency_allows(void **state) {
  asked all;
  ask_all(&all);
  sf_fetch_request request = request_of(&all);
  for (uint32_t bound = 1; bound <= FIXTURE_SHARDS; bound++) {
    sf_reader_options options = SF_READER_OPTIONS_INIT;
    options.max_concurrency = bound;
    reader_calls test = calls_begin(state, &options);
    gate_shut("db=");
    sf_operation *operation = submit(&test, &request);
    gate_await_waiting(bound);
    gate_open();
    expect_all_of_operation(&test, 0, operation);
    assert_int_equal(gate_most_loads_at_once(), bound);
    calls_finish(&test);
  }
}

static void a_fetch_is_cancelled_while_its_shards_are_loaded(void **state) {
  reader_calls test = calls_begin(state, NULL);
  asked all;
  ask_all(&all);
  sf_fetch_request request = request_of(&all);
  gate_shut("db="); /* and never opened */
  sf_operation *operation = submit(&test, &request);
  gate_await_waiting(FIXTURE_SHARDS);
  sf_operation_cancel(operation);
  expect_code(operation, SF_CANCELLED_ERROR);
  calls_finish(&test);
  assert_int_equal(gate_cancelled(), FIXTURE_SHARDS);
}

/* A reader whose only loading thread is busy with shard 3, and whose other shards are loaded. */
static reader_calls begin_with_a_busy_loader(void **state, sf_operation **blocking) {
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  options.num_loaders = 1;
  reader_calls test = calls_begin(state, &options);
  sf_search_request request = fixture_request(test.fixture, 0);
  sf_search_response *response;
  request.num_shard_ids = FIXTURE_SHARDS - 1;
  assert_int_equal(sf_reader_search(test.reader, &request, &response, NULL), SF_OK);
  sf_search_response_free(response);
  gate_shut("db=00003");
  *blocking = calls_submit(&test, 0);
  gate_await_waiting(1);
  return test;
}

static void a_fetch_is_cancelled_at_once_while_its_lookups_wait_for_a_thread(void **state) {
  sf_operation *blocking;
  reader_calls test = begin_with_a_busy_loader(state, &blocking);
  asked all;
  ask_all(&all);
  sf_fetch_request request = request_of(&all);
  request.has_shard_ids = true;
  request.shard_ids = test.fixture->shard_ids;
  request.num_shard_ids = 2;
  sf_operation *cancelled = submit(&test, &request);
  sf_operation *other = submit(&test, &request);
  sf_operation_cancel(cancelled);
  expect_code(cancelled, SF_CANCELLED_ERROR);
  assert_false(sf_operation_is_done(blocking));
  gate_open();
  expect_code(blocking, SF_OK);
  expect_code(other, SF_OK);
  calls_finish(&test);
}

static void a_reader_is_closed_while_lookups_wait_for_a_thread(void **state) {
  sf_operation *blocking;
  reader_calls test = begin_with_a_busy_loader(state, &blocking);
  asked all;
  ask_all(&all);
  sf_fetch_request request = request_of(&all);
  sf_operation *operation = submit(&test, &request);
  assert_int_equal(sf_reader_close(test.reader, 0, NULL), SF_OK);
  expect_code(operation, SF_CANCELLED_ERROR);
  expect_code(blocking, SF_CANCELLED_ERROR);
  sf_search_response *response;
  assert_int_equal(sf_reader_fetch(test.reader, &request, &response, NULL), SF_READER_STATE_ERROR);
  calls_finish(&test);
}

static void a_fetch_that_is_released_under_way_leaves_nothing(void **state) {
  reader_calls test = calls_begin(state, NULL);
  asked all;
  ask_all(&all);
  sf_fetch_request request = request_of(&all);
  gate_shut("db=");
  sf_operation *operation = submit(&test, &request);
  gate_await_waiting(FIXTURE_SHARDS);
  sf_operation_release(operation);
  gate_open();
  assert_null(sf_completion_queue_pop(test.queue));
  calls_finish(&test);
}

static void a_shard_that_fails_to_load_fails_the_fetch(void **state) {
  reader_calls test = calls_begin(state, NULL);
  asked all;
  ask_all(&all);
  sf_fetch_request request = request_of(&all);
  sf_search_response *response;
  sf_error error;
  gate_lose("db=00002");
  assert_int_equal(sf_reader_fetch(test.reader, &request, &response, &error), SF_DB_ADAPTER_ERROR);
  assert_non_null(strstr(error.message, "shard 2 ("));
  gate_lose(NULL);
  response = fetch(&test, &request);
  expect_all(&test, 0, response);
  sf_search_response_free(response);
  calls_finish(&test);
}

static void a_fetch_keeps_its_snapshot_while_the_reader_is_refreshed_and_shards_are_evicted(void **state) {
  enum { FETCHES = 8 };
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  options.max_cached_shards = 1;
  reader_calls test = calls_begin(state, &options);
  asked all;
  ask_all(&all);
  sf_fetch_request request = request_of(&all);
  request.include_vectors = true;
  sf_operation *operations[FETCHES];
  for (size_t i = 0; i < FETCHES; i++)
    operations[i] = submit(&test, &request);
  snapshot_publish(test.fixture->snapshots[1]);
  bool changed = false;
  assert_int_equal(sf_reader_refresh(test.reader, &changed, NULL), SF_OK);
  assert_true(changed);
  sf_search_response *response = fetch(&test, &request);
  for (size_t i = 0; i < all.count; i++)
    assert_true(sf_search_response_result(response, i)->is_missing); /* the newer one has other ids */
  sf_search_response_free(response);
  for (size_t i = 0; i < FETCHES; i++)
    expect_all_of_operation(&test, 0, operations[i]);
  calls_finish(&test);
}

static void rows_are_counted_without_a_filter_and_in_the_shards_that_are_named(void **state) {
  reader_calls test = calls_begin(state, NULL);
  sf_count_request request = SF_COUNT_REQUEST_INIT;
  static const int64_t named[] = {3, 0, 3, 17};
  uint64_t count = 0;
  request.has_shard_ids = true;
  request.shard_ids = named;
  request.num_shard_ids = 4;
  assert_int_equal(sf_reader_count(test.reader, &request, &count, NULL), SF_OK);
  assert_int_equal(count, 2 * NUM_ROWS);
  assert_int_equal(gate_loads(), 2);
  sf_operation *operation;
  assert_int_equal(sf_reader_count_submit(test.reader, NULL, test.queue, NULL, &operation, NULL),
                   SF_CONFIG_VALIDATION_ERROR);
  request.has_shard_ids = false;
  assert_int_equal(sf_reader_count_submit(test.reader, &request, test.queue, NULL, &operation, NULL), SF_OK);
  assert_ptr_equal(sf_completion_queue_wait(test.queue, -1), operation);
  assert_int_equal(sf_operation_row_count(operation), FIXTURE_SHARDS * NUM_ROWS);
  expect_code(operation, SF_OK);
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
      TEST(rows_come_in_the_order_of_their_ids_with_payloads_and_vectors),
      TEST(rows_come_without_payloads_and_vectors_where_none_are_wanted),
      TEST(ids_that_no_row_has_are_missing_and_repeated_ones_are_found_each_time),
      TEST(only_the_shards_that_are_named_are_looked_in),
      TEST(no_ids_give_an_empty_response_and_load_nothing),
      TEST(ids_that_can_be_none_are_refused),
      TEST(no_more_shards_are_loaded_at_a_time_than_max_concurrency_allows),
      TEST(a_fetch_is_cancelled_while_its_shards_are_loaded),
      TEST(a_fetch_is_cancelled_at_once_while_its_lookups_wait_for_a_thread),
      TEST(a_reader_is_closed_while_lookups_wait_for_a_thread),
      TEST(a_fetch_that_is_released_under_way_leaves_nothing),
      TEST(a_shard_that_fails_to_load_fails_the_fetch),
      TEST(a_fetch_keeps_its_snapshot_while_the_reader_is_refreshed_and_shards_are_evicted),
      TEST(rows_are_counted_without_a_filter_and_in_the_shards_that_are_named),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
