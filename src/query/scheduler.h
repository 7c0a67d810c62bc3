/*
 * Which threads scan for a search, and when. Tasks that are ready are scanned by the thread that asked for the search, where
 * it waits, and by worker runs: jobs of the executor's SCAN lane, each of which scans tasks until none is ready or others wait
 * for its thread. There are as many as there are idle threads and tasks. No thread waits for another: a shard that is being
 * loaded comes with a callback, and the thread that returns the last result completes the search.
 *
 * Functions that end in _locked need the search's mutex; the others take it.
 */
#ifndef SF_QUERY_SCHEDULER_H
#define SF_QUERY_SCHEDULER_H

#include "query/search_state.h"

/* Queues worker runs for the tasks that are ready: as many as threads are idle, and at least one where no other thread would
 * scan them. */
void sf_scheduler_request_workers_locked(sf_search *search);

/* Scans tasks until none is ready; a thread of the executor, until other work waits for it. */
void sf_scheduler_run_tasks(sf_search *search, bool is_caller);

/* To be called after anything changed: requests workers for what is ready, returns shards, and completes a search of which
 * nothing is under way. The caller holds a reference. */
void sf_scheduler_advance(sf_search *search);

/* The waiter's callback of each sf_shard_search. Drops the waiter's reference. */
void sf_scheduler_shard_loaded(sf_shard_waiter *waiter, sf_shard *shard, sf_code code, const sf_error *error);

/* The waiter's callback of each sf_shard_filter. Drops the waiter's reference. */
void sf_scheduler_bitmap_ready(sf_bitmap_waiter *waiter, const sf_shard_bitmap *bitmap, sf_code code,
                               const sf_error *error);

/* The waiter's callback of each sf_shard_lookup. Drops the waiter's reference. */
void sf_scheduler_lookup_done(sf_lookup_waiter *waiter, const sf_found_rows *found, sf_code code,
                              const sf_error *error);

#endif
