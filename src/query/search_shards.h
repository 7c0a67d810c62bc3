/*
 * The shards of one search, each on its way from acquired over scanned to returned: as many at a time as max_concurrency
 * allows. A shard that is loaded gives tasks until its rows are scanned; then it is returned to the served snapshot, unless
 * rows of it were merged, whose ids are fetched in the end.
 *
 * Functions that end in _locked need the search's mutex.
 */
#ifndef SF_QUERY_SEARCH_SHARDS_H
#define SF_QUERY_SEARCH_SHARDS_H

#include "query/search_state.h"

/* Searches with more results than this scan alone: what a shared scan holds in memory stays small. */
#define SF_MAX_SHARED_ROWS 1024

/* Asks the served snapshot for as many shards as may be in flight. Each that waits holds a reference to the search. */
void sf_search_start_shards_locked(sf_search *search);

/* Takes in a shard that was acquired, and plans its scan. */
void sf_search_add_shard_locked(sf_search *search, sf_shard_search *to, sf_shard *shard);

/* Takes in the bitmap of a shard's rows, which has come or failed to be made, and plans the scan of the shard. */
void sf_search_add_bitmap_locked(sf_search *search, sf_shard_search *to, const sf_shard_bitmap *bitmap, sf_code code,
                                 const sf_error *error);

/* Takes in the rows that a shard has of those to look up, or why that failed. */
void sf_search_add_found_locked(sf_search *search, sf_shard_search *of, const sf_found_rows *found, sf_code code,
                                const sf_error *error);

/* Keeps the first failure, and stops what is not being scanned right now. */
void sf_search_fail_locked(sf_search *search, sf_code code, const sf_error *error);

/* The next task of a shard that has one. */
sf_scan_task sf_search_take_task_locked(sf_search *search, sf_shard_search *from);

/* Takes the result of a task, which may have been scanned for other searches, too: merges the collected rows, or fails the
 * search. */
void sf_search_return_task_locked(sf_search *search, sf_shard_search *of, const sf_scan_request *result,
                                  bool is_shared);

/* How many tasks are ready, or `limit` where there are at least as many. An estimate. */
size_t sf_search_count_tasks_locked(const sf_search *search, size_t limit);

/* The list of shards to return, for the calling thread alone, which counts as a worker until it has returned them, so
 * that the search does not end before. */
sf_shard_search *sf_search_take_to_return_locked(sf_search *search);
/* Returns them; without the mutex. */
void sf_search_return_shards(sf_search *search, sf_shard_search *list);

#endif
