/* Searches with a recall from several threads, while lists are opened and the reader is freed. */
#include "support/reader_fixture.h"

#include <cmocka_includes.h>
#include <sched.h>
#include <stdatomic.h>

enum { NUM_THREADS = 4, MORE = 20 };

typedef struct searching {
  const reader_fixture *fixture;
  sf_reader *reader;
  atomic_uint num_of_lists; /* searches that read some */
  atomic_bool stops;        /* also without any */
} searching;

static sf_search_request request_of_snapshot(const reader_fixture *fixture, size_t query) {
  sf_search_request request = fixture_request(fixture, query % FIXTURE_QUERIES);
  request.has_shard_ids = false;
  request.has_recall = true;
  request.recall = 0.5;
  return request;
}

/* The results are rows of the snapshot, in order; an exact answer is the right one. */
static void check(const reader_fixture *fixture, size_t query, const sf_search_response *response) {
  size_t count = sf_search_response_count(response);
  assert_int_equal(sf_search_response_num_shards_queried(response), FIXTURE_SHARDS);
  assert_int_equal(count, 10);
  for (size_t i = 1; i < count; i++)
    assert_true(sf_search_response_result(response, i - 1)->score <= sf_search_response_result(response, i)->score);
  if (sf_search_response_is_exact(response))
    assert_true(fixture_answers(fixture, 0, query % FIXTURE_QUERIES, response) ||
                fixture_answers(fixture, 1, query % FIXTURE_QUERIES, response));
}

static void *search(void *argument) {
  searching *shared = argument;
  for (size_t i = 0; atomic_load(&shared->num_of_lists) < MORE && !atomic_load(&shared->stops); i++) {
    sf_search_request request = request_of_snapshot(shared->fixture, i);
    sf_search_response *response = NULL;
    sf_error error;
    if (sf_reader_search(shared->reader, &request, &response, &error) != SF_OK)
      fail_msg("%s", error.message);
    check(shared->fixture, i, response);
    if (!sf_search_response_is_exact(response))
      atomic_fetch_add(&shared->num_of_lists, 1);
    sf_search_response_free(response);
    sched_yield();
  }
  return NULL;
}

static void run(searching *shared, pthread_t threads[NUM_THREADS]) {
  for (size_t i = 0; i < NUM_THREADS; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, search, shared), 0);
}

static void join(pthread_t threads[NUM_THREADS]) {
  for (size_t i = 0; i < NUM_THREADS; i++)
    pthread_join(threads[i], NULL);
}

static void searches_are_exact_until_lists_are_open_and_then_read_them(void **state) {
  searching shared = {.fixture = *state, .reader = fixture_open(*state, NULL)};
  pthread_t threads[NUM_THREADS];
  run(&shared, threads);
  join(threads);
  assert_true(atomic_load(&shared.num_of_lists) >= MORE);
  sf_reader_free(shared.reader);
}

/* Its lists may be open, be opened, or not have been begun. */
static void a_reader_is_freed_at_any_time(void **state) {
  for (size_t i = 0; i < 20; i++) {
    searching shared = {.fixture = *state, .reader = fixture_open(*state, NULL)};
    pthread_t threads[NUM_THREADS];
    run(&shared, threads);
    for (size_t yields = 0; yields < 20 * i; yields++)
      sched_yield();
    atomic_store(&shared.stops, true);
    join(threads);
    sf_reader_free(shared.reader);
  }
}

static int set_up(void **state) {
  *state = fixture_make(8, 500);
  return 0;
}

static int tear_down(void **state) {
  fixture_free(*state);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(searches_are_exact_until_lists_are_open_and_then_read_them),
      cmocka_unit_test(a_reader_is_freed_at_any_time),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
