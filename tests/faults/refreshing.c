/* Scenarios of a reader that is open: a refresh to a newer snapshot, which works or leaves the older one, and says so. */
#include "base/memory.h"
#include "faults/responses.h"
#include "faults/scenarios.h"
#include "faults/small_root.h"
#include "faults/workplace.h"
#include "support/require.h"
#include "support/scratch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

typedef struct refreshing_plan {
  const char *backend;
  bool is_asynchronous;
  bool preloads;
} refreshing_plan;

enum { OLDER, NEWER, NUM_RUNS };

typedef struct refreshing {
  const refreshing_plan *plan;
  workplace place;
  char *pointer_path;
  sf_buffer pointers[NUM_RUNS]; /* what `_CURRENT` says */
  sf_search_response *expected[NUM_RUNS];
  sf_reader *reader;
  bool has_changed;
  sf_search_response *found;
} refreshing;

static sf_search_request request_of(void) {
  static const int64_t shard_ids[] = {0, 1};
  sf_search_request request = SF_SEARCH_REQUEST_INIT;
  request.query = small_query();
  request.dim = SMALL_DIM;
  request.has_shard_ids = true;
  request.shard_ids = shard_ids;
  request.num_shard_ids = 2;
  return request;
}

static void point_to(const refreshing *state, int run_number) {
  scratch_write(state->pointer_path, state->pointers[run_number].data, state->pointers[run_number].length);
}

static sf_reader *open_reader(const refreshing *state) {
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  sf_reader *reader = NULL;
  sf_error error;
  options.cache_dir = state->place.cache_dir;
  options.num_workers = 1;
  options.num_loaders = 1;
  options.preload_shards = state->plan->preloads;
  if (sf_reader_open(state->place.root, &options, &reader, &error) != SF_OK)
    require(false, error.message);
  return reader;
}

static void prepare(void *argument) {
  refreshing *state = argument;
  sf_reader_free(state->reader);
  point_to(state, OLDER);
  state->reader = open_reader(state);
  state->has_changed = false;
  point_to(state, NEWER);
}

static sf_code refresh_asynchronously(refreshing *state, bool *changed, sf_error *error) {
  sf_completion_queue *queue = NULL;
  sf_operation *operation = NULL;
  sf_code code = sf_completion_queue_create(&queue, error);
  if (code == SF_OK)
    code = sf_reader_refresh_submit(state->reader, queue, NULL, &operation, error);
  if (code == SF_OK) {
    sf_completion_queue_wait(queue, -1);
    code = sf_operation_result(operation, error);
    *changed = code == SF_OK && sf_operation_refresh_changed(operation);
  }
  sf_operation_release(operation);
  sf_completion_queue_free(queue);
  return code;
}

static sf_code run(void *argument, sf_error *error) {
  refreshing *state = argument;
  bool changed = false;
  sf_code code = state->plan->is_asynchronous ? refresh_asynchronously(state, &changed, error)
                                              : sf_reader_refresh(state->reader, &changed, error);
  state->has_changed = state->has_changed || changed;
  if (code != SF_OK)
    return code;
  sf_search_request request = request_of();
  return sf_reader_search(state->reader, &request, &state->found, error);
}

/* Without a fault. Loads of shards that began with one may still be in flight, and a search that waits for one fails with it;
 * each retry finds one such load less. */
static sf_search_response *search(const refreshing *state) {
  sf_search_request request = request_of();
  sf_search_response *response = NULL;
  sf_error error;
  sf_code code = SF_OUT_OF_MEMORY_ERROR;
  for (int tries = 0; tries <= SMALL_DBS && code == SF_OUT_OF_MEMORY_ERROR; tries++)
    code = sf_reader_search(state->reader, &request, &response, &error);
  if (code != SF_OK)
    require(false, error.message);
  return response;
}

static bool says_why(const refreshing *state) {
  sf_health *health = NULL;
  require(sf_reader_health(state->reader, -1, &health, NULL) == SF_OK, "no health");
  const char *why = health->refresh_error != NULL ? health->refresh_error : "";
  bool says = strstr(why, "out of memory") != NULL || strstr(why, strerror(ENOMEM)) != NULL;
  sf_free(health);
  return says;
}

static const char *check(void *argument, sf_code code, bool had_fault) {
  refreshing *state = argument;
  const char *wrong = NULL;
  if (code != SF_OK)
    state->found = search(state);
  if (!had_fault && !state->has_changed)
    wrong = "no newer snapshot found";
  else if (!responses_equal(state->found, state->expected[state->has_changed ? NEWER : OLDER]))
    wrong = "another answer";
  else if (code == SF_OK && !state->has_changed && !says_why(state))
    wrong = "health does not say that memory was out";
  sf_search_response_free(state->found);
  state->found = NULL;
  return wrong;
}

static void read_pointer(const refreshing *state, sf_buffer *pointer) {
  char bytes[2048];
  FILE *file = fopen(state->pointer_path, "rb");
  require(file != NULL, "no _CURRENT");
  require(sf_buffer_append(pointer, bytes, fread(bytes, 1, sizeof(bytes), file)), "memory");
  fclose(file);
}

static void *set_up(const void *plan) {
  static const char *const names[] = {"older", "newer"};
  refreshing *state = sf_calloc(1, sizeof(*state));
  require(state != NULL, "memory");
  state->plan = plan;
  workplace_new_root(&state->place, false);
  workplace_new_cache(&state->place);
  state->pointer_path = scratch_path(state->place.root, "_CURRENT");
  for (int i = 0; i < NUM_RUNS; i++) {
    const small_plan built = {state->plan->backend, SF_SHARDING_CLUSTER, names[i], 100 + 1000 * i, false, false};
    require(small_root_build(state->place.root, &built, NULL) == SF_OK, "can't build");
    read_pointer(state, &state->pointers[i]);
    state->reader = open_reader(state);
    state->expected[i] = search(state);
    sf_reader_free(state->reader);
  }
  state->reader = NULL;
  require(!responses_equal(state->expected[OLDER], state->expected[NEWER]), "both snapshots give one answer");
  return state;
}

static void tear_down(void *argument) {
  refreshing *state = argument;
  sf_reader_free(state->reader);
  for (int i = 0; i < NUM_RUNS; i++) {
    sf_buffer_free(&state->pointers[i]);
    sf_search_response_free(state->expected[i]);
  }
  free(state->pointer_path);
  workplace_remove(&state->place);
  free(state);
}

static const refreshing_plan sqlite = {.backend = "sqlite-vec"};
static const refreshing_plan lance = {.backend = "lance", .is_asynchronous = true};
static const refreshing_plan preloading = {.backend = "sqlite-vec", .preloads = true};

#define REFRESHING(title, plan_of_it)                                                                                  \
  {                                                                                                                    \
    .name = title, .short_stride = 11, .plan = &(plan_of_it), .set_up = set_up, .prepare = prepare, .run = run,        \
    .check = check, .tear_down = tear_down                                                                             \
  }

const scenario refreshing_scenarios[] = {
    REFRESHING("refresh-sqlite", sqlite),
    REFRESHING("refresh-lance-asynchronous", lance),
    REFRESHING("refresh-preload", preloading),
};
const size_t num_refreshing_scenarios = sizeof(refreshing_scenarios) / sizeof(refreshing_scenarios[0]);
