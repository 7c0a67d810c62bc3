/* The record of a run: its lease, who renews it, and what a cleanup makes of one whose snapshot is published elsewhere. */
#include "support/scratch.h"

#include "base/memory.h"
#include "cmocka_includes.h"
#include "snapshot/manifest.h"
#include "writer/heartbeat.h"

#include <shardyfusion.h>
#include <stdatomic.h>
#include <string.h>

enum { DIM = 2, ROWS = 4 };

static char *read_record(sf_storage *storage, const char *key) {
  sf_buffer text = {0};
  bool found = false;
  assert_int_equal(sf_storage_get(storage, key, 1 << 20, NULL, &found, &text, NULL), SF_OK);
  assert_true(found && sf_buffer_append(&text, "", 1));
  return (char *)text.data;
}

/* The value in quotes after a name. */
static double time_of(const char *record, const char *name) {
  const char *found = strstr(record, name);
  assert_non_null(found);
  const char *value = strchr(found, '\'') + 1;
  double seconds;
  assert_true(sf_parse_timestamp(value, strcspn(value, "'"), &seconds));
  return seconds;
}

static void a_running_record_has_a_lease_and_an_ended_one_has_none(void **state) {
  (void)state;
  char *root = scratch_make();
  sf_storage *storage;
  sf_run_record record;
  assert_int_equal(sf_storage_open(root, NULL, &storage, NULL), SF_OK);
  assert_int_equal(sf_run_record_begin(&record, storage, "r", "file:///x", NULL, NULL), SF_OK);
  char *text = read_record(storage, record.key);
  double lasts = time_of(text, "lease_expires_at") - time_of(text, "updated_at");
  assert_true(lasts > SF_RUN_LEASE_SECONDS - 1 && lasts < SF_RUN_LEASE_SECONDS + 1);
  free(text);
  assert_int_equal(sf_run_record_succeed(&record, storage, "file:///x/manifest", NULL, NULL), SF_OK);
  text = read_record(storage, record.key);
  assert_true(time_of(text, "lease_expires_at") - time_of(text, "updated_at") < 1);
  free(text);
  sf_run_record_free(&record);
  sf_storage_close(storage);
  scratch_remove(root);
}

static void a_heartbeat_renews_the_record_until_it_is_stopped(void **state) {
  (void)state;
  char *root = scratch_make();
  sf_storage *storage;
  sf_run_record record;
  sf_heartbeat *heartbeat = NULL;
  double renewed = 0;
  assert_int_equal(sf_storage_open(root, NULL, &storage, NULL), SF_OK);
  assert_int_equal(sf_run_record_begin(&record, storage, "r", "file:///x", NULL, NULL), SF_OK);
  char *text = read_record(storage, record.key);
  double begun = time_of(text, "updated_at");
  free(text);
  assert_int_equal(sf_heartbeat_start(&record, storage, NULL, 1, &heartbeat, NULL), SF_OK);
  while (renewed <= begun) {
    text = read_record(storage, record.key);
    renewed = time_of(text, "updated_at");
    free(text);
  }
  sf_heartbeat_stop(heartbeat);
  sf_heartbeat_stop(NULL);
  sf_run_record_free(&record);
  sf_storage_close(storage);
  scratch_remove(root);
}

/* ------------------------------------------------------------------------------------------- Builds and their options */

static void count_warnings(sf_log_level level, const char *message, void *user_data) {
  if (level == SF_LOG_WARNING && strstr(message, "the snapshot is empty") != NULL)
    atomic_fetch_add((atomic_int *)user_data, 1);
}

static sf_build_options options_for(atomic_int *warnings) {
  sf_build_options options = SF_BUILD_OPTIONS_INIT;
  options.strategy = SF_SHARDING_LSH;
  options.num_dbs = 2;
  options.dim = DIM;
  options.num_threads = 1;
  options.run_id = "r";
  options.log = count_warnings;
  options.log_user_data = warnings;
  return options;
}

static sf_code build(const char *root, const sf_build_options *options, size_t num_rows, sf_build_result **result) {
  static const float vectors[ROWS][DIM] = {{1, 0}, {0, 1}, {-1, 0}, {0, -1}};
  sf_row_batch batch = SF_ROW_BATCH_INIT;
  sf_builder *builder = NULL;
  batch.count = num_rows;
  batch.vectors = vectors;
  batch.dim = DIM;
  batch.vector_type = SF_FLOAT32;
  sf_code code = sf_builder_create(root, options, &builder, NULL);
  if (code == SF_OK && num_rows > 0)
    code = sf_builder_add(builder, &batch, NULL);
  if (code == SF_OK)
    code = sf_builder_finish(builder, result, NULL);
  sf_builder_free(builder);
  return code;
}

static void a_build_without_rows_fails_unless_it_is_allowed(void **state) {
  (void)state;
  char *root = scratch_make();
  atomic_int warnings = 0;
  sf_build_result *result = NULL;
  sf_reader *reader = NULL;
  sf_build_options options = options_for(&warnings);
  assert_int_equal(build(root, &options, 0, &result), SF_CONFIG_VALIDATION_ERROR);
  options.allow_no_rows = true;
  assert_int_equal(build(root, &options, 0, &result), SF_OK);
  assert_true(result->num_rows == 0 && result->num_shards == 0 && result->num_dbs == 2);
  assert_int_equal(warnings, 1);
  sf_free(result);
  assert_int_equal(sf_reader_open(root, NULL, &reader, NULL), SF_OK);
  sf_reader_free(reader);
  options.run_id = "s";
  options.strategy = SF_SHARDING_CLUSTER;
  assert_int_equal(build(root, &options, 0, &result), SF_CONFIG_VALIDATION_ERROR);
  scratch_remove(root);
}

static bool is_there(const char *root, const char *key) {
  sf_object_request request = SF_OBJECT_REQUEST_INIT;
  sf_object_answer *answer = NULL;
  request.key = key;
  assert_int_equal(sf_object_call(root, NULL, &request, &answer, NULL), SF_OK);
  bool found = answer->found;
  sf_free(answer);
  return found;
}

static void a_build_can_leave_publishing_to_its_caller(void **state) {
  (void)state;
  char *root = scratch_make();
  atomic_int warnings = 0;
  sf_build_result *result = NULL;
  size_t num_runs;
  sf_cleanup_options cleanup = SF_CLEANUP_OPTIONS_INIT;
  sf_build_options options = options_for(&warnings);
  cleanup.remove = true;
  cleanup.min_age_seconds = 0;
  options.leave_unpublished = true;
  assert_int_equal(build(root, &options, ROWS, &result), SF_OK);
  assert_false(is_there(root, "_CURRENT"));
  assert_int_equal(sf_manifest_check(result->manifest, result->manifest_length, "manifest", NULL), SF_OK);
  for (uint32_t id = 0; id < result->num_dbs; id++) {
    const sf_built_shard *shard = sf_build_result_shard(result, id);
    assert_true((shard->checkpoint_id == NULL) == (shard->db_url == NULL));
    assert_true(shard->checkpoint_id == NULL || strlen(shard->checkpoint_id) == 32);
  }
  const char *record = strstr(result->run_record_ref, "/runs/");
  assert_non_null(record);
  assert_true(is_there(root, record + 1));
  /* Published elsewhere: its shards are no leftovers. */
  assert_int_equal(sf_snapshot_cleanup(root, &cleanup, &num_runs, NULL), SF_OK);
  assert_int_equal(num_runs, 0);
  assert_true(is_there(root, record + 1));
  sf_free(result);
  scratch_remove(root);
}

static void page_sizes_are_powers_of_two(void **state) {
  (void)state;
  char *root = scratch_make();
  atomic_int warnings = 0;
  sf_build_result *result = NULL;
  sf_build_options options = options_for(&warnings);
  options.backend = "sqlite-vec";
  for (options.page_size = 4095; options.page_size <= 131072; options.page_size *= 2)
    assert_int_equal(build(root, &options, ROWS, &result), SF_CONFIG_VALIDATION_ERROR);
  options.page_size = 8192;
  assert_int_equal(build(root, &options, ROWS, &result), SF_OK);
  sf_free(result);
  scratch_remove(root);
}

static void sidecars_are_of_sqlite_vec(void **state) {
  (void)state;
  char *root = scratch_make();
  atomic_int warnings = 0;
  sf_build_result *result = NULL;
  sf_build_options options = options_for(&warnings);
  options.emit_sidecar = true;
  assert_int_equal(build(root, &options, ROWS, &result), SF_CONFIG_VALIDATION_ERROR);
  options.backend = "sqlite-vec";
  assert_int_equal(build(root, &options, ROWS, &result), SF_OK);
  for (uint32_t id = 0; id < result->num_dbs; id++) {
    const char *url = sf_build_result_shard(result, id)->db_url;
    char *key = url != NULL ? sf_format("%s/shard.sidecar", strstr(url, "/shards/") + 1) : NULL;
    assert_true(key == NULL || is_there(root, key));
    free(key);
  }
  sf_free(result);
  scratch_remove(root);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_running_record_has_a_lease_and_an_ended_one_has_none),
      cmocka_unit_test(a_heartbeat_renews_the_record_until_it_is_stopped),
      cmocka_unit_test(a_build_without_rows_fails_unless_it_is_allowed),
      cmocka_unit_test(a_build_can_leave_publishing_to_its_caller),
      cmocka_unit_test(page_sizes_are_powers_of_two),
      cmocka_unit_test(sidecars_are_of_sqlite_vec),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
