/*
 * Exact search of one vector segment, or a part of it: a float32 pass over all rows, and float64 scores for those that
 * come within its error of the best. The result is what scoring every row in float64 would give.
 */
#ifndef SF_QUERY_SCAN_H
#define SF_QUERY_SCAN_H

#include "base/cancellation.h"
#include "query/pruning_threshold.h"
#include "vectors/query_vector.h"
#include "vectors/segment.h"

/* The most searches that scan together: their candidates stay in a CPU's own cache beside a block of rows. */
#define SF_MAX_SCAN_PARTS 16

/* What one search wants of a scan. */
typedef struct sf_scan_part {
  const sf_query_vector *query;
  size_t top_k; /* at least 1, or nothing is looked for */
  /* Of the search, which searches all of the segment and may search others: what can't be among its best may be missing
   * then, and the scan lowers the limit for other scans. NULL: nothing but these rows is searched. */
  sf_pruning_threshold *limit;
  const sf_cancellation *cancellation; /* NULL: never cancelled */
  sf_neighbour *neighbours;            /* room for top_k; after a failure its contents mean nothing */
  size_t num_neighbours;               /* set by the scan, as are the two below */
  sf_code code;
  sf_error *error; /* borrowed; NULL: nobody wants to know */
} sf_scan_part;

/*
 * The (up to) `top_k` best rows of segment rows [begin, end), ascending, for each of 1 to SF_MAX_SCAN_PARTS parts, whose
 * queries are alike in all but the vector. Each gets what it would get alone: the rows are read from memory once for all
 * of them, a block at a time, and a part that fails or is cancelled leaves the others to go on. Looks at the
 * cancellations every few hundred KiB. Allocates scratch memory bounded by top_k, and by the rows.
 */
void sf_scan_segment_together(sf_scan_part *parts, size_t count, const sf_vector_segment *segment, size_t begin,
                              size_t end);

/* The same for one search. */
sf_code sf_scan_segment(const sf_query_vector *query_vector, const sf_vector_segment *segment, size_t begin, size_t end,
                        size_t top_k, sf_pruning_threshold *limit, const sf_cancellation *cancellation,
                        sf_neighbour *neighbours, size_t *num_neighbours, sf_error *error);

#endif
