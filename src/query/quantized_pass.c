#include "query/quantized_pass.h"

#include "base/memory.h"
#include "vectors/approximate_distance.h"

#include <float.h>

/* A window's rows lie in as many groups, and in one more where it doesn't begin with a group. */
enum { MAX_GROUPS = SF_MAX_CHUNK_ROWS / SF_QUANTIZED_GROUP_ROWS + 1 };

enum {
  SAMPLED_AHEAD = 3,   /* groups that are asked for before they are needed */
  CHUNKS_BY_4BIT = 15, /* where short ones leave more than half of the groups; then they are tried again */
};

sf_code sf_quantized_pass_init(sf_quantized_pass *filter, const sf_query_vector *query_vector,
                               const sf_vector_segment *segment, sf_error *error) {
  const sf_quantized *codes =
      segment->lazy_quantized != NULL ? sf_lazy_quantized_get(segment->lazy_quantized) : &segment->quantized;
  *filter = (sf_quantized_pass){
      .segment = segment, .codes = codes, .kernels = query_vector->kernels, .dim = query_vector->dim};
  if (codes == NULL || codes->centre == NULL || codes->metric != sf_scorings[query_vector->score_convention].metric)
    return SF_OK;
  filter->query.components = sf_calloc(sf_quantized_query_length(query_vector->dim), 1);
  if (filter->query.components == NULL)
    return sf_fail_memory(error, "codes of a query");
  filter->is_on = sf_quantized_query_init(&filter->query, sf_compared_vector(query_vector), query_vector->dim, codes);
  filter->estimate = filter->query.comparisons[SF_QUANTIZED_2BIT];
  filter->estimate.norm = filter->estimate.slack = 0;
  return SF_OK;
}

void sf_quantized_pass_free(sf_quantized_pass *filter) {
  free(filter->query.components);
  *filter = (sf_quantized_pass){0};
}

bool sf_quantized_pass_serves(const sf_quantized_pass *filter, size_t window) {
  return filter->is_on &&
         (filter->segment->lazy_quantized == NULL || sf_lazy_quantized_has(filter->segment->lazy_quantized, window));
}

static size_t group_size(const sf_quantized_pass *filter, sf_quantized_kind kind) {
  return (size_t)sf_quantized_group_size(kind, filter->dim, filter->codes->metric);
}

static void compare(const sf_quantized_pass *filter, sf_quantized_kind kind, const sf_quantized_comparison *comparison,
                    size_t first, size_t count, float limit, uint16_t *masks, float *bounds) {
  const sf_quantized_groups groups = {.first = filter->codes->groups[kind] + first * group_size(filter, kind),
                                      .count = count,
                                      .dim = filter->dim,
                                      .has_squared_norms =
                                          sf_scoring_of_metric(filter->codes->metric)->is_of_differences};
  filter->kernels->find_near_quantized[kind](comparison, &groups, limit, masks, bounds);
}

static void prefetch_group(const sf_quantized_pass *filter, sf_quantized_kind kind, size_t group) {
  enum { LINE_BYTES = 64 };
  size_t size = group_size(filter, kind);
  for (size_t i = 0; i < size; i += LINE_BYTES)
    __builtin_prefetch(filter->codes->groups[kind] + group * size + i, 0, 1);
}

/* Adds a row that may be among the best. A limit for others comes of it once there is no room. */
static void add_sampled(sf_quantized_sample *sample, float estimate, size_t row) {
  sf_candidates *best = &sample->best;
  if (best->count == best->capacity) {
    sample->limit = sf_candidates_kth_distance(best, sample->count);
    sf_candidates_drop_above(best, sample->limit);
  }
  if (best->count < best->capacity) /* ties may leave no room */
    best->items[best->count++] = (sf_candidate){.key = estimate, .row = row};
}

/* Adds those of a group's rows that are among [begin, end). */
static void sample_group(const sf_quantized_pass *filter, size_t group, size_t begin, size_t end,
                         sf_quantized_sample *sample) {
  float estimates[SF_QUANTIZED_GROUP_ROWS];
  uint16_t mask;
  size_t first_quantized = filter->segment->first_quantized;
  size_t first = group * SF_QUANTIZED_GROUP_ROWS;
  compare(filter, SF_QUANTIZED_2BIT, &filter->estimate, group, 1, sample->limit, &mask, estimates);
  for (unsigned left = mask; left != 0; left &= left - 1) {
    size_t i = (size_t)__builtin_ctz(left);
    /* NaN: nothing is known of the row. */
    if (estimates[i] >= -FLT_MAX && estimates[i] <= sample->limit && first + i >= first_quantized + begin &&
        first + i < first_quantized + end)
      add_sampled(sample, estimates[i], first + i - first_quantized);
  }
}

void sf_quantized_pass_sample(const sf_quantized_pass *filter, size_t begin, size_t end, size_t first, size_t step,
                              sf_quantized_sample *sample) {
  size_t first_quantized = filter->segment->first_quantized;
  size_t window_rows = sf_rows_per_chunk(filter->dim);
  size_t step_rows = step * SF_QUANTIZED_GROUP_ROWS;
  for (size_t row = begin + first * SF_QUANTIZED_GROUP_ROWS; row < end; row += step_rows) {
    if (row + SAMPLED_AHEAD * step_rows < end)
      prefetch_group(filter, SF_QUANTIZED_2BIT,
                     (first_quantized + row) / SF_QUANTIZED_GROUP_ROWS + SAMPLED_AHEAD * step);
    if (sf_quantized_pass_serves(filter, row / window_rows))
      sample_group(filter, (first_quantized + row) / SF_QUANTIZED_GROUP_ROWS, begin, end, sample);
  }
}

/* A single row costs no more than its group's long codes. */
static bool has_many(uint16_t mask) {
  return (mask & (mask - 1)) != 0;
}

/* Compares the groups that short codes leave many rows of by long ones. How many groups those are. */
static size_t look_closer(const sf_quantized_pass *filter, size_t first, size_t count, float limit, uint16_t *masks) {
  size_t num_left = 0;
  for (size_t i = 0; i < count; i++)
    if (has_many(masks[i])) {
      prefetch_group(filter, SF_QUANTIZED_4BIT, first + i);
      num_left++;
    }
  for (size_t i = 0, seen = 0; seen < num_left; i++)
    if (has_many(masks[i])) {
      uint16_t mask;
      compare(filter, SF_QUANTIZED_4BIT, &filter->query.comparisons[SF_QUANTIZED_4BIT], first + i, 1, limit, &mask,
              NULL);
      masks[i] &= mask;
      seen++;
    }
  return num_left;
}

static void find_in_groups(sf_quantized_pass *filter, size_t first, size_t count, float limit, uint16_t *masks) {
  sf_quantized_kind kind = filter->num_4bit_chunks > 0 ? SF_QUANTIZED_4BIT : SF_QUANTIZED_2BIT;
  compare(filter, kind, &filter->query.comparisons[kind], first, count, limit, masks, NULL);
  if (kind == SF_QUANTIZED_4BIT)
    filter->num_4bit_chunks--;
  else if (look_closer(filter, first, count, limit, masks) > count / 2)
    filter->num_4bit_chunks = CHUNKS_BY_4BIT;
}

size_t sf_quantized_pass_find(sf_quantized_pass *filter, size_t begin, size_t count, float limit, uint16_t *offsets) {
  size_t first = filter->segment->first_quantized + begin;
  size_t first_group = first / SF_QUANTIZED_GROUP_ROWS;
  size_t num_groups = (first + count - 1) / SF_QUANTIZED_GROUP_ROWS - first_group + 1;
  uint16_t masks[MAX_GROUPS];
  find_in_groups(filter, first_group, num_groups, limit, masks);
  size_t num_found = 0;
  for (size_t group = 0; group < num_groups; group++)
    for (unsigned mask = masks[group]; mask != 0; mask &= mask - 1) {
      size_t row = (first_group + group) * SF_QUANTIZED_GROUP_ROWS + (size_t)__builtin_ctz(mask);
      if (row >= first && row < first + count)
        offsets[num_found++] = (uint16_t)(row - first);
    }
  return num_found;
}
