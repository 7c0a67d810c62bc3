/*
 * The re-rank phase of a scan: takes rows with their approximate distances, keeps those that may be results in a queue,
 * prunes the queue by the k-th smallest distance, and scores what is left exactly. Rows that a quantized pass let through
 * come without a distance: their vectors are far apart in memory, and are prefetched some rows ahead.
 *
 * Three thresholds are at work, each of which only falls: the collector's, from scored rows; the search's, which all of its
 * scans share; and the one of the approximate distances, which follows from the lower of the two and the error bounds.
 */
#ifndef SF_QUERY_RERANK_H
#define SF_QUERY_RERANK_H

#include "query/candidates.h"
#include "query/quantized_pass.h"
#include "query/scan.h"
#include "vectors/approximate_distance.h"

enum {
  SF_FEW_CANDIDATES = 64, /* so many more than results are not worth pruning */
  SF_MAX_PREFETCHED_ROWS = 32,
};

/* One request's scan of a task. */
typedef struct sf_request_scan {
  sf_scan_request *request;
  sf_collector *collector; /* the request's */
  const sf_vector_segment *segment;
  size_t end;                                /* of the task */
  sf_pruning_threshold *shared;              /* the search's threshold, where this scan may lower it */
  double max_norm;                           /* rises; of the rows that were looked at */
  sf_distance_bounds bounds;                 /* for rows with such norms */
  double score_threshold;                    /* falls; no row that scores higher is a result */
  float distance_threshold;                  /* no row with a higher approximate distance is one */
  sf_candidates candidates;                  /* the re-rank queue */
  size_t next_prune;                         /* how many of them make pruning worth it */
  size_t prefetched[SF_MAX_PREFETCHED_ROWS]; /* rows that the quantized pass let through, on their way from memory */
  size_t first_prefetched;                   /* where the first of them is: those after it may go on at the beginning */
  size_t num_prefetched;
  sf_quantized_pass quantized;
  size_t num_compared;    /* rows that the quantized pass compared */
  size_t num_let_through; /* of them */
  bool has_sampled_rest;  /* the rows that are left, for a lower threshold */
  size_t num_to_skip;     /* chunks without a quantized pass when it next rules out too few: twice as many each time */
  size_t num_skipping;    /* of those, how many are left */
} sf_request_scan;

/* Begins the scan, with its queue and its quantized pass. After a failure nothing is to be freed. */
sf_code sf_request_scan_begin(sf_request_scan *scan, sf_scan_request *request, const sf_scan_task *task);
/* Scores what is left, unless the request has failed, hands it to the collector, and frees the scan. */
void sf_request_scan_end(sf_request_scan *scan);

/* Sets the norms that the error bounds hold for. */
void sf_request_scan_set_max_norm(sf_request_scan *scan, double max_norm);
void sf_request_scan_lower_threshold(sf_request_scan *scan, double score_threshold);
/* Tells the search's other scans the threshold, and takes theirs. */
void sf_request_scan_exchange_thresholds(sf_request_scan *scan);

/* Whether the row of the segment is no result, whatever its score: excluded, or ruled out by the request's filter. */
bool sf_request_scan_excludes(const sf_request_scan *scan, size_t row);

/* Queues rows from `begin` on that have these distances, as far as they may be results. */
sf_code sf_rerank_add_chunk(sf_request_scan *scan, const float *distances, size_t begin, size_t count);
/* Queues rows that a quantized pass let through, by their offsets from `begin`: perhaps only later. */
sf_code sf_rerank_add_rows(sf_request_scan *scan, size_t begin, const uint16_t *offsets, size_t count);
/* Prunes the queue if that is worth it: so that the threshold falls soon, and the cost is spread over many rows. */
void sf_rerank_prune_some(sf_request_scan *scan);

void sf_rerank_prefetch_row(const sf_request_scan *scan, size_t row);
/* The approximate distance of one row. */
float sf_rerank_find_distance(sf_request_scan *scan, size_t row);

#endif
