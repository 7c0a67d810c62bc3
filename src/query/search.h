/*
 * One search under way. It takes its shards from the cache (as many at a time as max_concurrency allows), cuts those that
 * are loaded into slices, and lets whoever has time scan them: the thread that asked, or threads of the executor. Nobody
 * waits: a shard that is being loaded comes back by a callback. Whoever finishes the last slice fetches the winners' ids
 * and payloads and completes the search.
 *
 * Whoever scans a slice takes along the searches that stand at the same rows of the same shard (scan_registry.h): with many
 * searches under way, memory is read once for several of them. A search that is alone does not wait for others.
 *
 * Lock order: the search's mutex, then the shard cache's, then the executor's; the scan board's comes after the search's.
 * No thread holds two searches' mutexes.
 */
#ifndef SF_QUERY_SEARCH_H
#define SF_QUERY_SEARCH_H

#include "base/event.h"
#include "query/response.h"
#include "query/served_snapshot.h"

typedef struct sf_search sf_search;

/* How a search ended: with SF_OK and a response, which becomes the callback's; or with a code and an error. Called once,
 * with no lock held, by whatever thread ended it. */
typedef void (*sf_search_callback)(void *context, sf_code code, const sf_error *error, sf_search_response *response);

typedef struct sf_search_params {
  sf_served_snapshot *cache;
  sf_executor *executor;
  const float *query;        /* dim finite components; copied */
  size_t top_k;              /* at least 1 */
  const uint32_t *shard_ids; /* each once; copied */
  size_t num_shards;
  uint32_t max_concurrency;        /* 0: no bound */
  uint64_t started;                /* sf_monotonic_nanoseconds */
  const sf_event_listener *events; /* NULL: nobody listens */
} sf_search_params;

/* Shards without rows are left out. The caller has one reference. */
sf_code sf_search_create(const sf_search_params *source, sf_search **search, sf_error *error);
void sf_search_retain(sf_search *search);
void sf_search_release(sf_search *search);

/* Starts it; `done` may be called before this returns. Once for each search, instead of sf_search_run. */
void sf_search_start(sf_search *search, sf_search_callback done, void *context);

/* Runs it with the help of the calling thread, and waits for its end. */
sf_code sf_search_run(sf_search *search, sf_search_response **response, sf_error *error);

/* Ends it with SF_CANCELLED_ERROR as soon as nobody scans for it any more. */
void sf_search_cancel(sf_search *search);

#endif
