#include "query/scan.h"

#include "query/rerank.h"
#include "query/row_filter.h"
#include "query/sample.h"

#include <math.h>
#include <string.h>

enum {
  WORTH_ONE_IN = 4,        /* a quantized pass that lets more rows through is of no use */
  GOOD_ONE_IN = 32,        /* a threshold that lets more through is worth a pass to find a lower one */
  MAX_SKIPPED_CHUNKS = 16, /* then the quantized pass is tried again */
  FEW_ROWS = 4,            /* so many more let through are never too many */
  SPARSE_ONE_IN = 4,       /* fewer matching rows are compared one by one, not their whole chunk */
  SCATTERED_ONE_IN = 8,    /* more matching rows are never scattered */
};

/* Which rows of a chunk, of which `num_matching` match, the quantized pass leaves; SIZE_MAX where they are too many for it to be
 * of use. */
static size_t find_near_rows(sf_request_scan *scan, size_t begin, size_t num_rows, size_t num_matching,
                             uint16_t *offsets) {
  size_t count = sf_quantized_pass_find(&scan->quantized, begin, num_rows, scan->distance_threshold, offsets);
  scan->num_compared += num_matching;
  scan->num_let_through += count;
  if (scan->num_let_through > scan->num_compared / GOOD_ONE_IN + SF_FEW_CANDIDATES && !scan->has_sampled_rest) {
    scan->has_sampled_rest = true;
    sf_sample_rest(scan, begin);
    count = sf_quantized_pass_find(&scan->quantized, begin, num_rows, scan->distance_threshold, offsets);
  }
  return count <= num_matching / WORTH_ONE_IN + FEW_ROWS ? count : SIZE_MAX;
}

/* Whether a quantized pass did the chunk. */
static bool scan_quantized_chunk(sf_request_scan *scan, size_t begin, size_t num_rows, size_t num_matching) {
  uint16_t offsets[SF_MAX_CHUNK_ROWS];
  size_t chunk = begin / sf_rows_per_chunk(scan->request->query->dim);
  if (!sf_quantized_pass_serves(&scan->quantized, chunk) || scan->distance_threshold == INFINITY)
    return false;
  if (scan->num_skipping > 0) {
    scan->num_skipping--;
    return false;
  }
  size_t count = find_near_rows(scan, begin, num_rows, num_matching, offsets);
  if (count == SIZE_MAX) {
    scan->num_skipping = scan->num_to_skip;
    scan->num_to_skip = 2 * scan->num_to_skip + 1;
    if (scan->num_to_skip > MAX_SKIPPED_CHUNKS)
      scan->num_to_skip = MAX_SKIPPED_CHUNKS;
    return false;
  }
  scan->num_to_skip = 0;
  scan->request->code = sf_rerank_add_rows(scan, begin, offsets, count);
  return true;
}

/* The rows of a chunk, or some of them, and up to SF_SHARED_QUERIES queries that are compared with them. */
typedef struct chunk {
  const sf_vector_segment *segment;
  size_t begin;
  size_t num_rows;
  size_t num_queries;
  const sf_query_vector *queries[SF_SHARED_QUERIES];
  float distances[SF_SHARED_QUERIES][SF_MAX_CHUNK_ROWS];
} chunk;

/* Of the queries from `first` on. */
static void find_distances(chunk *of, size_t first, const float *inverse_norms) {
  const float *rows = of->segment->vectors + of->begin * of->queries[0]->dim;
  float *distances[SF_SHARED_QUERIES];
  for (size_t i = first; i < of->num_queries; i++)
    distances[i - first] = of->distances[i];
  if (first < of->num_queries)
    sf_approximate_distances(of->queries + first, of->num_queries - first, rows, of->num_rows, inverse_norms,
                             distances);
}

/* Where the norms are not known yet, the first query's dot products come along. Returns the largest norm, or more. */
static double find_distances_and_norms(chunk *of) {
  const sf_query_vector *first = of->queries[0];
  float dots[SF_MAX_CHUNK_ROWS];
  float scratch[SF_MAX_CHUNK_ROWS];
  size_t chunk_rows = sf_rows_per_chunk(first->dim);
  size_t row_in_chunk = of->begin % chunk_rows;
  sf_chunk_norms norms =
      sf_lazy_norms_of_chunk(of->segment->lazy_norms, of->begin / chunk_rows, sf_compared_vector(first), dots, scratch);
  const float *inverse_norms = norms.inverse_norms == NULL ? NULL : norms.inverse_norms + row_in_chunk;
  if (norms.has_dots) {
    memcpy(of->distances[0], dots + row_in_chunk, of->num_rows * sizeof(float));
    sf_distances_of_dots(first, inverse_norms, of->num_rows, of->distances[0]);
  }
  find_distances(of, norms.has_dots ? 1 : 0, inverse_norms);
  return norms.max_norm;
}

static double find_distances_by_known_norms(chunk *of) {
  const float *inverse_norms = of->segment->inverse_norms;
  find_distances(of, 0, inverse_norms == NULL ? NULL : inverse_norms + of->begin);
  return of->segment->max_norm;
}

/* All rows of the chunk, in float32. */
static void scan_chunk(sf_request_scan *const *scans, size_t count, size_t begin, size_t num_rows) {
  chunk scanned; /* large: only what is used of it is set */
  scanned.segment = scans[0]->segment;
  scanned.begin = begin;
  scanned.num_rows = num_rows;
  scanned.num_queries = count;
  for (size_t i = 0; i < count; i++)
    scanned.queries[i] = scans[i]->request->query;
  bool is_lazy = scanned.segment->lazy_norms != NULL && !sf_query_is_of_differences(scanned.queries[0]);
  double max_norm = is_lazy ? find_distances_and_norms(&scanned) : find_distances_by_known_norms(&scanned);
  for (size_t i = 0; i < count; i++) {
    if (max_norm > scans[i]->max_norm)
      sf_request_scan_set_max_norm(scans[i], max_norm);
    scans[i]->request->code = sf_rerank_add_chunk(scans[i], scanned.distances[i], begin, num_rows);
    scans[i]->request->account.num_float32 += num_rows;
    sf_rerank_prune_some(scans[i]);
  }
}

/* Leaves out those that have failed or were cancelled; how many there are left. */
static size_t keep_running(sf_request_scan **scans, size_t count) {
  size_t kept = 0;
  for (size_t i = 0; i < count; i++) {
    sf_scan_request *request = scans[i]->request;
    if (request->code == SF_OK)
      request->code = sf_cancellation_check(request->cancellation, request->error);
    if (request->code == SF_OK)
      scans[kept++] = scans[i];
  }
  return kept;
}

/* The matching rows of a chunk of which few match, in float32. */
static void scan_sparse_chunk(sf_request_scan *scan, size_t begin, size_t num_rows) {
  uint16_t offsets[SF_MAX_CHUNK_ROWS];
  size_t count = sf_row_filter_list(scan->request->filter, scan->segment->first_row + begin, num_rows, offsets);
  scan->request->code = sf_rerank_add_rows(scan, begin, offsets, count);
}

/* Whether the matching rows lie so far apart that each is compared as fast as its group: the 2-bit vectors of a group take as many
 * bytes as one row in float32. */
static bool are_scattered(const sf_request_scan *scan, size_t begin, size_t num_rows, size_t num_matching) {
  const uint8_t *filter = scan->request->filter;
  if (filter == NULL || num_matching > num_rows / SCATTERED_ONE_IN)
    return false;
  return 8 * num_matching < 9 * sf_row_filter_count_groups(filter, scan->segment->first_row + begin, num_rows);
}

/* Whether all rows of the chunk are still to be compared with the query. Otherwise those that match are done. */
static bool needs_all_rows(sf_request_scan *scan, size_t begin, size_t num_rows, bool *is_quantized) {
  const uint8_t *filter = scan->request->filter;
  size_t num_matching = sf_row_filter_count(filter, scan->segment->first_row + begin, num_rows);
  scan->request->account.num_filtered += num_rows - num_matching;
  bool is_scattered = are_scattered(scan, begin, num_rows, num_matching);
  *is_quantized = num_matching == 0 || is_scattered || scan_quantized_chunk(scan, begin, num_rows, num_matching);
  if (*is_quantized && !is_scattered)
    return false;
  if (filter == NULL || num_matching > num_rows / SPARSE_ONE_IN)
    return true;
  scan_sparse_chunk(scan, begin, num_rows);
  return false;
}

/* A chunk, or those of its rows that are the task's, for all requests. */
static void scan_rows(sf_request_scan *const *scans, size_t count, size_t begin, size_t num_rows) {
  sf_request_scan *left[SF_MAX_SCAN_REQUESTS];
  const sf_vector_segment *segment = scans[0]->segment;
  size_t num_left = 0;
  bool all_quantized = true;
  for (size_t i = 0; i < count; i++) {
    bool is_quantized;
    if (needs_all_rows(scans[i], begin, num_rows, &is_quantized))
      left[num_left++] = scans[i];
    all_quantized = all_quantized && is_quantized;
  }
  for (size_t i = 0; i < num_left; i += SF_SHARED_QUERIES)
    scan_chunk(left + i, num_left - i < SF_SHARED_QUERIES ? num_left - i : SF_SHARED_QUERIES, begin, num_rows);
  for (size_t i = 0; i < count; i++)
    sf_request_scan_exchange_thresholds(scans[i]);
  if (!all_quantized && segment->lazy_quantized != NULL)
    sf_lazy_quantized_visit(segment->lazy_quantized, begin / sf_rows_per_chunk(scans[0]->request->query->dim));
}

static void scan_chunks(sf_request_scan **scans, size_t count, const sf_scan_task *task) {
  size_t chunk_rows = sf_rows_per_chunk(scans[0]->request->query->dim);
  for (size_t row = task->begin; row < task->end && (count = keep_running(scans, count)) > 0;) {
    size_t left_in_chunk = chunk_rows - row % chunk_rows;
    size_t num_rows = task->end - row < left_in_chunk ? task->end - row : left_in_chunk;
    scan_rows(scans, count, row, num_rows);
    row += num_rows;
  }
}

/* Whether there is anything to scan for it. */
static bool begin_request(sf_request_scan *scan, sf_scan_request *request, const sf_scan_task *task) {
  sf_collector_begin(request->collector, task->end - task->begin);
  request->account = (sf_scan_account){.num_planned = task->end - task->begin};
  request->code = sf_cancellation_check(request->cancellation, request->error);
  if (request->code == SF_OK && request->collector->max_rows > 0)
    request->code = sf_request_scan_begin(scan, request, task);
  if (request->code != SF_OK || request->collector->max_rows == 0)
    return false;
  sf_sample_first_threshold(scan, task);
  return true;
}

void sf_scan_task_run(const sf_scan_task *task, sf_scan_request *requests, size_t count) {
  sf_request_scan all[SF_MAX_SCAN_REQUESTS];
  sf_request_scan *scans[SF_MAX_SCAN_REQUESTS];
  size_t num_scans = 0;
  for (size_t i = 0; i < count; i++)
    if (begin_request(&all[num_scans], &requests[i], task)) {
      scans[num_scans] = &all[num_scans];
      num_scans++;
    }
  if (num_scans == 0)
    return;
  scan_chunks(scans, num_scans, task);
  for (size_t i = 0; i < num_scans; i++)
    sf_request_scan_end(&all[i]);
}

sf_code sf_scan_segment(const sf_query_vector *query, const sf_vector_segment *segment, size_t begin, size_t end,
                        sf_collector *collector, sf_pruning_threshold *threshold, const sf_cancellation *cancellation,
                        sf_error *error) {
  const sf_scan_task task = {.range = sf_row_range_of(segment), .begin = begin, .end = end};
  sf_scan_request request = {
      .query = query, .collector = collector, .threshold = threshold, .cancellation = cancellation, .error = error};
  sf_scan_task_run(&task, &request, 1);
  return request.code;
}
