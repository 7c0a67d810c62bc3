/* The open shards of a snapshot: loaded once, lent, evicted, given up. */
#include "reader/preload.h"
#include "support/reader_fixture.h"

#include <cmocka_includes.h>
#include <string.h>

/* Someone who waits for a shard, and what they were told. */
typedef struct client {
  sf_shard_waiter waiter; /* first: the cache hands it back */
  pthread_mutex_t mutex;
  pthread_cond_t told;
  unsigned times_told;
  sf_shard *shard;
  sf_code code;
  sf_error error;
} client;

static void note(sf_shard_waiter *waiter, sf_shard *shard, sf_code code, const sf_error *error) {
  client *waiting = (client *)waiter;
  pthread_mutex_lock(&waiting->mutex);
  waiting->times_told++;
  waiting->shard = shard;
  waiting->code = code;
  waiting->error = *error;
  pthread_cond_broadcast(&waiting->told);
  pthread_mutex_unlock(&waiting->mutex);
}

static void client_init(client *made) {
  *made = (client){.waiter.loaded = note};
  assert_int_equal(pthread_mutex_init(&made->mutex, NULL), 0);
  assert_true(sf_condition_init(&made->told));
}

static void client_destroy(client *of) {
  pthread_cond_destroy(&of->told);
  pthread_mutex_destroy(&of->mutex);
}

static void await(client *waiting) {
  pthread_mutex_lock(&waiting->mutex);
  while (waiting->times_told == 0)
    pthread_cond_wait(&waiting->told, &waiting->mutex);
  pthread_mutex_unlock(&waiting->mutex);
}

/* A reader, of which only the cache is looked at. */
typedef struct cache_test {
  reader_fixture *fixture;
  sf_reader *reader;
  sf_served_snapshot *cache;
} cache_test;

static cache_test begin(void **state, uint32_t max_cached_shards, uint32_t num_loaders) {
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  options.max_cached_shards = max_cached_shards;
  options.num_loaders = num_loaders;
  cache_test test = {.fixture = *state};
  test.reader = fixture_open(test.fixture, &options);
  assert_int_equal(sf_reader_acquire_served(test.reader, &test.cache, NULL), SF_OK);
  return test;
}

static void finish(cache_test *test) {
  sf_served_snapshot_release(test->cache);
  sf_reader_free(test->reader);
}

/* Takes a shard, waiting where it has to be loaded. */
static sf_shard *take(cache_test *test, uint32_t db_id) {
  client waiting;
  sf_shard *shard;
  client_init(&waiting);
  assert_int_equal(sf_served_snapshot_acquire(test->cache, db_id, &waiting.waiter, &shard, NULL), SF_OK);
  if (shard == NULL) {
    await(&waiting);
    assert_int_equal(waiting.code, SF_OK);
    shard = waiting.shard;
  }
  client_destroy(&waiting);
  return shard;
}

static void ask(cache_test *test, uint32_t db_id, client *waiting) {
  sf_shard *shard;
  client_init(waiting);
  assert_int_equal(sf_served_snapshot_acquire(test->cache, db_id, &waiting->waiter, &shard, NULL), SF_OK);
  assert_null(shard);
}

static void a_shard_is_loaded_once_however_many_ask_for_it(void **state) {
  cache_test test = begin(state, 0, 0);
  client waiting[8];
  gate_shut("db=00002");
  for (size_t i = 0; i < 8; i++)
    ask(&test, 2, &waiting[i]);
  gate_await_waiting(1);
  gate_open();
  for (size_t i = 0; i < 8; i++) {
    await(&waiting[i]);
    assert_int_equal(waiting[i].code, SF_OK);
    assert_ptr_equal(waiting[i].shard, waiting[0].shard);
  }
  assert_ptr_equal(take(&test, 2), waiting[0].shard);
  assert_int_equal(gate_loads(), 1);
  for (size_t i = 0; i < 8; i++) {
    assert_int_equal(waiting[i].times_told, 1);
    sf_served_snapshot_return(test.cache, 2);
    client_destroy(&waiting[i]);
  }
  sf_served_snapshot_return(test.cache, 2);
  finish(&test);
}

static void a_shard_that_fails_to_load_fails_all_who_wait_and_can_be_loaded_once_it_is_mended(void **state) {
  cache_test test = begin(state, 0, 0);
  client waiting[4];
  gate_shut("db=00001");
  gate_lose("db=00001");
  for (size_t i = 0; i < 4; i++)
    ask(&test, 1, &waiting[i]);
  gate_await_waiting(1);
  gate_open();
  for (size_t i = 0; i < 4; i++) {
    await(&waiting[i]);
    assert_int_equal(waiting[i].code, SF_DB_ADAPTER_ERROR);
    assert_null(waiting[i].shard);
    assert_non_null(strstr(waiting[i].error.message, "shard 1 ("));
    client_destroy(&waiting[i]);
  }
  gate_lose(NULL);
  assert_non_null(take(&test, 1));
  assert_int_equal(gate_loads(), 2);
  sf_served_snapshot_return(test.cache, 1);
  finish(&test);
}

static void a_load_that_nobody_waits_for_any_more_is_given_up(void **state) {
  cache_test test = begin(state, 0, 0);
  client waiting[2];
  gate_shut("db=00000");
  ask(&test, 0, &waiting[0]);
  ask(&test, 0, &waiting[1]);
  gate_await_waiting(1);
  assert_true(sf_served_snapshot_stop_waiting(test.cache, 0, &waiting[0].waiter));
  assert_int_equal(gate_cancelled(), 0);
  assert_true(sf_served_snapshot_stop_waiting(test.cache, 0, &waiting[1].waiter));
  assert_false(sf_served_snapshot_stop_waiting(test.cache, 0, &waiting[1].waiter));
  finish(&test); /* which waits for the load to end: it would not, if it were not given up */
  assert_int_equal(gate_cancelled(), 1);
  for (size_t i = 0; i < 2; i++) {
    assert_int_equal(waiting[i].times_told, 0);
    client_destroy(&waiting[i]);
  }
}

static void a_load_that_was_given_up_and_is_wanted_again_starts_anew(void **state) {
  cache_test test = begin(state, 0, 1);
  client first;
  client second;
  client elsewhere;
  gate_shut("db=0000");
  gate_obey_cancellation(false);
  ask(&test, 0, &first);
  ask(&test, 1, &elsewhere); /* the one loader is at shard 0, so that shard 1 has not begun */
  gate_await_waiting(1);
  assert_true(sf_served_snapshot_stop_waiting(test.cache, 1, &elsewhere.waiter));
  client_destroy(&elsewhere);
  ask(&test, 1, &second);
  gate_open();
  await(&second);
  assert_int_equal(second.code, SF_OK);
  assert_int_equal(second.shard->db_id, 1);
  await(&first);
  sf_served_snapshot_return(test.cache, 0);
  sf_served_snapshot_return(test.cache, 1);
  client_destroy(&first);
  client_destroy(&second);
  finish(&test);
}

static void the_least_recently_used_shard_goes_first(void **state) {
  cache_test test = begin(state, 2, 0);
  for (uint32_t id = 0; id < 2; id++) {
    take(&test, id);
    sf_served_snapshot_return(test.cache, id);
  }
  take(&test, 0);
  sf_served_snapshot_return(test.cache, 0);
  take(&test, 2); /* for which 1 has to go */
  sf_served_snapshot_return(test.cache, 2);
  assert_int_equal(gate_loads(), 3);
  take(&test, 0);
  sf_served_snapshot_return(test.cache, 0);
  assert_int_equal(gate_loads(), 3);
  take(&test, 1);
  sf_served_snapshot_return(test.cache, 1);
  assert_int_equal(gate_loads(), 4);
  finish(&test);
}

static void a_shard_that_is_lent_is_not_closed(void **state) {
  cache_test test = begin(state, 1, 0);
  sf_shard *shards[FIXTURE_SHARDS];
  for (uint32_t id = 0; id < FIXTURE_SHARDS; id++)
    shards[id] = take(&test, id);
  const size_t bytes = shards[0]->num_rows * shards[0]->dim * sizeof(float);
  for (uint32_t id = 0; id < FIXTURE_SHARDS; id++)
    assert_memory_equal(shards[id]->segments[0].vectors, test.fixture->snapshots[0]->vectors[id], bytes);
  for (uint32_t id = 0; id < FIXTURE_SHARDS; id++) {
    assert_ptr_equal(take(&test, id), shards[id]);
    sf_served_snapshot_return(test.cache, id);
    sf_served_snapshot_return(test.cache, id);
  }
  assert_int_equal(gate_loads(), FIXTURE_SHARDS);
  take(&test, FIXTURE_SHARDS - 1); /* the last to be given back is the one that was kept */
  sf_served_snapshot_return(test.cache, FIXTURE_SHARDS - 1);
  assert_int_equal(gate_loads(), FIXTURE_SHARDS);
  finish(&test);
}

static void preloading_loads_every_shard_also_with_one_loader(void **state) {
  cache_test test = begin(state, 0, 1);
  assert_int_equal(sf_preload_shards(test.cache, 0, NULL, NULL), SF_OK);
  assert_int_equal(gate_loads(), FIXTURE_SHARDS);
  fixture_check_search(test.fixture, test.reader, 0, 0);
  assert_int_equal(gate_loads(), FIXTURE_SHARDS);
  finish(&test);
}

static void preloading_loads_no_more_shards_than_may_be_kept(void **state) {
  cache_test test = begin(state, 2, 0);
  assert_int_equal(sf_preload_shards(test.cache, 2, NULL, NULL), SF_OK);
  assert_int_equal(gate_loads(), 2);
  finish(&test);
}

static void preloading_stops_at_the_first_shard_that_fails(void **state) {
  cache_test test = begin(state, 0, 0);
  sf_error error;
  gate_lose("db=00002");
  gate_shut("db=00001"); /* for ever: only giving up lets this test end */
  assert_int_equal(sf_preload_shards(test.cache, 0, NULL, &error), SF_DB_ADAPTER_ERROR);
  assert_non_null(strstr(error.message, "shard 2 ("));
  finish(&test);
}

typedef struct preloading {
  cache_test *test;
  sf_cancellation cancellation;
  sf_code code;
} preloading;

static void *run_preloading(void *argument) {
  preloading *running = argument;
  running->code = sf_preload_shards(running->test->cache, 0, &running->cancellation, NULL);
  return NULL;
}

static void preloading_that_is_cancelled_returns_while_loads_go_on(void **state) {
  cache_test test = begin(state, 0, 0);
  preloading running = {.test = &test};
  pthread_t thread;
  gate_shut("db=");
  gate_obey_cancellation(false);
  assert_int_equal(pthread_create(&thread, NULL, run_preloading, &running), 0);
  gate_await_waiting(FIXTURE_SHARDS);
  sf_cancellation_request(&running.cancellation);
  pthread_join(thread, NULL);
  assert_int_equal(running.code, SF_CANCELLED_ERROR);
  gate_open();
  finish(&test);
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
      TEST(a_shard_is_loaded_once_however_many_ask_for_it),
      TEST(a_shard_that_fails_to_load_fails_all_who_wait_and_can_be_loaded_once_it_is_mended),
      TEST(a_load_that_nobody_waits_for_any_more_is_given_up),
      TEST(a_load_that_was_given_up_and_is_wanted_again_starts_anew),
      TEST(the_least_recently_used_shard_goes_first),
      TEST(a_shard_that_is_lent_is_not_closed),
      TEST(preloading_loads_every_shard_also_with_one_loader),
      TEST(preloading_loads_no_more_shards_than_may_be_kept),
      TEST(preloading_stops_at_the_first_shard_that_fails),
      TEST(preloading_that_is_cancelled_returns_while_loads_go_on),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
