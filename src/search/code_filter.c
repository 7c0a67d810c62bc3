#include "search/code_filter.h"

#include "base/memory.h"
#include "search/key.h"

#include <float.h>

/* A window's rows lie in as many groups, and in one more where it doesn't begin with a group. */
enum { MAX_GROUPS = SF_MAX_WINDOW_ROWS / SF_CODE_GROUP_ROWS + 1 };

enum { SAMPLED_AHEAD = 3 }; /* groups that are asked for before they are needed */

sf_metric sf_code_metric_of(sf_score_convention convention) {
  switch (convention) {
  case SF_SCORE_COSINE:
    return SF_METRIC_COSINE;
  case SF_SCORE_ONE_MINUS_DOT:
    return SF_METRIC_DOT_PRODUCT;
  case SF_SCORE_L2:
  case SF_SCORE_SQUARED_L2:
    break;
  }
  return SF_METRIC_L2;
}

sf_code sf_code_filter_init(sf_code_filter *filter, const sf_scan_query *scan_query, const sf_vector_segment *segment,
                            sf_error *error) {
  const sf_codes *codes = segment->lazy_codes != NULL ? sf_lazy_codes_get(segment->lazy_codes) : &segment->codes;
  *filter =
      (sf_code_filter){.segment = segment, .codes = codes, .kernels = scan_query->kernels, .dim = scan_query->dim};
  if (codes == NULL || codes->groups == NULL || codes->metric != sf_code_metric_of(scan_query->score_convention))
    return SF_OK;
  filter->query.components = sf_calloc(sf_code_query_length(scan_query->dim), 1);
  if (filter->query.components == NULL)
    return sf_fail_memory(error, "codes of a query");
  filter->is_on = sf_code_query_init(&filter->query, sf_compared_vector(scan_query), scan_query->dim, codes);
  return SF_OK;
}

void sf_code_filter_free(sf_code_filter *filter) {
  free(filter->query.components);
  *filter = (sf_code_filter){0};
}

bool sf_code_filter_serves(const sf_code_filter *filter, size_t window) {
  return filter->is_on &&
         (filter->segment->lazy_codes == NULL || sf_lazy_codes_has(filter->segment->lazy_codes, window));
}

static void compare(const sf_code_filter *filter, size_t first_group, size_t num_groups, float limit, uint16_t *masks,
                    float *bounds) {
  const sf_codes *codes = filter->codes;
  const uint8_t *groups = codes->groups + first_group * sf_code_group_size(filter->dim, codes->metric);
  filter->kernels->find_near_codes(&filter->query.comparison, groups, num_groups, filter->dim,
                                   codes->metric == SF_METRIC_L2, limit, masks, bounds);
}

/* Adds a row that may be among the best. A limit for others comes of it once there is no room. */
static void add_sampled(sf_code_sample *sample, float bound, size_t row) {
  sf_candidates *best = &sample->best;
  if (best->count == best->capacity) {
    sample->limit = sf_candidates_kth_key(best, sample->count);
    sf_candidates_drop_above(best, sample->limit);
  }
  if (best->count < best->capacity) /* ties may leave no room */
    best->items[best->count++] = (sf_candidate){.key = bound, .row = row};
}

static void prefetch_group(const sf_code_filter *filter, size_t group) {
  enum { LINE_BYTES = 64 };
  size_t size = sf_code_group_size(filter->dim, filter->codes->metric);
  for (size_t i = 0; i < size; i += LINE_BYTES)
    __builtin_prefetch(filter->codes->groups + group * size + i, 0, 1);
}

/* Adds those of a group's rows that are among [begin, end). */
static void sample_group(const sf_code_filter *filter, size_t group, size_t begin, size_t end, sf_code_sample *sample) {
  float bounds[SF_CODE_GROUP_ROWS];
  uint16_t mask;
  size_t first_code = filter->segment->first_code;
  size_t first = group * SF_CODE_GROUP_ROWS;
  compare(filter, group, 1, sample->limit, &mask, bounds);
  for (unsigned left = mask; left != 0; left &= left - 1) {
    size_t i = (size_t)__builtin_ctz(left);
    /* An unknown bound, NaN or −infinity, says nothing of how near the row is. */
    if (bounds[i] >= -FLT_MAX && bounds[i] <= sample->limit && first + i >= first_code + begin &&
        first + i < first_code + end)
      add_sampled(sample, bounds[i], first + i - first_code);
  }
}

void sf_code_filter_sample(const sf_code_filter *filter, size_t begin, size_t end, size_t first, size_t step,
                           sf_code_sample *sample) {
  size_t first_code = filter->segment->first_code;
  size_t window_rows = sf_rows_per_window(filter->dim);
  size_t step_rows = step * SF_CODE_GROUP_ROWS;
  for (size_t row = begin + first * SF_CODE_GROUP_ROWS; row < end; row += step_rows) {
    if (row + SAMPLED_AHEAD * step_rows < end)
      prefetch_group(filter, (first_code + row) / SF_CODE_GROUP_ROWS + SAMPLED_AHEAD * step);
    if (sf_code_filter_serves(filter, row / window_rows))
      sample_group(filter, (first_code + row) / SF_CODE_GROUP_ROWS, begin, end, sample);
  }
}

size_t sf_code_filter_find(const sf_code_filter *filter, size_t begin, size_t count, float limit, uint16_t *offsets) {
  size_t first = filter->segment->first_code + begin;
  size_t first_group = first / SF_CODE_GROUP_ROWS;
  size_t num_groups = (first + count - 1) / SF_CODE_GROUP_ROWS - first_group + 1;
  uint16_t masks[MAX_GROUPS];
  compare(filter, first_group, num_groups, limit, masks, NULL);
  size_t num_found = 0;
  for (size_t group = 0; group < num_groups; group++)
    for (unsigned mask = masks[group]; mask != 0; mask &= mask - 1) {
      size_t row = (first_group + group) * SF_CODE_GROUP_ROWS + (size_t)__builtin_ctz(mask);
      if (row >= first && row < first + count)
        offsets[num_found++] = (uint16_t)(row - first);
    }
  return num_found;
}
