/* Opening: the pointer, the manifest that it names, older ones in its place, and the artifacts that routing needs. */
#include "snapshot/snapshot.h"

#include "cmocka_includes.h"
#include "manifest_files.h"
#include "temporary_folder.h"

#define NAME(hour) "2026-01-02T" hour ":04:05.000006Z_run_id=run" hour
#define KEY(hour) "manifests/" NAME(hour) "/manifest"

static void put_bytes(const char *name, sf_buffer bytes) {
  char *path = sf_format("snapshot/%s", name);
  put_file(path, bytes.data, bytes.length);
  free(path);
  sf_buffer_free(&bytes);
}

static void put_manifest(const char *hour, const char *changes) {
  char *key = sf_format("manifests/2026-01-02T%s:04:05.000006Z_run_id=run%s/manifest", hour, hour);
  put_bytes(key, manifest_of(changes));
  free(key);
}

static void put_broken(const char *hour) {
  put_manifest(hour, "UPDATE build_meta SET format_version=5");
}

static void put_pointer(const char *manifest_ref) {
  char *text = sf_format("{\"manifest_ref\": \"%s\", \"manifest_content_type\": \"application/x-sqlite3\", \"run_id\": "
                         "\"run\", \"updated_at\": \"2026-01-02T05:00:00Z\", \"format_version\": 1}",
                         manifest_ref);
  put_text("snapshot/_CURRENT", text);
  free(text);
}

/* An array of `rows` × `columns` float64 zeros. */
static void put_array(const char *name, int rows, int columns) {
  sf_buffer bytes = {0};
  uint8_t preamble[] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, 118, 0};
  char *dictionary = sf_format("{'descr': '<f8', 'fortran_order': False, 'shape': (%d, %d), }", rows, columns);
  assert_true(sf_buffer_append(&bytes, preamble, sizeof(preamble)));
  assert_true(sf_buffer_append_format(&bytes, "%-117s\n", dictionary));
  for (int i = 0; i < rows * columns; i++)
    assert_true(sf_buffer_append(&bytes, "\0\0\0\0\0\0\0\0", 8));
  put_bytes(name, bytes);
  free(dictionary);
}

#define CENTROIDS "vector_meta/run_id=run/centroids.npy"

/* A whole snapshot: three manifests, of which the newest is live. */
static int set_up(void **state) {
  (void)state;
  char path[PATH_SIZE];
  remove_files(path_of(path, "snapshot"));
  put_manifest("03", "UPDATE build_meta SET run_id='run03'");
  put_manifest("04", "UPDATE build_meta SET run_id='run04'");
  put_manifest("05", "UPDATE build_meta SET run_id='run05'");
  put_array(CENTROIDS, 3, 4);
  put_pointer("s3://bucket/p/" KEY("05"));
  return 0;
}

static sf_code load_with(const sf_snapshot_load_options *options, sf_snapshot **snapshot, sf_error *error) {
  char root[PATH_SIZE];
  sf_storage *storage;
  assert_int_equal(sf_storage_open(path_of(root, "snapshot"), NULL, &storage, NULL), SF_OK);
  sf_code code = sf_snapshot_load(storage, options, NULL, snapshot, error);
  sf_storage_close(storage);
  return code;
}

static sf_code load(uint32_t max_fallback_attempts, sf_snapshot **snapshot, sf_error *error) {
  const sf_snapshot_load_options options = {.max_fallback_attempts = max_fallback_attempts};
  return load_with(&options, snapshot, error);
}

static void assert_loads(uint32_t max_fallback_attempts, const char *run_id) {
  sf_snapshot *snapshot;
  sf_error error = {0};
  if (load(max_fallback_attempts, &snapshot, &error) != SF_OK)
    fail_msg("%s", error.message);
  assert_string_equal(snapshot->manifest.run_id, run_id);
  sf_snapshot_free(snapshot);
}

static void assert_fails(uint32_t max_fallback_attempts, sf_code expected, const char *message_part) {
  sf_snapshot *snapshot;
  sf_error error = {0};
  sf_code code = load(max_fallback_attempts, &snapshot, &error);
  if (code != expected || error.code != expected || strstr(error.message, message_part) == NULL)
    fail_msg("expected %s with '%s', found %s '%s'", sf_code_name(expected), message_part, sf_code_name(code),
             error.message);
  assert_int_equal(load(max_fallback_attempts, &snapshot, NULL), expected);
}

static void the_live_manifest_is_loaded(void **state) {
  (void)state;
  sf_snapshot *snapshot;
  assert_int_equal(load(3, &snapshot, NULL), SF_OK);
  assert_string_equal(snapshot->manifest.run_id, "run05");
  assert_string_equal(snapshot->manifest_ref, "s3://bucket/p/" KEY("05"));
  assert_true(snapshot->published_seconds == 1767330000); /* of the pointer */
  assert_int_equal(snapshot->artifact.num_rows, 3);
  assert_non_null(snapshot->router);
  sf_snapshot_free(snapshot);
}

static void a_live_manifest_that_is_known_is_not_loaded_again(void **state) {
  (void)state;
  char path[PATH_SIZE];
  sf_snapshot *snapshot = NULL;
  unlink(path_of(path, "snapshot/" KEY("05")));
  const sf_snapshot_load_options options = {.known_ref = "s3://bucket/p/" KEY("05")};
  assert_int_equal(load_with(&options, &snapshot, NULL), SF_OK);
  assert_null(snapshot);
}

static void without_a_pointer_there_is_no_snapshot(void **state) {
  (void)state;
  char path[PATH_SIZE];
  unlink(path_of(path, "snapshot/_CURRENT"));
  assert_fails(3, SF_READER_STATE_ERROR, "no snapshot at ");
}

static void a_malformed_pointer_is_refused(void **state) {
  (void)state;
  put_text("snapshot/_CURRENT", "{");
  assert_fails(3, SF_MANIFEST_PARSE_ERROR, "_CURRENT: ");
  put_pointer("s3://bucket/p/elsewhere/manifest");
  assert_fails(3, SF_MANIFEST_PARSE_ERROR, "s3://bucket/p/elsewhere/manifest");
  put_pointer("s3://bucket/p/manifests/../../secret");
  assert_fails(3, SF_MANIFEST_PARSE_ERROR, "/manifests/../../secret");
}

static void the_newest_older_manifest_takes_the_place_of_a_malformed_one(void **state) {
  (void)state;
  sf_snapshot *snapshot;
  put_broken("05");
  assert_int_equal(load(3, &snapshot, NULL), SF_OK);
  assert_string_equal(snapshot->manifest.run_id, "run04");
  assert_string_equal(snapshot->manifest_ref, "s3://bucket/p/" KEY("04"));
  assert_true(snapshot->published_seconds > 1767326645 && snapshot->published_seconds < 1767326645.1); /* of the name */
  sf_snapshot_free(snapshot);
  put_broken("04");
  assert_loads(2, "run03");
}

static void a_newer_manifest_is_tried_too(void **state) {
  (void)state;
  put_pointer("s3://bucket/p/" KEY("04"));
  put_broken("04");
  assert_loads(1, "run05");
}

static void attempts_are_counted_without_the_live_one(void **state) {
  (void)state;
  put_broken("05");
  put_broken("04");
  assert_fails(1, SF_MANIFEST_PARSE_ERROR, "manifest s3://bucket/p/" KEY("05") ": expected format_version");
  assert_loads(2, "run03");
}

static void no_attempts_turn_fallback_off(void **state) {
  (void)state;
  put_broken("05");
  assert_fails(0, SF_MANIFEST_PARSE_ERROR, "manifest s3://bucket/p/" KEY("05"));
}

static void where_none_parses_the_first_failure_is_told(void **state) {
  (void)state;
  put_manifest("05", "UPDATE build_meta SET num_dbs=0");
  put_broken("04");
  put_broken("03");
  assert_fails(3, SF_MANIFEST_PARSE_ERROR, KEY("05") ": expected num_dbs");
}

static void folders_that_are_no_published_runs_are_passed_over(void **state) {
  (void)state;
  char path[PATH_SIZE];
  put_broken("05");
  put_text("snapshot/manifests/zzz/manifest", "");
  put_text("snapshot/manifests/2026-01-02T06:04:05.000006Z_run_id=/manifest", "");
  put_text("snapshot/manifests/2026-13-02T06:04:05.000006Z_run_id=x/manifest", "");
  put_text("snapshot/manifests/2026-01-02T06:04:05.000006Z_run_id=file", "");
  mkdir(path_of(path, "snapshot/manifests/2026-01-02T07:04:05.000006Z_run_id=unpublished"), 0777);
  assert_loads(1, "run04");
}

static void a_storage_failure_does_not_fall_back(void **state) {
  (void)state;
  char path[PATH_SIZE];
  unlink(path_of(path, "snapshot/" KEY("05")));
  assert_fails(3, SF_MANIFEST_STORE_ERROR, KEY("05"));
  mkdir(path, 0777);
  assert_fails(3, SF_ERROR, "is not a regular file");
}

static void a_storage_failure_while_falling_back_is_told(void **state) {
  (void)state;
  char path[PATH_SIZE];
  put_broken("05");
  unlink(path_of(path, "snapshot/" KEY("04")));
  mkdir(path, 0777);
  assert_fails(3, SF_ERROR, "is not a regular file");
}

static void a_manifest_without_vectors_is_the_readers_state(void **state) {
  (void)state;
  put_manifest("05", "UPDATE build_meta SET custom='{}'");
  assert_fails(3, SF_READER_STATE_ERROR, "expected vector metadata in custom, found none");
}

static void an_artifact_must_be_there_and_fit(void **state) {
  (void)state;
  char path[PATH_SIZE];
  static const int shapes[][2] = {{2, 4}, {4, 4}, {3, 3}, {3, 5}, {0, 4}, {4, 3}};
  for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
    put_array(CENTROIDS, shapes[i][0], shapes[i][1]);
    assert_fails(3, SF_READER_STATE_ERROR, "centroids s3://bucket/p/" CENTROIDS ": expected an array of 3 × 4");
  }
  put_text("snapshot/" CENTROIDS, "no array");
  assert_fails(3, SF_READER_STATE_ERROR, "centroids s3://bucket/p/" CENTROIDS);
  unlink(path_of(path, "snapshot/" CENTROIDS));
  assert_fails(3, SF_READER_STATE_ERROR, "expected an object at " CENTROIDS);
  put_manifest("05", VECTOR("{\"dim\": 4, \"metric\": \"l2\", \"sharding_strategy\": \"cluster\"}"));
  assert_fails(3, SF_READER_STATE_ERROR, "centroids: expected a reference in the manifest, found none");
  put_manifest("05", VECTOR("{\"dim\": 4, \"metric\": \"l2\", \"sharding_strategy\": \"cluster\","
                            " \"centroids_ref\": \"s3://other/c.npy\"}"));
  assert_fails(3, SF_READER_STATE_ERROR, "expected a reference below s3://bucket/p, found s3://other/c.npy");
}

static void hyperplanes_are_one_for_each_hash_bit(void **state) {
  (void)state;
  put_manifest("05", VECTOR("{\"dim\": 4, \"metric\": \"l2\", \"sharding_strategy\": \"lsh\", \"num_hash_bits\": 70,"
                            " \"hyperplanes_ref\": \"s3://bucket/p/h.npy\"}"));
  assert_fails(3, SF_READER_STATE_ERROR, "expected an object at h.npy");
  put_array("h.npy", 69, 4);
  assert_fails(3, SF_READER_STATE_ERROR, "expected an array of 70 × 4, found 69 × 4");
  put_array("h.npy", 70, 4);
  sf_snapshot *snapshot;
  assert_int_equal(load(3, &snapshot, NULL), SF_OK);
  sf_snapshot_free(snapshot);
  put_manifest("05", VECTOR("{\"dim\": 4, \"metric\": \"l2\", \"sharding_strategy\": \"lsh\","
                            " \"hyperplanes_ref\": \"s3://bucket/p/h.npy\"}"));
  assert_fails(3, SF_READER_STATE_ERROR, "expected num_hash_bits beside the strategy lsh");
}

static void an_artifact_that_is_not_needed_may_be_missing(void **state) {
  (void)state;
  put_manifest("05", VECTOR("{\"dim\": 4, \"metric\": \"l2\", \"sharding_strategy\": \"explicit\","
                            " \"centroids_ref\": \"s3://other/c.npy\", \"hyperplanes_ref\": \"\"}"));
  assert_loads(3, "run");
}

static void a_routing_expression_that_is_wrong_fails_the_open(void **state) {
  (void)state;
  put_manifest("05", VECTOR("{\"dim\": 4, \"metric\": \"l2\", \"sharding_strategy\": \"cel\", \"cel_expr\": \"k +\","
                            " \"cel_columns\": {\"k\": \"int\"}}"));
  assert_fails(3, SF_CONFIG_VALIDATION_ERROR, "CEL: ");
}

static void a_copy_opens_wherever_it_lies(void **state) {
  (void)state;
  char root[PATH_SIZE];
  char *ref = sf_format("file://%s/" KEY("05"), path_of(root, "snapshot"));
  put_pointer(ref);
  assert_loads(0, "run05");
  free(ref);
  ref = sf_format("%s/" KEY("05"), root);
  put_pointer(ref);
  assert_loads(0, "run05");
  free(ref);
  put_manifest("05", "UPDATE build_meta SET s3_prefix='s3://bucket/p/'");
  put_pointer("s3://manifests/manifests/" KEY("05"));
  assert_loads(0, "run");
}

#define WITH_SNAPSHOT(test) cmocka_unit_test_setup(test, set_up)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_SNAPSHOT(the_live_manifest_is_loaded),
      WITH_SNAPSHOT(a_live_manifest_that_is_known_is_not_loaded_again),
      WITH_SNAPSHOT(without_a_pointer_there_is_no_snapshot),
      WITH_SNAPSHOT(a_malformed_pointer_is_refused),
      WITH_SNAPSHOT(the_newest_older_manifest_takes_the_place_of_a_malformed_one),
      WITH_SNAPSHOT(a_newer_manifest_is_tried_too),
      WITH_SNAPSHOT(attempts_are_counted_without_the_live_one),
      WITH_SNAPSHOT(no_attempts_turn_fallback_off),
      WITH_SNAPSHOT(where_none_parses_the_first_failure_is_told),
      WITH_SNAPSHOT(folders_that_are_no_published_runs_are_passed_over),
      WITH_SNAPSHOT(a_storage_failure_does_not_fall_back),
      WITH_SNAPSHOT(a_storage_failure_while_falling_back_is_told),
      WITH_SNAPSHOT(a_manifest_without_vectors_is_the_readers_state),
      WITH_SNAPSHOT(an_artifact_must_be_there_and_fit),
      WITH_SNAPSHOT(hyperplanes_are_one_for_each_hash_bit),
      WITH_SNAPSHOT(an_artifact_that_is_not_needed_may_be_missing),
      WITH_SNAPSHOT(a_routing_expression_that_is_wrong_fails_the_open),
      WITH_SNAPSHOT(a_copy_opens_wherever_it_lies),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
