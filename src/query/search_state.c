#include "query/search_state.h"

#include "base/assert.h"
#include "base/memory.h"
#include "base/time.h"
#include "query/response.h"
#include "query/search_lists.h"
#include "query/snapshot_lists.h"

void sf_search_retain(sf_search *search) {
  atomic_fetch_add_explicit(&search->references, 1, memory_order_relaxed);
}

void sf_search_release(sf_search *search) {
  if (atomic_fetch_sub_explicit(&search->references, 1, memory_order_acq_rel) != 1)
    return;
  if (search->served != NULL)
    sf_served_snapshot_release(search->served);
  sf_pruning_threshold_free(&search->pruning_threshold);
  sf_search_response_free(search->response);
  sf_merge_free(&search->merged);
  pthread_cond_destroy(&search->changed);
  pthread_mutex_destroy(&search->mutex);
  sf_filter_release(search->filter);
  for (size_t i = 0; search->found != NULL && i < search->num_shards; i++)
    sf_found_rows_free(&search->found[i]);
  free(search->found);
  free(search->lookups);
  free(search->ids);
  free(search->filters);
  free(search->choices);
  free(search->list_scans);
  free(search->query);
  free(search->shard_events);
  free(search->account.shards);
  free(search);
}

sf_lookup_params sf_search_lookup_params(const sf_search *search) {
  return (sf_lookup_params){.served = search->served,
                            .executor = search->executor,
                            .ids = search->ids,
                            .num_ids = search->num_ids,
                            .omits_payloads = search->omits_payloads,
                            .dim = search->wants_vectors ? search->query_vector.dim : 0,
                            .cancellation = &search->cancellation};
}

/* ------------------------------------------------------------------------------------------------------------- Its end */

static double milliseconds_between(uint64_t started, uint64_t finished) {
  return (double)(finished - started) / 1e6;
}

/* Of a range, all are to be results. */
static sf_code check_range(const sf_search *search, sf_error *error) {
  const sf_collector_params *collector = &search->collector;
  if (collector->kind != SF_COLLECT_RANGE || search->num_found <= collector->top_k)
    return SF_OK;
  return sf_fail(error, SF_CONFIG_VALIDATION_ERROR,
                 "max_score: expected at most %zu results (max_results) after offset %zu, found %llu",
                 collector->top_k - search->offset, search->offset,
                 (unsigned long long)(search->num_found - search->offset));
}

/* The results, in a response that is to be sealed. */
static sf_code fetch_results(const sf_search *search, sf_search_response **response, sf_error *error) {
  SF_TRY(check_range(search, error));
  sf_shard **shards = sf_calloc(search->num_shards, sizeof(sf_shard *));
  if (shards == NULL)
    return sf_fail_memory(error, "results");
  for (size_t i = 0; i < search->num_shards; i++)
    shards[i] = search->shards[i].shard;
  const sf_response_params params = {.merged = &search->merged,
                                     .shards = shards,
                                     .num_shards = (uint32_t)search->num_shards,
                                     .offset = search->offset,
                                     .omits_payloads = search->omits_payloads,
                                     .dim = search->wants_vectors ? search->query_vector.dim : 0,
                                     .has_integer_ids =
                                         sf_served_snapshot_metadata(search->served)->manifest.has_integer_ids,
                                     .cancellation = &search->cancellation};
  sf_code code = sf_search_response_fetch(&params, response, error);
  free(shards);
  return code;
}

/* Adds the account to the response, which is sealed with it: it has all its results. */
static sf_code seal_response(sf_search *search, sf_search_response *response, sf_error *error) {
  sf_search_account *account = &search->account;
  sf_storage_traffic before = account->traffic;
  account->has_traffic = sf_served_snapshot_traffic(search->served, &account->traffic);
  account->traffic.num_requests -= before.num_requests;
  account->traffic.num_bytes -= before.num_bytes;
  account->num_results = sf_search_response_count(response);
  account->times.ended = sf_monotonic_nanoseconds();
  sf_search_account *finished = sf_search_account_finish(account);
  if (finished == NULL)
    return sf_fail_memory(error, "results");
  for (size_t i = 0; i < search->num_shards; i++)
    finished->shard_ids[i] = search->shards[i].shard_id;
  account->shards = NULL;
  sf_search_response_seal(response, milliseconds_between(account->times.started, account->times.ended));
  sf_search_response_set_account(response, finished);
  return SF_OK;
}

static sf_code make_response(sf_search *search, sf_search_response **response, sf_error *error) {
  uint32_t num_shards = (uint32_t)search->num_shards;
  if (search->counts_only)
    return sf_search_response_create_count(
        search->filter == NULL ? search->account.num_rows : search->account.num_matching, num_shards, response, error);
  if (search->ids != NULL) {
    const sf_lookup_params params = sf_search_lookup_params(search);
    SF_TRY(sf_lookup_join(&params, search->found, num_shards, response, error));
  } else
    SF_TRY(fetch_results(search, response, error));
  sf_code code = seal_response(search, *response, error);
  if (code != SF_OK) {
    sf_search_response_free(*response);
    *response = NULL;
  }
  return code;
}

static void return_all_shards(sf_search *search) {
  for (size_t i = 0; i < search->num_shards; i++)
    if (search->shards[i].shard != NULL) {
      search->shards[i].shard = NULL;
      sf_served_snapshot_return(search->served, search->shards[i].shard_id);
    }
}

static int64_t shown_top_k(const sf_search *search) {
  size_t top_k = search->collector.kind == SF_COLLECT_RANGE ? 0 : search->collector.top_k - search->offset;
  return top_k > INT64_MAX ? INT64_MAX : (int64_t)top_k;
}

static void emit_shard_event(const sf_search *search, size_t index) {
  const sf_shard_event *event = &search->shard_events[index];
  if (event->finished == 0 || event->acquired == 0)
    return;
  sf_event_emit(search->events, (sf_event){.type = SF_EVENT_SHARD_SEARCH,
                                           .duration_ms = milliseconds_between(event->acquired, event->finished),
                                           .shard_id = search->shards[index].shard_id,
                                           .num_rows = event->num_rows,
                                           .top_k = shown_top_k(search),
                                           .num_not_finite = event->num_not_finite});
}

/* Once the outcome is certain. */
static void emit_events(const sf_search *search, const sf_search_response *response) {
  const sf_search_times *times = &search->account.times;
  if (search->shard_events == NULL)
    return;
  for (size_t i = 0; i < search->num_shards; i++)
    emit_shard_event(search, i);
  sf_event_emit(search->events,
                (sf_event){.type = SF_EVENT_SEARCH,
                           .code = search->code,
                           .message = search->code == SF_OK ? NULL : search->error.message,
                           .duration_ms = milliseconds_between(times->started, sf_monotonic_nanoseconds()),
                           .num_shards = (uint32_t)search->num_shards,
                           .num_results = response != NULL ? sf_search_response_count(response) : 0,
                           .num_matching = search->account.num_matching,
                           .filter_ms = times->filtered > times->filtering
                                            ? milliseconds_between(times->filtering, times->filtered)
                                            : 0,
                           .top_k = shown_top_k(search)});
}

void sf_search_notify_caller_locked(sf_search *search) {
  SF_ASSERT_LOCKED(&search->mutex);
  atomic_fetch_add_explicit(&search->num_changes, 1, memory_order_release);
  pthread_cond_broadcast(&search->changed);
}

void sf_search_complete(sf_search *search) {
  sf_search_response *response = NULL;
  search->account.times.scanned = sf_monotonic_nanoseconds();
  if (search->code == SF_OK)
    search->code = make_response(search, &response, &search->error);
  if (search->code == SF_OK && sf_search_wants_lists(search))
    sf_snapshot_lists_start(search->served);
  return_all_shards(search);
  sf_served_snapshot_release(search->served);
  search->served = NULL;
  emit_events(search, response);
  if (!search->is_blocking)
    search->done(search->context, search->code, &search->error, response);
  pthread_mutex_lock(&search->mutex);
  if (search->is_blocking)
    search->response = response;
  search->has_ended = true;
  sf_search_notify_caller_locked(search);
  pthread_mutex_unlock(&search->mutex);
  sf_search_release(search); /* the reference of begin_locked */
}
