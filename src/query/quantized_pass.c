#include "query/quantized_pass.h"

#include "base/memory.h"
#include "query/row_filter.h"
#include "vectors/approximate_distance.h"

#include <float.h>

/* A chunk's rows lie in as many groups, and in one more where it doesn't begin with a group. */
enum { MAX_GROUPS = SF_MAX_CHUNK_ROWS / SF_QUANTIZED_GROUP_ROWS + 1 };

enum {
  SAMPLED_AHEAD = 3,   /* groups that are prefetched before they are needed */
  MAX_GAP = 4,         /* groups without a matching row that are compared all the same, between others */
  CHUNKS_BY_4BIT = 15, /* where 2-bit vectors leave more than half of the groups; then they are tried again */
};

sf_code sf_quantized_pass_init(sf_quantized_pass *pass, const sf_query_vector *query_vector,
                               const sf_vector_segment *segment, const uint8_t *filter, sf_error *error) {
  const sf_quantized *vectors =
      segment->lazy_quantized != NULL ? sf_lazy_quantized_get(segment->lazy_quantized) : &segment->quantized;
  *pass = (sf_quantized_pass){.segment = segment,
                              .vectors = vectors,
                              .filter = filter,
                              .kernels = query_vector->kernels,
                              .dim = query_vector->dim};
  if (vectors == NULL || vectors->centre == NULL ||
      vectors->metric != sf_scorings[query_vector->score_convention].metric)
    return SF_OK;
  pass->has_squared_norms = sf_scoring_of_metric(vectors->metric)->is_of_differences;
  for (sf_quantized_kind kind = 0; kind < SF_QUANTIZED_KINDS; kind++)
    pass->group_sizes[kind] = (size_t)sf_quantized_group_size(kind, pass->dim, vectors->metric);
  pass->query.components = sf_calloc(sf_quantized_query_length(query_vector->dim), 1);
  if (pass->query.components == NULL)
    return sf_fail_memory(error, "quantized query");
  pass->is_on = sf_quantized_query_init(&pass->query, sf_compared_vector(query_vector), query_vector->dim, vectors);
  pass->estimate = pass->query.comparisons[SF_QUANTIZED_2BIT];
  pass->estimate.norm = pass->estimate.slack = 0;
  return SF_OK;
}

void sf_quantized_pass_free(sf_quantized_pass *pass) {
  free(pass->query.components);
  *pass = (sf_quantized_pass){0};
}

bool sf_quantized_pass_serves(const sf_quantized_pass *pass, size_t chunk) {
  return pass->is_on &&
         (pass->segment->lazy_quantized == NULL || sf_lazy_quantized_has(pass->segment->lazy_quantized, chunk));
}

static void compare(const sf_quantized_pass *pass, sf_quantized_kind kind, const sf_quantized_comparison *comparison,
                    size_t first, size_t count, float threshold, uint16_t *masks, float *bounds) {
  const sf_quantized_groups groups = {.first = pass->vectors->groups[kind] + first * pass->group_sizes[kind],
                                      .count = count,
                                      .dim = pass->dim,
                                      .has_squared_norms = pass->has_squared_norms};
  pass->kernels->find_near_quantized[kind](comparison, &groups, threshold, masks, bounds);
}

static void prefetch_group(const sf_quantized_pass *pass, sf_quantized_kind kind, size_t group) {
  enum { LINE_BYTES = 64 };
  size_t size = pass->group_sizes[kind];
  for (size_t i = 0; i < size; i += LINE_BYTES)
    __builtin_prefetch(pass->vectors->groups[kind] + group * size + i, 0, 1);
}

/* Adds a row that may be among the best. Once there is no room, the best rule out others. */
static void add_sampled(sf_quantized_sample *sample, float estimate, size_t row) {
  sf_candidates *best = &sample->best;
  if (best->count == best->capacity) {
    sample->threshold = sf_candidates_kth_distance(best, sample->count);
    sf_candidates_drop_above(best, sample->threshold);
  }
  if (best->count < best->capacity) /* ties may leave no room */
    best->items[best->count++] = (sf_candidate){.distance = estimate, .row = row};
}

/* Which rows of a group the filter has. */
static uint16_t matching_rows(const sf_quantized_pass *pass, size_t group) {
  const sf_vector_segment *segment = pass->segment;
  int64_t row = (int64_t)(group * SF_QUANTIZED_GROUP_ROWS) - (int64_t)segment->first_quantized;
  return sf_row_filter_16(pass->filter, (int64_t)segment->first_row + row);
}

/* Adds those of a group's rows that are among [begin, end). */
static void sample_group(sf_quantized_pass *pass, size_t group, size_t begin, size_t end, sf_quantized_sample *sample) {
  float estimates[SF_QUANTIZED_GROUP_ROWS];
  uint16_t mask;
  size_t first_quantized = pass->segment->first_quantized;
  size_t first = group * SF_QUANTIZED_GROUP_ROWS;
  uint16_t matching = matching_rows(pass, group);
  if (matching == 0)
    return;
  compare(pass, SF_QUANTIZED_2BIT, &pass->estimate, group, 1, sample->threshold, &mask, estimates);
  pass->num_groups[SF_QUANTIZED_2BIT]++;
  for (unsigned left = mask & matching; left != 0; left &= left - 1) {
    size_t i = (size_t)__builtin_ctz(left);
    /* NaN: nothing is known of the row. */
    if (estimates[i] >= -FLT_MAX && estimates[i] <= sample->threshold && first + i >= first_quantized + begin &&
        first + i < first_quantized + end)
      add_sampled(sample, estimates[i], first + i - first_quantized);
  }
}

void sf_quantized_pass_sample(sf_quantized_pass *pass, size_t begin, size_t end, size_t first, size_t step,
                              sf_quantized_sample *sample) {
  size_t first_quantized = pass->segment->first_quantized;
  size_t chunk_rows = sf_rows_per_chunk(pass->dim);
  size_t step_rows = step * SF_QUANTIZED_GROUP_ROWS;
  for (size_t row = begin + first * SF_QUANTIZED_GROUP_ROWS; row < end; row += step_rows) {
    if (row + SAMPLED_AHEAD * step_rows < end)
      prefetch_group(pass, SF_QUANTIZED_2BIT, (first_quantized + row) / SF_QUANTIZED_GROUP_ROWS + SAMPLED_AHEAD * step);
    if (sf_quantized_pass_serves(pass, row / chunk_rows))
      sample_group(pass, (first_quantized + row) / SF_QUANTIZED_GROUP_ROWS, begin, end, sample);
  }
}

/* Whether a group that 2-bit vectors left is compared by 4-bit ones. Comparing its only row in float32 takes no longer, unless the
 * row is most likely ruled out: with a filter the threshold is what few of the rows allow. */
static bool is_worth_4bit(unsigned leaves_single, unsigned mask) {
  return (mask & (mask - leaves_single)) != 0;
}

/* Returns how many groups are compared. */
static size_t compare_by_4bit(const sf_quantized_pass *pass, size_t first, size_t count, float threshold,
                              uint16_t *masks) {
  const unsigned leaves_single = pass->filter == NULL ? 1 : 0;
  size_t num_left = 0;
  for (size_t i = 0; i < count; i++)
    if (is_worth_4bit(leaves_single, masks[i])) {
      prefetch_group(pass, SF_QUANTIZED_4BIT, first + i);
      num_left++;
    }
  for (size_t i = 0, seen = 0; seen < num_left; i++)
    if (is_worth_4bit(leaves_single, masks[i])) {
      uint16_t mask;
      compare(pass, SF_QUANTIZED_4BIT, &pass->query.comparisons[SF_QUANTIZED_4BIT], first + i, 1, threshold, &mask,
              NULL);
      masks[i] &= mask;
      seen++;
    }
  return num_left;
}

/* Compares contiguous groups, of whose rows the masks say beforehand which match, where there is a filter. Returns how many of the
 * groups 2-bit vectors left to 4-bit ones. */
static size_t find_in_run(const sf_quantized_pass *pass, sf_quantized_kind kind, size_t first, size_t count,
                          float threshold, uint16_t *masks) {
  uint16_t found[MAX_GROUPS];
  compare(pass, kind, &pass->query.comparisons[kind], first, count, threshold, pass->filter == NULL ? masks : found,
          NULL);
  for (size_t i = 0; i < count && pass->filter != NULL; i++)
    masks[i] &= found[i]; /* NOLINT(clang-analyzer-core.uninitialized.Assign): compare sets `count` of them */
  return kind == SF_QUANTIZED_4BIT ? 0 : compare_by_4bit(pass, first, count, threshold, masks);
}

/* The end of the run of groups from `begin` on that are compared together: a few without a matching row take less time to compare
 * than they would to skip, because the CPU reads ahead. */
static size_t end_of_run(const uint16_t *masks, size_t begin, size_t count) {
  size_t end = begin + 1;
  for (size_t next = end; next < count && next - end < MAX_GAP; next++)
    if (masks[next] != 0)
      end = next + 1;
  return end;
}

/* `masks` as in find_in_run. Groups without a matching row are not read. */
static void find_in_groups(sf_quantized_pass *pass, size_t first, size_t count, float threshold, uint16_t *masks) {
  sf_quantized_kind kind = pass->num_4bit_chunks > 0 ? SF_QUANTIZED_4BIT : SF_QUANTIZED_2BIT;
  size_t num_compared = 0;
  size_t num_left = 0;
  for (size_t begin = 0; begin < count;) {
    if (pass->filter != NULL && masks[begin] == 0) {
      begin++;
      continue;
    }
    size_t end = pass->filter == NULL ? count : end_of_run(masks, begin, count);
    num_left += find_in_run(pass, kind, first + begin, end - begin, threshold, masks + begin);
    num_compared += end - begin;
    begin = end;
  }
  pass->num_groups[kind] += num_compared;
  pass->num_groups[SF_QUANTIZED_4BIT] += num_left;
  if (kind == SF_QUANTIZED_4BIT)
    pass->num_4bit_chunks--;
  else if (num_left > num_compared / 2)
    pass->num_4bit_chunks = CHUNKS_BY_4BIT;
}

size_t sf_quantized_pass_find(sf_quantized_pass *pass, size_t begin, size_t count, float threshold, uint16_t *offsets) {
  size_t first = pass->segment->first_quantized + begin;
  size_t first_group = first / SF_QUANTIZED_GROUP_ROWS;
  size_t num_groups = (first + count - 1) / SF_QUANTIZED_GROUP_ROWS - first_group + 1;
  uint16_t masks[MAX_GROUPS];
  for (size_t group = 0; group < num_groups && pass->filter != NULL; group++)
    masks[group] = matching_rows(pass, first_group + group);
  find_in_groups(pass, first_group, num_groups, threshold, masks);
  size_t num_found = 0;
  for (size_t group = 0; group < num_groups; group++)
    for (unsigned mask = masks[group]; mask != 0; mask &= mask - 1) {
      size_t row = (first_group + group) * SF_QUANTIZED_GROUP_ROWS + (size_t)__builtin_ctz(mask);
      if (row >= first && row < first + count)
        offsets[num_found++] = (uint16_t)(row - first);
    }
  return num_found;
}
