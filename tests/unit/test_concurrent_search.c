/* Searches at once, and opening a reader: each in the order that a gated storage gives them. */
#include "support/reader_calls.h"
#include "support/scratch.h"

#include <cmocka_includes.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static void a_search_that_was_submitted_arrives_with_its_answer(void **state) {
  reader_calls test = calls_begin(state, NULL);
  sf_operation *operation = calls_submit(&test, 3);
  assert_ptr_equal(sf_completion_queue_wait(test.queue, -1), operation);
  calls_expect_answer(&test, operation, 0, 3);
  assert_null(sf_completion_queue_pop(test.queue));
  calls_finish(&test);
}

static void a_search_loads_no_more_shards_at_a_time_than_max_concurrency_allows(void **state) {
  for (uint32_t bound = 1; bound <= FIXTURE_SHARDS; bound++) {
    sf_reader_options options = SF_READER_OPTIONS_INIT;
    options.max_concurrency = bound;
    reader_calls test = calls_begin(state, &options);
    gate_shut("db=");
    sf_operation *operation = calls_submit(&test, 0);
    gate_await_waiting(bound);
    gate_open();
    calls_expect_answer(&test, operation, 0, 0);
    assert_int_equal(gate_most_loads_at_once(), bound);
    assert_int_equal(gate_loads(), FIXTURE_SHARDS);
    calls_finish(&test);
  }
}

static void shards_are_loaded_once_for_all_searches(void **state) {
  reader_calls test = calls_begin(state, NULL);
  sf_operation *operations[FIXTURE_QUERIES];
  gate_shut("db=");
  for (size_t i = 0; i < FIXTURE_QUERIES; i++)
    operations[i] = calls_submit(&test, i);
  gate_await_waiting(FIXTURE_SHARDS);
  gate_open();
  for (size_t i = 0; i < FIXTURE_QUERIES; i++)
    calls_expect_answer(&test, operations[i], 0, i);
  assert_int_equal(gate_loads(), FIXTURE_SHARDS);
  calls_finish(&test);
}

static void a_shard_that_fails_to_load_fails_every_search_that_waits_for_it_until_it_is_mended(void **state) {
  reader_calls test = calls_begin(state, NULL);
  sf_operation *operations[3];
  gate_lose("db=00002");
  gate_shut("db=00002");
  for (size_t i = 0; i < 3; i++)
    operations[i] = calls_submit(&test, i);
  gate_await_waiting(1);
  gate_open();
  for (size_t i = 0; i < 3; i++) {
    sf_error error;
    assert_true(sf_operation_wait(operations[i], -1));
    assert_int_equal(sf_operation_result(operations[i], &error), SF_DB_ADAPTER_ERROR);
    assert_non_null(strstr(error.message, "shard 2 (s3://built/shards/run_id=first/db=00002"));
    assert_null(sf_operation_take_response(operations[i]));
    sf_operation_release(operations[i]);
  }
  gate_lose(NULL);
  fixture_check_search(test.fixture, test.reader, 0, 0);
  calls_finish(&test);
}

static void a_cancelled_search_ends_while_others_go_on_waiting_for_its_shards(void **state) {
  reader_calls test = calls_begin(state, NULL);
  gate_shut("db=");
  sf_operation *cancelled = calls_submit(&test, 0);
  sf_operation *other = calls_submit(&test, 1);
  gate_await_waiting(FIXTURE_SHARDS);
  sf_operation_cancel(cancelled);
  assert_ptr_equal(sf_completion_queue_wait(test.queue, -1), cancelled);
  expect_code(cancelled, SF_CANCELLED_ERROR);
  assert_false(sf_operation_is_done(other));
  gate_open();
  calls_expect_answer(&test, other, 0, 1);
  assert_int_equal(gate_cancelled(), 0);
  calls_finish(&test);
}

static void the_loads_of_a_search_that_is_cancelled_alone_are_given_up(void **state) {
  reader_calls test = calls_begin(state, NULL);
  gate_shut("db="); /* and never opened */
  sf_operation *operation = calls_submit(&test, 0);
  gate_await_waiting(FIXTURE_SHARDS);
  sf_operation_cancel(operation);
  expect_code(operation, SF_CANCELLED_ERROR);
  calls_finish(&test);
  assert_int_equal(gate_cancelled(), FIXTURE_SHARDS);
}

static void a_search_that_is_released_under_way_leaves_nothing(void **state) {
  reader_calls test = calls_begin(state, NULL);
  gate_shut("db=");
  sf_operation *operation = calls_submit(&test, 0);
  gate_await_waiting(FIXTURE_SHARDS);
  sf_operation_release(operation);
  assert_null(sf_completion_queue_pop(test.queue));
  gate_open();
  fixture_check_search(test.fixture, test.reader, 0, 0);
  calls_finish(&test);
}

static void a_search_that_finished_may_be_released_with_its_answer(void **state) {
  reader_calls test = calls_begin(state, NULL);
  sf_operation *operation = calls_submit(&test, 0);
  assert_true(sf_operation_wait(operation, -1));
  sf_operation_release(operation);
  assert_null(sf_completion_queue_pop(test.queue));
  calls_finish(&test);
}

static void searches_work_while_one_shard_at_most_is_kept(void **state) {
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  options.max_cached_shards = 1;
  reader_calls test = calls_begin(state, &options);
  sf_operation *operations[FIXTURE_QUERIES];
  for (size_t i = 0; i < FIXTURE_QUERIES; i++)
    operations[i] = calls_submit(&test, i);
  snapshot_publish(test.fixture->snapshots[1]);
  bool changed = false;
  assert_int_equal(sf_reader_refresh(test.reader, &changed, NULL), SF_OK);
  assert_true(changed);
  fixture_check_search(test.fixture, test.reader, 1, 0);
  for (size_t i = 0; i < FIXTURE_QUERIES; i++)
    calls_expect_answer(&test, operations[i], 0, i);
  calls_finish(&test);
}

/* A thread that only returns shards takes no task: what is loaded meanwhile has to get a thread of its own. */
static void no_shard_is_left_unscanned_while_others_are_returned(void **state) {
  enum { ROUNDS = 300 };
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  options.max_cached_shards = 1;
  options.max_cache_bytes = 1;
  reader_calls test = calls_begin(state, &options);
  for (size_t i = 0; i < ROUNDS; i++) {
    sf_search_request request = fixture_request(test.fixture, i % FIXTURE_QUERIES);
    sf_operation *operation;
    request.top_k = 1;
    assert_int_equal(sf_reader_search_submit(test.reader, &request, NULL, NULL, &operation, NULL), SF_OK);
    assert_true(sf_operation_wait(operation, -1));
    sf_search_response *response = sf_operation_take_response(operation);
    assert_non_null(response);
    assert_int_equal(sf_search_response_count(response), 1);
    assert_int_equal(sf_search_response_num_shards_queried(response), FIXTURE_SHARDS);
    sf_search_response_free(response);
    sf_operation_release(operation);
  }
  calls_finish(&test);
}

static void a_batch_answers_in_the_order_of_its_requests(void **state) {
  reader_calls test = calls_begin(state, NULL);
  sf_search_request requests[FIXTURE_QUERIES];
  sf_search_response *responses[FIXTURE_QUERIES];
  for (size_t i = 0; i < FIXTURE_QUERIES; i++)
    requests[i] = fixture_request(test.fixture, i);
  assert_int_equal(sf_reader_batch_search(test.reader, requests, FIXTURE_QUERIES, responses, NULL), SF_OK);
  for (size_t i = 0; i < FIXTURE_QUERIES; i++) {
    assert_true(fixture_answers(test.fixture, 0, i, responses[i]));
    sf_search_response_free(responses[i]);
  }
  calls_finish(&test);
}

static void a_batch_of_none_succeeds(void **state) {
  reader_calls test = calls_begin(state, NULL);
  sf_operation *operation;
  assert_int_equal(sf_reader_batch_search(test.reader, NULL, 0, NULL, NULL), SF_OK);
  assert_int_equal(sf_reader_batch_search_submit(test.reader, NULL, 0, test.queue, NULL, &operation, NULL), SF_OK);
  assert_ptr_equal(sf_completion_queue_wait(test.queue, -1), operation);
  assert_true(sf_operation_take_responses(operation, NULL, 0));
  expect_code(operation, SF_OK);
  calls_finish(&test);
}

static void a_batch_fails_as_the_first_of_its_requests_that_does(void **state) {
  reader_calls test = calls_begin(state, NULL);
  sf_search_request requests[3];
  sf_operation *operation;
  sf_search_response *responses[3] = {0};
  for (size_t i = 0; i < 3; i++) {
    requests[i] = fixture_request(test.fixture, i);
    requests[i].shard_ids = test.fixture->shard_ids + i;
    requests[i].num_shard_ids = 1;
  }
  sf_search_request last = fixture_request(test.fixture, 0);
  last.shard_ids = test.fixture->shard_ids + 2;
  last.num_shard_ids = 1;
  gate_lose("db=0000");
  gate_shut("db=00000"); /* request 0 fails after 1 and 2 */
  assert_int_equal(sf_reader_batch_search_submit(test.reader, requests, 3, test.queue, NULL, &operation, NULL), SF_OK);
  sf_search_response *response;
  assert_int_equal(sf_reader_search(test.reader, &last, &response, NULL), SF_DB_ADAPTER_ERROR);
  gate_open();
  sf_error error;
  assert_true(sf_operation_wait(operation, -1));
  assert_int_equal(sf_operation_result(operation, &error), SF_DB_ADAPTER_ERROR);
  assert_non_null(strstr(error.message, "shard 0 ("));
  assert_false(sf_operation_take_responses(operation, responses, 3));
  for (size_t i = 0; i < 3; i++)
    assert_null(responses[i]);
  sf_operation_release(operation);
  calls_finish(&test);
}

static void a_batch_with_a_wrong_request_is_refused_as_a_whole(void **state) {
  reader_calls test = calls_begin(state, NULL);
  sf_search_request requests[2] = {fixture_request(test.fixture, 0), fixture_request(test.fixture, 1)};
  sf_operation *operation = NULL;
  requests[1].top_k = 0;
  assert_int_equal(sf_reader_batch_search_submit(test.reader, requests, 2, test.queue, NULL, &operation, NULL),
                   SF_CONFIG_VALIDATION_ERROR);
  assert_null(operation);
  assert_int_equal(gate_loads(), 0);
  calls_finish(&test);
}

static void a_cancelled_batch_ends_as_a_whole(void **state) {
  reader_calls test = calls_begin(state, NULL);
  sf_search_request requests[2] = {fixture_request(test.fixture, 0), fixture_request(test.fixture, 1)};
  sf_operation *operation;
  gate_shut("db=");
  assert_int_equal(sf_reader_batch_search_submit(test.reader, requests, 2, test.queue, NULL, &operation, NULL), SF_OK);
  gate_await_waiting(FIXTURE_SHARDS);
  sf_operation_cancel(operation);
  expect_code(operation, SF_CANCELLED_ERROR);
  calls_finish(&test);
}

static void many_readers_share_an_executor_with_one_thread_of_each_kind(void **state) {
  enum { READERS = 8 };
  const reader_fixture *fixture = *state;
  sf_executor *executor;
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  reader_calls tests[READERS];
  sf_operation *operations[READERS][2];
  assert_int_equal(sf_executor_create(1, 1, &executor, NULL), SF_OK);
  options.executor = executor;
  options.preload_shards = true;
  for (size_t i = 0; i < READERS; i++) {
    tests[i] = calls_begin(state, &options);
    for (size_t j = 0; j < 2; j++)
      operations[i][j] = calls_submit(&tests[i], j);
  }
  sf_executor_release(executor);
  snapshot_publish(fixture->snapshots[1]);
  sf_operation *refreshes[READERS];
  for (size_t i = 0; i < READERS; i++)
    refreshes[i] = calls_submit_refresh(&tests[i]);
  for (size_t i = 0; i < READERS; i++) {
    for (size_t j = 0; j < 2; j++)
      calls_expect_answer(&tests[i], operations[i][j], 0, j);
    expect_code(refreshes[i], SF_OK);
    fixture_check_search(fixture, tests[i].reader, 1, 5);
    calls_finish(&tests[i]);
  }
}

static void a_reader_that_nobody_takes_is_closed_with_its_operation(void **state) {
  const reader_fixture *fixture = *state;
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  sf_operation *operation;
  options.cache_dir = fixture->cache_dir;
  options.preload_shards = true;
  for (int round = 0; round < 8; round++) {
    sf_executor *executor = NULL;
    if (round % 2 == 0)
      assert_int_equal(sf_executor_create(1, 1, &executor, NULL), SF_OK);
    options.executor = round % 4 == 0 ? executor : NULL;
    assert_int_equal(sf_reader_open_submit(fixture->root, &options, executor, NULL, NULL, &operation, NULL), SF_OK);
    if (round < 4)
      assert_true(sf_operation_wait(operation, -1));
    sf_executor_release(executor);
    sf_operation_release(operation);
  }
}

static void a_reader_is_opened_asynchronously_and_taken_once(void **state) {
  reader_calls test = calls_begin(state, NULL);
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  sf_operation *operation;
  options.cache_dir = test.fixture->cache_dir;
  assert_int_equal(sf_reader_open_submit(test.fixture->root, &options, NULL, test.queue, &options, &operation, NULL),
                   SF_OK);
  assert_ptr_equal(sf_completion_queue_wait(test.queue, -1), operation);
  assert_ptr_equal(sf_operation_user_data(operation), &options);
  sf_reader *reader = sf_operation_take_reader(operation);
  assert_non_null(reader);
  assert_null(sf_operation_take_reader(operation));
  sf_operation_release(operation);
  fixture_check_search(test.fixture, reader, 0, 2);
  sf_reader_free(reader);
  calls_finish(&test);
}

static void an_open_that_is_released_while_it_loads_shards_leaves_nothing(void **state) {
  const reader_fixture *fixture = *state;
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  sf_operation *operation;
  options.cache_dir = fixture->cache_dir;
  options.preload_shards = true;
  assert_int_equal(sf_executor_create(1, 1, &options.executor, NULL), SF_OK);
  char *lock_path = scratch_path(fixture->cache_dir, "shard_00000/shard.lock");
  scratch_make_parents(lock_path);
  int lock = open(lock_path, O_RDWR | O_CREAT, 0666); /* another process is at work on that shard */
  assert_int_equal(flock(lock, LOCK_EX), 0);
  assert_int_equal(sf_reader_open_submit(fixture->root, &options, options.executor, NULL, NULL, &operation, NULL),
                   SF_OK);
  assert_false(sf_operation_is_done(operation));
  sf_operation_release(operation);
  close(lock);
  sf_executor_release(options.executor);
  free(lock_path);
}

static int set_up(void **state) {
  *state = fixture_make(8, 20);
  return 0;
}

static int tear_down(void **state) {
  fixture_free(*state);
  return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_search_that_was_submitted_arrives_with_its_answer),
      TEST(a_search_loads_no_more_shards_at_a_time_than_max_concurrency_allows),
      TEST(shards_are_loaded_once_for_all_searches),
      TEST(a_shard_that_fails_to_load_fails_every_search_that_waits_for_it_until_it_is_mended),
      TEST(a_cancelled_search_ends_while_others_go_on_waiting_for_its_shards),
      TEST(the_loads_of_a_search_that_is_cancelled_alone_are_given_up),
      TEST(a_search_that_is_released_under_way_leaves_nothing),
      TEST(a_search_that_finished_may_be_released_with_its_answer),
      TEST(searches_work_while_one_shard_at_most_is_kept),
      TEST(no_shard_is_left_unscanned_while_others_are_returned),
      TEST(a_batch_answers_in_the_order_of_its_requests),
      TEST(a_batch_of_none_succeeds),
      TEST(a_batch_fails_as_the_first_of_its_requests_that_does),
      TEST(a_batch_with_a_wrong_request_is_refused_as_a_whole),
      TEST(a_cancelled_batch_ends_as_a_whole),
      TEST(many_readers_share_an_executor_with_one_thread_of_each_kind),
      TEST(a_reader_that_nobody_takes_is_closed_with_its_operation),
      TEST(a_reader_is_opened_asynchronously_and_taken_once),
      TEST(an_open_that_is_released_while_it_loads_shards_leaves_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
