/*
 * A search of lists: once all of its shards have arrived, the nearest lists of all of them are chosen, and each shard gets one
 * task, the scan of its own among them. A search is exact instead where lists serve it not: with a filter, a maximal score
 * or more results than were calibrated, and where not all shards are searched, or not all at once.
 */
#ifndef SF_QUERY_SEARCH_LISTS_H
#define SF_QUERY_SEARCH_LISTS_H

#include "query/search_state.h"

/* Whether lists would serve it, if they were open. */
bool sf_search_wants_lists(const sf_search *search);

/* Decides how many lists it reads, before its first shard is started. */
void sf_search_begin_lists_locked(sf_search *search);

/* Chooses the lists, and plans their scans: all shards have arrived. Plans of shards with none of them stay empty. */
sf_code sf_search_plan_lists_locked(sf_search *search, sf_error *error);

#endif
