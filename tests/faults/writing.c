/* Scenarios that write: builds, and what looks after a root. */
#include "base/memory.h"
#include "faults/responses.h"
#include "faults/scenarios.h"
#include "faults/small_root.h"
#include "faults/trees.h"
#include "faults/workplace.h"
#include "shardyfusion/build.h"
#include "support/require.h"
#include "support/scratch.h"

#include <stdio.h>
#include <string.h>

typedef struct writing {
  const small_plan *plan;
  bool is_in_store;
  workplace place;
  tree before; /* what is there when a run begins */
  sf_search_response *expected;
} writing;

static sf_search_response *search(const writing *state) {
  static const int64_t shard_ids[] = {0, 1};
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  sf_search_request request = SF_SEARCH_REQUEST_INIT;
  sf_search_response *response = NULL;
  sf_reader *reader = NULL;
  sf_error error;
  options.cache_dir = state->place.cache_dir;
  options.num_workers = options.num_loaders = 1;
  request.query = small_query();
  request.dim = SMALL_DIM;
  request.has_shard_ids = true;
  request.shard_ids = shard_ids;
  request.num_shard_ids = 2;
  if (sf_reader_open(state->place.root, &options, &reader, &error) != SF_OK)
    require(false, error.message);
  if (sf_reader_search(reader, &request, &response, &error) != SF_OK)
    require(false, error.message);
  sf_reader_free(reader);
  return response;
}

static void begin_anew(writing *state) {
  tree_free(&state->before);
  workplace_new_root(&state->place, state->is_in_store);
  workplace_new_cache(&state->place);
}

static writing *create(const void *plan, bool is_in_store) {
  writing *state = sf_calloc(1, sizeof(*state));
  require(state != NULL, "memory");
  state->plan = plan;
  state->is_in_store = is_in_store;
  begin_anew(state);
  return state;
}

static void tear_down(void *argument) {
  writing *state = argument;
  sf_search_response_free(state->expected);
  tree_free(&state->before);
  workplace_remove(&state->place);
  free(state);
}

/* ------------------------------------------------------------------------------------------------------------- Builds */

static void prepare_build(void *argument) {
  begin_anew(argument);
}

static sf_code run_build(void *argument, sf_error *error) {
  const writing *state = argument;
  return small_root_build(state->place.root, state->plan, error);
}

static sf_code clean_up(const writing *state, bool removes, size_t *num_runs, sf_error *error) {
  sf_cleanup_options options = SF_CLEANUP_OPTIONS_INIT;
  options.remove = removes;
  options.min_age_seconds = 0;
  return sf_snapshot_cleanup(state->place.root, &options, num_runs, error);
}

/* What a build left; NULL: nothing. Where memory stayed out it could not remove all, and a cleanup does. */
static const char *find_rest(const writing *state) {
  static char left[512];
  const tree nothing = {0};
  size_t num_runs = 0;
  require(clean_up(state, true, &num_runs, NULL) == SF_OK, "can't clean up");
  require(clean_up(state, false, &num_runs, NULL) == SF_OK, "can't look for unreferenced runs");
  if (num_runs > 0)
    return "an unreferenced run is left";
  tree found = tree_read(state->place.root); /* of a directory */
  tree_keep_files(&found);
  const char *other = tree_first_other(&found, &nothing);
  if (other != NULL)
    snprintf(left, sizeof(left), "%s is left", other);
  tree_free(&found);
  return other == NULL ? NULL : left;
}

/* A build that failed when its manifest was there already: it can still be made live. */
static const char *check_published(const writing *state) {
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  char *manifest_ref = NULL;
  options.cache_dir = state->place.cache_dir;
  sf_code code = sf_snapshot_rollback(state->place.root, &options, state->plan->run_id, &manifest_ref, NULL);
  sf_free(manifest_ref);
  if (code != SF_OK)
    return "published, and can't be made live";
  sf_search_response *found = search(state);
  const char *wrong = responses_equal(found, state->expected) ? NULL : "another answer";
  sf_search_response_free(found);
  return wrong;
}

static size_t count_published(const writing *state) {
  sf_published_manifest *manifests = NULL;
  size_t count = 0;
  sf_code code = sf_snapshot_history(state->place.root, NULL, 0, &manifests, &count, NULL);
  sf_free(manifests);
  return code == SF_OK ? count : 0; /* there may be no root */
}

static const char *check_build(void *argument, sf_code code, bool had_fault) {
  writing *state = argument;
  const char *wrong = NULL;
  bool is_published = code == SF_OK || count_published(state) > 0;
  (void)had_fault;
  if (code == SF_OK) {
    sf_search_response *found = search(state);
    wrong = responses_equal(found, state->expected) ? NULL : "another answer";
    sf_search_response_free(found);
  } else
    wrong = is_published ? check_published(state) : find_rest(state);
  if (is_published || wrong != NULL)
    begin_anew(state); /* a run id is used once */
  return wrong;
}

static void *begin_build(const void *plan, bool is_in_store) {
  writing *state = create(plan, is_in_store);
  sf_error error;
  if (run_build(state, &error) != SF_OK)
    require(false, error.message);
  state->expected = search(state);
  return state;
}

static void *set_up_build(const void *plan) {
  return begin_build(plan, false);
}

static void *set_up_build_in_store(const void *plan) {
  return begin_build(plan, true);
}

/* ------------------------------------------------------------------------------------------- Looking after a root */

static const small_plan older = {"sqlite-vec", SF_SHARDING_CLUSTER, "older", 100, false, false};
static const small_plan newer = {"lance", SF_SHARDING_CLUSTER, "newer", 2000, false, false};

static void *set_up_root(const void *plan) {
  writing *state = create(plan, false);
  sf_error error;
  if (small_root_build(state->place.root, &older, &error) != SF_OK)
    require(false, error.message);
  state->expected = search(state);
  if (small_root_build(state->place.root, &newer, &error) != SF_OK)
    require(false, error.message);
  return state;
}

static void prepare_rollback(void *argument) {
  const writing *state = argument;
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  char *manifest_ref = NULL;
  options.cache_dir = state->place.cache_dir;
  require(sf_snapshot_rollback(state->place.root, &options, "newer", &manifest_ref, NULL) == SF_OK,
          "can't make it live");
  sf_free(manifest_ref);
}

static sf_code run_rollback(void *argument, sf_error *error) {
  const writing *state = argument;
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  char *manifest_ref = NULL;
  options.cache_dir = state->place.cache_dir;
  sf_code code = sf_snapshot_rollback(state->place.root, &options, "older", &manifest_ref, error);
  sf_free(manifest_ref);
  return code;
}

static const char *check_rollback(void *argument, sf_code code, bool had_fault) {
  const writing *state = argument;
  (void)had_fault;
  if (code != SF_OK)
    return NULL;
  sf_search_response *found = search(state);
  const char *wrong = responses_equal(found, state->expected) ? NULL : "another answer";
  sf_search_response_free(found);
  return wrong;
}

/* A run that was never published. */
static void prepare_cleanup(void *argument) {
  static const char *const names[] = {"shards/run_id=lost/db=00000/attempt=00/shard.db",
                                      "shards/run_id=lost/db=00001/attempt=00/shard.db",
                                      "vector_meta/run_id=lost/centroids.npy"};
  writing *state = argument;
  tree_free(&state->before);
  state->before = tree_read(state->place.root);
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    char *path = scratch_path(state->place.root, names[i]);
    scratch_write(path, "x", 1);
    free(path);
  }
}

static sf_code run_cleanup(void *argument, sf_error *error) {
  size_t num_runs = 0;
  return clean_up(argument, true, &num_runs, error);
}

static const char *check_cleanup(void *argument, sf_code code, bool had_fault) {
  static char left[512];
  writing *state = argument;
  tree found = tree_read(state->place.root);
  const char *other = code == SF_OK ? tree_first_other(&found, &state->before) : NULL;
  const char *lost = tree_first_other(&state->before, &found);
  (void)had_fault;
  if (other != NULL || lost != NULL)
    snprintf(left, sizeof(left), "%s is %s", other != NULL ? other : lost, other != NULL ? "left" : "lost");
  tree_free(&found);
  return other != NULL || lost != NULL ? left : NULL;
}

/* ------------------------------------------------------------------------------------------------- Without a reader */

static bool count_finding(const sf_verify_finding *finding, size_t done, size_t total, void *user_data) {
  (void)finding, (void)done, (void)total, (void)user_data;
  return true;
}

static sf_code look_at_root(const writing *state, const sf_reader_options *options, sf_error *error) {
  sf_published_manifest *manifests = NULL;
  void *bytes = NULL;
  size_t count = 0;
  size_t length = 0;
  sf_code code = sf_snapshot_history(state->place.root, options, 0, &manifests, &count, error);
  require(code != SF_OK || count == 2, "history has another number of manifests");
  if (code == SF_OK)
    code = sf_snapshot_read_object(state->place.root, options, manifests[0].ref, &bytes, &length, error);
  if (code == SF_OK)
    code = sf_manifest_check(bytes, length, "manifest", error);
  sf_free(bytes);
  sf_free(manifests);
  return code;
}

static sf_code look_at_reader(const writing *state, const sf_reader_options *options, sf_error *error) {
  sf_search_request request = SF_SEARCH_REQUEST_INIT;
  sf_reader *reader = NULL;
  sf_snapshot_info *info = NULL;
  sf_shard_detail *details = NULL;
  sf_health *health = NULL;
  uint32_t *shard_ids = NULL;
  size_t count = 0;
  request.query = small_query();
  request.dim = SMALL_DIM;
  sf_code code = sf_reader_open(state->place.root, options, &reader, error);
  if (code == SF_OK)
    code = sf_reader_snapshot_info(reader, &info, error);
  if (code == SF_OK)
    code = sf_reader_shard_details(reader, &details, &count, error);
  if (code == SF_OK)
    code = sf_reader_health(reader, -1, &health, error);
  if (code == SF_OK)
    code = sf_reader_route(reader, &request, &shard_ids, &count, error);
  sf_free(info);
  sf_free(details);
  sf_free(health);
  sf_free(shard_ids);
  sf_reader_free(reader);
  return code;
}

static void prepare_look(void *argument) {
  (void)argument;
}

static sf_code run_look(void *argument, sf_error *error) {
  const writing *state = argument;
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  size_t num_failed = 0;
  options.cache_dir = state->place.cache_dir;
  options.num_workers = options.num_loaders = 1;
  sf_code code = look_at_root(state, &options, error);
  if (code == SF_OK)
    code = look_at_reader(state, &options, error);
  if (code == SF_OK)
    code = sf_snapshot_verify(state->place.root, &options, count_finding, NULL, &num_failed, error);
  require(num_failed == 0, "verify finds what is not so");
  return code;
}

static const char *check_look(void *argument, sf_code code, bool had_fault) {
  (void)argument, (void)code, (void)had_fault;
  return NULL;
}

/* Rolled back, to have a look at shards of the other backend. */
static void *set_up_older(const void *plan) {
  writing *state = set_up_root(plan);
  require(run_rollback(state, NULL) == SF_OK, "can't roll back");
  return state;
}

static const small_plan sqlite_cluster = {"sqlite-vec", SF_SHARDING_CLUSTER, "run", 100, false, false};
static const small_plan lance_cluster = {"lance", SF_SHARDING_CLUSTER, "run", 100, true, true};
static const small_plan lance_lsh = {"lance", SF_SHARDING_LSH, "run", 100, false, false};
static const small_plan sqlite_cel = {"sqlite-vec", SF_SHARDING_CEL, "run", 100, false, false};

#define BUILD(title, stride, plan_of_it)                                                                               \
  {                                                                                                                    \
    .name = title, .short_stride = stride, .plan = &(plan_of_it), .set_up = set_up_build, .prepare = prepare_build,    \
    .run = run_build, .check = check_build, .tear_down = tear_down                                                     \
  }

#define STORE_BUILD(title, stride, plan_of_it)                                                                         \
  {                                                                                                                    \
    .name = title, .short_stride = stride, .needs_store = true, .plan = &(plan_of_it),                                 \
    .set_up = set_up_build_in_store, .prepare = prepare_build, .run = run_build, .check = check_build,                 \
    .tear_down = tear_down                                                                                             \
  }

const scenario writing_scenarios[] = {
    BUILD("build-sqlite", 101, sqlite_cluster),
    BUILD("build-lance-asynchronous", 31, lance_cluster),
    BUILD("build-lsh", 31, lance_lsh),
    BUILD("build-cel", 101, sqlite_cel),
    STORE_BUILD("store-build", 201, lance_lsh),
    {"rollback", 7, false, NULL, set_up_root, prepare_rollback, run_rollback, check_rollback, tear_down},
    {"cleanup", 23, false, NULL, set_up_root, prepare_cleanup, run_cleanup, check_cleanup, tear_down},
    {"look-lance", 13, false, NULL, set_up_root, prepare_look, run_look, check_look, tear_down},
    {"look-sqlite", 23, false, NULL, set_up_older, prepare_look, run_look, check_look, tear_down},
};
const size_t num_writing_scenarios = sizeof(writing_scenarios) / sizeof(writing_scenarios[0]);
