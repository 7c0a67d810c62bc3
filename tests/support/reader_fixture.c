#include "support/reader_fixture.h"

#include "random.h"
#include "support/scratch.h"

#include <cmocka_includes.h>

static built_snapshot *build(const reader_fixture *fixture, int number, uint32_t dim, size_t num_rows) {
  const snapshot_plan plan = {.run_id = number == 0 ? "first" : "second",
                              .timestamp = number == 0 ? "2026-01-02T03:04:05.000006Z" : "2026-01-03T03:04:05.000006Z",
                              .num_shards = FIXTURE_SHARDS,
                              .dim = dim,
                              .num_rows = num_rows,
                              .seed = 17 + (uint64_t)number,
                              .first_id = number * 1000000,
                              .metric = SF_METRIC_COSINE};
  built_snapshot *built = snapshot_describe(fixture->root, &plan);
  snapshot_write(built);
  return built;
}

reader_fixture *fixture_make(uint32_t dim, size_t num_rows) {
  reader_fixture *fixture = sf_calloc(1, sizeof(*fixture));
  assert_non_null(fixture);
  fixture->folder = scratch_make();
  fixture->root = scratch_path(fixture->folder, "snapshots");
  fixture->cache_dir = scratch_path(fixture->folder, "cache");
  for (int i = 0; i < 2; i++)
    fixture->snapshots[i] = build(fixture, i, dim, num_rows);
  snapshot_publish(fixture->snapshots[0]);
  for (size_t i = 0; i < FIXTURE_SHARDS; i++)
    fixture->shard_ids[i] = (int64_t)i;
  fixture->queries = sf_calloc((size_t)FIXTURE_QUERIES * dim, sizeof(float));
  assert_non_null(fixture->queries);
  uint64_t state = 5;
  for (size_t i = 0; i < (size_t)FIXTURE_QUERIES * dim; i++)
    fixture->queries[i] = random_component(&state);
  return fixture;
}

void fixture_free(reader_fixture *fixture) {
  for (int i = 0; i < 2; i++)
    snapshot_free(fixture->snapshots[i]);
  free(fixture->queries);
  free(fixture->cache_dir);
  free(fixture->root);
  scratch_remove(fixture->folder);
  free(fixture);
}

sf_reader *fixture_open(const reader_fixture *fixture, const sf_reader_options *given) {
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  sf_reader *reader = NULL;
  sf_error error;
  if (given != NULL)
    options = *given;
  options.cache_dir = fixture->cache_dir;
  if (sf_reader_open(fixture->root, &options, &reader, &error) != SF_OK)
    fail_msg("%s", error.message);
  gate_install(reader->storage);
  return reader;
}

sf_search_request fixture_request(const reader_fixture *fixture, size_t query) {
  sf_search_request request = SF_SEARCH_REQUEST_INIT;
  request.dim = fixture->snapshots[0]->plan.dim;
  request.query = fixture->queries + query * request.dim;
  request.has_shard_ids = true;
  request.shard_ids = fixture->shard_ids;
  request.num_shard_ids = FIXTURE_SHARDS;
  return request;
}

bool fixture_answers(const reader_fixture *fixture, int snapshot, size_t query, const sf_search_response *response) {
  const built_snapshot *of = fixture->snapshots[snapshot];
  return snapshot_answers(of, fixture->queries + query * of->plan.dim, 10, fixture->shard_ids, FIXTURE_SHARDS,
                          response);
}

void fixture_check_search(const reader_fixture *fixture, sf_reader *reader, int snapshot, size_t query) {
  sf_search_request request = fixture_request(fixture, query);
  sf_search_response *response = NULL;
  sf_error error;
  if (sf_reader_search(reader, &request, &response, &error) != SF_OK)
    fail_msg("%s", error.message);
  assert_true(fixture_answers(fixture, snapshot, query, response));
  sf_search_response_free(response);
}
