#include "query/search.h"

#include "base/assert.h"
#include "base/memory.h"
#include "base/thread.h"
#include "base/time.h"
#include "query/scheduler.h"
#include "query/search_lists.h"
#include "query/search_shards.h"

#include <string.h>

static void init_shards(sf_search *search, const sf_search_params *params) {
  const sf_manifest *manifest = &sf_served_snapshot_metadata(params->served)->manifest;
  for (size_t i = 0; i < params->num_shards; i++)
    if (manifest->shards[params->shard_ids[i]].db_url != NULL)
      search->shards[search->num_shards++] = (sf_shard_search){
          .waiter.loaded = sf_scheduler_shard_loaded, .search = search, .shard_id = params->shard_ids[i]};
  for (size_t i = 0; i < search->num_shards && search->filters != NULL; i++)
    search->filters[i] = (sf_shard_filter){.waiter.ready = sf_scheduler_bitmap_ready, .of = &search->shards[i]};
  for (size_t i = 0; i < search->num_shards && search->lookups != NULL; i++)
    search->lookups[i] = (sf_shard_lookup){.waiter.done = sf_scheduler_lookup_done, .of = &search->shards[i]};
  search->max_in_flight = params->max_concurrency == 0 ? search->num_shards : params->max_concurrency;
}

/* The arrays that not every search has. False when memory is out. */
static bool allocate_arrays(sf_search *search, const sf_search_params *params) {
  size_t count = params->num_shards;
  if (sf_event_has_callback(params->events))
    search->shard_events = sf_calloc(count, sizeof(sf_shard_event));
  if (params->explains_shards)
    search->account.shards = sf_calloc(count, sizeof(sf_shard_account));
  if (params->filter != NULL)
    search->filters = sf_calloc(count, sizeof(sf_shard_filter));
  if (params->ids != NULL) {
    search->ids = sf_row_ids_copy(params->ids, params->num_ids);
    search->lookups = sf_calloc(count, sizeof(sf_shard_lookup));
    search->found = sf_calloc(count, sizeof(sf_found_rows));
  }
  return (search->shard_events != NULL || !sf_event_has_callback(params->events)) &&
         (search->account.shards != NULL || !params->explains_shards) &&
         (search->filters != NULL || params->filter == NULL) &&
         (params->ids == NULL || (search->ids != NULL && search->lookups != NULL && search->found != NULL));
}

static void free_allocated(sf_search *search) {
  free(search->query);
  free(search->shard_events);
  free(search->account.shards);
  free(search->filters);
  free(search->ids);
  free(search->lookups);
  free(search->found);
  free(search);
}

/* All that can fail. NULL when memory is out. */
static sf_search *allocate(const sf_search_params *params, uint32_t dim) {
  /* The number of shards is a manifest's, which bounds it. */
  sf_search *search = sf_calloc(1, sizeof(*search) + params->num_shards * sizeof(sf_shard_search));
  if (search == NULL)
    return NULL;
  search->collector = params->collector;
  if (!sf_pruning_threshold_init(&search->pruning_threshold, &search->collector)) {
    free(search);
    return NULL;
  }
  if ((search->query = sf_calloc((size_t)dim * 2, sizeof(float))) == NULL || !allocate_arrays(search, params) ||
      pthread_mutex_init(&search->mutex, NULL) != 0 || !sf_condition_init(&search->changed)) {
    sf_pruning_threshold_free(&search->pruning_threshold);
    free_allocated(search);
    return NULL;
  }
  return search;
}

static void init_account(sf_search *search, const sf_search_params *params) {
  const sf_manifest *manifest = &sf_served_snapshot_metadata(search->served)->manifest;
  sf_search_account *account = &search->account;
  account->strategy = manifest->routing.strategy;
  account->num_dbs = manifest->num_dbs;
  account->route = params->route;
  account->times.started = params->started;
  account->has_traffic = sf_served_snapshot_traffic(search->served, &account->traffic);
  account->filter = search->filter;
  account->num_shards = (uint32_t)search->num_shards;
}

sf_code sf_search_create(const sf_search_params *params, sf_search **created, sf_error *error) {
  const sf_manifest *manifest = &sf_served_snapshot_metadata(params->served)->manifest;
  sf_search *search = allocate(params, manifest->dim);
  if (search == NULL)
    return sf_fail_memory(error, "search");
  atomic_init(&search->references, 1);
  if (params->query != NULL)
    memcpy(search->query, params->query, manifest->dim * sizeof(float));
  if (params->filter != NULL)
    sf_filter_retain(params->filter);
  search->filter = params->filter;
  search->recall = params->recall;
  search->offset = params->offset;
  search->wants_vectors = params->wants_vectors;
  search->omits_payloads = params->omits_payloads;
  search->num_ids = params->num_ids;
  search->counts_only = params->query == NULL && params->ids == NULL;
  /* Each shard sets its own convention; what depends on the query alone does not depend on it. */
  sf_query_vector_init(&search->query_vector, search->query, manifest->dim, SF_SCORE_COSINE,
                       search->query + manifest->dim);
  search->served = params->served;
  sf_served_snapshot_retain(search->served);
  search->executor = params->executor;
  search->events = params->events;
  search->merged.params = &search->collector;
  init_shards(search, params);
  init_account(search, params);
  *created = search;
  return SF_OK;
}

/* Takes a reference until the search is completed, and starts its first shards. */
static void begin_locked(sf_search *search) {
  SF_ASSERT_LOCKED(&search->mutex);
  sf_search_retain(search);
  search->has_started = true;
  search->account.times.begun = sf_monotonic_nanoseconds();
  sf_search_begin_lists_locked(search);
  sf_search_start_shards_locked(search);
}

void sf_search_start(sf_search *search, sf_search_callback done, void *context) {
  sf_search_retain(search); /* for this call */
  pthread_mutex_lock(&search->mutex);
  search->done = done;
  search->context = context;
  begin_locked(search);
  pthread_mutex_unlock(&search->mutex);
  sf_scheduler_advance(search);
  sf_search_release(search);
}

/* Waits until a task is ready, for which the caller then still counts as waiting; false when the search has ended. */
static bool wait_for_tasks(sf_search *search) {
  pthread_mutex_lock(&search->mutex);
  search->is_caller_waiting = true;
  while (!search->has_ended && search->first_ready == NULL) {
    unsigned seen = atomic_load_explicit(&search->num_changes, memory_order_relaxed);
    pthread_mutex_unlock(&search->mutex);
    bool has_changed = sf_wait_awake(&search->num_changes, seen);
    pthread_mutex_lock(&search->mutex);
    if (!has_changed && !search->has_ended && search->first_ready == NULL)
      pthread_cond_wait(&search->changed, &search->mutex);
  }
  bool has_ended = search->has_ended;
  pthread_mutex_unlock(&search->mutex);
  return !has_ended;
}

sf_code sf_search_run(sf_search *search, sf_search_response **response, sf_error *error) {
  pthread_mutex_lock(&search->mutex);
  search->is_blocking = true;
  search->is_caller_waiting = true; /* for the first task: workers are requested only where there are more */
  begin_locked(search);
  if (search->first_ready != NULL)
    sf_scheduler_request_workers_locked(search);
  pthread_mutex_unlock(&search->mutex);
  do {
    sf_scheduler_run_tasks(search, true);
    sf_scheduler_advance(search);
  } while (wait_for_tasks(search));
  if (search->code != SF_OK) {
    if (error != NULL)
      *error = search->error;
    return search->code;
  }
  *response = search->response;
  search->response = NULL;
  return SF_OK;
}

void sf_search_cancel(sf_search *search) {
  sf_error error;
  sf_fail(&error, SF_CANCELLED_ERROR, "the search was cancelled");
  pthread_mutex_lock(&search->mutex);
  if (!search->is_ending)
    sf_search_fail_locked(search, error.code, &error);
  else
    sf_cancellation_request(&search->cancellation);
  pthread_mutex_unlock(&search->mutex);
  sf_scheduler_advance(search);
}
