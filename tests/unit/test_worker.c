/* A worker alone: rows in, one shard below its attempt's prefix out, and what it returns of it. */
#include "writer/worker.h"

#include "base/memory.h"
#include "cmocka_includes.h"
#include "support/remote_storage.h"
#include "support/scratch.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { DIM = 4, ROWS = 10, DB_ID = 2 };

static const char run_key[] = "shards/run_id=run";

typedef struct place {
  char *folder;
  char *root;
  char *directory; /* of the run's shards */
  sf_storage *storage;
} place;

static place make_place(bool is_remote) {
  place made = {.folder = scratch_make()};
  made.root = scratch_path(made.folder, "root");
  made.directory = is_remote ? scratch_path(made.folder, "staging") : scratch_path(made.root, run_key);
  sf_code code = is_remote ? remote_storage_open(made.root, &made.storage, NULL)
                           : sf_storage_open(made.root, NULL, &made.storage, NULL);
  assert_int_equal(code, SF_OK);
  return made;
}

static void free_place(place *freed) {
  sf_storage_close(freed->storage);
  scratch_remove(freed->folder);
  free(freed->root);
  free(freed->directory);
}

static sf_worker *create_with(const place *at, uint32_t attempt, bool emits_sidecar) {
  sf_worker_params params = {.metric = SF_METRIC_L2,
                             .dim = DIM,
                             .emits_sidecar = emits_sidecar,
                             .db_id = DB_ID,
                             .attempt = attempt,
                             .storage = at->storage,
                             .run_key = run_key,
                             .directory = at->directory};
  sf_worker *worker = NULL;
  assert_int_equal(sf_shard_writer_find("sqlite-vec", &params.format, NULL), SF_OK);
  assert_int_equal(sf_worker_create(&params, &worker, NULL), SF_OK);
  return worker;
}

static sf_worker *create(const place *at, uint32_t attempt) {
  return create_with(at, attempt, false);
}

/* Ids are numbered from the last down: 9, 8, …. */
static void add_rows(sf_worker *worker, size_t first, size_t count) {
  float vectors[ROWS][DIM] = {{0}};
  sf_shard_row rows[ROWS] = {{0}};
  for (size_t i = 0; i < count; i++) {
    vectors[i][0] = (float)(first + i);
    rows[i] =
        (sf_shard_row){.vector = vectors[i], .id_type = SF_ID_INTEGER, .id_integer = (int64_t)(ROWS - 1 - (first + i))};
  }
  assert_int_equal(sf_worker_add(worker, rows, count, NULL), SF_OK);
}

static sf_shard_result write_shard_with(const place *at, uint32_t attempt, bool emits_sidecar) {
  sf_worker *worker = create_with(at, attempt, emits_sidecar);
  sf_shard_result result;
  add_rows(worker, 0, 3);
  add_rows(worker, 3, ROWS - 3);
  assert_int_equal(sf_worker_finish(worker, NULL, &result, NULL), SF_OK);
  sf_worker_free(worker);
  return result;
}

static sf_shard_result write_shard(const place *at, uint32_t attempt) {
  return write_shard_with(at, attempt, false);
}

static bool is_there(const char *folder, const char *name, struct stat *status) {
  char *path = scratch_path(folder, name);
  bool found = stat(path, status) == 0;
  free(path);
  return found;
}

static void a_shard_is_written_below_the_prefix_of_its_attempt(void **state) {
  (void)state;
  place at = make_place(false);
  struct stat status;
  write_shard(&at, 3);
  assert_true(is_there(at.root, "shards/run_id=run/db=00002/attempt=03/shard.db", &status));
  assert_false(is_there(at.root, "shards/run_id=run/db=00002/attempt=00", &status));
  assert_false(is_there(at.root, "manifests", &status));
  assert_false(is_there(at.root, "_CURRENT", &status));
  free_place(&at);
}

static void a_worker_returns_what_the_manifest_needs(void **state) {
  (void)state;
  place at = make_place(false);
  struct stat status;
  sf_shard_result result = write_shard(&at, 0);
  assert_int_equal(result.db_id, DB_ID);
  assert_int_equal(result.attempt, 0);
  assert_int_equal(result.num_rows, ROWS);
  assert_true(is_there(at.root, "shards/run_id=run/db=00002/attempt=00/shard.db", &status));
  assert_int_equal(result.num_bytes, status.st_size);
  assert_int_equal(strlen(result.checkpoint_id), SF_HEX_ID_SIZE - 1);
  char *url = sf_shard_url("s3://bucket/p", "run", &result);
  assert_string_equal(url, "s3://bucket/p/shards/run_id=run/db=00002/attempt=00");
  free(url);
  free_place(&at);
}

static void rows_stay_in_the_order_in_which_they_were_added(void **state) {
  (void)state;
  place at = make_place(false);
  write_shard(&at, 0);
  char *path = scratch_path(at.root, "shards/run_id=run/db=00002/attempt=00/shard.db");
  sqlite3 *database;
  sqlite3_stmt *ids;
  assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
  assert_int_equal(sqlite3_prepare_v2(database, "SELECT original_id FROM vec_id_map ORDER BY internal_id", -1, &ids, 0),
                   SQLITE_OK);
  for (int id = ROWS - 1; id >= 0; id--) {
    char expected[32];
    snprintf(expected, sizeof(expected), "{\"v\": %d, \"t\": \"int\"}", id);
    assert_int_equal(sqlite3_step(ids), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(ids, 0), expected);
  }
  assert_int_equal(sqlite3_step(ids), SQLITE_DONE);
  sqlite3_finalize(ids);
  sqlite3_close(database);
  free(path);
  free_place(&at);
}

static void attempts_at_one_shard_leave_each_other_alone(void **state) {
  (void)state;
  place at = make_place(false);
  struct stat status;
  sf_worker *abandoned = create(&at, 0);
  add_rows(abandoned, 0, 2);
  sf_shard_result first = write_shard(&at, 1);
  sf_shard_result second = write_shard(&at, 2);
  sf_worker_free(abandoned);
  assert_string_not_equal(first.checkpoint_id, second.checkpoint_id);
  assert_int_equal(first.num_rows, second.num_rows);
  assert_true(is_there(at.root, "shards/run_id=run/db=00002/attempt=01/shard.db", &status));
  assert_true(is_there(at.root, "shards/run_id=run/db=00002/attempt=02/shard.db", &status));
  free_place(&at);
}

static void a_shard_of_a_remote_storage_is_uploaded_and_its_files_are_removed(void **state) {
  (void)state;
  place at = make_place(true);
  struct stat status;
  sf_shard_result result = write_shard(&at, 1);
  assert_true(is_there(at.root, "shards/run_id=run/db=00002/attempt=01/shard.db", &status));
  assert_int_equal(result.num_bytes, status.st_size);
  assert_false(is_there(at.directory, "db=00002/attempt=01", &status));
  free_place(&at);
}

/* The tag of a sidecar is from byte 18 on, and its length before it. */
static void expect_sidecar(bool is_remote, const char *tag_of_size) {
  place at = make_place(is_remote);
  struct stat status;
  char head[64] = "";
  char tag[32];
  sf_shard_result result = write_shard_with(&at, 1, true);
  assert_true(is_there(at.root, "shards/run_id=run/db=00002/attempt=01/shard.db", &status));
  assert_int_equal(result.num_bytes, status.st_size);
  snprintf(tag, sizeof(tag), tag_of_size, (unsigned long long)status.st_size);
  char *path = scratch_path(at.root, "shards/run_id=run/db=00002/attempt=01/shard.sidecar");
  FILE *file = fopen(path, "rb");
  assert_non_null(file);
  assert_int_equal(fread(head, 1, sizeof(head), file), sizeof(head));
  fclose(file);
  assert_memory_equal(head, "SQPC", 4);
  assert_int_equal(head[17], strlen(tag));
  assert_memory_equal(head + 18, tag, strlen(tag));
  if (is_remote)
    assert_false(is_there(at.directory, "db=00002/attempt=01", &status));
  free(path);
  free_place(&at);
}

static void a_sidecar_is_bound_to_the_stored_database_where_the_storage_names_it(void **state) {
  (void)state;
  expect_sidecar(false, "");
  expect_sidecar(true, "\"%llu\"");
}

static void no_sidecar_is_written_that_was_not_asked_for(void **state) {
  (void)state;
  struct stat status;
  for (int is_remote = 0; is_remote < 2; is_remote++) {
    place at = make_place(is_remote);
    write_shard(&at, 0);
    assert_false(is_there(at.root, "shards/run_id=run/db=00002/attempt=00/shard.sidecar", &status));
    free_place(&at);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_shard_is_written_below_the_prefix_of_its_attempt),
      cmocka_unit_test(a_worker_returns_what_the_manifest_needs),
      cmocka_unit_test(rows_stay_in_the_order_in_which_they_were_added),
      cmocka_unit_test(attempts_at_one_shard_leave_each_other_alone),
      cmocka_unit_test(a_sidecar_is_bound_to_the_stored_database_where_the_storage_names_it),
      cmocka_unit_test(no_sidecar_is_written_that_was_not_asked_for),
      cmocka_unit_test(a_shard_of_a_remote_storage_is_uploaded_and_its_files_are_removed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
