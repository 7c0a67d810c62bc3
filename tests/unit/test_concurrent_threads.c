/* How many threads readers keep: few, however many readers there are, and none once all are closed. */
#include "support/reader_fixture.h"
#include "support/scratch.h"

#include "base/process.h"
#include "base/time.h"

#include <cmocka_includes.h>
#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

enum { DIM = 8, ROWS = 40, NUM_READERS = 50, MAX_LOADING = 16 + 16, WAIT_SECONDS = 60 };

static size_t count_threads(void) {
  DIR *tasks = opendir("/proc/self/task");
  size_t count = 0;
  assert_non_null(tasks);
  for (const struct dirent *next; (next = readdir(tasks)) != NULL;)
    count += next->d_name[0] != '.';
  closedir(tasks);
  return count;
}

/* A thread that has been joined is still listed for as long as the kernel takes it down. */
static void await_threads(size_t count) {
  uint64_t begin = sf_monotonic_nanoseconds();
  while (count_threads() > count) {
    assert_true(sf_monotonic_nanoseconds() - begin < (uint64_t)WAIT_SECONDS * 1000000000U);
    sched_yield();
  }
}

static void *note_task(void *argument) {
  ssize_t length = readlink("/proc/thread-self", argument, 63);
  assert_true(length > 0);
  return NULL;
}

/* The sanitizer's own thread starts with the first one of the program. Returns when that one is gone. */
static void start_sanitizer(void) {
  char task[64] = "";
  char path[80];
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, note_task, task), 0);
  pthread_join(thread, NULL);
  snprintf(path, sizeof(path), "/proc/%s", task);
  while (access(path, F_OK) == 0)
    sched_yield();
}

static int set_up(void **state) {
  *state = fixture_make(DIM, ROWS);
  return 0;
}

static int tear_down(void **state) {
  fixture_free(*state);
  return 0;
}

static size_t most_threads(size_t own) {
  return own + sf_usable_cpus() + MAX_LOADING;
}

static void a_closed_reader_keeps_no_thread(void **state) {
  const reader_fixture *fixture = *state;
  size_t own = count_threads();
  sf_reader *reader = fixture_open(fixture, NULL);
  fixture_check_search(fixture, reader, 0, 1);
  assert_true(count_threads() > own);
  assert_int_equal(sf_reader_close(reader, -1, NULL), SF_OK);
  await_threads(own);
  assert_int_equal(sf_reader_close(reader, -1, NULL), SF_OK);
  await_threads(own);
  sf_reader_free(reader);
}

static void a_reader_that_is_closed_by_an_operation_keeps_no_thread(void **state) {
  const reader_fixture *fixture = *state;
  size_t own = count_threads();
  sf_operation *operation = NULL;
  sf_reader *reader = fixture_open(fixture, NULL);
  fixture_check_search(fixture, reader, 0, 1);
  assert_int_equal(sf_reader_close_submit(reader, -1, NULL, NULL, &operation, NULL), SF_OK);
  assert_true(sf_operation_wait(operation, -1));
  await_threads(own);
  sf_operation_release(operation);
  sf_error error;
  assert_int_equal(sf_reader_refresh_submit(reader, NULL, NULL, &operation, NULL), SF_OK);
  assert_true(sf_operation_wait(operation, -1));
  assert_int_equal(sf_operation_result(operation, &error), SF_READER_STATE_ERROR);
  sf_operation_release(operation);
  await_threads(own);
  sf_reader_free(reader);
}

static void closing_one_reader_leaves_the_others_their_threads(void **state) {
  const reader_fixture *fixture = *state;
  size_t own = count_threads();
  sf_reader *kept = fixture_open(fixture, NULL);
  for (size_t i = 0; i < 8; i++) {
    sf_reader *closed = fixture_open(fixture, NULL);
    fixture_check_search(fixture, closed, 0, i);
    sf_reader_free(closed);
    fixture_check_search(fixture, kept, 0, i);
  }
  sf_reader_free(kept);
  await_threads(own);
}

/* Searches by all readers at once, with their queue. */
static void search_with_all(const reader_fixture *fixture, sf_reader **readers, sf_operation **operations, size_t own) {
  for (size_t i = 0; i < NUM_READERS; i++) {
    sf_search_request request = fixture_request(fixture, i % FIXTURE_QUERIES);
    assert_int_equal(sf_reader_search_submit(readers[i], &request, NULL, NULL, &operations[i], NULL), SF_OK);
    assert_true(count_threads() <= most_threads(own));
  }
  for (size_t i = 0; i < NUM_READERS; i++) {
    assert_true(sf_operation_wait(operations[i], -1));
    sf_search_response *response = sf_operation_take_response(operations[i]);
    assert_true(fixture_answers(fixture, 0, i % FIXTURE_QUERIES, response));
    sf_search_response_free(response);
    sf_operation_release(operations[i]);
  }
}

static void fifty_readers_share_their_threads(void **state) {
  const reader_fixture *fixture = *state;
  size_t own = count_threads();
  sf_reader *readers[NUM_READERS];
  sf_operation *operations[NUM_READERS];
  for (size_t i = 0; i < NUM_READERS; i++)
    readers[i] = fixture_open(fixture, NULL);
  assert_true(count_threads() <= most_threads(own));
  for (size_t round = 0; round < 3; round++)
    search_with_all(fixture, readers, operations, own);
  for (size_t i = 0; i < NUM_READERS; i++) {
    if (i % 2 == 0)
      assert_int_equal(sf_reader_close(readers[i], -1, NULL), SF_OK);
    else
      sf_reader_free(readers[i]);
  }
  await_threads(own);
  for (size_t i = 0; i < NUM_READERS; i += 2)
    sf_reader_free(readers[i]);
}

/* Loads wait at the gate while the readers close. */
static void readers_that_close_with_searches_in_flight_keep_no_thread(void **state) {
  const reader_fixture *fixture = *state;
  size_t own = count_threads();
  sf_reader *readers[NUM_READERS];
  sf_operation *operations[NUM_READERS];
  sf_search_request request = fixture_request(fixture, 0);
  for (size_t i = 0; i < NUM_READERS; i++)
    readers[i] = fixture_open(fixture, NULL);
  gate_shut("db=");
  for (size_t i = 0; i < NUM_READERS; i++)
    assert_int_equal(sf_reader_search_submit(readers[i], &request, NULL, NULL, &operations[i], NULL), SF_OK);
  gate_await_waiting(1);
  assert_true(count_threads() <= most_threads(own));
  for (size_t i = 0; i < NUM_READERS; i++)
    sf_operation_cancel(operations[i]);
  for (size_t i = 0; i < NUM_READERS; i++)
    assert_true(sf_operation_wait(operations[i], -1));
  gate_open();
  for (size_t i = 0; i < NUM_READERS; i++) {
    assert_int_equal(sf_operation_result(operations[i], NULL), SF_CANCELLED_ERROR);
    sf_operation_release(operations[i]);
    sf_reader_free(readers[i]);
  }
  await_threads(own);
}

static void *open_and_close(void *argument) {
  const reader_fixture *fixture = argument;
  for (size_t i = 0; i < 10; i++) {
    sf_reader *reader = NULL;
    sf_reader_options options = SF_READER_OPTIONS_INIT;
    sf_search_request request = fixture_request(fixture, i % FIXTURE_QUERIES);
    sf_search_response *response = NULL;
    options.cache_dir = fixture->cache_dir;
    options.thread_nice = i % 3 == 0 ? 1 : 0;
    if (sf_reader_open(fixture->root, &options, &reader, NULL) != SF_OK)
      return NULL;
    if (sf_reader_search(reader, &request, &response, NULL) != SF_OK)
      return NULL;
    bool is_right = fixture_answers(fixture, 0, i % FIXTURE_QUERIES, response);
    sf_search_response_free(response);
    sf_reader_free(reader);
    if (!is_right)
      return NULL;
  }
  return argument;
}

static void readers_may_come_and_go_on_many_threads_at_once(void **state) {
  const reader_fixture *fixture = *state;
  size_t own = count_threads();
  pthread_t threads[6];
  void *result;
  for (size_t i = 0; i < 6; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, open_and_close, *state), 0);
  for (size_t i = 0; i < 6; i++) {
    pthread_join(threads[i], &result);
    assert_ptr_equal(result, fixture);
  }
  await_threads(own);
}

int main(void) {
#if defined(__linux__)
  start_sanitizer();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_closed_reader_keeps_no_thread, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_reader_that_is_closed_by_an_operation_keeps_no_thread, set_up, tear_down),
      cmocka_unit_test_setup_teardown(closing_one_reader_leaves_the_others_their_threads, set_up, tear_down),
      cmocka_unit_test_setup_teardown(fifty_readers_share_their_threads, set_up, tear_down),
      cmocka_unit_test_setup_teardown(readers_that_close_with_searches_in_flight_keep_no_thread, set_up, tear_down),
      cmocka_unit_test_setup_teardown(readers_may_come_and_go_on_many_threads_at_once, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
#else
  return 0; /* no way to count threads here */
#endif
}
