/*
 * Memory and threads that run out, at every place where they can: each allocation in turn fails, then each start of a
 * thread. A call succeeds all the same or says what is out; nothing hangs, and what was made before is given back (which
 * the address sanitizer sees).
 */
#include "base/memory.h"
#include "base/thread.h"
#include "formats/shard_writer.h"
#include "kmeans/kmeans.h"
#include "lists/make_lists.h"
#include "query/list_scan.h"
#include "shardyfusion/build.h"
#include "support/reader_fixture.h"
#include "support/scratch.h"
#include "writer/nearest_centroid.h"

#include <cmocka_includes.h>
#include <stdio.h>

/* What fails next: when the countdown reaches zero. The linker sends the library's calls to the functions below. */
static atomic_long allocations_left;
static atomic_long threads_left;
static atomic_long num_failed;

static bool fails_now(atomic_long *left) {
  if (atomic_fetch_sub(left, 1) != 1)
    return false;
  atomic_fetch_add(&num_failed, 1);
  return true;
}

void *__real_sf_calloc(size_t count, size_t size);
void *__real_sf_reallocarray(void *memory, size_t count, size_t size);
char *__real_sf_strdup(const char *text);
char *__real_sf_memdup_string(const void *bytes, size_t length);
int __real_sf_thread_start(pthread_t *thread, void *(*run)(void *), void *argument);
void *__wrap_sf_calloc(size_t count, size_t size);
void *__wrap_sf_reallocarray(void *memory, size_t count, size_t size);
char *__wrap_sf_strdup(const char *text);
char *__wrap_sf_memdup_string(const void *bytes, size_t length);
int __wrap_sf_thread_start(pthread_t *thread, void *(*run)(void *), void *argument);

void *__wrap_sf_calloc(size_t count, size_t size) {
  return fails_now(&allocations_left) ? NULL : __real_sf_calloc(count, size);
}

void *__wrap_sf_reallocarray(void *memory, size_t count, size_t size) {
  return fails_now(&allocations_left) ? NULL : __real_sf_reallocarray(memory, count, size);
}

char *__wrap_sf_strdup(const char *text) {
  return text != NULL && fails_now(&allocations_left) ? NULL : __real_sf_strdup(text);
}

char *__wrap_sf_memdup_string(const void *bytes, size_t length) {
  return fails_now(&allocations_left) ? NULL : __real_sf_memdup_string(bytes, length);
}

int __wrap_sf_thread_start(pthread_t *thread, void *(*run)(void *), void *argument) {
  return fails_now(&threads_left) ? 11 : __real_sf_thread_start(thread, run, argument);
}

static void expect_code(sf_code code) {
  if (code != SF_OK && code != SF_OUT_OF_MEMORY_ERROR && code != SF_POOL_EXHAUSTED_ERROR)
    fail_msg("an error that says something else: %s", sf_code_name(code));
}

/* With memory of its own. */
static void check_answer(const reader_fixture *fixture, size_t query, sf_search_response *response) {
  long left = atomic_exchange(&allocations_left, 0);
  assert_true(fixture_answers(fixture, 0, query, response));
  atomic_store(&allocations_left, left);
  sf_search_response_free(response);
}

static void search(const reader_fixture *fixture, sf_reader *reader) {
  sf_search_request request = fixture_request(fixture, 1);
  sf_search_response *response = NULL;
  sf_code code = sf_reader_search(reader, &request, &response, NULL);
  expect_code(code);
  if (code == SF_OK)
    check_answer(fixture, 1, response);
}

static void search_batch(const reader_fixture *fixture, sf_reader *reader) {
  sf_search_request requests[2] = {fixture_request(fixture, 2), fixture_request(fixture, 3)};
  sf_search_response *responses[2];
  sf_code code = sf_reader_batch_search(reader, requests, 2, responses, NULL);
  expect_code(code);
  for (size_t i = 0; code == SF_OK && i < 2; i++)
    check_answer(fixture, 2 + i, responses[i]);
}

static void finish(sf_code submitted, sf_operation *const *operation, sf_completion_queue *queue) {
  expect_code(submitted);
  if (submitted != SF_OK)
    return;
  assert_ptr_equal(sf_completion_queue_wait(queue, -1), *operation);
  expect_code(sf_operation_result(*operation, NULL));
}

static void search_asynchronously(const reader_fixture *fixture, sf_reader *reader, sf_completion_queue *queue) {
  sf_search_request request = fixture_request(fixture, 4);
  sf_operation *operation = NULL;
  finish(sf_reader_search_submit(reader, &request, queue, NULL, &operation, NULL), &operation, queue);
  sf_operation_release(operation);
}

static void look(sf_reader *reader) {
  sf_snapshot_info *info = NULL;
  sf_shard_detail *details = NULL;
  sf_health *health = NULL;
  size_t count;
  expect_code(sf_reader_snapshot_info(reader, &info, NULL));
  expect_code(sf_reader_shard_details(reader, &details, &count, NULL));
  expect_code(sf_reader_health(reader, -1, &health, NULL));
  sf_free(info);
  sf_free(details);
  sf_free(health);
}

/* Refreshes succeed whatever happens: a snapshot that can't be loaded leaves the old one serving. */
static void refresh(sf_reader *reader, sf_completion_queue *queue) {
  sf_operation *operation = NULL;
  finish(sf_reader_refresh_submit(reader, queue, NULL, &operation, NULL), &operation, queue);
  sf_operation_release(operation);
}

static sf_reader *open_reader(const reader_fixture *fixture, sf_completion_queue *queue) {
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  sf_operation *operation = NULL;
  options.cache_dir = fixture->cache_dir;
  options.preload_shards = true;
  options.max_cached_shards = 1;
  options.num_loaders = 2;
  finish(sf_reader_open_submit(fixture->root, &options, NULL, queue, NULL, &operation, NULL), &operation, queue);
  sf_reader *reader = operation == NULL ? NULL : sf_operation_take_reader(operation);
  sf_operation_release(operation);
  return reader;
}

static void look_at_snapshot(const reader_fixture *fixture) {
  sf_published_manifest *manifests = NULL;
  size_t count;
  size_t num_broken = 0;
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  options.cache_dir = fixture->cache_dir;
  expect_code(sf_snapshot_history(fixture->root, &options, 0, &manifests, &count, NULL));
  sf_free(manifests);
  expect_code(sf_snapshot_verify(fixture->root, &options, NULL, NULL, &num_broken, NULL));
  assert_int_equal(num_broken, 0);
}

static void use_everything(const reader_fixture *fixture) {
  sf_completion_queue *queue = NULL;
  expect_code(sf_completion_queue_create(&queue, NULL));
  if (queue == NULL)
    return;
  sf_reader *reader = open_reader(fixture, queue);
  if (reader != NULL) {
    search(fixture, reader);
    search_batch(fixture, reader);
    search_asynchronously(fixture, reader, queue);
    look(reader);
    refresh(reader, queue);
    sf_reader_free(reader);
  }
  sf_completion_queue_free(queue);
}

/* A snapshot of the production writer's, in Lance shards, routed by cluster; its shards are decoded anew. */
static void search_golden(const reader_fixture *fixture) {
  static const float query[64] = {1};
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  sf_search_request request = SF_SEARCH_REQUEST_INIT;
  sf_search_response *response = NULL;
  sf_reader *reader = NULL;
  options.cache_dir = fixture->cache_dir;
  options.num_loaders = 1;
  request.query = query;
  request.dim = 64;
  sf_code code = sf_reader_open(SF_TEST_GOLDEN "/lance21-cosine-cluster/snapshot", &options, &reader, NULL);
  expect_code(code);
  if (code != SF_OK)
    return;
  expect_code(sf_reader_search(reader, &request, &response, NULL));
  sf_search_response_free(response);
  sf_reader_free(reader);
}

/* A Lance shard, of a few rows. */
static void write_shard(const reader_fixture *fixture) {
  static const float vector[3] = {1, 2, 3};
  const sf_shard_row rows[2] = {
      {.vector = vector, .id_type = SF_ID_INTEGER, .id_integer = 1},
      {.vector = vector,
       .id_type = SF_ID_STRING,
       .id_string = "a",
       .id_length = 1,
       .payload = "{}",
       .payload_length = 2},
  };
  (void)fixture;
  char *folder = scratch_make();
  sf_shard_writer_options options = {.directory = folder, .dim = 3};
  sf_shard_writer *writer = NULL;
  sf_code code = sf_shard_writer_create("lance", &options, &writer, NULL);
  if (code == SF_OK)
    code = sf_shard_writer_add(writer, rows, 2, NULL);
  if (code == SF_OK)
    code = sf_shard_writer_finish(writer, NULL);
  expect_code(code);
  sf_shard_writer_free(writer);
  scratch_remove(folder);
}

/* One after the other fails, until a run ends before the next one's turn. */
static void exhaust(atomic_long *left, const reader_fixture *fixture, void (*use)(const reader_fixture *fixture)) {
  for (long place = 1;; place++) {
    atomic_store(&num_failed, 0);
    atomic_store(left, place);
    use(fixture);
    atomic_store(left, 0);
    if (atomic_load(&num_failed) == 0) {
      assert_true(place > 1);
      return;
    }
  }
}

/* Also with fewer threads than were asked for. */
static void train_and_assign(const reader_fixture *fixture) {
  (void)fixture;
  enum { ROWS = 60, DIM = 3, CLUSTERS = 4 };
  float rows[ROWS * DIM];
  float centroids[CLUSTERS * DIM];
  double wide[CLUSTERS * DIM];
  uint32_t shard_ids[ROWS];
  for (size_t i = 0; i < (size_t)ROWS * DIM; i++)
    rows[i] = (float)(i * i % 17);
  sf_kmeans_options options = {.num_clusters = CLUSTERS, .metric = SF_METRIC_COSINE, .iterations = 3, .num_threads = 3};
  sf_code code = sf_kmeans_train(&options, rows, ROWS, DIM, centroids, NULL, NULL, NULL);
  expect_code(code);
  if (code != SF_OK)
    return;
  for (size_t i = 0; i < (size_t)CLUSTERS * DIM; i++)
    wide[i] = (double)centroids[i];
  sf_router_params source = {.num_dbs = CLUSTERS, .dim = DIM, .metric = SF_METRIC_COSINE, .artifact = wide};
  sf_nearest_centroid *nearest = NULL;
  code = sf_nearest_centroid_create(&source, &nearest, NULL);
  expect_code(code);
  if (code == SF_OK)
    expect_code(sf_nearest_centroid_assign(nearest, rows, ROWS, shard_ids, NULL));
  sf_nearest_centroid_free(nearest);
}

static sf_code build_rows(sf_builder *builder) {
  enum { ROWS = 20, DIM = 3 };
  static float vectors[ROWS * DIM];
  static const char *ids[ROWS];
  static const char *payloads[ROWS];
  static char texts[ROWS][8];
  for (size_t i = 0; i < ROWS; i++) {
    vectors[i * DIM + i % DIM] = (float)i + 1;
    snprintf(texts[i], sizeof(texts[i]), "id%zu", i);
    ids[i] = texts[i];
    payloads[i] = i % 2 == 0 ? "{\"a\":\n 1}" : NULL;
  }
  sf_row_batch batch = SF_ROW_BATCH_INIT;
  batch.count = ROWS;
  batch.vectors = vectors;
  batch.dim = DIM;
  batch.string_ids = ids;
  batch.payloads = payloads;
  sf_code code = sf_builder_add(builder, &batch, NULL);
  sf_build_result *result = NULL;
  if (code == SF_OK)
    code = sf_builder_finish(builder, &result, NULL);
  sf_free(result);
  return code;
}

/* A snapshot of two clusters, trained from the rows that were kept; and what else there is to do with a root. */
static void build_snapshot(const reader_fixture *fixture) {
  char *folder = scratch_make();
  sf_build_options options = SF_BUILD_OPTIONS_INIT;
  sf_cleanup_options cleanup = SF_CLEANUP_OPTIONS_INIT;
  sf_reader_options reading = SF_READER_OPTIONS_INIT;
  sf_builder *builder = NULL;
  char *manifest_ref = NULL;
  size_t num_runs = 0;
  reading.cache_dir = fixture->cache_dir;
  options.backend = "sqlite-vec";
  options.emit_sidecar = true;
  options.num_dbs = 2;
  options.num_threads = 2;
  options.run_id = "run";
  sf_code code = sf_builder_create(folder, &options, &builder, NULL);
  if (code == SF_OK)
    code = build_rows(builder);
  expect_code(code);
  sf_builder_free(builder);
  if (code == SF_OK) {
    expect_code(sf_snapshot_rollback(folder, &reading, "run", &manifest_ref, NULL));
    expect_code(sf_snapshot_cleanup(folder, &cleanup, &num_runs, NULL));
    assert_int_equal(num_runs, 0);
  }
  sf_free(manifest_ref);
  scratch_remove(folder);
}

static void every_allocation_of_a_build_may_fail(void **state) {
  exhaust(&allocations_left, *state, build_snapshot);
}

static void every_allocation_of_a_reader_may_fail(void **state) {
  exhaust(&allocations_left, *state, use_everything);
}

static void every_allocation_of_a_look_at_the_snapshot_may_fail(void **state) {
  exhaust(&allocations_left, *state, look_at_snapshot);
}

static void every_allocation_of_a_search_in_lance_shards_may_fail(void **state) {
  exhaust(&allocations_left, *state, search_golden);
}

static void every_allocation_of_a_writer_of_a_lance_shard_may_fail(void **state) {
  exhaust(&allocations_left, *state, write_shard);
}

/* A search of the lists of some rows. */
static void search_lists(const sf_vector_segment *segment, uint32_t dim, const sf_lists *lists) {
  static const sf_collector_params params = {.kind = SF_COLLECT_TOP_K, .top_k = 3};
  const sf_lists *shards[] = {lists};
  sf_list_choice choices[4];
  float scaled[8];
  sf_query_vector query;
  size_t count;
  sf_collector collector = {.params = &params};
  sf_scan_request request = {.query = &query, .collector = &collector};
  sf_query_vector_init(&query, segment->vectors, dim, SF_SCORE_COSINE, scaled);
  sf_code code = sf_list_choice_find(&query, shards, 1, 4, choices, &count, NULL);
  expect_code(code);
  if (code == SF_OK) {
    const sf_list_scan scan = {.lists = lists,
                               .segments = segment,
                               .num_segments = 1,
                               .choices = choices,
                               .num_choices = count,
                               .error_share = 1};
    sf_list_scan_run(&scan, &request);
    expect_code(request.code);
    if (request.code == SF_OK)
      assert_int_equal(collector.rows[0].row, 0);
  }
  sf_collector_free(&collector);
}

static void make_and_search_lists(const reader_fixture *fixture) {
  enum { NUM_ROWS = 100, DIM = 8 };
  static const sf_lists_identity identity = {.db_url = "rows"};
  float rows[NUM_ROWS * DIM];
  (void)fixture;
  for (size_t i = 0; i < NUM_ROWS * DIM; i++)
    rows[i] = (float)(i * i % 1009) - 500;
  const sf_vector_segment segment = {.vectors = rows, .num_rows = NUM_ROWS};
  const sf_lists_params params = {.segments = &segment,
                                  .num_segments = 1,
                                  .dim = DIM,
                                  .metric = SF_METRIC_COSINE,
                                  .identity = identity,
                                  .num_lists = 10,
                                  .num_threads = 2};
  void *block;
  size_t length;
  sf_lists lists;
  sf_code code = sf_lists_make(&params, NULL, &block, &length, NULL);
  expect_code(code);
  if (code != SF_OK)
    return;
  assert_int_equal(sf_lists_read(block, length, &identity, &lists, NULL), SF_OK);
  search_lists(&segment, DIM, &lists);
  free(block);
}

/* Whether the opening of lists has ended, well or not. */
static atomic_bool lists_have_ended;

static void watch_lists(sf_log_level level, const char *message, void *user_data) {
  (void)level, (void)user_data;
  if (strncmp(message, "lists: opened", 13) == 0 || strncmp(message, "no lists", 8) == 0)
    atomic_store(&lists_have_ended, true);
}

/* Until lists are open, or could not be; then once more. */
static void search_with_recall(const reader_fixture *fixture) {
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  sf_reader *reader = NULL;
  bool was_last = false;
  options.cache_dir = fixture->cache_dir;
  options.log = watch_lists;
  atomic_store(&lists_have_ended, false);
  sf_code code = sf_reader_open(fixture->root, &options, &reader, NULL);
  expect_code(code);
  while (code == SF_OK && !was_last) {
    sf_search_request request = fixture_request(fixture, 1);
    sf_search_response *response = NULL;
    request.has_shard_ids = false;
    request.has_recall = true;
    request.recall = 0.5;
    request.top_k = 1;
    was_last = atomic_load(&lists_have_ended);
    sf_code searched = sf_reader_search(reader, &request, &response, NULL);
    expect_code(searched);
    if (searched == SF_OK)
      assert_int_equal(sf_search_response_count(response), 1);
    sf_search_response_free(response);
  }
  sf_reader_free(reader);
}

/* Not each of the thousands: the more, the farther from one to the next. */
static void allocations_of_a_search_with_recall_may_fail(void **state) {
  for (long place = 1;; place += 1 + place / 16) {
    atomic_store(&num_failed, 0);
    atomic_store(&allocations_left, place);
    search_with_recall(*state);
    atomic_store(&allocations_left, 0);
    if (atomic_load(&num_failed) == 0)
      return;
  }
}

static void every_allocation_of_lists_may_fail(void **state) {
  exhaust(&allocations_left, *state, make_and_search_lists);
}

static void every_allocation_of_a_training_may_fail(void **state) {
  exhaust(&allocations_left, *state, train_and_assign);
}

static void every_thread_may_fail_to_start(void **state) {
  exhaust(&threads_left, *state, use_everything);
  exhaust(&threads_left, *state, train_and_assign);
  exhaust(&threads_left, *state, make_and_search_lists);
  exhaust(&threads_left, *state, build_snapshot);
}

static int set_up(void **state) {
  reader_fixture *fixture = fixture_make(8, 20);
  use_everything(fixture); /* so that the shards are in the cache */
  *state = fixture;
  return 0;
}

static int tear_down(void **state) {
  fixture_free(*state);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_allocation_of_a_reader_may_fail),
      cmocka_unit_test(every_allocation_of_a_look_at_the_snapshot_may_fail),
      cmocka_unit_test(every_allocation_of_a_search_in_lance_shards_may_fail),
      cmocka_unit_test(every_allocation_of_a_writer_of_a_lance_shard_may_fail),
      cmocka_unit_test(every_allocation_of_lists_may_fail),
      cmocka_unit_test(allocations_of_a_search_with_recall_may_fail),
      cmocka_unit_test(every_allocation_of_a_training_may_fail),
      cmocka_unit_test(every_allocation_of_a_build_may_fail),
      cmocka_unit_test(every_thread_may_fail_to_start),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
