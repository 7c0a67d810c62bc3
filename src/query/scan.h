/*
 * The exact search of a task's rows, for one request or several at once. Chunk by chunk: a quantized pass, where there are
 * quantized vectors, rules out most rows safely (quantized_pass.h); approximate distances in float32 are found for the
 * rest; those whose distance may be a result's wait in a re-rank queue (rerank.h) to be scored in float64 and collected
 * (collector.h). The result is what scoring every row in float64 would give: each step only leaves out rows whose distance,
 * less its error bound (vectors/approximate_distance.h), is above the pruning threshold.
 */
#ifndef SF_QUERY_SCAN_H
#define SF_QUERY_SCAN_H

#include "base/cancellation.h"
#include "query/collector.h"
#include "query/plan.h"
#include "query/pruning_threshold.h"
#include "vectors/query_vector.h"

/* The most searches that scan together: their candidates stay in a CPU's own cache beside a chunk of rows. */
#define SF_MAX_SCAN_REQUESTS 16

/* What scans did, in rows. */
typedef struct sf_scan_account {
  uint64_t num_planned;  /* of the tasks */
  uint64_t num_filtered; /* of them, those that the filter left out, which nothing was compared with */
  uint64_t num_2bit; /* compared by 2-bit vectors, samples included: 16 at a time, whether or not all of them matter */
  uint64_t num_4bit; /* by 4-bit vectors, as well */
  uint64_t num_float32; /* by approximate distances */
  uint64_t num_scored;  /* exactly */
} sf_scan_account;

static inline void sf_scan_account_add(sf_scan_account *to, const sf_scan_account *added) {
  to->num_planned += added->num_planned;
  to->num_filtered += added->num_filtered;
  to->num_2bit += added->num_2bit;
  to->num_4bit += added->num_4bit;
  to->num_float32 += added->num_float32;
  to->num_scored += added->num_scored;
}

/* What one search wants of a scan. All is borrowed. */
typedef struct sf_scan_request {
  const sf_query_vector *query;
  sf_collector
      *collector; /* with its params; begun by the scan, and sorted at its end; after a failure without meaning */
  /* Of the search, which scans the whole range of the task and may scan others: rows that are not among its results may be
   * missing then, and the scan lowers the threshold for other scans. NULL: only these rows are searched. */
  sf_pruning_threshold *threshold;
  const uint8_t *filter;               /* sf_plan.filter */
  const sf_cancellation *cancellation; /* NULL: never cancelled */
  sf_code code;                        /* set by the scan */
  sf_error *error;                     /* NULL: not wanted */
  sf_scan_account account;             /* set by the scan */
} sf_scan_request;

/*
 * Collects rows of the task for each of 1 to SF_MAX_SCAN_REQUESTS requests, whose queries are alike in all but the vector.
 * Each gets what it would get alone: the rows are read from memory once for all of them, a chunk at a time, and a request
 * that fails or is cancelled leaves the others to go on. Looks at the cancellations every few hundred KiB. Allocates scratch
 * memory bounded by the collectors' max_rows, and by the rows.
 */
void sf_scan_task_run(const sf_scan_task *task, sf_scan_request *requests, size_t count);

/* The same of rows [begin, end) of a segment, for one search. */
sf_code sf_scan_segment(const sf_query_vector *query, const sf_vector_segment *segment, size_t begin, size_t end,
                        sf_collector *collector, sf_pruning_threshold *threshold, const sf_cancellation *cancellation,
                        sf_error *error);

#endif
