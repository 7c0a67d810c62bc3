/*
 * The search of some lists of a shard (lists/lists.h): 2-bit vectors of a list rule out most of its rows, 4-bit ones most of
 * the rest, and what is left is scored exactly.
 *
 * Both rule out by lower bounds (vectors/quantized.h) whose error terms are scaled by `error_share`. A bound assumes the
 * worst direction of the error, |q||r|; in a random one q·r is of the size |q||r| / √dim, and 3.3 of these are hardly ever
 * exceeded. With a share of 1 the bounds hold always, and the rows of the lists are searched exactly.
 */
#ifndef SF_QUERY_LIST_SCAN_H
#define SF_QUERY_LIST_SCAN_H

#include "query/list_choice.h"
#include "query/scan.h"

/* All is borrowed. */
typedef struct sf_list_scan {
  const sf_lists *lists;
  const sf_vector_segment *segments; /* of the shard, by first_row, ascending */
  size_t num_segments;
  const sf_list_choice *choices; /* of this shard, nearest first */
  size_t num_choices;
  float error_share; /* above 0, up to 1 */
} sf_list_scan;

/* 3.3 / √dim, but at most 1. */
float sf_list_scan_error_share(uint32_t dim);

/* Collects rows for a request, and sets its code, as sf_scan_task_run does. */
void sf_list_scan_run(const sf_list_scan *scan, sf_scan_request *request);

#endif
