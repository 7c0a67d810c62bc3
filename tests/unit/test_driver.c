/* A driver alone: results that do not cover the snapshot are refused, others are published in two phases. */
#include "shardyfusion.h"
#include "writer/driver.h"
#include "writer/worker.h"

#include "base/memory.h"
#include "cmocka_includes.h"
#include "support/scratch.h"

#include <string.h>
#include <sys/stat.h>

enum { DIM = 2, SHARDS = 4, EMPTY = 2 };

/* Shard 2 is empty. */
static const uint64_t rows_of_shards[SHARDS] = {3, 1, 0, 5};
enum { TOTAL_ROWS = 9 };

typedef struct run {
  char *folder;
  char *root;
  char *directory;
  char *url;
  sf_storage *storage;
  sf_routing_config routing;
  sf_driver_params params;
  sf_shard_result results[SHARDS];
} run;

static void write_shard(run *of, uint32_t db_id, uint32_t attempt) {
  sf_worker_params params = {.metric = SF_METRIC_L2,
                             .dim = DIM,
                             .db_id = db_id,
                             .attempt = attempt,
                             .storage = of->storage,
                             .run_key = "shards/run_id=run",
                             .directory = of->directory};
  sf_worker *worker = NULL;
  assert_int_equal(sf_shard_writer_find("sqlite-vec", &params.format, NULL), SF_OK);
  assert_int_equal(sf_worker_create(&params, &worker, NULL), SF_OK);
  for (uint64_t row = 0; row < rows_of_shards[db_id]; row++) {
    const float vector[DIM] = {(float)db_id, (float)row};
    const sf_shard_row added = {.vector = vector, .id_type = SF_ID_INTEGER, .id_integer = (int64_t)(100 * db_id + row)};
    assert_int_equal(sf_worker_add(worker, &added, 1, NULL), SF_OK);
  }
  assert_int_equal(sf_worker_finish(worker, NULL, &of->results[db_id], NULL), SF_OK);
  sf_worker_free(worker);
}

static int set_up(void **state) {
  run *made = sf_calloc(1, sizeof(*made));
  made->folder = scratch_make();
  made->root = scratch_path(made->folder, "root");
  made->directory = scratch_path(made->root, "shards/run_id=run");
  made->url = sf_format("file://%s", made->root);
  assert_int_equal(sf_storage_open(made->root, NULL, &made->storage, NULL), SF_OK);
  made->routing = (sf_routing_config){.strategy = SF_SHARDING_EXPLICIT, .num_probes = 1};
  made->params = (sf_driver_params){.storage = made->storage,
                                    .facts = {.run_id = "run",
                                              .s3_prefix = made->url,
                                              .num_dbs = SHARDS,
                                              .dim = DIM,
                                              .metric = SF_METRIC_L2,
                                              .routing = &made->routing},
                                    .num_rows = TOTAL_ROWS,
                                    .shard_rows = rows_of_shards};
  for (uint32_t id = 0; id < SHARDS; id++) {
    made->results[id].db_id = id;
    if (id != EMPTY)
      write_shard(made, id, 0);
  }
  *state = made;
  return 0;
}

static int tear_down(void **state) {
  run *freed = *state;
  sf_storage_close(freed->storage);
  scratch_remove(freed->folder);
  free(freed->root);
  free(freed->directory);
  free(freed->url);
  free(freed);
  return 0;
}

static bool is_there(const run *of, const char *name) {
  char *path = scratch_path(of->root, name);
  struct stat status;
  bool found = stat(path, &status) == 0;
  free(path);
  return found;
}

static void assert_refused_because(const run *of, size_t num_results, const char *expected) {
  sf_driver driver = {0};
  sf_error error = {0};
  assert_int_equal(sf_driver_check(&of->params, of->results, num_results, &error), SF_CONFIG_VALIDATION_ERROR);
  assert_string_equal(error.message, expected);
  assert_int_equal(sf_driver_prepare(&driver, &of->params, of->results, num_results, NULL, &error),
                   SF_CONFIG_VALIDATION_ERROR);
  assert_string_equal(error.message, expected);
  assert_false(driver.is_published);
  assert_null(driver.manifest_folder);
  sf_driver_free(&driver);
  assert_false(is_there(of, "manifests"));
  assert_false(is_there(of, "vector_meta"));
  assert_false(is_there(of, "_CURRENT"));
}

static void a_missing_shard_is_refused(void **state) {
  assert_refused_because(*state, SHARDS - 1, "shard 3: expected a result, found none");
}

static void a_shard_with_two_results_is_refused(void **state) {
  run *of = *state;
  of->results[3] = of->results[1];
  of->results[3].attempt = 1;
  assert_refused_because(of, SHARDS, "shard 1: expected one result, found another");
}

static void a_result_of_no_shard_of_the_snapshot_is_refused(void **state) {
  run *of = *state;
  of->results[0].db_id = SHARDS;
  assert_refused_because(of, SHARDS, "shard 4: expected results of shards 0 to 3, found one of it");
}

static void a_shard_with_other_rows_than_were_assigned_is_refused(void **state) {
  run *of = *state;
  of->results[3].num_rows = 4;
  assert_refused_because(of, SHARDS, "shard 3: expected 5 rows, as many as were assigned to it, found 4");
  of->results[3].num_rows = 5;
  of->results[EMPTY].num_rows = 1;
  assert_refused_because(of, SHARDS, "shard 2: expected 0 rows, as many as were assigned to it, found 1");
}

static void rows_that_do_not_add_up_are_refused(void **state) {
  run *of = *state;
  of->params.shard_rows = NULL;
  of->results[3].num_rows = 6;
  assert_refused_because(of, SHARDS, "shards: expected 9 rows in all, found 10");
  of->results[3].num_rows = (uint64_t)INT64_MAX + 1;
  of->results[3].num_bytes = 45056;
  assert_refused_because(of, SHARDS,
                         "shard 3: expected rows and bytes that fit in 63 bits, found 9223372036854775808 and 45056");
}

static void a_result_without_a_checkpoint_is_refused(void **state) {
  run *of = *state;
  memset(of->results[1].checkpoint_id, 'f', SF_HEX_ID_SIZE); /* not terminated */
  assert_refused_because(of, SHARDS, "shard 1: expected a checkpoint id of 32 hexadecimal digits, found another");
  of->results[1].checkpoint_id[0] = '\0';
  assert_refused_because(of, SHARDS, "shard 1: expected a checkpoint id of 32 hexadecimal digits, found another");
}

static void prepare(const run *of, sf_driver *driver) {
  sf_error error = {0};
  if (sf_driver_prepare(driver, &of->params, of->results, SHARDS, NULL, &error) != SF_OK)
    fail_msg("%s", error.message);
}

/* The id of the nearest row of a shard to {shard, row}. */
static int64_t find(sf_reader *reader, int64_t shard, size_t row) {
  const float query[DIM] = {(float)shard, (float)row};
  sf_search_request request = SF_SEARCH_REQUEST_INIT;
  sf_search_response *response = NULL;
  request.query = query;
  request.dim = DIM;
  request.top_k = 1;
  request.has_shard_ids = true;
  request.shard_ids = &shard;
  request.num_shard_ids = 1;
  assert_int_equal(sf_reader_search(reader, &request, &response, NULL), SF_OK);
  int64_t id = sf_search_response_results(response)->id_integer;
  sf_search_response_free(response);
  return id;
}

static void results_in_any_order_and_of_any_attempt_are_published(void **state) {
  run *of = *state;
  sf_driver driver = {0};
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  sf_reader *reader = NULL;
  sf_error error = {0};
  write_shard(of, 3, 7);
  scratch_remove(scratch_path(of->directory, "db=00003/attempt=00"));
  sf_shard_result first = of->results[0];
  of->results[0] = of->results[3];
  of->results[3] = first;
  prepare(of, &driver);
  assert_int_equal(sf_driver_publish(&driver, NULL, NULL), SF_OK);
  assert_true(driver.is_published);
  char *cache = scratch_path(of->folder, "cache");
  options.cache_dir = cache;
  if (sf_reader_open(of->root, &options, &reader, &error) != SF_OK)
    fail_msg("%s", error.message);
  assert_int_equal(find(reader, 0, 2), 2);
  assert_int_equal(find(reader, 3, 4), 304);
  sf_reader_free(reader);
  free(cache);
  sf_driver_free(&driver);
}

static void nothing_is_published_by_preparing(void **state) {
  run *of = *state;
  sf_driver driver = {0};
  prepare(of, &driver);
  assert_false(driver.is_published);
  assert_false(is_there(of, "manifests"));
  assert_false(is_there(of, "_CURRENT"));
  sf_driver_free(&driver);
}

static void the_manifest_is_stored_before_current_points_to_it(void **state) {
  run *of = *state;
  sf_driver driver = {0};
  sf_error error = {0};
  char *blocking = scratch_path(of->root, "_CURRENT/file"); /* a folder can't be replaced by an object */
  prepare(of, &driver);
  scratch_make_parents(blocking);
  assert_int_not_equal(sf_driver_publish(&driver, NULL, &error), SF_OK);
  assert_non_null(strstr(error.message, "is published, but _CURRENT does not point to it"));
  assert_true(driver.is_published);
  char *manifest = sf_format("%smanifest", driver.manifest_folder);
  assert_true(is_there(of, manifest));
  free(manifest);
  free(blocking);
  sf_driver_free(&driver);
}

static void a_manifest_of_the_same_name_is_not_replaced(void **state) {
  run *of = *state;
  sf_driver driver = {0};
  sf_error error = {0};
  prepare(of, &driver);
  assert_int_equal(sf_driver_publish(&driver, NULL, NULL), SF_OK);
  assert_int_not_equal(sf_driver_publish(&driver, NULL, &error), SF_OK);
  assert_non_null(strstr(error.message, "/manifest yet, found one"));
  sf_driver_free(&driver);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_missing_shard_is_refused, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_shard_with_two_results_is_refused, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_result_of_no_shard_of_the_snapshot_is_refused, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_shard_with_other_rows_than_were_assigned_is_refused, set_up, tear_down),
      cmocka_unit_test_setup_teardown(rows_that_do_not_add_up_are_refused, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_result_without_a_checkpoint_is_refused, set_up, tear_down),
      cmocka_unit_test_setup_teardown(results_in_any_order_and_of_any_attempt_are_published, set_up, tear_down),
      cmocka_unit_test_setup_teardown(nothing_is_published_by_preparing, set_up, tear_down),
      cmocka_unit_test_setup_teardown(the_manifest_is_stored_before_current_points_to_it, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_manifest_of_the_same_name_is_not_replaced, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
