/* Closing and refreshing a reader while calls are under way: each in the order that a gated storage gives them. */
#include "support/reader_calls.h"

#include <cmocka_includes.h>
#include <string.h>

static void expect_closed(const reader_calls *test) {
  sf_search_request request = fixture_request(test->fixture, 0);
  sf_search_response *response;
  sf_operation *operation;
  sf_snapshot_info *info;
  sf_health *health;
  bool changed;
  assert_int_equal(sf_reader_search(test->reader, &request, &response, NULL), SF_READER_STATE_ERROR);
  assert_int_equal(sf_reader_search_submit(test->reader, &request, NULL, NULL, &operation, NULL),
                   SF_READER_STATE_ERROR);
  assert_int_equal(sf_reader_refresh(test->reader, &changed, NULL), SF_READER_STATE_ERROR);
  assert_int_equal(sf_reader_snapshot_info(test->reader, &info, NULL), SF_READER_STATE_ERROR);
  assert_int_equal(sf_reader_health(test->reader, -1, &health, NULL), SF_OK);
  assert_int_equal(health->status, SF_UNHEALTHY);
  assert_true(health->is_closed);
  sf_free(health);
}

static void closing_with_no_time_cancels_what_is_under_way(void **state) {
  reader_calls test = calls_begin(state, NULL);
  gate_shut("db=");
  sf_operation *operations[3];
  for (size_t i = 0; i < 3; i++)
    operations[i] = calls_submit(&test, i);
  gate_await_waiting(FIXTURE_SHARDS);
  assert_int_equal(sf_reader_close(test.reader, 0, NULL), SF_OK);
  for (size_t i = 0; i < 3; i++)
    expect_code(operations[i], SF_CANCELLED_ERROR);
  expect_closed(&test);
  assert_int_equal(sf_reader_close(test.reader, -1, NULL), SF_OK);
  calls_finish(&test);
}

static void closing_without_end_waits_for_what_is_under_way(void **state) {
  reader_calls test = calls_begin(state, NULL);
  gate_shut("db=");
  sf_operation *search = calls_submit(&test, 0);
  gate_await_waiting(FIXTURE_SHARDS);
  sf_operation *closing = calls_submit_close(&test, -1);
  gate_open();
  assert_ptr_equal(sf_completion_queue_wait(test.queue, -1), search);
  assert_ptr_equal(sf_completion_queue_wait(test.queue, -1), closing);
  calls_expect_answer(&test, search, 0, 0);
  expect_code(closing, SF_OK);
  expect_closed(&test);
  calls_finish(&test);
}

static void a_reader_that_is_closing_refuses_every_call(void **state) {
  reader_calls test = calls_begin(state, NULL);
  sf_search_request request = fixture_request(test.fixture, 0);
  sf_search_response *response;
  sf_snapshot_info *info;
  bool changed;
  gate_shut("db=");
  gate_obey_cancellation(false); /* so that closing takes as long as the gate is shut */
  sf_operation *search = calls_submit(&test, 0);
  gate_await_waiting(FIXTURE_SHARDS);
  sf_operation *closing = calls_submit_close(&test, 0);
  expect_code(search, SF_CANCELLED_ERROR); /* which says that closing has begun */
  assert_int_equal(sf_reader_search(test.reader, &request, &response, NULL), SF_READER_STATE_ERROR);
  assert_int_equal(sf_reader_refresh(test.reader, &changed, NULL), SF_READER_STATE_ERROR);
  assert_int_equal(sf_reader_snapshot_info(test.reader, &info, NULL), SF_READER_STATE_ERROR);
  assert_false(sf_operation_is_done(closing));
  gate_open();
  expect_code(closing, SF_OK);
  calls_finish(&test);
}

static void a_second_close_cancels_what_the_first_waits_for(void **state) {
  reader_calls test = calls_begin(state, NULL);
  gate_shut("db=");
  sf_operation *search = calls_submit(&test, 0);
  gate_await_waiting(FIXTURE_SHARDS);
  sf_operation *closing = calls_submit_close(&test, -1);
  assert_int_equal(sf_reader_close(test.reader, 0, NULL), SF_OK);
  expect_code(closing, SF_OK);
  expect_code(search, SF_CANCELLED_ERROR);
  calls_finish(&test);
}

static void a_refresh_that_closing_waits_for_ends_as_it_would_have(void **state) {
  reader_calls test = calls_begin(state, NULL);
  sf_search_request request = fixture_request(test.fixture, 0);
  uint32_t *shard_ids;
  size_t count;
  snapshot_publish(test.fixture->snapshots[1]);
  gate_shut("manifests/2026-01-03");
  sf_operation *refresh = calls_submit_refresh(&test);
  gate_await_waiting(1);
  sf_operation *closing = calls_submit_close(&test, -1);
  while (sf_reader_route(test.reader, &request, &shard_ids, &count, NULL) == SF_OK)
    sf_free(shard_ids); /* until closing has begun */
  gate_open();
  assert_true(sf_operation_wait(refresh, -1));
  assert_true(sf_operation_refresh_changed(refresh));
  expect_code(refresh, SF_OK);
  expect_code(closing, SF_OK);
  calls_finish(&test);
}

static void closing_cancels_a_refresh(void **state) {
  reader_calls test = calls_begin(state, NULL);
  snapshot_publish(test.fixture->snapshots[1]);
  gate_shut("manifests/2026-01-03");
  sf_operation *refresh = calls_submit_refresh(&test);
  gate_await_waiting(1);
  assert_int_equal(sf_reader_close(test.reader, 0, NULL), SF_OK);
  expect_code(refresh, SF_CANCELLED_ERROR);
  calls_finish(&test);
}

static void cancelling_a_refresh_ends_it_and_leaves_the_old_snapshot_serving(void **state) {
  reader_calls test = calls_begin(state, NULL);
  snapshot_publish(test.fixture->snapshots[1]);
  gate_shut("manifests/2026-01-03");
  sf_operation *refresh = calls_submit_refresh(&test);
  gate_await_waiting(1);
  sf_operation_cancel(refresh);
  expect_code(refresh, SF_CANCELLED_ERROR);
  fixture_check_search(test.fixture, test.reader, 0, 0);
  calls_finish(&test);
}

static void a_reader_may_be_freed_with_everything_under_way(void **state) {
  reader_calls test = calls_begin(state, NULL);
  sf_search_request requests[2] = {fixture_request(test.fixture, 0), fixture_request(test.fixture, 1)};
  sf_operation *batch;
  snapshot_publish(test.fixture->snapshots[1]);
  gate_shut("0"); /* shards and manifests */
  sf_operation *search = calls_submit(&test, 0);
  assert_int_equal(sf_reader_batch_search_submit(test.reader, requests, 2, test.queue, NULL, &batch, NULL), SF_OK);
  gate_await_waiting(FIXTURE_SHARDS);
  sf_operation *refresh = calls_submit_refresh(&test);
  gate_await_waiting(FIXTURE_SHARDS + 1);
  sf_operation *closing = calls_submit_close(&test, -1);
  sf_reader_free(test.reader);
  expect_code(search, SF_CANCELLED_ERROR);
  expect_code(batch, SF_CANCELLED_ERROR);
  expect_code(refresh, SF_CANCELLED_ERROR);
  expect_code(closing, SF_OK);
  sf_completion_queue_free(test.queue);
}

static void searches_finish_on_the_snapshot_that_they_began_with(void **state) {
  reader_calls test = calls_begin(state, NULL);
  gate_shut("run_id=first/db=");
  sf_operation *old = calls_submit(&test, 0);
  gate_await_waiting(FIXTURE_SHARDS);
  snapshot_publish(test.fixture->snapshots[1]);
  sf_operation *refresh = calls_submit_refresh(&test);
  assert_true(sf_operation_wait(refresh, -1));
  assert_true(sf_operation_refresh_changed(refresh));
  sf_operation_release(refresh);
  fixture_check_search(test.fixture, test.reader, 1, 0);
  assert_false(sf_operation_is_done(old));
  gate_open();
  calls_expect_answer(&test, old, 0, 0);
  calls_finish(&test);
}

static void refreshes_wait_for_one_another_and_one_of_them_changes_the_snapshot(void **state) {
  reader_calls test = calls_begin(state, NULL);
  sf_operation *refreshes[8];
  unsigned changes = 0;
  snapshot_publish(test.fixture->snapshots[1]);
  gate_shut("manifests/2026-01-03");
  for (size_t i = 0; i < 8; i++)
    refreshes[i] = calls_submit_refresh(&test);
  gate_await_waiting(1);
  gate_open();
  for (size_t i = 0; i < 8; i++) {
    assert_true(sf_operation_wait(refreshes[i], -1));
    changes += sf_operation_refresh_changed(refreshes[i]);
    expect_code(refreshes[i], SF_OK);
  }
  assert_int_equal(changes, 1);
  fixture_check_search(test.fixture, test.reader, 1, 0);
  calls_finish(&test);
}

typedef struct health_log {
  sf_reader *reader;
  size_t num_warnings;
} health_log;

/* A log that looks at the reader, which a lock held around it would turn into a deadlock. */
static void look_at_health(sf_log_level level, const char *message, void *user_data) {
  health_log *log = user_data;
  sf_health *health = NULL;
  if (log->reader == NULL)
    return; /* it is still being opened */
  assert_int_equal(sf_reader_health(log->reader, -1, &health, NULL), SF_OK);
  if (level == SF_LOG_WARNING) {
    assert_non_null(strstr(message, "keeping the snapshot"));
    assert_non_null(health->refresh_error);
    log->num_warnings++;
  }
  sf_free(health);
}

static void a_refresh_that_fails_says_why_and_keeps_the_old_snapshot(void **state) {
  health_log log = {0};
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  options.log = look_at_health;
  options.log_user_data = &log;
  reader_calls test = calls_begin(state, &options);
  log.reader = test.reader;
  snapshot_publish(test.fixture->snapshots[1]);
  gate_lose("manifests/2026-01-03");
  bool changed = true;
  assert_int_equal(sf_reader_refresh(test.reader, &changed, NULL), SF_OK);
  assert_false(changed);
  assert_int_equal(log.num_warnings, 1);
  fixture_check_search(test.fixture, test.reader, 0, 0);
  gate_lose(NULL);
  assert_int_equal(sf_reader_refresh(test.reader, &changed, NULL), SF_OK);
  assert_true(changed);
  assert_int_equal(log.num_warnings, 1);
  sf_health *health;
  assert_int_equal(sf_reader_health(test.reader, -1, &health, NULL), SF_OK);
  assert_null(health->refresh_error);
  sf_free(health);
  calls_finish(&test);
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
      TEST(closing_with_no_time_cancels_what_is_under_way),
      TEST(closing_without_end_waits_for_what_is_under_way),
      TEST(a_reader_that_is_closing_refuses_every_call),
      TEST(a_second_close_cancels_what_the_first_waits_for),
      TEST(a_refresh_that_closing_waits_for_ends_as_it_would_have),
      TEST(closing_cancels_a_refresh),
      TEST(cancelling_a_refresh_ends_it_and_leaves_the_old_snapshot_serving),
      TEST(a_reader_may_be_freed_with_everything_under_way),
      TEST(searches_finish_on_the_snapshot_that_they_began_with),
      TEST(refreshes_wait_for_one_another_and_one_of_them_changes_the_snapshot),
      TEST(a_refresh_that_fails_says_why_and_keeps_the_old_snapshot),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
