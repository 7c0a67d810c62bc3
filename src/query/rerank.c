#include "query/rerank.h"

#include "query/row_filter.h"

#include <math.h>

enum { GROUP_ROWS = 32 }; /* distances that are compared together */

bool sf_request_scan_excludes(const sf_request_scan *scan, size_t row) {
  const uint8_t *excluded = scan->segment->excluded;
  if (excluded != NULL && (excluded[row / 8] >> (row % 8) & 1) != 0)
    return true;
  return !sf_row_filter_has(scan->request->filter, scan->segment->first_row + row);
}

void sf_request_scan_set_max_norm(sf_request_scan *scan, double max_norm) {
  scan->max_norm = max_norm;
  scan->bounds = sf_distance_bounds_of(scan->request->query, max_norm);
  scan->distance_threshold = sf_highest_distance_of_score(&scan->bounds, scan->score_threshold);
}

void sf_request_scan_lower_threshold(sf_request_scan *scan, double score_threshold) {
  scan->score_threshold = fmin(scan->score_threshold, score_threshold);
  scan->distance_threshold = sf_highest_distance_of_score(&scan->bounds, scan->score_threshold);
}

void sf_request_scan_exchange_thresholds(sf_request_scan *scan) {
  const sf_pruning_threshold *threshold = scan->request->threshold;
  if (threshold == NULL)
    return;
  if (scan->shared != NULL)
    sf_pruning_threshold_lower(scan->shared, scan->score_threshold);
  double score_threshold = sf_pruning_threshold_get(threshold);
  if (score_threshold < scan->score_threshold)
    sf_request_scan_lower_threshold(scan, score_threshold);
}

/* max_rows rows have a distance up to the max_rows-th smallest: no result scores above what such a distance allows. */
static void prune(sf_request_scan *scan) {
  size_t max_rows = scan->collector->max_rows;
  if (scan->candidates.count <= max_rows)
    return;
  float kth_distance = sf_candidates_kth_distance(&scan->candidates, max_rows);
  sf_request_scan_lower_threshold(scan, sf_highest_score_of_distance(&scan->bounds, kth_distance));
  sf_candidates_drop_above(&scan->candidates, scan->distance_threshold);
}

void sf_rerank_prune_some(sf_request_scan *scan) {
  if (scan->candidates.count < scan->next_prune)
    return;
  prune(scan);
  size_t few = scan->collector->max_rows + SF_FEW_CANDIDATES;
  scan->next_prune = 2 * (scan->candidates.count > few ? scan->candidates.count : few);
}

static bool score_row(sf_request_scan *scan, size_t row) {
  const sf_query_vector *query = scan->request->query;
  double score = sf_exact_score(query, scan->segment->vectors + row * query->dim);
  if (!(score <= scan->score_threshold))
    return true;
  return sf_collector_add(scan->collector, (sf_scored_row){.score = score, .row = scan->segment->first_row + row});
}

/* A finite distance implies a finite row. */
static bool is_finite(const sf_request_scan *scan, const sf_candidate *candidate) {
  size_t dim = scan->request->query->dim;
  return isfinite(candidate->distance) ||
         isfinite(sf_exact_squared_norm(scan->segment->vectors + candidate->row * dim, dim));
}

static sf_code score_candidates(sf_request_scan *scan) {
  sf_scan_request *request = scan->request;
  size_t chunk_rows = sf_rows_per_chunk(request->query->dim);
  request->account.num_scored += scan->candidates.count;
  for (size_t i = 0; i < scan->candidates.count; i++) {
    if (i % chunk_rows == 0)
      SF_TRY(sf_cancellation_check(request->cancellation, request->error));
    const sf_candidate *candidate = &scan->candidates.items[i];
    if (is_finite(scan, candidate) && !score_row(scan, candidate->row))
      return sf_fail_memory(request->error, "results");
  }
  scan->candidates.count = 0;
  double threshold = sf_collector_threshold(scan->collector);
  if (threshold < scan->score_threshold)
    sf_request_scan_lower_threshold(scan, threshold);
  return SF_OK;
}

/* Pruning may free too little where float32 can't tell the rows apart: then float64 decides. */
static sf_code make_room(sf_request_scan *scan) {
  prune(scan);
  if (scan->candidates.count <= scan->candidates.capacity / 2)
    return SF_OK;
  return score_candidates(scan);
}

/* Not `distance <= threshold`: a row with an unknown distance, NaN, may be a result. */
static bool may_be_result(float distance, float threshold) {
  return !(distance > threshold);
}

static bool any_may_be_result(const float *distances, size_t count, float threshold) {
  if (count < GROUP_ROWS)
    return true;
  unsigned any = 0;
  for (size_t i = 0; i < GROUP_ROWS; i++)
    any |= may_be_result(distances[i], threshold);
  return any != 0;
}

static sf_code add_row(sf_request_scan *scan, float distance, size_t row) {
  if (!may_be_result(distance, scan->distance_threshold) || sf_request_scan_excludes(scan, row))
    return SF_OK;
  if (scan->candidates.count == scan->candidates.capacity)
    SF_TRY(make_room(scan));
  scan->candidates.items[scan->candidates.count++] = (sf_candidate){.distance = distance, .row = row};
  return SF_OK;
}

sf_code sf_rerank_add_chunk(sf_request_scan *scan, const float *distances, size_t begin, size_t count) {
  for (size_t group = 0; group < count; group += GROUP_ROWS) {
    size_t rest = count - group;
    if (!any_may_be_result(distances + group, rest, scan->distance_threshold))
      continue;
    for (size_t i = group; i < group + (rest < GROUP_ROWS ? rest : GROUP_ROWS); i++)
      SF_TRY(add_row(scan, distances[i], begin + i));
  }
  return SF_OK;
}

float sf_rerank_find_distance(sf_request_scan *scan, size_t row) {
  const sf_query_vector *query = scan->request->query;
  const sf_vector_segment *segment = scan->segment;
  const float *inverse_norm = segment->inverse_norms == NULL ? NULL : segment->inverse_norms + row;
  float distance;
  float scratch;
  float *distances = &distance;
  if (segment->lazy_norms == NULL || sf_query_is_of_differences(query)) {
    sf_approximate_distances(&query, 1, segment->vectors + row * query->dim, 1, inverse_norm, &distances);
    return distance;
  }
  sf_chunk_norms norms = sf_lazy_norms_of_row(segment->lazy_norms, row, sf_compared_vector(query), &distance, &scratch);
  if (norms.max_norm > scan->max_norm)
    sf_request_scan_set_max_norm(scan, norms.max_norm);
  sf_distances_of_dots(query, norms.inverse_norms, 1, &distance);
  return distance;
}

void sf_rerank_prefetch_row(const sf_request_scan *scan, size_t row) {
  enum { LINE_FLOATS = 16, MAX_LINES = 16 };
  size_t dim = scan->request->query->dim;
  size_t length = dim < LINE_FLOATS * MAX_LINES ? dim : LINE_FLOATS * MAX_LINES;
  if (scan->segment->inverse_norms != NULL)
    __builtin_prefetch(scan->segment->inverse_norms + row);
  for (size_t i = 0; i < length; i += LINE_FLOATS)
    __builtin_prefetch(scan->segment->vectors + row * dim + i);
}

/* The row that was prefetched first. */
static sf_code add_prefetched_row(sf_request_scan *scan) {
  size_t row = scan->prefetched[scan->first_prefetched];
  scan->first_prefetched = (scan->first_prefetched + 1) % SF_MAX_PREFETCHED_ROWS;
  scan->num_prefetched--;
  scan->request->account.num_float32++;
  return add_row(scan, sf_rerank_find_distance(scan, row), row);
}

/* Each is compared once there is no room for more, by when it has come from memory, while those after it are on their way. */
sf_code sf_rerank_add_rows(sf_request_scan *scan, size_t begin, const uint16_t *offsets, size_t count) {
  for (size_t i = 0; i < count; i++) {
    size_t row = begin + offsets[i];
    if (scan->num_prefetched == SF_MAX_PREFETCHED_ROWS)
      SF_TRY(add_prefetched_row(scan));
    sf_rerank_prefetch_row(scan, row);
    scan->prefetched[(scan->first_prefetched + scan->num_prefetched++) % SF_MAX_PREFETCHED_ROWS] = row;
  }
  sf_rerank_prune_some(scan);
  return SF_OK;
}

static void free_scan(sf_request_scan *scan) {
  sf_candidates_free(&scan->candidates);
  sf_quantized_pass_free(&scan->quantized);
}

sf_code sf_request_scan_begin(sf_request_scan *scan, sf_scan_request *request, const sf_scan_task *task) {
  const sf_vector_segment *segment = task->range.segment;
  size_t num_rows = task->end - task->begin;
  sf_collector *collector = request->collector;
  sf_pruning_threshold *threshold = request->threshold;
  /* What rules out rows where fewer are kept than the search wants, rules them out for this task alone. */
  bool has_all = collector->max_rows == sf_collector_max_rows(collector->params);
  *scan = (sf_request_scan){
      .request = request,
      .collector = collector,
      .segment = segment,
      .end = task->end,
      .shared = has_all ? threshold : NULL,
      .score_threshold =
          threshold == NULL ? sf_collector_first_threshold(collector->params) : sf_pruning_threshold_get(threshold),
  };
  sf_request_scan_set_max_norm(scan, segment->lazy_norms == NULL ? segment->max_norm : 0);
  sf_code code = sf_candidates_init(&scan->candidates, collector->max_rows, num_rows, request->error);
  if (code == SF_OK)
    code = sf_quantized_pass_init(&scan->quantized, request->query, segment, request->filter, request->error);
  if (code != SF_OK)
    free_scan(scan);
  return code;
}

static sf_code score_rest(sf_request_scan *scan) {
  while (scan->num_prefetched > 0)
    SF_TRY(add_prefetched_row(scan));
  prune(scan);
  sf_request_scan_exchange_thresholds(scan);
  sf_candidates_drop_above(&scan->candidates, scan->distance_threshold);
  return score_candidates(scan);
}

void sf_request_scan_end(sf_request_scan *scan) {
  sf_scan_request *request = scan->request;
  const sf_quantized_pass *quantized = &scan->quantized;
  if (request->code == SF_OK)
    request->code = score_rest(scan);
  request->account.num_2bit = quantized->num_groups[SF_QUANTIZED_2BIT] * SF_QUANTIZED_GROUP_ROWS;
  request->account.num_4bit = quantized->num_groups[SF_QUANTIZED_4BIT] * SF_QUANTIZED_GROUP_ROWS;
  if (request->code == SF_OK) {
    sf_request_scan_exchange_thresholds(scan);
    sf_collector_finish(scan->collector);
  }
  free_scan(scan);
}
