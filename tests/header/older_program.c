/*
 * A program that was compiled against an older header runs with this library, whose structs have more members. The header
 * here is today's without the last member of each struct that the library returns in arrays (older_headers.cmake), which to the
 * program is the same as a library that has one member more. And the reverse for arrays that the program passes: its
 * requests are larger than the library knows.
 */
#include <shardyfusion.h>

#include "cmocka_includes.h"
#include "support/scratch.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS = 12, DIM = 2, SHARDS = 3 };

typedef struct world {
  char *folder;
  char *root;
  char *cache;
  sf_reader *reader;
} world;

/* Row i lies at (i, 0), has the id 100 + i and is in shard i % SHARDS. */
static sf_build_result *build(const char *root) {
  float vectors[ROWS][DIM] = {{0}};
  int64_t ids[ROWS];
  int64_t shard_ids[ROWS];
  for (int i = 0; i < ROWS; i++) {
    vectors[i][0] = (float)i;
    ids[i] = 100 + i;
    shard_ids[i] = i % SHARDS;
  }
  sf_build_options options = SF_BUILD_OPTIONS_INIT;
  options.metric = SF_METRIC_L2;
  options.strategy = SF_SHARDING_EXPLICIT;
  options.num_dbs = SHARDS;
  options.backend = "sqlite-vec";
  sf_row_batch rows = SF_ROW_BATCH_INIT;
  rows.count = ROWS;
  rows.vectors = vectors;
  rows.dim = DIM;
  rows.integer_ids = ids;
  rows.shard_ids = shard_ids;
  sf_builder *builder = NULL;
  sf_build_result *result = NULL;
  assert_int_equal(sf_builder_create(root, &options, &builder, NULL), SF_OK);
  assert_int_equal(sf_builder_add(builder, &rows, NULL), SF_OK);
  assert_int_equal(sf_builder_finish(builder, &result, NULL), SF_OK);
  sf_builder_free(builder);
  return result;
}

static world *open_world(void) {
  static world opened;
  opened = (world){.folder = scratch_make()};
  opened.root = scratch_path(opened.folder, "root");
  opened.cache = scratch_path(opened.folder, "cache");
  sf_free(build(opened.root));
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  options.cache_dir = opened.cache;
  assert_int_equal(sf_reader_open(opened.root, &options, &opened.reader, NULL), SF_OK);
  return &opened;
}

static void close_world(world *closed) {
  sf_reader_free(closed->reader);
  scratch_remove(closed->folder);
  free(closed->root);
  free(closed->cache);
}

/* The simulation holds: the library's elements are further apart than the program's. */
static void assert_larger(const void *first, const void *second, size_t size) {
  assert_true((size_t)((const char *)second - (const char *)first) > size);
}

static sf_search_request request_for(const float *query) {
  static const int64_t all_shards[SHARDS] = {0, 1, 2};
  sf_search_request request = SF_SEARCH_REQUEST_INIT;
  request.query = query;
  request.dim = DIM;
  request.top_k = ROWS;
  request.has_shard_ids = true;
  request.shard_ids = all_shards;
  request.num_shard_ids = SHARDS;
  return request;
}

static void an_older_program_reads_each_result(void **state) {
  (void)state;
  world *opened = open_world();
  const float query[DIM] = {0};
  sf_search_request request = request_for(query);
  sf_search_response *response = NULL;
  assert_int_equal(sf_reader_search(opened->reader, &request, &response, NULL), SF_OK);
  assert_int_equal(sf_search_response_count(response), ROWS);
  assert_larger(sf_search_response_result(response, 0), sf_search_response_result(response, 1),
                sizeof(sf_search_result));
  for (int i = 0; i < ROWS; i++) {
    const sf_search_result *result = sf_search_response_result(response, (size_t)i);
    assert_int_equal(result->id_integer, 100 + i);
    assert_true(result->score == (double)i);
  }
  assert_null(sf_search_response_result(response, ROWS));
  sf_search_response_free(response);
  close_world(opened);
}

static void an_older_program_reads_each_shard_and_manifest(void **state) {
  (void)state;
  world *opened = open_world();
  sf_free(build(opened->root));
  sf_shard_detail *details = NULL;
  sf_published_manifest *manifests = NULL;
  size_t count = 0;
  assert_int_equal(sf_reader_shard_details(opened->reader, &details, &count, NULL), SF_OK);
  assert_int_equal(count, SHARDS);
  assert_larger(sf_shard_detail_at(details, 0), sf_shard_detail_at(details, 1), sizeof(sf_shard_detail));
  for (size_t i = 0; i < count; i++) {
    assert_int_equal(sf_shard_detail_at(details, i)->db_id, i);
    assert_int_equal(sf_shard_detail_at(details, i)->vector_count, ROWS / SHARDS);
  }
  sf_free(details);
  assert_int_equal(sf_snapshot_history(opened->root, NULL, 0, &manifests, &count, NULL), SF_OK);
  assert_int_equal(count, 2);
  const sf_published_manifest *newest = sf_published_manifest_at(manifests, 0);
  const sf_published_manifest *oldest = sf_published_manifest_at(manifests, 1);
  assert_larger(newest, oldest, sizeof(sf_published_manifest));
  assert_non_null(strstr(newest->ref, newest->run_id));
  assert_non_null(strstr(oldest->ref, oldest->run_id));
  assert_true(strcmp(newest->published_at, oldest->published_at) > 0);
  sf_free(manifests);
  close_world(opened);
}

static void an_older_program_reads_each_built_shard(void **state) {
  (void)state;
  world *opened = open_world();
  sf_build_result *result = build(opened->root);
  assert_int_equal(result->num_dbs, SHARDS);
  assert_larger(sf_build_result_shard(result, 0), sf_build_result_shard(result, 1), sizeof(sf_built_shard));
  for (uint32_t i = 0; i < SHARDS; i++) {
    const sf_built_shard *shard = sf_build_result_shard(result, i);
    assert_int_equal(shard->db_id, i);
    assert_int_equal(shard->num_rows, ROWS / SHARDS);
  }
  assert_null(sf_build_result_shard(result, SHARDS));
  sf_free(result);
  close_world(opened);
}

/* A request of a newer program. */
typedef struct larger_request {
  sf_search_request request;
  uint64_t added[2];
} larger_request;

static void a_newer_program_passes_an_array_of_larger_requests(void **state) {
  (void)state;
  world *opened = open_world();
  const float queries[ROWS][DIM] = {{0}, {1}, {2}, {3}, {4}, {5}, {6}, {7}, {8}, {9}, {10}, {11}};
  larger_request requests[ROWS];
  sf_search_response *responses[ROWS] = {NULL};
  sf_error error;
  for (size_t i = 0; i < ROWS; i++) {
    requests[i] = (larger_request){request_for(queries[i]), {UINT64_MAX, UINT64_MAX}};
    requests[i].request.size = sizeof(larger_request);
  }
  assert_int_equal(sf_reader_batch_search(opened->reader, &requests[0].request, ROWS, responses, NULL), SF_OK);
  for (int i = 0; i < ROWS; i++) {
    assert_int_equal(sf_search_response_result(responses[i], 0)->id_integer, 100 + i);
    sf_search_response_free(responses[i]);
  }
  requests[1].request.size = sizeof(sf_search_request);
  assert_int_equal(sf_reader_batch_search(opened->reader, &requests[0].request, ROWS, responses, &error),
                   SF_CONFIG_VALIDATION_ERROR);
  assert_non_null(strstr(error.message, "search request 1: expected the size of the first"));
  assert_int_equal(sf_reader_batch_search(opened->reader, NULL, ROWS, responses, &error), SF_CONFIG_VALIDATION_ERROR);
  close_world(opened);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_older_program_reads_each_result),
      cmocka_unit_test(an_older_program_reads_each_shard_and_manifest),
      cmocka_unit_test(an_older_program_reads_each_built_shard),
      cmocka_unit_test(a_newer_program_passes_an_array_of_larger_requests),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
