/*
 * The lists of all shards of a served snapshot (lists/lists.h), and how many of them give which recall. They are opened
 * from the local cache, or made and kept there, by a thread of lane LOAD, once a search has asked for a recall below 1 and
 * all shards are loaded: until then, searches are exact.
 */
#ifndef SF_QUERY_SNAPSHOT_LISTS_H
#define SF_QUERY_SNAPSHOT_LISTS_H

#include "lists/lists.h"
#include "query/served_snapshot.h"

typedef struct sf_snapshot_lists sf_snapshot_lists;

/* NULL when memory is out. */
sf_snapshot_lists *sf_snapshot_lists_create(uint32_t num_dbs);
void sf_snapshot_lists_free(sf_snapshot_lists *lists); /* nothing makes them any more; NULL is allowed */

/* Begins to open them, unless they are open, being opened, or could not be; or not all shards are loaded. */
void sf_snapshot_lists_start(sf_served_snapshot *served);

/* How many lists a search of all shards is to read; 0: it is to be exact, because they are not open or it reads less. */
size_t sf_snapshot_lists_count(const sf_snapshot_lists *lists, double recall, size_t top_k);

/* Of each shard, by db_id, NULL for those without rows; once there is a count. */
const sf_lists *const *sf_snapshot_lists_of_shards(const sf_snapshot_lists *lists);
size_t sf_snapshot_lists_total(const sf_snapshot_lists *lists);

#endif
