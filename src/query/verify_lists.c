#include "query/verify_lists.h"

#include "base/memory.h"
#include "query/stored_lists.h"
#include "vectors/metrics.h"
#include "vectors/quantized_rows.h"
#include "vectors/query_vector.h"

#include <float.h>
#include <math.h>

static const sf_code refused = SF_DB_ADAPTER_ERROR;

typedef struct verifying {
  const sf_lists *lists;
  const sf_shard *shard;
  const sf_cancellation *cancellation;
  uint8_t *seen; /* a bit for each row number */
  float *scaled; /* dim */
  sf_quantized_query quantized;
  sf_quantized_row_query by_row;
  int8_t *components; /* of both */
} verifying;

static const float *vector_of(const sf_shard *shard, uint64_t row) {
  const sf_vector_segment *segment = shard->segments;
  while (row - segment->first_row >= segment->num_rows)
    segment++;
  return segment->vectors + (row - segment->first_row) * shard->dim;
}

/* The lower bounds of a row's distance from itself, by both of its quantized vectors. */
static void find_bounds(verifying *state, const sf_list *list, uint32_t place, const sf_query_vector *query,
                        float bounds[SF_QUANTIZED_KINDS]) {
  const sf_lists *lists = state->lists;
  float of_group[SF_QUANTIZED_GROUP_ROWS];
  uint16_t mask;
  const sf_quantized_groups group = {.first = list->groups + place / SF_QUANTIZED_GROUP_ROWS * lists->group_size,
                                     .count = 1,
                                     .dim = lists->dim,
                                     .has_squared_norms = sf_query_is_of_differences(query)};
  query->kernels->find_near_quantized[SF_QUANTIZED_2BIT](&state->quantized.comparisons[SF_QUANTIZED_2BIT], &group,
                                                         FLT_MAX, &mask, of_group);
  bounds[SF_QUANTIZED_2BIT] = of_group[place % SF_QUANTIZED_GROUP_ROWS];
  sf_quantized_row_query_init(&state->by_row, state->quantized.components, lists->dim, lists->metric);
  bounds[SF_QUANTIZED_4BIT] =
      sf_quantized_row_bound(query->kernels, &state->by_row, &state->quantized.comparisons[SF_QUANTIZED_4BIT],
                             list->quantized_rows + place * lists->row_size);
}

static double distance_from_itself(const sf_lists *lists, const float *vector) {
  double squared_norm = sf_exact_squared_norm(vector, lists->dim);
  if (sf_scoring_of_metric(lists->metric)->is_of_differences)
    return 0;
  if (sf_scoring_of_metric(lists->metric)->is_normalised)
    return squared_norm > 0 ? -1 : 0;
  return -squared_norm;
}

static sf_code verify_row(verifying *state, uint32_t list, const sf_list *of, uint32_t place, sf_error *error) {
  const sf_lists *lists = state->lists;
  uint32_t row = of->rows[place];
  const float *vector = vector_of(state->shard, row);
  uint8_t bit = (uint8_t)(1U << row % 8);
  if ((state->seen[row / 8] & bit) != 0)
    return sf_fail(error, refused, "list %u: expected row %u in one list, found it again", (unsigned)list,
                   (unsigned)row);
  state->seen[row / 8] |= bit;
  sf_query_vector query;
  float bounds[SF_QUANTIZED_KINDS];
  const sf_quantized relative = {.metric = lists->metric, .centre = lists->centres + (size_t)list * lists->dim};
  sf_query_vector_init(&query, vector, lists->dim, state->shard->score_convention, state->scaled);
  if (!sf_quantized_query_init(&state->quantized, sf_compared_vector(&query), lists->dim, &relative))
    return SF_OK; /* such a row is scored whatever its bounds */
  find_bounds(state, of, place, &query, bounds);
  double distance = distance_from_itself(lists, vector);
  double doubt = 1e-4 * (1 + fabs(distance) + lists->max_norm * lists->max_norm); /* float32, in any order */
  for (sf_quantized_kind kind = 0; kind < SF_QUANTIZED_KINDS; kind++)
    if ((double)bounds[kind] > distance + doubt)
      return sf_fail(error, refused, "list %u: expected quantized vectors of row %u, found others", (unsigned)list,
                     (unsigned)row);
  return SF_OK;
}

/* Rows that can be results, and are in no list. */
static sf_code find_missing(const verifying *state, sf_error *error) {
  uint32_t dim = state->lists->dim;
  for (size_t i = 0; i < state->shard->num_segments; i++) {
    const sf_vector_segment *segment = &state->shard->segments[i];
    for (size_t j = 0; j < segment->num_rows; j++) {
      uint64_t row = segment->first_row + j;
      bool is_excluded = segment->excluded != NULL && (segment->excluded[j / 8] >> (j % 8) & 1) != 0;
      bool is_listed = row < state->lists->row_span && (state->seen[row / 8] >> (row % 8) & 1) != 0;
      bool can_be_result = !is_excluded && isfinite(sf_exact_squared_norm(segment->vectors + j * dim, dim));
      if (is_listed != can_be_result)
        return sf_fail(error, refused, "expected row %llu in %s list, found it in %s", (unsigned long long)row,
                       can_be_result ? "a" : "no", can_be_result ? "none" : "one");
    }
  }
  return SF_OK;
}

static sf_code verify(verifying *state, sf_error *error) {
  const sf_lists *lists = state->lists;
  size_t length = sf_quantized_query_length(lists->dim);
  size_t row_length = sf_quantized_row_query_length(lists->dim);
  state->seen = sf_calloc((size_t)lists->row_span / 8 + 1, 1);
  state->scaled = sf_calloc(lists->dim, sizeof(float));
  state->components = sf_calloc(length + 2 * row_length, 1);
  if (state->seen == NULL || state->scaled == NULL || state->components == NULL)
    return sf_fail_memory(error, "lists");
  state->quantized.components = state->components;
  state->by_row.low = state->components + length;
  state->by_row.high = state->by_row.low + row_length;
  for (uint32_t list = 0; list < lists->num_lists; list++) {
    sf_list of = sf_lists_at(lists, list);
    SF_TRY(sf_cancellation_check(state->cancellation, error));
    for (uint32_t place = 0; place < of.num_rows; place++)
      SF_TRY(verify_row(state, list, &of, place, error));
  }
  return find_missing(state, error);
}

sf_code sf_lists_verify(const sf_lists *lists, const sf_shard *shard, const sf_cancellation *cancellation,
                        sf_error *error) {
  verifying state = {.lists = lists, .shard = shard, .cancellation = cancellation};
  SF_TRY(sf_lists_check_shard(lists, shard, lists->metric, error));
  sf_code code = verify(&state, error);
  free(state.seen);
  free(state.scaled);
  free(state.components);
  return code;
}
