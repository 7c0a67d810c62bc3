/* Threads that search one reader in every way there is while another refreshes it to and fro between two snapshots: every
 * answer is exactly that of one of the two. */
#include "random.h"
#include "support/reader_fixture.h"

#include <cmocka_includes.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

enum { NUM_SEARCHES = 60, NUM_REFRESHES = 12, IN_FLIGHT = 8 };

typedef struct stress {
  const reader_fixture *fixture;
  sf_reader *reader;
  bool closes; /* the reader is closed under way: then SF_READER_STATE_ERROR is an answer, too */
  atomic_uint num_answers;
  atomic_uint num_wrong;
} stress;

typedef struct stress_thread {
  stress *of;
  uint64_t random;
  pthread_t thread;
} stress_thread;

static void check(stress *of, bool holds, const char *what) {
  if (holds)
    return;
  fprintf(stderr, "wrong: %s\n", what);
  atomic_fetch_add(&of->num_wrong, 1);
}

static void check_response(stress *of, size_t query, sf_search_response *response) {
  check(of, fixture_answers(of->fixture, 0, query, response) || fixture_answers(of->fixture, 1, query, response),
        "an answer that neither snapshot gives");
  atomic_fetch_add(&of->num_answers, 1);
  sf_search_response_free(response);
}

static bool may_be_closed(const stress *of, sf_code code) {
  return of->closes && (code == SF_READER_STATE_ERROR || code == SF_CANCELLED_ERROR);
}

static void *search_blocking(void *argument) {
  stress_thread *self = argument;
  stress *of = self->of;
  for (int i = 0; i < NUM_SEARCHES; i++) {
    size_t query = random_below(&self->random, FIXTURE_QUERIES);
    sf_search_request request = fixture_request(of->fixture, query);
    sf_search_response *response = NULL;
    sf_error error;
    sf_code code = sf_reader_search(of->reader, &request, &response, &error);
    if (code == SF_OK)
      check_response(of, query, response);
    else
      check(of, may_be_closed(of, code), error.message);
  }
  return NULL;
}

static void finish_operation(stress_thread *self, sf_operation *operation, const size_t *query, bool was_cancelled) {
  sf_error error;
  sf_code code = sf_operation_result(operation, &error);
  if (code == SF_OK)
    check_response(self->of, *query, sf_operation_take_response(operation));
  else
    check(self->of, (was_cancelled && code == SF_CANCELLED_ERROR) || may_be_closed(self->of, code), error.message);
  sf_operation_release(operation);
}

/* Keeps some searches in flight; one in ten is cancelled, one in ten released. */
static void *search_asynchronously(void *argument) {
  stress_thread *self = argument;
  stress *of = self->of;
  sf_completion_queue *queue = NULL;
  sf_operation *operations[IN_FLIGHT] = {0};
  size_t queries[IN_FLIGHT];
  bool cancelled[IN_FLIGHT];
  size_t in_flight = 0;
  int submitted = 0;
  check(of, sf_completion_queue_create(&queue, NULL) == SF_OK, "a queue");
  while (submitted < NUM_SEARCHES || in_flight > 0) {
    for (size_t i = 0; i < IN_FLIGHT && submitted < NUM_SEARCHES; i++) {
      if (operations[i] != NULL)
        continue;
      submitted++;
      queries[i] = random_below(&self->random, FIXTURE_QUERIES);
      sf_search_request request = fixture_request(of->fixture, queries[i]);
      sf_error error;
      sf_code code = sf_reader_search_submit(of->reader, &request, queue, &queries[i], &operations[i], &error);
      check(of, code == SF_OK || may_be_closed(of, code), error.message);
      if (code != SF_OK)
        continue;
      uint64_t fate = random_below(&self->random, 10);
      cancelled[i] = fate == 0;
      if (fate == 0)
        sf_operation_cancel(operations[i]);
      if (fate == 1) {
        sf_operation_release(operations[i]);
        operations[i] = NULL;
      } else
        in_flight++;
    }
    if (in_flight == 0)
      continue;
    struct pollfd polled = {.fd = sf_completion_queue_fd(queue), .events = POLLIN};
    check(of, poll(&polled, 1, 60000) == 1, "no wake-up");
    for (sf_operation *next; (next = sf_completion_queue_pop(queue)) != NULL; in_flight--) {
      size_t place = (size_t)((size_t *)sf_operation_user_data(next) - queries);
      operations[place] = NULL;
      finish_operation(self, next, &queries[place], cancelled[place]);
    }
  }
  sf_completion_queue_free(queue);
  return NULL;
}

static void *search_in_batches(void *argument) {
  stress_thread *self = argument;
  stress *of = self->of;
  for (int i = 0; i < NUM_SEARCHES / 4; i++) {
    sf_search_request requests[4];
    sf_search_response *responses[4];
    size_t queries[4];
    sf_error error;
    for (size_t j = 0; j < 4; j++) {
      queries[j] = random_below(&self->random, FIXTURE_QUERIES);
      requests[j] = fixture_request(of->fixture, queries[j]);
    }
    sf_code code = sf_reader_batch_search(of->reader, requests, 4, responses, &error);
    check(of, code == SF_OK || may_be_closed(of, code), error.message);
    for (size_t j = 0; code == SF_OK && j < 4; j++)
      check_response(of, queries[j], responses[j]);
  }
  return NULL;
}

/* Goes to and fro between the snapshots, and looks at what is served. */
static void *refresh(void *argument) {
  stress_thread *self = argument;
  stress *of = self->of;
  for (int i = 1; i <= NUM_REFRESHES; i++) {
    bool changed = false;
    sf_snapshot_info *info = NULL;
    sf_error error;
    snapshot_publish(of->fixture->snapshots[i % 2]);
    sf_code code = sf_reader_refresh(of->reader, &changed, &error);
    check(of, code == SF_OK ? changed : may_be_closed(of, code), "a refresh that does not find what is new");
    code = sf_reader_snapshot_info(of->reader, &info, &error);
    check(of, code == SF_OK || may_be_closed(of, code), error.message);
    if (code == SF_OK)
      check(of, strcmp(info->run_id, i % 2 == 0 ? "first" : "second") == 0, "another snapshot is served");
    sf_free(info);
  }
  return NULL;
}

static void run(const reader_fixture *fixture, const sf_reader_options *options, int64_t close_after_ms) {
  static void *(*const ways[])(void *) = {search_blocking, search_asynchronously, search_asynchronously,
                                          search_in_batches, refresh};
  enum { NUM_WAYS = sizeof(ways) / sizeof(ways[0]) };
  stress of = {.fixture = fixture, .closes = close_after_ms >= 0};
  stress_thread threads[NUM_WAYS];
  snapshot_publish(fixture->snapshots[0]);
  of.reader = fixture_open(fixture, options);
  for (size_t i = 0; i < NUM_WAYS; i++) {
    threads[i] = (stress_thread){.of = &of, .random = i + 1};
    assert_int_equal(pthread_create(&threads[i].thread, NULL, ways[i], &threads[i]), 0);
  }
  if (of.closes) {
    while (atomic_load(&of.num_answers) < 20) /* when things are under way */
      sched_yield();
    assert_int_equal(sf_reader_close(of.reader, close_after_ms, NULL), SF_OK);
  }
  for (size_t i = 0; i < NUM_WAYS; i++)
    pthread_join(threads[i].thread, NULL);
  sf_reader_free(of.reader);
  assert_int_equal(atomic_load(&of.num_wrong), 0);
  assert_true(atomic_load(&of.num_answers) >= 20);
}

static void every_answer_is_that_of_a_snapshot_that_was_served(void **state) {
  run(*state, NULL, -1);
}

static void every_answer_is_right_while_shards_come_and_go(void **state) {
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  options.max_cached_shards = 1;
  options.max_concurrency = 2;
  run(*state, &options, -1);
}

static void every_answer_is_right_with_shards_loaded_ahead_and_one_thread_of_each_kind(void **state) {
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  options.preload_shards = true;
  options.num_workers = 1;
  options.num_loaders = 1;
  run(*state, &options, -1);
}

static void closing_under_way_ends_everything(void **state) {
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  options.max_cached_shards = 2;
  run(*state, &options, 0);
}

static void closing_with_some_time_ends_everything(void **state) {
  run(*state, NULL, 5);
}

static int set_up(void **state) {
  *state = fixture_make(8, 50);
  return 0;
}

static int tear_down(void **state) {
  fixture_free(*state);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_answer_is_that_of_a_snapshot_that_was_served),
      cmocka_unit_test(every_answer_is_right_while_shards_come_and_go),
      cmocka_unit_test(every_answer_is_right_with_shards_loaded_ahead_and_one_thread_of_each_kind),
      cmocka_unit_test(closing_under_way_ends_everything),
      cmocka_unit_test(closing_with_some_time_ends_everything),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
