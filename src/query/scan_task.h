/*
 * Row ranges, and the tasks that they are cut into: what one thread scans at a time.
 *
 * Vectors without quantized ones are read whole, and their tasks are about equal. With quantized vectors a sixteenth is
 * read: there tasks may be larger, and become smaller towards the end, where threads wait for the last one (guided
 * self-scheduling: Polychronopoulos and Kuck, IEEE Transactions on Computers, 1987).
 */
#ifndef SF_QUERY_SCAN_TASK_H
#define SF_QUERY_SCAN_TASK_H

#include "vectors/segment.h"

/* No task has fewer bytes of vectors, unless it is the last of its range. */
#define SF_LEAST_TASK_BYTES ((size_t)4 << 20)

/* Whether a range can be scanned. Ranges that are fetched for a query will add their states here. */
typedef enum sf_range_state { SF_RANGE_RESIDENT } sf_range_state;

/* Rows [begin, end) of a segment, which is borrowed; `begin` is 0 or begins a chunk (vectors/lazy_norms.h). */
typedef struct sf_row_range {
  const sf_vector_segment *segment;
  size_t begin;
  size_t end;
  sf_range_state state;
} sf_row_range;

/* Rows [begin, end) of a range. */
typedef struct sf_scan_task {
  sf_row_range range;
  size_t begin;
  size_t end;
} sf_scan_task;

/* All rows of a segment. */
static inline sf_row_range sf_row_range_of(const sf_vector_segment *segment) {
  return (sf_row_range){.segment = segment, .end = segment->num_rows};
}

/*
 * The task that begins at `row` of the range: whole chunks, or what is left. Depends on nothing else, so that searches that
 * scan the same range have the same tasks.
 */
sf_scan_task sf_scan_task_at(const sf_row_range *range, uint32_t dim, size_t row);

#endif
