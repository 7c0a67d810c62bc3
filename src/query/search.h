/*
 * The life of one search: created, started or run, perhaps cancelled, completed. In between it acquires its shards from the
 * served snapshot (search_shards.h), which are scanned by the thread that asked or by threads of the executor (scheduler.h),
 * together with other searches where they are at the same rows (shared_scan.h). The thread that returns the last result
 * fetches the ids and payloads of the merged rows (response.h) and completes the search.
 */
#ifndef SF_QUERY_SEARCH_H
#define SF_QUERY_SEARCH_H

#include "base/report.h"
#include "filter/filter.h"
#include "query/collector.h"
#include "query/search_account.h"
#include "query/served_snapshot.h"
#include "shardyfusion/search.h"

typedef struct sf_search sf_search;

/* How a search ended: with SF_OK and a response, which the callback owns; or with a code and an error. Called once, with no
 * lock held, by the thread that ended it. */
typedef void (*sf_search_callback)(void *context, sf_code code, const sf_error *error, sf_search_response *response);

typedef struct sf_search_params {
  sf_served_snapshot *served; /* retained */
  sf_executor *executor;      /* borrowed for as long as the search lives, as are the events */
  const float *query;         /* dim finite components; copied. NULL: rows are looked up or counted, not scanned */
  const sf_row_id *ids; /* rows to look up, copied; `shard_ids` are ascending then. NULL: rows that match are counted */
  size_t num_ids;
  sf_filter *filter;             /* retained. NULL: every row matches. Not with ids */
  sf_collector_params collector; /* of all results, those that `offset` leaves out included */
  size_t offset;                 /* results to leave out, the nearest */
  bool wants_vectors;
  bool omits_payloads;
  double recall;             /* the share of the results that is to be found, of a search of all shards; 0 or 1: all */
  const uint32_t *shard_ids; /* each once; copied */
  size_t num_shards;
  uint32_t max_concurrency;        /* 0: no bound */
  uint64_t started;                /* sf_monotonic_nanoseconds */
  sf_route_account route;          /* why these shards */
  bool explains_shards;            /* the account has a line for each */
  const sf_event_listener *events; /* NULL: no callback */
} sf_search_params;

/* Shards without rows are left out. The caller has one reference. */
sf_code sf_search_create(const sf_search_params *params, sf_search **search, sf_error *error);
void sf_search_retain(sf_search *search);
void sf_search_release(sf_search *search);

/* Starts it; `done` may be called before this returns. Once for each search, instead of sf_search_run. */
void sf_search_start(sf_search *search, sf_search_callback done, void *context);

/* Runs it on the calling thread and others, and waits for its end. */
sf_code sf_search_run(sf_search *search, sf_search_response **response, sf_error *error);

/* Ends it with SF_CANCELLED_ERROR as soon as no thread scans for it any more. Any thread. */
void sf_search_cancel(sf_search *search);

#endif
