/*
 * Exact search of one vector segment, or a part of it: a float32 pass over all rows, and float64 scores for those that
 * come within its error of the best. The result is what scoring every row in float64 would give.
 */
#ifndef SF_QUERY_SCAN_H
#define SF_QUERY_SCAN_H

#include "base/cancellation.h"
#include "formats/shard.h"
#include "query/pruning_threshold.h"
#include "vectors/distance.h"

/* What of a query is the same for every row. Borrows the query. */
typedef struct sf_scan_query {
  const float *query;  /* dim components, all finite */
  const float *scaled; /* the query divided by its norm (all zero for a zero query); for cosine */
  double norm;
  double squared_norm;
  uint32_t dim;
  sf_score_convention score_convention;
  const sf_kernels *kernels; /* those in use */
} sf_scan_query;

/* `scaled_storage` has room for dim components and must live as long as the scan query. */
void sf_scan_query_init(sf_scan_query *scan_query, const float *query, uint32_t dim,
                        sf_score_convention score_convention, float *scaled_storage);

/*
 * The exact score of one row, whose components must be finite. cos is dot / √(|q|²|x|²), cut to [−1, 1], where the exact
 * result lies (Cauchy–Schwarz): a vector is at distance 0 from itself, and from its multiples up to a few 10⁻¹⁶.
 */
double sf_scan_exact_score(const sf_scan_query *scan_query, const float *row);

/* The most searches that scan together: their candidates stay in a CPU's own cache beside a block of rows. */
#define SF_MAX_SCAN_PARTS 16

/* What one search wants of a scan. */
typedef struct sf_scan_part {
  const sf_scan_query *query;
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
sf_code sf_scan_segment(const sf_scan_query *scan_query, const sf_vector_segment *segment, size_t begin, size_t end,
                        size_t top_k, sf_pruning_threshold *limit, const sf_cancellation *cancellation,
                        sf_neighbour *neighbours, size_t *num_neighbours, sf_error *error);

#endif
