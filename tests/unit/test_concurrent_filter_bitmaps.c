/* The bitmaps of filters: made once, lent, evicted, given up. */
#include "query/filter_bitmaps.h"

#include "formats/formats.h"
#include "support/reader_fixture.h"

#include <cmocka_includes.h>
#include <stdio.h>
#include <string.h>

enum { NUM_ROWS = 20 };

/* Someone who waits for a bitmap, and what they were told. */
typedef struct client {
  sf_bitmap_waiter waiter; /* first: the bitmaps hand it back */
  pthread_mutex_t mutex;
  pthread_cond_t told;
  unsigned times_told;
  const sf_shard_bitmap *bitmap;
  sf_code code;
  sf_error error;
} client;

static void note(sf_bitmap_waiter *waiter, const sf_shard_bitmap *bitmap, sf_code code, const sf_error *error) {
  client *waiting = (client *)waiter;
  pthread_mutex_lock(&waiting->mutex);
  waiting->times_told++;
  waiting->bitmap = bitmap;
  waiting->code = code;
  waiting->error = *error;
  pthread_cond_broadcast(&waiting->told);
  pthread_mutex_unlock(&waiting->mutex);
}

static void client_init(client *made) {
  *made = (client){.waiter.ready = note};
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

/* A reader with one loader, whose shards 0 and 1 are loaded and acquired; a search for shard 3 can hold the loader up. */
typedef struct bitmaps_test {
  reader_fixture *fixture;
  sf_reader *reader;
  sf_served_snapshot *served;
  sf_operation *blocking;
  sf_search_response *loaded; /* the search that loaded them */
} bitmaps_test;

static void never_loaded(sf_shard_waiter *waiter, sf_shard *shard, sf_code code, const sf_error *error) {
  (void)waiter, (void)shard, (void)code, (void)error;
}

static bitmaps_test begin(void **state, uint64_t max_filter_bytes) {
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  options.num_loaders = 1;
  options.max_filter_bytes = max_filter_bytes;
  bitmaps_test test = {.fixture = *state};
  test.reader = fixture_open(test.fixture, &options);
  sf_search_request request = fixture_request(test.fixture, 0);
  request.num_shard_ids = 2;
  assert_int_equal(sf_reader_search(test.reader, &request, &test.loaded, NULL), SF_OK);
  assert_int_equal(sf_reader_acquire_served(test.reader, &test.served, NULL), SF_OK);
  for (uint32_t id = 0; id < 2; id++) {
    static sf_shard_waiter waiter = {.loaded = never_loaded};
    sf_shard *shard;
    assert_int_equal(sf_served_snapshot_acquire(test.served, id, &waiter, &shard, NULL), SF_OK);
    assert_non_null(shard);
  }
  return test;
}

/* Keeps evaluations from beginning until gate_open. */
static void block_loader(bitmaps_test *test) {
  sf_search_request request = fixture_request(test->fixture, 0);
  request.shard_ids += 3;
  request.num_shard_ids = 1;
  gate_shut("db=00003");
  assert_int_equal(sf_reader_search_submit(test->reader, &request, NULL, NULL, &test->blocking, NULL), SF_OK);
  gate_await_waiting(1);
}

static void finish(bitmaps_test *test) {
  for (uint32_t id = 0; id < 2; id++)
    sf_served_snapshot_return(test->served, id);
  sf_served_snapshot_release(test->served);
  sf_operation_release(test->blocking);
  sf_search_response_free(test->loaded);
  sf_reader_free(test->reader);
}

static sf_filter *compile(const char *expression) {
  sf_filter *filter = NULL;
  assert_int_equal(sf_filter_compile(expression, &filter, NULL), SF_OK);
  return filter;
}

static sf_bitmap_request request_of(const bitmaps_test *test, sf_filter *filter, uint32_t db_id) {
  return (sf_bitmap_request){
      .served = test->served, .executor = test->reader->executor, .filter = filter, .db_id = db_id};
}

static void ask(const sf_bitmap_request *request, client *waiting) {
  const sf_shard_bitmap *bitmap;
  client_init(waiting);
  assert_int_equal(sf_filter_bitmaps_acquire(request, &waiting->waiter, &bitmap, NULL), SF_OK);
  assert_null(bitmap);
}

/* Takes a bitmap, waiting where it is made. Whether it was known. */
static bool take(const sf_bitmap_request *request, const sf_shard_bitmap **bitmap) {
  client waiting;
  client_init(&waiting);
  assert_int_equal(sf_filter_bitmaps_acquire(request, &waiting.waiter, bitmap, NULL), SF_OK);
  bool is_known = *bitmap != NULL;
  if (!is_known) {
    await(&waiting);
    assert_int_equal(waiting.code, SF_OK);
    *bitmap = waiting.bitmap;
  }
  client_destroy(&waiting);
  return is_known;
}

static void give_back(const bitmaps_test *test, const sf_shard_bitmap *bitmap) {
  sf_filter_bitmaps_return(sf_served_snapshot_bitmaps(test->served), bitmap);
}

/* The same with no one else using it. */
static bool is_known(const bitmaps_test *test, const char *expression) {
  sf_filter *filter = compile(expression);
  sf_bitmap_request request = request_of(test, filter, 0);
  const sf_shard_bitmap *bitmap;
  bool was_known = take(&request, &bitmap);
  give_back(test, bitmap);
  sf_filter_release(filter);
  return was_known;
}

static void a_bitmap_is_made_once_however_many_ask_for_it(void **state) {
  bitmaps_test test = begin(state, 0);
  client waiting[8];
  sf_filter *filters[2] = {compile("payload.id >= 12"), compile("payload.id >= 12")}; /* equal, compiled twice */
  block_loader(&test);
  for (size_t i = 0; i < 8; i++) {
    sf_bitmap_request request = request_of(&test, filters[i % 2], 0);
    ask(&request, &waiting[i]);
  }
  gate_open();
  for (size_t i = 0; i < 8; i++) {
    await(&waiting[i]);
    assert_int_equal(waiting[i].code, SF_OK);
    assert_ptr_equal(waiting[i].bitmap, waiting[0].bitmap);
    assert_int_equal(waiting[i].times_told, 1);
  }
  const sf_row_bitmap *rows = waiting[0].bitmap->rows;
  assert_int_equal(rows->num_rows, NUM_ROWS);
  assert_int_equal(rows->num_matching, 7); /* 12 to 19, without 15, which has no payload */
  for (uint64_t row = 0; row < NUM_ROWS; row++)
    assert_int_equal(sf_row_bitmap_has(rows, row), row >= 12 && row != 15);
  for (size_t i = 0; i < 8; i++) {
    give_back(&test, waiting[0].bitmap);
    client_destroy(&waiting[i]);
  }
  assert_true(is_known(&test, "payload.id >= 12"));
  sf_filter_release(filters[0]);
  sf_filter_release(filters[1]);
  finish(&test);
}

static void shards_and_expressions_have_bitmaps_of_their_own(void **state) {
  bitmaps_test test = begin(state, 0);
  sf_filter *filters[2] = {compile("payload.id == 21"), compile("payload.id == 22 || payload.id == 23")};
  for (size_t i = 0; i < 4; i++) {
    sf_bitmap_request request = request_of(&test, filters[i / 2], (uint32_t)(i % 2));
    const sf_shard_bitmap *bitmap;
    assert_false(take(&request, &bitmap));
    assert_int_equal(bitmap->rows->num_matching, i % 2 == 0 ? 0 : i / 2 + 1);
    give_back(&test, bitmap);
  }
  sf_filter_release(filters[0]);
  sf_filter_release(filters[1]);
  finish(&test);
}

static void a_failure_goes_to_all_who_wait_and_is_not_kept(void **state) {
  bitmaps_test test = begin(state, 0);
  char *path = snapshot_shard_path(test.fixture->snapshots[0], 0);
  char *moved = sf_format("%s.moved", path);
  sf_filter *filter = compile("size([1, 2, 3].filter(x, payload.id > 0 && x > 0)) == 3");
  sf_bitmap_request request = request_of(&test, filter, 0);
  client waiting[3];
  sf_shard_resources_shrink(test.reader->resources); /* so that no connection has the file open */
  block_loader(&test);
  for (size_t i = 0; i < 3; i++)
    ask(&request, &waiting[i]);
  assert_int_equal(rename(path, moved), 0);
  gate_open();
  for (size_t i = 0; i < 3; i++) {
    await(&waiting[i]);
    assert_int_equal(waiting[i].code, SF_DB_ADAPTER_ERROR);
    assert_null(waiting[i].bitmap);
    assert_non_null(strstr(waiting[i].error.message, "shard 0 ("));
    client_destroy(&waiting[i]);
  }
  assert_int_equal(rename(moved, path), 0);
  const sf_shard_bitmap *bitmap;
  assert_false(take(&request, &bitmap));
  assert_int_equal(bitmap->rows->num_matching, NUM_ROWS - NUM_ROWS / 5);
  give_back(&test, bitmap);
  sf_filter_release(filter);
  free(moved);
  free(path);
  finish(&test);
}

static void an_evaluation_that_nobody_waits_for_is_given_up_and_starts_anew_for_the_next(void **state) {
  bitmaps_test test = begin(state, 0);
  sf_filter *filter = compile("payload.id > 3");
  sf_bitmap_request request = request_of(&test, filter, 1);
  client waiting[3];
  block_loader(&test);
  ask(&request, &waiting[0]);
  ask(&request, &waiting[1]);
  assert_true(sf_filter_bitmaps_stop_waiting(&request, &waiting[0].waiter));
  assert_true(sf_filter_bitmaps_stop_waiting(&request, &waiting[1].waiter));
  assert_false(sf_filter_bitmaps_stop_waiting(&request, &waiting[1].waiter));
  ask(&request, &waiting[2]); /* before the evaluation that was given up has seen it */
  gate_open();
  await(&waiting[2]);
  assert_int_equal(waiting[2].code, SF_OK);
  give_back(&test, waiting[2].bitmap);
  sf_filter_release(filter);
  finish(&test);
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(waiting[i].times_told, i == 2);
    client_destroy(&waiting[i]);
  }
}

static void a_bitmap_that_is_larger_than_allowed_serves_those_who_have_it(void **state) {
  bitmaps_test test = begin(state, 1);
  sf_filter *filter = compile("payload.id > 3");
  sf_bitmap_request request = request_of(&test, filter, 0);
  const sf_shard_bitmap *bitmaps[2];
  assert_false(take(&request, &bitmaps[0]));
  assert_true(take(&request, &bitmaps[1])); /* as long as it is used */
  assert_ptr_equal(bitmaps[0], bitmaps[1]);
  give_back(&test, bitmaps[0]);
  assert_int_equal(bitmaps[1]->rows->num_matching, 13);
  give_back(&test, bitmaps[1]);
  assert_false(take(&request, &bitmaps[0]));
  give_back(&test, bitmaps[0]);
  sf_filter_release(filter);
  finish(&test);
}

static void the_least_recently_used_are_evicted(void **state) {
  bitmaps_test test = begin(state, 64 << 10);
  assert_false(is_known(&test, "payload.id == 0"));
  assert_false(is_known(&test, "payload.id == -1"));
  for (int i = 1; i < 600; i++) { /* each takes more than 128 bytes */
    char expression[64];
    snprintf(expression, sizeof(expression), "payload.id == %d", i);
    assert_false(is_known(&test, expression));
    assert_true(is_known(&test, "payload.id == 0"));
  }
  assert_false(is_known(&test, "payload.id == -1"));
  assert_true(is_known(&test, "payload.id == 599"));
  finish(&test);
}

static void a_bitmap_keeps_its_shard_open_while_it_is_made(void **state) {
  bitmaps_test test = begin(state, 0);
  sf_filter *filter = compile("payload.id > 3");
  sf_bitmap_request request = request_of(&test, filter, 0);
  client waiting;
  block_loader(&test);
  ask(&request, &waiting);
  assert_true(sf_filter_bitmaps_stop_waiting(&request, &waiting.waiter));
  sf_filter_release(filter);
  finish(&test); /* the reader closes with the evaluation still queued */
  assert_int_equal(waiting.times_told, 0);
  client_destroy(&waiting);
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
      TEST(a_bitmap_is_made_once_however_many_ask_for_it),
      TEST(shards_and_expressions_have_bitmaps_of_their_own),
      TEST(a_failure_goes_to_all_who_wait_and_is_not_kept),
      TEST(an_evaluation_that_nobody_waits_for_is_given_up_and_starts_anew_for_the_next),
      TEST(a_bitmap_that_is_larger_than_allowed_serves_those_who_have_it),
      TEST(the_least_recently_used_are_evicted),
      TEST(a_bitmap_keeps_its_shard_open_while_it_is_made),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
