/* Building from C: batches of every shape, finishing asynchronously, stopping, several builders at once. */

#include "base/memory.h"
#include "cmocka_includes.h"
#include "random.h"
#include "shardyfusion/build.h"
#include "shardyfusion/search.h"
#include "support/scratch.h"

#include <dirent.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROWS = 3000, DIM = 12, SHARDS = 3 };

typedef struct rows {
  char *folder;
  char *root;
  float *vectors; /* ROWS × DIM */
  int64_t *shard_ids;
} rows;

static rows make_rows(void) {
  uint64_t random = 5;
  rows made = {.folder = scratch_make(),
               .vectors = sf_calloc((size_t)ROWS * DIM, sizeof(float)),
               .shard_ids = sf_calloc(ROWS, sizeof(int64_t))};
  made.root = scratch_path(made.folder, "root");
  for (size_t i = 0; i < (size_t)ROWS * DIM; i++)
    made.vectors[i] = random_component(&random);
  for (size_t i = 0; i < ROWS; i++)
    made.shard_ids[i] = (int64_t)(i % SHARDS);
  return made;
}

static void free_rows(rows *freed) {
  scratch_remove(freed->folder);
  free(freed->root);
  free(freed->vectors);
  free(freed->shard_ids);
}

static sf_build_options explicit_options(void) {
  sf_build_options options = SF_BUILD_OPTIONS_INIT;
  options.metric = SF_METRIC_L2;
  options.backend = "sqlite-vec"; /* which keeps the type of ids */
  options.strategy = SF_SHARDING_EXPLICIT;
  options.num_dbs = SHARDS;
  options.num_threads = 3;
  options.run_id = "run";
  return options;
}

static sf_row_batch batch_of(const rows *from, size_t first, size_t count) {
  sf_row_batch batch = SF_ROW_BATCH_INIT;
  batch.count = count;
  batch.vectors = from->vectors + first * DIM;
  batch.dim = DIM;
  batch.shard_ids = from->shard_ids + first;
  return batch;
}

static void add_all(sf_builder *builder, const rows *from) {
  sf_error error = {0};
  for (size_t first = 0; first < ROWS; first += 700) {
    sf_row_batch batch = batch_of(from, first, ROWS - first < 700 ? ROWS - first : 700);
    if (sf_builder_add(builder, &batch, &error) != SF_OK)
      fail_msg("%s", error.message);
  }
}

static sf_builder *create(const rows *from, const sf_build_options *options) {
  sf_builder *builder = NULL;
  sf_error error = {0};
  if (sf_builder_create(from->root, options, &builder, &error) != SF_OK)
    fail_msg("%s", error.message);
  return builder;
}

/* The nearest row to row `row`, over all shards. */
static void assert_found(const rows *from, size_t row, sf_id_type id_type, int64_t integer, const char *string) {
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  sf_reader *reader = NULL;
  sf_search_response *response = NULL;
  sf_error error = {0};
  char *cache = scratch_path(from->folder, "cache");
  int64_t shard_ids[SHARDS] = {0, 1, 2};
  options.cache_dir = cache;
  sf_search_request request = SF_SEARCH_REQUEST_INIT;
  request.query = from->vectors + row * DIM;
  request.dim = DIM;
  request.top_k = 1;
  request.has_shard_ids = true;
  request.shard_ids = shard_ids;
  request.num_shard_ids = SHARDS;
  if (sf_reader_open(from->root, &options, &reader, &error) != SF_OK ||
      sf_reader_search(reader, &request, &response, &error) != SF_OK)
    fail_msg("%s", error.message);
  const sf_search_result *result = sf_search_response_results(response);
  assert_int_equal(result->id_type, id_type);
  if (id_type == SF_ID_INTEGER)
    assert_int_equal(result->id_integer, integer);
  else
    assert_string_equal(result->id_string, string);
  assert_true(result->score < 1e-2);
  sf_search_response_free(response);
  sf_reader_free(reader);
  free(cache);
}

static size_t count_entries(const char *root, const char *name) {
  char *path = scratch_path(root, name);
  DIR *folder = opendir(path);
  size_t count = 0;
  for (const struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;)
    count += entry->d_name[0] != '.';
  if (folder != NULL)
    closedir(folder);
  free(path);
  return count;
}

static void assert_nothing_left(const rows *from) {
  assert_int_equal(count_entries(from->root, "shards"), 0);
  assert_int_equal(count_entries(from->root, "vector_meta"), 0);
  assert_int_equal(count_entries(from->root, "manifests"), 0);
  assert_int_equal(count_entries(from->root, "runs"), 0);
}

static void what_is_added_in_batches_is_published_whole(void **state) {
  (void)state;
  rows from = make_rows();
  sf_build_options options = explicit_options();
  sf_builder *builder = create(&from, &options);
  sf_build_result *result;
  add_all(builder, &from);
  assert_int_equal(sf_builder_finish(builder, &result, NULL), SF_OK);
  assert_string_equal(result->run_id, "run");
  assert_int_equal(result->num_rows, ROWS);
  assert_int_equal(result->dim, DIM);
  assert_int_equal(result->num_shards, SHARDS);
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < SHARDS; i++) {
    assert_int_equal(result->shards[i].db_id, i);
    assert_int_equal(result->shards[i].num_rows, ROWS / SHARDS);
    assert_non_null(result->shards[i].db_url);
    bytes += result->shards[i].num_bytes;
  }
  assert_int_equal(result->num_bytes, bytes);
  sf_free(result);
  sf_error error;
  sf_row_batch batch = batch_of(&from, 0, 1);
  assert_int_equal(sf_builder_add(builder, &batch, &error), SF_CONFIG_VALIDATION_ERROR);
  assert_non_null(strstr(error.message, "finished"));
  sf_builder_free(builder);
  assert_found(&from, 1234, SF_ID_INTEGER, 1234, NULL);
  free_rows(&from);
}

/* binary16 of a float that it holds exactly. */
static uint16_t half_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  if (value > -1e-6f && value < 1e-6f)
    return 0;
  return (uint16_t)((bits >> 16 & 0x8000) | ((bits >> 23 & 255) - 112) << 10 | (bits >> 13 & 1023));
}

static void vectors_of_every_type_and_stride_are_taken(void **state) {
  (void)state;
  rows from = make_rows();
  static uint16_t halves[ROWS][DIM + 3];
  static double doubles[ROWS][DIM];
  static float spread[ROWS][DIM + 1];
  for (size_t i = 0; i < ROWS; i++)
    for (size_t j = 0; j < DIM; j++) {
      float *value = &from.vectors[i * DIM + j];
      *value = (float)(int)(*value * 100) / 64.0f; /* a binary16 holds it */
      halves[i][j] = half_of(*value);
      doubles[i][j] = (double)*value;
      spread[i][j] = *value;
    }
  sf_build_options options = explicit_options();
  sf_builder *builder = create(&from, &options);
  sf_row_batch batch = batch_of(&from, 0, 1000);
  batch.vectors = halves;
  batch.vector_type = SF_FLOAT16;
  batch.row_stride = sizeof(halves[0]);
  assert_int_equal(sf_builder_add(builder, &batch, NULL), SF_OK);
  batch = batch_of(&from, 1000, 1000);
  batch.vectors = doubles[1000];
  batch.vector_type = SF_FLOAT64;
  assert_int_equal(sf_builder_add(builder, &batch, NULL), SF_OK);
  batch = batch_of(&from, 2000, 1000);
  batch.vectors = spread[2000];
  batch.row_stride = sizeof(spread[0]);
  assert_int_equal(sf_builder_add(builder, &batch, NULL), SF_OK);
  sf_build_result *result;
  assert_int_equal(sf_builder_finish(builder, &result, NULL), SF_OK);
  sf_free(result);
  sf_builder_free(builder);
  assert_found(&from, 500, SF_ID_INTEGER, 500, NULL);
  assert_found(&from, 1500, SF_ID_INTEGER, 1500, NULL);
  assert_found(&from, 2500, SF_ID_INTEGER, 2500, NULL);
  free_rows(&from);
}

static void ids_of_both_types_go_together(void **state) {
  (void)state;
  rows from = make_rows();
  static int64_t integers[ROWS];
  static const char *strings[ROWS];
  for (size_t i = 0; i < ROWS; i++)
    integers[i] = -(int64_t)i;
  strings[7] = "7";
  strings[8] = "eight";
  integers[9] = 7;
  sf_build_options options = explicit_options();
  sf_builder *builder = create(&from, &options);
  sf_row_batch batch = batch_of(&from, 0, ROWS);
  batch.integer_ids = integers;
  batch.string_ids = strings;
  assert_int_equal(sf_builder_add(builder, &batch, NULL), SF_OK);
  sf_build_result *result;
  assert_int_equal(sf_builder_finish(builder, &result, NULL), SF_OK);
  sf_free(result);
  sf_builder_free(builder);
  assert_found(&from, 7, SF_ID_STRING, 0, "7");
  assert_found(&from, 8, SF_ID_STRING, 0, "eight");
  assert_found(&from, 9, SF_ID_INTEGER, 7, NULL);
  assert_found(&from, 10, SF_ID_INTEGER, -10, NULL);
  free_rows(&from);
}

static bool never_stop(const sf_build_progress *progress, void *user_data) {
  assert_int_equal(progress->size, sizeof(*progress));
  unsigned *phases = user_data;
  *phases |= 1u << progress->phase;
  return true;
}

static void finishing_asynchronously_wakes_the_queue(void **state) {
  (void)state;
  rows from = make_rows();
  unsigned phases = 0;
  sf_build_options options = explicit_options();
  options.strategy = SF_SHARDING_CLUSTER;
  options.progress = never_stop;
  options.progress_user_data = &phases;
  sf_executor *executor;
  sf_completion_queue *queue;
  sf_operation *operation;
  assert_int_equal(sf_executor_create(1, 1, &executor, NULL), SF_OK);
  assert_int_equal(sf_completion_queue_create(&queue, NULL), SF_OK);
  options.executor = executor;
  sf_builder *builder = create(&from, &options);
  add_all(builder, &from);
  assert_int_equal(sf_builder_finish_submit(builder, queue, &phases, &operation, NULL), SF_OK);
  assert_ptr_equal(sf_completion_queue_wait(queue, -1), operation);
  assert_int_equal(sf_operation_result(operation, NULL), SF_OK);
  sf_build_result *result = sf_operation_take_build_result(operation);
  assert_non_null(result);
  assert_null(sf_operation_take_build_result(operation));
  assert_int_equal(result->num_rows, ROWS);
  assert_true(result->training_seconds > 0);
  sf_free(result);
  sf_operation_release(operation);
  sf_builder_free(builder);
  assert_int_equal(phases, 15);
  sf_completion_queue_free(queue);
  sf_executor_release(executor);
  assert_found(&from, 99, SF_ID_INTEGER, 99, NULL);
  free_rows(&from);
}

static bool stop_at(const sf_build_progress *progress, void *user_data) {
  return progress->phase != *(sf_build_phase *)user_data;
}

static void a_build_that_is_stopped_leaves_nothing(void **state) {
  (void)state;
  static const sf_build_phase phases[] = {SF_BUILD_TRAINING, SF_BUILD_WRITING, SF_BUILD_FINISHING, SF_BUILD_PUBLISHING};
  for (size_t i = 0; i < 4; i++) {
    rows from = make_rows();
    sf_build_phase phase = phases[i];
    sf_build_options options = explicit_options();
    options.strategy = SF_SHARDING_CLUSTER;
    options.progress = stop_at;
    options.progress_user_data = &phase;
    sf_builder *builder = create(&from, &options);
    sf_row_batch batch = batch_of(&from, 0, ROWS);
    sf_build_result *result;
    sf_code code = sf_builder_train(builder, &batch, NULL);
    if (code == SF_OK)
      code = sf_builder_add(builder, &batch, NULL);
    if (code == SF_OK)
      code = sf_builder_finish(builder, &result, NULL);
    assert_int_equal(code, SF_CANCELLED_ERROR);
    sf_error error;
    assert_int_equal(sf_builder_finish(builder, &result, &error), SF_CONFIG_VALIDATION_ERROR);
    assert_non_null(strstr(error.message, "failed"));
    sf_builder_free(builder);
    assert_nothing_left(&from);
    free_rows(&from);
  }
}

static void a_finish_that_is_cancelled_publishes_all_or_nothing(void **state) {
  (void)state;
  for (int i = 0; i < 10; i++) {
    rows from = make_rows();
    sf_build_options options = explicit_options();
    sf_operation *operation;
    sf_builder *builder = create(&from, &options);
    add_all(builder, &from);
    assert_int_equal(sf_builder_finish_submit(builder, NULL, NULL, &operation, NULL), SF_OK);
    usleep((useconds_t)i * 700);
    sf_operation_cancel(operation);
    assert_true(sf_operation_wait(operation, -1));
    sf_code code = sf_operation_result(operation, NULL);
    sf_operation_release(operation);
    sf_builder_free(builder);
    if (code == SF_OK) {
      assert_found(&from, 5, SF_ID_INTEGER, 5, NULL);
    } else {
      assert_int_equal(code, SF_CANCELLED_ERROR);
      if (count_entries(from.root, "manifests") == 0)
        assert_nothing_left(&from);
    }
    free_rows(&from);
  }
}

static void a_builder_that_is_freed_early_leaves_nothing(void **state) {
  (void)state;
  rows from = make_rows();
  sf_build_options options = explicit_options();
  sf_builder_free(create(&from, &options));
  assert_nothing_left(&from);
  sf_builder *builder = create(&from, &options);
  add_all(builder, &from);
  sf_builder_free(builder);
  assert_nothing_left(&from);
  sf_builder_free(NULL);
  free_rows(&from);
}

static void training_comes_before_rows(void **state) {
  (void)state;
  rows from = make_rows();
  sf_build_options options = explicit_options();
  options.strategy = SF_SHARDING_CLUSTER;
  options.training_rows = 500;
  sf_builder *builder = create(&from, &options);
  sf_row_batch batch = batch_of(&from, 0, ROWS);
  assert_int_equal(sf_builder_training_rows(builder, DIM), 500);
  assert_int_equal(sf_builder_train(builder, &batch, NULL), SF_OK);
  assert_int_equal(sf_builder_training_rows(builder, DIM), 0);
  assert_int_equal(sf_builder_train(builder, &batch, NULL), SF_OK); /* nothing is left to train */
  add_all(builder, &from);
  sf_builder_free(builder);
  options.training_rows = 2000;
  builder = create(&from, &options);
  batch.count = 10;
  assert_int_equal(sf_builder_add(builder, &batch, NULL), SF_OK);
  assert_int_equal(sf_builder_train(builder, &batch, NULL), SF_CONFIG_VALIDATION_ERROR);
  sf_builder_free(builder);
  free_rows(&from);
}

static void what_can_not_be_is_refused_by_name(void **state) {
  (void)state;
  rows from = make_rows();
  sf_builder *builder = NULL;
  sf_error error;
  sf_build_options options = explicit_options();
  options.size = 8;
  assert_int_equal(sf_builder_create(from.root, &options, &builder, &error), SF_CONFIG_VALIDATION_ERROR);
  assert_int_equal(sf_builder_create(from.root, NULL, &builder, &error), SF_CONFIG_VALIDATION_ERROR);
  options = explicit_options();
  options.backend = "paper";
  assert_int_equal(sf_builder_create(from.root, &options, &builder, &error), SF_CONFIG_VALIDATION_ERROR);
  assert_non_null(strstr(error.message, "paper"));
  assert_int_equal(sf_builder_add(NULL, NULL, &error), SF_CONFIG_VALIDATION_ERROR);
  options = explicit_options();
  builder = create(&from, &options);
  sf_row_batch batch = batch_of(&from, 0, 10);
  batch.shard_ids = NULL;
  assert_int_equal(sf_builder_add(builder, &batch, &error), SF_CONFIG_VALIDATION_ERROR);
  assert_non_null(strstr(error.message, "shard_ids"));
  sf_builder_free(builder);
  builder = create(&from, &options);
  batch = batch_of(&from, 0, 10);
  assert_int_equal(sf_builder_add(builder, &batch, &error), SF_OK);
  batch.dim = DIM - 1;
  assert_int_equal(sf_builder_add(builder, &batch, &error), SF_CONFIG_VALIDATION_ERROR);
  assert_non_null(strstr(error.message, "expected 12 components, found 11"));
  sf_builder_free(builder);
  assert_nothing_left(&from);
  free_rows(&from);
}

static void a_forks_child_can_not_build(void **state) {
  (void)state;
  rows from = make_rows();
  sf_build_options options = explicit_options();
  options.num_threads = 1;
  sf_builder *builder = create(&from, &options);
  sf_row_batch batch = batch_of(&from, 0, 10);
  pid_t child = fork();
  if (child == 0) {
    sf_code code = sf_builder_add(builder, &batch, NULL);
    sf_builder_free(builder);
    _exit(code == SF_READER_STATE_ERROR ? 0 : 1);
  }
  int status = -1;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
  assert_int_equal(sf_builder_add(builder, &batch, NULL), SF_OK);
  sf_build_result *result;
  assert_int_equal(sf_builder_finish(builder, &result, NULL), SF_OK);
  sf_free(result);
  sf_builder_free(builder);
  free_rows(&from);
}

static void *build_once(void *argument) {
  const rows *from = argument;
  sf_build_options options = explicit_options();
  options.run_id = NULL;
  options.strategy = SF_SHARDING_LSH;
  sf_builder *builder;
  sf_build_result *result = NULL;
  sf_row_batch batch = batch_of(from, 0, ROWS);
  if (sf_builder_create(from->root, &options, &builder, NULL) != SF_OK)
    return NULL;
  if (sf_builder_add(builder, &batch, NULL) == SF_OK)
    (void)sf_builder_finish(builder, &result, NULL);
  sf_builder_free(builder);
  return result;
}

static void builders_of_one_root_do_not_get_in_each_others_way(void **state) {
  (void)state;
  enum { THREADS = 4 };
  rows from = make_rows();
  pthread_t threads[THREADS];
  for (size_t i = 0; i < THREADS; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, build_once, &from), 0);
  for (size_t i = 0; i < THREADS; i++) {
    void *result;
    assert_int_equal(pthread_join(threads[i], &result), 0);
    assert_non_null(result);
    sf_free(result);
  }
  assert_int_equal(count_entries(from.root, "manifests"), THREADS);
  assert_found(&from, 77, SF_ID_INTEGER, 77, NULL);
  size_t num_runs = 1;
  sf_cleanup_options options = SF_CLEANUP_OPTIONS_INIT;
  options.min_age_seconds = 0;
  options.remove = true;
  assert_int_equal(sf_snapshot_cleanup(from.root, &options, &num_runs, NULL), SF_OK);
  assert_int_equal(num_runs, 0);
  free_rows(&from);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_added_in_batches_is_published_whole),
      cmocka_unit_test(vectors_of_every_type_and_stride_are_taken),
      cmocka_unit_test(ids_of_both_types_go_together),
      cmocka_unit_test(finishing_asynchronously_wakes_the_queue),
      cmocka_unit_test(a_build_that_is_stopped_leaves_nothing),
      cmocka_unit_test(a_finish_that_is_cancelled_publishes_all_or_nothing),
      cmocka_unit_test(a_builder_that_is_freed_early_leaves_nothing),
      cmocka_unit_test(training_comes_before_rows),
      cmocka_unit_test(what_can_not_be_is_refused_by_name),
      cmocka_unit_test(a_forks_child_can_not_build),
      cmocka_unit_test(builders_of_one_root_do_not_get_in_each_others_way),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
