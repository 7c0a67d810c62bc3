/* Scenarios that open a snapshot and search it: one of the production writer's, or a small one that is newer than another
 * with other rows, which no fault may bring back. */
#include "base/memory.h"
#include "faults/responses.h"
#include "faults/scenarios.h"
#include "faults/small_root.h"
#include "faults/trees.h"
#include "faults/workplace.h"
#include "snapshot/npy.h"
#include "support/require.h"
#include "support/scratch.h"

#include <stdio.h>
#include <string.h>

typedef struct reading_plan {
  const char *golden; /* or NULL: a small one, of these: */
  const char *backend;
  sf_sharding_strategy strategy;
  bool is_in_store;
  const char *routing_context;
  bool is_warm; /* the cache has the shards from the beginning */
  bool is_asynchronous;
  bool preloads;
  bool has_shard_ids;
  const char *filter; /* that every row matches; then rows are also counted, and fetched by their ids */
} reading_plan;

enum { NUM_QUERIES = 3, MAX_IDS = 16 };

typedef struct reading {
  const reading_plan *plan;
  workplace place;
  float *queries; /* NUM_QUERIES × dim */
  size_t dim;
  tree cached; /* by a run without a fault */
  sf_search_response *expected[NUM_QUERIES];
  sf_search_response *found[NUM_QUERIES];
  sf_search_response *expected_rows; /* by their ids */
  sf_search_response *found_rows;
  uint64_t expected_count;
  uint64_t found_count;
} reading;

static const int64_t all_shards[] = {0, 1, 2, 3};

static void read_queries(reading *state, const char *path) {
  static char bytes[1 << 20];
  sf_npy array = {0};
  FILE *file = fopen(path, "rb");
  require(file != NULL, path);
  size_t length = fread(bytes, 1, sizeof(bytes), file);
  fclose(file);
  require(sf_npy_parse(bytes, length, path, &array, NULL) == SF_OK && array.num_rows >= NUM_QUERIES, path);
  state->dim = array.num_columns;
  state->queries = sf_calloc(NUM_QUERIES * array.num_columns, sizeof(float));
  require(state->queries != NULL, "memory");
  for (size_t i = 0; i < NUM_QUERIES * array.num_columns; i++)
    state->queries[i] = (float)array.values[i];
  sf_npy_free(&array);
}

static sf_search_request request_of(const reading *state, size_t query) {
  sf_search_request request = SF_SEARCH_REQUEST_INIT;
  request.query = state->queries + query * state->dim;
  request.dim = state->dim;
  request.routing_context = state->plan->routing_context;
  request.has_shard_ids = state->plan->has_shard_ids;
  request.shard_ids = all_shards;
  request.num_shard_ids = sizeof(all_shards) / sizeof(all_shards[0]);
  request.filter = state->plan->filter;
  request.explain = state->plan->filter != NULL;
  return request;
}

static sf_reader_options options_of(const reading *state) {
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  options.cache_dir = state->place.cache_dir;
  options.num_workers = 1;
  options.num_loaders = 1;
  options.preload_shards = state->plan->preloads;
  return options;
}

/* One search, then the others in a batch. */
static sf_code search(reading *state, sf_reader *reader, sf_error *error) {
  sf_search_request requests[NUM_QUERIES];
  for (size_t i = 0; i < NUM_QUERIES; i++)
    requests[i] = request_of(state, i);
  sf_code code = sf_reader_search(reader, &requests[0], &state->found[0], error);
  if (code == SF_OK)
    code = sf_reader_batch_search(reader, &requests[1], NUM_QUERIES - 1, &state->found[1], error);
  return code;
}

/* The rows that the first search found, and one that there is not. */
static sf_code fetch(reading *state, sf_reader *reader, sf_error *error) {
  sf_row_id ids[MAX_IDS] = {{.type = SF_ID_STRING, .string = "no such row", .length = 11}};
  sf_fetch_request request = SF_FETCH_REQUEST_INIT;
  request.ids = ids;
  request.num_ids = 1;
  request.include_vectors = true;
  for (size_t i = 0; i < sf_search_response_count(state->found[0]) && request.num_ids < MAX_IDS; i++) {
    const sf_search_result *result = sf_search_response_result(state->found[0], i);
    ids[request.num_ids++] = (sf_row_id){.type = result->id_type,
                                         .integer = result->id_integer,
                                         .string = result->id_string,
                                         .length = result->id_length};
  }
  return sf_reader_fetch(reader, &request, &state->found_rows, error);
}

static sf_code count_and_fetch(reading *state, sf_reader *reader, sf_error *error) {
  sf_count_request request = SF_COUNT_REQUEST_INIT;
  request.filter = state->plan->filter;
  sf_code code = sf_reader_count(reader, &request, &state->found_count, error);
  if (code == SF_OK)
    code = fetch(state, reader, error);
  if (code == SF_OK && (sf_search_response_explain_json(state->found[0]) == NULL ||
                        sf_search_response_explain_text(state->found[0]) == NULL))
    return SF_OUT_OF_MEMORY_ERROR;
  return code;
}

static sf_code open_and_search(reading *state, sf_error *error) {
  sf_reader_options options = options_of(state);
  sf_reader *reader = NULL;
  sf_code code = sf_reader_open(state->place.root, &options, &reader, error);
  if (code == SF_OK)
    code = search(state, reader, error);
  if (code == SF_OK && state->plan->filter != NULL)
    code = count_and_fetch(state, reader, error);
  sf_reader_free(reader);
  return code;
}

/* The outcome of an operation, once it has come through the queue. */
static sf_code finish(sf_code submitted, sf_completion_queue *queue, sf_operation *operation, sf_error *error) {
  if (submitted != SF_OK)
    return submitted;
  require(sf_completion_queue_wait(queue, -1) == operation, "another operation finished");
  return sf_operation_result(operation, error);
}

static sf_code search_asynchronously(reading *state, sf_reader *reader, sf_completion_queue *queue, sf_error *error) {
  sf_search_request requests[NUM_QUERIES];
  for (size_t i = 0; i < NUM_QUERIES; i++)
    requests[i] = request_of(state, i);
  sf_operation *operation = NULL;
  sf_code code = sf_reader_search_submit(reader, &requests[0], queue, NULL, &operation, error);
  code = finish(code, queue, operation, error);
  if (code == SF_OK)
    state->found[0] = sf_operation_take_response(operation);
  sf_operation_release(operation);
  if (code != SF_OK)
    return code;
  operation = NULL;
  code = sf_reader_batch_search_submit(reader, &requests[1], NUM_QUERIES - 1, queue, NULL, &operation, error);
  code = finish(code, queue, operation, error);
  if (code == SF_OK)
    require(sf_operation_take_responses(operation, &state->found[1], NUM_QUERIES - 1), "no responses");
  sf_operation_release(operation);
  return code;
}

static sf_code open_and_search_asynchronously(reading *state, sf_error *error) {
  sf_reader_options options = options_of(state);
  sf_completion_queue *queue = NULL;
  sf_operation *operation = NULL;
  sf_code code = sf_completion_queue_create(&queue, error);
  if (code != SF_OK)
    return code;
  code = sf_reader_open_submit(state->place.root, &options, NULL, queue, NULL, &operation, error);
  code = finish(code, queue, operation, error);
  sf_reader *reader = code == SF_OK ? sf_operation_take_reader(operation) : NULL;
  sf_operation_release(operation);
  if (code == SF_OK)
    code = search_asynchronously(state, reader, queue, error);
  operation = NULL;
  if (code == SF_OK) {
    code = sf_reader_close_submit(reader, -1, queue, NULL, &operation, error);
    code = finish(code, queue, operation, error);
    sf_operation_release(operation);
  }
  sf_reader_free(reader);
  sf_completion_queue_free(queue);
  return code;
}

static sf_code run(void *argument, sf_error *error) {
  reading *state = argument;
  return state->plan->is_asynchronous ? open_and_search_asynchronously(state, error) : open_and_search(state, error);
}

static void prepare(void *argument) {
  reading *state = argument;
  if (!state->plan->is_warm)
    workplace_new_cache(&state->place);
}

static void forget(sf_search_response **responses) {
  for (size_t i = 0; i < NUM_QUERIES; i++) {
    sf_search_response_free(responses[i]);
    responses[i] = NULL;
  }
}

static const char *compare_answers(const reading *state) {
  for (size_t i = 0; i < NUM_QUERIES; i++)
    if (!responses_equal(state->found[i], state->expected[i]))
      return "another answer";
  if (state->found_count != state->expected_count)
    return "another count";
  if (state->expected_rows != NULL && !responses_equal(state->found_rows, state->expected_rows))
    return "other rows";
  return NULL;
}

static const char *check(void *argument, sf_code code, bool had_fault) {
  (void)had_fault;
  reading *state = argument;
  static char left[512];
  const char *wrong = code == SF_OK ? compare_answers(state) : NULL;
  forget(state->found);
  sf_search_response_free(state->found_rows);
  state->found_rows = NULL;
  state->found_count = 0;
  tree cached = tree_read(state->place.cache_folder);
  const char *other = tree_first_other(&cached, &state->cached);
  if (wrong == NULL && other != NULL) {
    snprintf(left, sizeof(left), "%s is left in the cache", other);
    wrong = left;
  }
  tree_free(&cached);
  return wrong;
}

static void find_golden(reading *state) {
  char *golden = scratch_path(SF_TEST_GOLDEN, state->plan->golden);
  char *queries = scratch_path(golden, "queries.npy");
  state->place.root = scratch_path(golden, "snapshot");
  read_queries(state, queries);
  free(queries);
  free(golden);
}

static void make_small(reading *state) {
  const small_plan older = {state->plan->backend, state->plan->strategy, "older", 100, false, false};
  const small_plan newer = {state->plan->backend, state->plan->strategy, "newer", 2000, false, false};
  workplace_new_root(&state->place, state->plan->is_in_store);
  require(small_root_build(state->place.root, &older, NULL) == SF_OK, "can't build");
  require(small_root_build(state->place.root, &newer, NULL) == SF_OK, "can't build");
  state->dim = SMALL_DIM;
  state->queries = sf_calloc((size_t)NUM_QUERIES * SMALL_DIM, sizeof(float));
  require(state->queries != NULL, "memory");
  for (size_t i = 0; i < (size_t)NUM_QUERIES * SMALL_DIM; i++)
    state->queries[i] = small_query()[i % SMALL_DIM] * (i / SMALL_DIM == 1 ? -1.0f : 1.0f);
}

static void *set_up(const void *plan) {
  reading *state = sf_calloc(1, sizeof(*state));
  require(state != NULL, "memory");
  state->plan = plan;
  if (state->plan->golden != NULL)
    find_golden(state);
  else
    make_small(state);
  workplace_new_cache(&state->place);
  sf_error error;
  if (run(state, &error) != SF_OK)
    require(false, error.message);
  memcpy(state->expected, state->found, sizeof(state->found));
  memset(state->found, 0, sizeof(state->found));
  state->expected_rows = state->found_rows;
  state->expected_count = state->found_count;
  state->found_rows = NULL;
  state->found_count = 0;
  require(sf_search_response_count(state->expected[0]) == 10, "too few results");
  state->cached = tree_read(state->place.cache_folder);
  return state;
}

static void tear_down(void *argument) {
  reading *state = argument;
  forget(state->expected);
  sf_search_response_free(state->expected_rows);
  tree_free(&state->cached);
  workplace_remove(&state->place);
  free(state->queries);
  free(state);
}

static const reading_plan small_sqlite = {.backend = "sqlite-vec", .strategy = SF_SHARDING_CLUSTER};
static const reading_plan small_lance = {.backend = "lance", .strategy = SF_SHARDING_LSH, .is_asynchronous = true};
static const reading_plan small_preloaded = {
    .backend = "lance", .strategy = SF_SHARDING_EXPLICIT, .has_shard_ids = true, .preloads = true};
static const reading_plan small_cel = {.backend = "sqlite-vec",
                                       .strategy = SF_SHARDING_CEL,
                                       .routing_context = SMALL_CONTEXT,
                                       .is_asynchronous = true,
                                       .is_warm = true};
static const reading_plan filtered_sqlite = {
    .backend = "sqlite-vec", .strategy = SF_SHARDING_CLUSTER, .filter = "!has(payload.nothing)", .is_warm = true};
static const reading_plan filtered_lance = {
    .backend = "lance", .strategy = SF_SHARDING_LSH, .filter = "id != \"\" && !has(payload.nothing)"};
static const reading_plan store_sqlite = {
    .backend = "sqlite-vec", .strategy = SF_SHARDING_CLUSTER, .is_in_store = true};
static const reading_plan store_lance = {
    .backend = "lance", .strategy = SF_SHARDING_LSH, .is_in_store = true, .is_asynchronous = true};
static const reading_plan cluster_cold = {.golden = "sqlite-cosine-cluster"};
static const reading_plan cluster_warm = {.golden = "sqlite-cosine-cluster", .is_warm = true};
static const reading_plan cluster_asynchronous = {.golden = "sqlite-cosine-cluster", .is_asynchronous = true};
static const reading_plan cluster_preloaded = {.golden = "sqlite-cosine-cluster", .preloads = true};
static const reading_plan explicit_shards = {.golden = "sqlite-cosine-explicit", .has_shard_ids = true};
static const reading_plan cel = {.golden = "sqlite-l2-cel", .routing_context = "{\"lang\": \"en\"}", .is_warm = true};
static const reading_plan cel_hash = {
    .golden = "sqlite-cosine-cel-hash", .routing_context = "{\"tenant\": \"t0\"}", .is_warm = true};
static const reading_plan lsh = {.golden = "sqlite-l2-lsh", .is_warm = true};
static const reading_plan lance20_cold = {.golden = "lance20-l2-cluster"};
static const reading_plan lance21_cold = {.golden = "lance21-cosine-cluster"};
static const reading_plan lance21_warm = {.golden = "lance21-cosine-cluster", .is_warm = true};
static const reading_plan lance22_cold = {.golden = "lance22-cosine-cluster"};
static const reading_plan lance22_asynchronous = {.golden = "lance22-dot-lsh", .is_asynchronous = true};
static const reading_plan lance22_preloaded = {.golden = "lance22-dot-lsh", .preloads = true};

#define READING(title, stride, plan_of_it)                                                                             \
  {                                                                                                                    \
    .name = title, .short_stride = stride, .plan = &(plan_of_it), .set_up = set_up, .prepare = prepare, .run = run,    \
    .check = check, .tear_down = tear_down                                                                             \
  }

#define STORE_READING(title, stride, plan_of_it)                                                                       \
  {                                                                                                                    \
    .name = title, .short_stride = stride, .needs_store = true, .plan = &(plan_of_it), .set_up = set_up,               \
    .prepare = prepare, .run = run, .check = check, .tear_down = tear_down                                             \
  }

const scenario reading_scenarios[] = {
    READING("small-sqlite-cold", 13, small_sqlite),
    READING("small-lance-asynchronous", 5, small_lance),
    READING("small-lance-preload", 5, small_preloaded),
    READING("small-cel-asynchronous", 7, small_cel),
    READING("small-sqlite-filtered", 11, filtered_sqlite),
    READING("small-lance-filtered", 17, filtered_lance),
    STORE_READING("store-sqlite-cold", 101, store_sqlite),
    STORE_READING("store-lance-asynchronous", 101, store_lance),
    READING("sqlite-cold", 0, cluster_cold),
    READING("sqlite-warm", 0, cluster_warm),
    READING("sqlite-asynchronous", 0, cluster_asynchronous),
    READING("sqlite-preload", 0, cluster_preloaded),
    READING("explicit-cold", 0, explicit_shards),
    READING("cel-warm", 0, cel),
    READING("cel-hash-warm", 41, cel_hash),
    READING("lsh-warm", 0, lsh),
    READING("lance20-cold", 47, lance20_cold),
    READING("lance21-cold", 47, lance21_cold),
    READING("lance21-warm", 0, lance21_warm),
    READING("lance22-cold", 53, lance22_cold),
    READING("lance22-asynchronous", 0, lance22_asynchronous),
    READING("lance22-preload", 0, lance22_preloaded),
};
const size_t num_reading_scenarios = sizeof(reading_scenarios) / sizeof(reading_scenarios[0]);
