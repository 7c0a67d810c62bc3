/*
 * A shared scan: one thread scans a task for the search that it works for, and for the searches that have the same task of
 * the same shard next, as the registry of active scans shows (scan_registry.h). The rows are read from memory once for all
 * of them. No search waits for others to join.
 *
 * After Qiao et al., "Main-Memory Scan Sharing For Multi-Core CPUs", VLDB 2008, without its grouping by cost: a search that
 * finds none to share with scans alone.
 */
#ifndef SF_QUERY_SHARED_SCAN_H
#define SF_QUERY_SHARED_SCAN_H

#include "query/scan.h"
#include "query/search_state.h"

/* Belongs to one thread. Large: to be initialised by sf_shared_scan_init. */
typedef struct sf_shared_scan {
  size_t count; /* of requests */
  sf_scan_task task;
  sf_shard_search *shards[SF_MAX_SCAN_REQUESTS]; /* each of a search of its own */
  sf_query_vector query_vectors[SF_MAX_SCAN_REQUESTS];
  sf_scan_request requests[SF_MAX_SCAN_REQUESTS];
  sf_error errors[SF_MAX_SCAN_REQUESTS];
  sf_collector collectors[SF_MAX_SCAN_REQUESTS]; /* their memory is kept for the next task */
} sf_shared_scan;

void sf_shared_scan_init(sf_shared_scan *scan);
void sf_shared_scan_free(sf_shared_scan *scan);

/* Takes a shard's next task: it is the first request. With the search's mutex held. */
void sf_shared_scan_begin_locked(sf_shared_scan *scan, sf_search *search, sf_shard_search *from);

/* Adds the searches that have the same task next, and takes it from them. Each keeps a reference and a worker until its
 * results are returned. Locks each of them: to be called without a mutex. */
void sf_shared_scan_join_requests(sf_shared_scan *scan);

/* Scans for all requests. */
void sf_shared_scan_run(sf_shared_scan *scan);

/* Returns the results of the request at `index` to its search, whose mutex is held. */
void sf_shared_scan_return_results_locked(const sf_shared_scan *scan, size_t index);

#endif
