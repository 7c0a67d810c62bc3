/*
 * Cuts rows of a segment into tasks: what one thread scans at a time.
 *
 * Vectors without quantized ones are read whole, and their tasks are about equal. With quantized vectors a sixteenth is
 * read: there tasks may be larger, and become smaller towards the end, where threads wait for the last one (guided
 * self-scheduling: Polychronopoulos and Kuck, IEEE Transactions on Computers, 1987).
 */
#ifndef SF_QUERY_SCAN_TASK_H
#define SF_QUERY_SCAN_TASK_H

#include "vectors/segment.h"

/* No task has fewer bytes of vectors, unless it is the last of its rows. */
#define SF_LEAST_TASK_BYTES ((size_t)4 << 20)

/* Rows [begin, end) of a segment. */
typedef struct sf_scan_task {
  const sf_vector_segment *segment;
  size_t begin;
  size_t end;
} sf_scan_task;

/*
 * How many rows the task that begins at `row` of the segment has: whole chunks (vectors/lazy_norms.h), or what is left.
 * Depends on nothing else, so that searches that scan together have the same tasks.
 */
size_t sf_scan_task_rows(const sf_vector_segment *segment, uint32_t dim, size_t row);

#endif
