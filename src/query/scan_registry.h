/*
 * Where searches that have rows of a shard left to scan find one another: a thread that scans for one takes along those
 * that stand at the same row, and the rows are read from memory once for all of them. Nobody waits for company.
 * Sharing scans: Qiao et al., "Main-Memory Scan Sharing For Multi-Core CPUs", VLDB 2008.
 */
#ifndef SF_QUERY_SCAN_REGISTRY_H
#define SF_QUERY_SCAN_REGISTRY_H

#include "base/error.h"

/* A search's place in one shard; embedded. Its search keeps it alive as long as it is on a board. */
typedef struct sf_scan_position {
  struct sf_scan_position *previous;
  struct sf_scan_position *next;
  bool is_registered;
  size_t segment; /* what it scans next */
  size_t row;
} sf_scan_position;

typedef struct sf_scan_registry sf_scan_registry;

/* For shards with ids below `num_shards`. */
sf_code sf_scan_registry_create(uint32_t num_shards, sf_scan_registry **board, sf_error *error);
void sf_scan_registry_free(sf_scan_registry *board); /* nobody is on it; NULL is allowed */

/* Enters a place, or notes how far one that was entered has come. */
void sf_scan_registry_put(sf_scan_registry *board, uint32_t shard_id, sf_scan_position *place, size_t segment,
                          size_t row);
/* Takes it off; one that is not on the board stays off. */
void sf_scan_registry_remove(sf_scan_registry *board, uint32_t shard_id, sf_scan_position *place);

/* Up to `limit` places at that row, those that were entered first before others; how many. They stay on the board, and
 * may go on at any time: `keep` is called for each, with the board locked, to keep it alive (an atomic operation; it must
 * take no lock). */
size_t sf_scan_registry_find(sf_scan_registry *board, uint32_t shard_id, size_t segment, size_t row,
                             void (*keep)(sf_scan_position *place), sf_scan_position **found, size_t limit);

#endif
