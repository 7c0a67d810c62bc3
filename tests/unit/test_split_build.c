/* A build in several processes, here in one: routers, shard tasks, and the driver that publishes what they wrote. */
#include "shardyfusion.h"
#include "writer/partition_file.h"

#include "base/memory.h"
#include "cmocka_includes.h"
#include "support/scratch.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { DIM = 2, SHARDS = 3, PARTITIONS = 3, ROWS = 40, MAX_PIECES = 4096 };

typedef struct run {
  char *folder;
  char *root;
  char *cache;
  sf_builder *driver;
  sf_partition_piece pieces[MAX_PIECES];
  size_t num_pieces;
  uint64_t shard_rows[SHARDS];
  uint64_t tokens[PARTITIONS];
} run;

static sf_build_options options_of(sf_build_role role) {
  sf_build_options options = SF_BUILD_OPTIONS_INIT;
  options.metric = SF_METRIC_L2;
  options.strategy = SF_SHARDING_EXPLICIT;
  options.backend = "sqlite-vec";
  options.dim = DIM;
  options.num_dbs = SHARDS;
  options.num_threads = 1;
  options.role = role;
  return options;
}

static int set_up(void **state) {
  run *made = sf_calloc(1, sizeof(*made));
  sf_build_options options = options_of(SF_BUILD_DRIVER);
  made->folder = scratch_make();
  made->root = scratch_path(made->folder, "root");
  made->cache = scratch_path(made->folder, "cache");
  assert_int_equal(sf_builder_create(made->root, &options, &made->driver, NULL), SF_OK);
  *state = made;
  return 0;
}

static int tear_down(void **state) {
  run *freed = *state;
  sf_builder_free(freed->driver);
  scratch_remove(freed->folder);
  free(freed->root);
  free(freed->cache);
  free(freed);
  return 0;
}

/* Row i of partition p has the id 1000p + i, and goes to shard i mod 3. */
static sf_code add_rows(sf_builder *router, int partition, int64_t first_id, sf_error *error) {
  float vectors[ROWS][DIM];
  int64_t ids[ROWS];
  int64_t shards[ROWS];
  const char *payloads[ROWS];
  for (int i = 0; i < ROWS; i++) {
    vectors[i][0] = (float)partition;
    vectors[i][1] = (float)i;
    ids[i] = first_id + i;
    shards[i] = i % SHARDS;
    payloads[i] = i % 2 == 0 ? "{\"even\": true}" : NULL;
  }
  sf_row_batch batch = SF_ROW_BATCH_INIT;
  batch.count = ROWS;
  batch.vectors = vectors;
  batch.dim = DIM;
  batch.integer_ids = ids;
  batch.shard_ids = shards;
  batch.payloads = payloads;
  return sf_builder_add(router, &batch, error);
}

static sf_builder *open_router(const run *of) {
  sf_build_options options = options_of(SF_BUILD_ROUTER);
  sf_builder *router = NULL;
  options.run_id = sf_builder_run_id(of->driver);
  assert_int_equal(sf_builder_create(of->root, &options, &router, NULL), SF_OK);
  return router;
}

static void route(run *of, int number, int64_t first_id) {
  sf_builder *router = open_router(of);
  sf_partition *partition = NULL;
  assert_int_equal(add_rows(router, number, first_id, NULL), SF_OK);
  assert_int_equal(sf_builder_finish_partition(router, &partition, NULL), SF_OK);
  assert_int_equal(partition->num_rows, ROWS);
  of->tokens[number] = partition->token;
  for (size_t i = 0; i < partition->num_extents; i++) {
    assert_true(of->num_pieces < MAX_PIECES);
    of->pieces[of->num_pieces++] = (sf_partition_piece){.token = partition->token, .extent = partition->extents[i]};
    if (partition->extents[i].list < SHARDS)
      of->shard_rows[partition->extents[i].list] += partition->extents[i].num_rows;
  }
  sf_free(partition);
  sf_builder_free(router);
}

static void route_all(run *of) {
  for (int i = 0; i < PARTITIONS; i++)
    route(of, i, 1000 * (int64_t)i);
}

/* The pieces of lists from `first` on and before `end`. */
static sf_shard_task task_of(const run *of, uint64_t first, uint64_t end, sf_partition_piece *pieces) {
  sf_shard_task task = SF_SHARD_TASK_INIT;
  task.root = of->root;
  task.run_id = sf_builder_run_id(of->driver);
  task.dim = DIM;
  task.metric = SF_METRIC_L2;
  task.backend = "sqlite-vec";
  task.pieces = pieces;
  for (size_t i = 0; i < of->num_pieces; i++)
    if (of->pieces[i].extent.list >= first && of->pieces[i].extent.list < end)
      pieces[task.num_pieces++] = of->pieces[i];
  return task;
}

static sf_code write_shard_with(const run *of, uint32_t db_id, uint32_t attempt, const char *backend, bool emit_sidecar,
                                sf_written_shard *written, sf_error *error) {
  sf_partition_piece *pieces = sf_calloc(MAX_PIECES, sizeof(*pieces));
  sf_shard_task task = task_of(of, db_id, (uint64_t)db_id + 1, pieces);
  float sample[DIM];
  task.db_id = db_id;
  task.attempt = attempt;
  task.backend = backend;
  task.emit_sidecar = emit_sidecar;
  sf_code code = sf_shard_task_run(&task, written, sample, error);
  free(pieces);
  return code;
}

static sf_code write_shard(const run *of, uint32_t db_id, uint32_t attempt, sf_written_shard *written,
                           sf_error *error) {
  return write_shard_with(of, db_id, attempt, "sqlite-vec", false, written, error);
}

static sf_code find_equal(const run *of, bool *found, sf_partition_row *rows, sf_error *error) {
  sf_partition_piece *pieces = sf_calloc(MAX_PIECES, sizeof(*pieces));
  sf_shard_task task = task_of(of, SHARDS, SHARDS + SF_NUM_ID_LISTS, pieces);
  sf_code code = sf_partitions_find_equal_ids(&task, found, rows, error);
  free(pieces);
  return code;
}

static bool is_there(const run *of, const char *format, unsigned db_id, unsigned attempt) {
  char *name = sf_format(format, sf_builder_run_id(of->driver), db_id, attempt);
  char *path = scratch_path(of->root, name);
  struct stat status;
  bool found = stat(path, &status) == 0;
  free(path);
  free(name);
  return found;
}

#define ATTEMPT "shards/run_id=%s/db=%05u/attempt=%02u"
#define PARTITION_FOLDER "shards/run_id=%s/partitions"

static void check_live(const run *of, uint64_t num_rows) {
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  sf_reader *reader = NULL;
  options.cache_dir = of->cache;
  assert_int_equal(sf_reader_open(of->root, &options, &reader, NULL), SF_OK);
  const float query[DIM] = {1, 7};
  const int64_t shards[SHARDS] = {0, 1, 2};
  sf_search_request request = SF_SEARCH_REQUEST_INIT;
  request.query = query;
  request.dim = DIM;
  request.top_k = (int64_t)num_rows + 1;
  request.shard_ids = shards;
  request.num_shard_ids = SHARDS;
  request.has_shard_ids = true;
  sf_search_response *response = NULL;
  assert_int_equal(sf_reader_search(reader, &request, &response, NULL), SF_OK);
  assert_int_equal(sf_search_response_count(response), num_rows);
  assert_int_equal(sf_search_response_result(response, 0)->id_integer, 1007);
  sf_search_response_free(response);
  sf_reader_free(reader);
}

/* ------------------------------------------------------------------------------------------------------------- Tests */

static void what_workers_wrote_is_published_and_the_rest_is_removed(void **state) {
  run *of = *state;
  sf_written_shard shards[SHARDS];
  sf_written_shard loser;
  sf_build_result *result = NULL;
  route_all(of);
  for (uint32_t id = 0; id < SHARDS; id++)
    assert_int_equal(write_shard(of, id, 100 + id, &shards[id], NULL), SF_OK);
  assert_int_equal(write_shard(of, 1, 99, &loser, NULL), SF_OK);
  assert_int_equal(loser.num_rows, shards[1].num_rows);
  assert_true(is_there(of, ATTEMPT, 1, 99));
  assert_int_equal(sf_builder_publish(of->driver, shards, SHARDS, of->shard_rows, NULL, &result, NULL), SF_OK);
  assert_int_equal(result->num_rows, PARTITIONS * ROWS);
  sf_free(result);
  assert_false(is_there(of, ATTEMPT, 1, 99));
  assert_true(is_there(of, ATTEMPT, 1, 101));
  assert_false(is_there(of, PARTITION_FOLDER, 0, 0));
  check_live(of, PARTITIONS * ROWS);
}

static void a_task_writes_a_sidecar_where_it_is_asked_to(void **state) {
  run *of = *state;
  sf_written_shard with;
  sf_written_shard without;
  route_all(of);
  assert_int_equal(write_shard_with(of, 1, 1, "sqlite-vec", true, &with, NULL), SF_OK);
  assert_int_equal(write_shard_with(of, 1, 2, "sqlite-vec", false, &without, NULL), SF_OK);
  assert_true(is_there(of, ATTEMPT "/shard.sidecar", 1, 1));
  assert_false(is_there(of, ATTEMPT "/shard.sidecar", 1, 2));
  assert_int_equal(with.num_bytes, without.num_bytes);
  assert_int_equal(write_shard_with(of, 1, 3, "lance", true, &with, NULL), SF_CONFIG_VALIDATION_ERROR);
  assert_false(is_there(of, ATTEMPT, 1, 3));
}

static void a_shard_without_a_result_is_not_published(void **state) {
  run *of = *state;
  sf_written_shard shards[SHARDS];
  sf_build_result *result = NULL;
  sf_error error;
  route_all(of);
  for (uint32_t id = 0; id < SHARDS; id++)
    assert_int_equal(write_shard(of, id, 1, &shards[id], NULL), SF_OK);
  assert_int_equal(sf_builder_publish(of->driver, shards, SHARDS - 1, of->shard_rows, NULL, &result, &error),
                   SF_CONFIG_VALIDATION_ERROR);
  assert_non_null(strstr(error.message, "shard 2: expected"));
  sf_reader *reader = NULL;
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  options.cache_dir = of->cache;
  assert_int_equal(sf_reader_open(of->root, &options, &reader, NULL), SF_READER_STATE_ERROR);
}

static void a_result_that_comes_twice_is_not_published(void **state) {
  run *of = *state;
  sf_written_shard shards[2];
  sf_build_result *result = NULL;
  route_all(of);
  for (uint32_t i = 0; i < 2; i++)
    assert_int_equal(write_shard(of, 0, i + 1, &shards[i], NULL), SF_OK);
  assert_int_equal(sf_builder_publish(of->driver, shards, 2, of->shard_rows, NULL, &result, NULL),
                   SF_CONFIG_VALIDATION_ERROR);
}

static void a_driver_that_is_freed_leaves_nothing(void **state) {
  run *of = *state;
  sf_written_shard shard;
  route_all(of);
  assert_int_equal(write_shard(of, 0, 1, &shard, NULL), SF_OK);
  sf_builder_free(of->driver);
  of->driver = NULL;
  struct stat status;
  assert_int_not_equal(stat(of->root, &status), 0);
}

static void tasks_of_a_run_that_has_ended_fail_and_leave_nothing(void **state) {
  run *of = *state;
  sf_written_shard shards[SHARDS];
  sf_build_result *result = NULL;
  sf_error error;
  route_all(of);
  for (uint32_t id = 0; id < SHARDS; id++)
    assert_int_equal(write_shard(of, id, 1, &shards[id], NULL), SF_OK);
  sf_builder *late = open_router(of);
  assert_int_equal(sf_builder_publish(of->driver, shards, SHARDS, of->shard_rows, NULL, &result, NULL), SF_OK);
  sf_free(result);
  assert_int_equal(write_shard(of, 0, 7, &shards[0], &error), SF_READER_STATE_ERROR);
  assert_false(is_there(of, ATTEMPT, 0, 7));
  assert_int_equal(add_rows(late, 0, 0, &error), SF_READER_STATE_ERROR);
  assert_non_null(strstr(error.message, "has ended"));
  sf_builder_free(late);
  assert_false(is_there(of, PARTITION_FOLDER, 0, 0));
}

static void equal_ids_of_two_partitions_are_found_and_named(void **state) {
  run *of = *state;
  sf_partition_row rows[2];
  bool found = true;
  route(of, 0, 0);
  route(of, 1, 1000);
  assert_int_equal(find_equal(of, &found, rows, NULL), SF_OK);
  assert_false(found);
  route(of, 2, 1000 + ROWS - 1); /* its first id is the last of partition 1 */
  assert_int_equal(find_equal(of, &found, rows, NULL), SF_OK);
  assert_true(found);
  assert_true(rows[0].token == of->tokens[1] && rows[0].row == ROWS - 1);
  assert_true(rows[1].token == of->tokens[2] && rows[1].row == 0);
  sf_partition_piece *pieces = sf_calloc(MAX_PIECES, sizeof(*pieces));
  sf_shard_task task = task_of(of, 0, SHARDS, pieces);
  char *id = NULL;
  bool is_string = true;
  assert_int_equal(sf_partitions_row_id(&task, ROWS - 1, &id, &is_string, NULL), SF_OK);
  assert_string_equal(id, "39"); /* the first partition's, which is looked at first */
  assert_false(is_string);
  sf_free(id);
  assert_int_equal(sf_partitions_row_id(&task, ROWS, &id, &is_string, NULL), SF_OK);
  assert_null(id);
  free(pieces);
}

static void the_rows_of_a_piece_can_be_read(void **state) {
  run *of = *state;
  sf_piece_rows *rows = NULL;
  sf_error error;
  uint64_t found = 0;
  route(of, 0, 0);
  sf_partition_piece *pieces = sf_calloc(MAX_PIECES, sizeof(*pieces));
  sf_shard_task task = task_of(of, 0, SHARDS, pieces);
  size_t num_pieces = task.num_pieces;
  assert_int_equal(sf_partitions_read_piece(&task, &rows, &error), SF_CONFIG_VALIDATION_ERROR);
  for (size_t i = 0; i < num_pieces; i++) {
    task.pieces = &pieces[i];
    task.num_pieces = 1;
    assert_int_equal(sf_partitions_read_piece(&task, &rows, &error), SF_OK);
    assert_int_equal(rows->num_rows, pieces[i].extent.num_rows);
    for (size_t row = 0; row < rows->num_rows; row++) {
      int64_t id = rows->rows[row].id.integer;
      assert_int_equal(rows->rows[row].id.type, SF_ID_INTEGER);
      assert_true(rows->rows[row].vector[0] == 0.0f && rows->rows[row].vector[1] == (float)id);
      assert_true((rows->rows[row].payload != NULL) == (id % 2 == 0));
      assert_true(id >= 0 && id < ROWS && (found & (UINT64_C(1) << id)) == 0);
      found |= UINT64_C(1) << id;
    }
    sf_free(rows);
  }
  assert_true(found == (UINT64_C(1) << ROWS) - 1);
  free(pieces);
}

static void a_file_that_changed_is_refused(void **state) {
  run *of = *state;
  sf_written_shard shard;
  sf_error error;
  route(of, 0, 0);
  char *name = sf_format("shards/run_id=%s/partitions/%016llx", sf_builder_run_id(of->driver),
                         (unsigned long long)of->tokens[0]);
  char *path = scratch_path(of->root, name);
  FILE *file = fopen(path, "r+b");
  assert_non_null(file);
  assert_int_equal(fseek(file, 100, SEEK_SET), 0);
  fputc(0xff, file);
  fclose(file);
  assert_int_equal(write_shard(of, 0, 1, &shard, &error), SF_S3_TRANSIENT_ERROR);
  assert_non_null(strstr(error.message, "expected the bytes that were written"));
  assert_false(is_there(of, ATTEMPT, 0, 1));
  free(path);
  free(name);
}

static void roles_do_only_their_part(void **state) {
  run *of = *state;
  sf_builder *router = open_router(of);
  sf_build_result *result = NULL;
  sf_partition *partition = NULL;
  assert_int_equal(add_rows(of->driver, 0, 0, NULL), SF_CONFIG_VALIDATION_ERROR);
  assert_int_equal(sf_builder_finish(router, &result, NULL), SF_CONFIG_VALIDATION_ERROR);
  assert_int_equal(sf_builder_finish_partition(of->driver, &partition, NULL), SF_CONFIG_VALIDATION_ERROR);
  assert_int_equal(sf_builder_finish_partition(router, &partition, NULL), SF_OK);
  assert_int_equal(partition->num_rows, 0);
  assert_int_equal(partition->num_extents, 0);
  sf_free(partition);
  sf_builder_free(router);
}

/* Every length and every byte of a header: nothing is read outside of the extent (with the sanitizers). */
static void rows_that_are_damaged_are_refused_or_read_within_the_extent(void **state) {
  (void)state;
  const float vector[DIM] = {1, 2};
  const sf_shard_row row = {.vector = vector,
                            .id_type = SF_ID_STRING,
                            .id_string = "name",
                            .id_length = 4,
                            .payload = "{}",
                            .payload_length = 2};
  sf_buffer extent = {0};
  sf_shard_row read;
  uint64_t number;
  assert_true(sf_partition_append_row(&extent, &row, 5, DIM));
  assert_int_equal(sf_partition_parse_rows(extent.data, extent.length, DIM, 1, &read, &number, NULL), SF_OK);
  assert_int_equal(number, 5);
  assert_memory_equal(read.id_string, "name", 4);
  for (size_t length = 0; length < extent.length; length++) {
    void *cut = sf_calloc(1, length);
    memcpy(cut, extent.data, length);
    assert_int_equal(sf_partition_parse_rows(cut, length, DIM, 1, &read, NULL, NULL), SF_ERROR);
    free(cut);
  }
  for (size_t at = 0; at < extent.length; at++)
    for (int bit = 0; bit < 8; bit++) {
      extent.data[at] ^= (uint8_t)(1 << bit);
      if (sf_partition_parse_rows(extent.data, extent.length, DIM, 1, &read, NULL, NULL) == SF_OK)
        for (size_t i = 0; i < read.id_length && read.id_string != NULL; i++)
          assert_true((const uint8_t *)read.id_string + i < extent.data + extent.length);
      extent.data[at] ^= (uint8_t)(1 << bit);
    }
  assert_int_equal(sf_partition_parse_rows(extent.data, extent.length, DIM, 0, &read, NULL, NULL), SF_ERROR);
  sf_buffer_free(&extent);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(what_workers_wrote_is_published_and_the_rest_is_removed, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_task_writes_a_sidecar_where_it_is_asked_to, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_shard_without_a_result_is_not_published, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_result_that_comes_twice_is_not_published, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_driver_that_is_freed_leaves_nothing, set_up, tear_down),
      cmocka_unit_test_setup_teardown(tasks_of_a_run_that_has_ended_fail_and_leave_nothing, set_up, tear_down),
      cmocka_unit_test_setup_teardown(equal_ids_of_two_partitions_are_found_and_named, set_up, tear_down),
      cmocka_unit_test_setup_teardown(the_rows_of_a_piece_can_be_read, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_file_that_changed_is_refused, set_up, tear_down),
      cmocka_unit_test_setup_teardown(roles_do_only_their_part, set_up, tear_down),
      cmocka_unit_test(rows_that_are_damaged_are_refused_or_read_within_the_extent),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
