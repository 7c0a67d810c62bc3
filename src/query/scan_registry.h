/*
 * The registry of active scans: where each search is in the shards that it still scans. A thread that scans a task finds the
 * searches that have the same rows next, and scans for all of them at once (shared_scan.h): the rows are read from memory
 * once. No search waits for another.
 * Sharing scans: Qiao et al., "Main-Memory Scan Sharing For Multi-Core CPUs", VLDB 2008.
 */
#ifndef SF_QUERY_SCAN_REGISTRY_H
#define SF_QUERY_SCAN_REGISTRY_H

#include "base/error.h"

/* A search's position in one shard; embedded. Its search keeps it alive as long as it is registered. */
typedef struct sf_scan_position {
  struct sf_scan_position *previous;
  struct sf_scan_position *next;
  bool is_registered;
  size_t segment; /* what it scans next */
  size_t row;
} sf_scan_position;

typedef struct sf_scan_registry sf_scan_registry;

/* For shards with ids below `num_shards`. */
sf_code sf_scan_registry_create(uint32_t num_shards, sf_scan_registry **registry, sf_error *error);
void sf_scan_registry_free(sf_scan_registry *registry); /* it is empty; NULL is allowed */

/* Registers a position, or updates one that is registered. */
void sf_scan_registry_put(sf_scan_registry *registry, uint32_t shard_id, sf_scan_position *position, size_t segment,
                          size_t row);
/* Removes it, if it is registered. */
void sf_scan_registry_remove(sf_scan_registry *registry, uint32_t shard_id, sf_scan_position *position);

/* Finds up to `limit` positions at that row, in the order of their registration. They stay registered, and may advance at
 * any time: `keep` is called for each, with the registry locked, to keep it alive (an atomic operation; it must take no
 * lock). Returns how many. */
size_t sf_scan_registry_find(sf_scan_registry *registry, uint32_t shard_id, size_t segment, size_t row,
                             void (*keep)(sf_scan_position *position), sf_scan_position **found, size_t limit);

#endif
