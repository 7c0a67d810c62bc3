/*
 * Where searches that have rows of a shard left to scan find one another: a thread that scans for one takes along those
 * that stand at the same row, and the rows are read from memory once for all of them. Nobody waits for company.
 * Sharing scans: Qiao et al., "Main-Memory Scan Sharing For Multi-Core CPUs", VLDB 2008.
 */
#ifndef SF_QUERY_SCAN_REGISTRY_H
#define SF_QUERY_SCAN_REGISTRY_H

#include "base/error.h"

/* A search's place in one shard; embedded. Its search keeps it alive as long as it is on a board. */
typedef struct sf_scan_place {
  struct sf_scan_place *previous;
  struct sf_scan_place *next;
  bool is_on_board;
  size_t segment; /* what it scans next */
  size_t row;
} sf_scan_place;

typedef struct sf_scan_board sf_scan_board;

/* For shards with ids below `num_shards`. */
sf_code sf_scan_board_create(uint32_t num_shards, sf_scan_board **board, sf_error *error);
void sf_scan_board_free(sf_scan_board *board); /* nobody is on it; NULL is allowed */

/* Enters a place, or notes how far one that was entered has come. */
void sf_scan_board_put(sf_scan_board *board, uint32_t shard_id, sf_scan_place *place, size_t segment, size_t row);
/* Takes it off; one that is not on the board stays off. */
void sf_scan_board_remove(sf_scan_board *board, uint32_t shard_id, sf_scan_place *place);

/* Up to `limit` places at that row, those that were entered first before others; how many. They stay on the board, and
 * may go on at any time: `keep` is called for each, with the board locked, to keep it alive (an atomic operation; it must
 * take no lock). */
size_t sf_scan_board_find(sf_scan_board *board, uint32_t shard_id, size_t segment, size_t row,
                          void (*keep)(sf_scan_place *place), sf_scan_place **found, size_t limit);

#endif
