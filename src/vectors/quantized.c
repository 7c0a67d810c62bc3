#include "vectors/quantized.h"

#include "base/assert.h"
#include "vectors/metrics.h"
#include "vectors/quantized_kernels.h"

#include <math.h>
#include <string.h>

enum {
  SAMPLED_ROWS = 1024,
  MOST_OF_QUERY = 127,
  MAX_DIM = 1 << 16, /* up to which no sum of products of codes, or of 64 times them, leaves int32 */
};

/* More than the few roundings that a term of a bound sees, relative to it. */
static const double SLACK = 0x1p-18;

uint64_t sf_quantized_num_groups(uint64_t num_rows) {
  return num_rows / SF_QUANTIZED_GROUP_ROWS + (num_rows % SF_QUANTIZED_GROUP_ROWS != 0);
}

uint64_t sf_quantized_group_size(sf_quantized_kind kind, uint32_t dim, sf_metric metric) {
  return sf_quantized_bytes(sf_quantized_blocks(kind, dim), sf_scoring_of_metric(metric)->is_of_differences);
}

/* ---------------------------------------------------------------------------------------------------------- Vectors */

/* What a row of that norm is multiplied with before it is quantized; NAN for one that is not quantized. */
static float factor_of(double squared_norm, const sf_scoring *scoring) {
  double norm = sqrt(squared_norm);
  if (scoring->is_normalised)
    return norm == 0 ? 0 : norm >= SF_TRUSTED_NORM_MIN && norm <= SF_TRUSTED_NORM_MAX ? (float)(1 / norm) : NAN;
  return norm <= SF_QUANTIZED_NORM_MAX ? 1 : NAN;
}

bool sf_quantized_is_worth_it(uint64_t num_rows, uint32_t dim) {
  enum { LEAST_BYTES = 64 * 1024 };
  uint64_t bytes;
  return __builtin_mul_overflow(num_rows, (uint64_t)dim * sizeof(float), &bytes) || bytes >= LEAST_BYTES;
}

void sf_quantized_choose_centre(const float *vectors, size_t num_rows, uint32_t dim, sf_metric metric, float *centre) {
  SF_ASSERT(dim > 0);
  const sf_scoring *scoring = sf_scoring_of_metric(metric);
  size_t step = num_rows / SAMPLED_ROWS + 1;
  size_t num_added = 0;
  for (uint32_t i = 0; i < dim; i++)
    centre[i] = 0;
  for (size_t row = 0; row < num_rows; row += step) {
    const float *vector = vectors + row * dim;
    float factor = factor_of(sf_exact_squared_norm(vector, dim), scoring);
    if (isnan(factor))
      continue;
    for (uint32_t i = 0; i < dim; i++)
      centre[i] += vector[i] * factor;
    num_added++;
  }
  for (uint32_t i = 0; i < dim && num_added > 0; i++)
    centre[i] /= (float)num_added;
}

/* A group's numbers, one for each row. */
typedef struct group_numbers {
  float *scales;
  float *errors;
  float *squared_norms; /* NULL: none */
} group_numbers;

static group_numbers numbers_of(sf_quantized_kind kind, uint8_t *group, uint32_t dim, const sf_scoring *scoring) {
  SF_ASSERT((uintptr_t)group % _Alignof(float) == 0);
  float *numbers = (float *)(uintptr_t)sf_quantized_numbers(group, sf_quantized_blocks(kind, dim));
  return (group_numbers){numbers, numbers + SF_QUANTIZED_GROUP_ROWS,
                         scoring->is_of_differences ? numbers + 2 * SF_QUANTIZED_GROUP_ROWS : NULL};
}

static void set_unknown(const group_numbers *numbers, size_t row) {
  numbers->scales[row] = 0;
  numbers->errors[row] = INFINITY;
  if (numbers->squared_norms != NULL)
    numbers->squared_norms[row] = 0;
}

/* An error below this does not show in a float32 sum of squares, which are flushed to zero. */
static double least_error(uint32_t dim) {
  return SF_QUANTIZED_NORM_MIN + 1e-18 * sqrt((double)dim);
}

/*
 * A component of r is computed from one of x with four roundings: of the factor, the product, the difference and the
 * remainder, each of a number that is at most |x| + |centre|. 2⁻¹⁶(|x| + |centre|), more than twice their sum, covers
 * these and the roundings of scale·(q·n) in a comparison.
 */
static void set_numbers(const sf_quantized_row *quantized, sf_quantized_kind kind, size_t row, uint32_t dim,
                        double norm_of_centre, const group_numbers *numbers) {
  double relative = sf_dot_error_bound((size_t)dim + 4, 1, 1);
  if (!(quantized->squared_norm <= SF_QUANTIZED_NORM_MAX * SF_QUANTIZED_NORM_MAX) || isinf(relative)) {
    set_unknown(numbers, row);
    return;
  }
  double residue = sqrt(quantized->squared_residues[kind]) * (1 + relative);
  double norm = sqrt(quantized->squared_norm) * (1 + relative) + 2 * norm_of_centre; /* at least |x| + |centre| */
  numbers->scales[row] = quantized->scales[kind];
  numbers->errors[row] = (float)((residue + 0x1p-16 * norm + least_error(dim)) * (1 + SLACK));
  if (numbers->squared_norms != NULL) {
    double least =
        quantized->squared_norm * (1 - 2 * relative - 2 * SLACK) - SF_QUANTIZED_NORM_MIN * SF_QUANTIZED_NORM_MIN;
    numbers->squared_norms[row] = (float)fmax(0, least);
  }
}

static void make_group(const float *vectors, size_t count, uint32_t dim, const sf_scoring *scoring, const float *centre,
                       double norm_of_centre, uint8_t *const groups[SF_QUANTIZED_KINDS]) {
  enum { ROW_BYTES = SF_QUANTIZED_BLOCK_BYTES / SF_QUANTIZED_GROUP_ROWS };
  const sf_kernels *kernels = sf_kernels_get();
  double squared_norms[SF_QUANTIZED_GROUP_ROWS];
  kernels->exact_squared_norms(vectors, count, dim, squared_norms);
  for (sf_quantized_kind kind = 0; kind < SF_QUANTIZED_KINDS; kind++)
    memset(groups[kind], 0, (size_t)sf_quantized_group_size(kind, dim, scoring->metric));
  for (size_t row = 0; row < SF_QUANTIZED_GROUP_ROWS; row++) {
    uint8_t *const blocks[SF_QUANTIZED_KINDS] = {groups[SF_QUANTIZED_2BIT] + row * ROW_BYTES,
                                                 groups[SF_QUANTIZED_4BIT] + row * ROW_BYTES};
    sf_quantized_row quantized = {.squared_norm = NAN};
    float factor = row < count ? factor_of(squared_norms[row], scoring) : NAN;
    if (!isnan(factor))
      kernels->quantize_row(vectors + row * dim, centre, dim, factor, blocks, &quantized);
    for (sf_quantized_kind kind = 0; kind < SF_QUANTIZED_KINDS; kind++) {
      group_numbers numbers = numbers_of(kind, groups[kind], dim, scoring);
      set_numbers(&quantized, kind, row, dim, norm_of_centre, &numbers);
    }
  }
}

void sf_quantized_make_groups(const float *vectors, size_t num_rows, uint32_t dim, sf_metric metric,
                              const float *centre, uint8_t *const groups[SF_QUANTIZED_KINDS]) {
  const sf_scoring *scoring = sf_scoring_of_metric(metric);
  double norm_of_centre = sqrt(sf_exact_squared_norm(centre, dim));
  uint8_t *next[SF_QUANTIZED_KINDS] = {groups[SF_QUANTIZED_2BIT], groups[SF_QUANTIZED_4BIT]};
  for (size_t row = 0; row < num_rows; row += SF_QUANTIZED_GROUP_ROWS) {
    size_t left = num_rows - row;
    make_group(vectors + row * dim, left < SF_QUANTIZED_GROUP_ROWS ? left : SF_QUANTIZED_GROUP_ROWS, dim, scoring,
               centre, norm_of_centre, next);
    for (sf_quantized_kind kind = 0; kind < SF_QUANTIZED_KINDS; kind++)
      next[kind] += sf_quantized_group_size(kind, dim, metric);
  }
}

/* ---------------------------------------------------------------------------------------------------------- Queries */

size_t sf_quantized_query_length(uint32_t dim) {
  return sf_quantized_blocks(SF_QUANTIZED_2BIT, dim) * sf_quantized_block_dims(SF_QUANTIZED_2BIT);
}

/* Component i of what is compared with a row less the centre. Exact. */
static double component_of(const float *vector, const float *centre, const sf_scoring *scoring, uint32_t i) {
  return scoring->is_of_differences ? (double)vector[i] - (double)centre[i] : (double)vector[i];
}

/* Rounds the query to integers of a step; returns |ρ|, and the sum of the integers. */
static double round_query(int8_t *components, const float *vector, uint32_t dim, const sf_scoring *scoring,
                          const float *centre, float step, int32_t *sum) {
  const double integers_only = 0x1.8p52; /* float64 has no fractions where this is added */
  const double inverse_step = step == 0 ? 0 : 1 / (double)step;
  double squared_residue = 0;
  *sum = 0;
  memset(components, 0, sf_quantized_query_length(dim));
  for (uint32_t i = 0; i < dim; i++) {
    double value = component_of(vector, centre, scoring, i);
    /* Of a size up to MOST_OF_QUERY, since the step was chosen so */
    double rounded = (value * inverse_step + integers_only) - integers_only;
    components[i] = (int8_t)rounded;
    *sum += (int32_t)rounded;
    double residue = value - (double)step * rounded;
    squared_residue += residue * residue;
  }
  return sqrt(squared_residue);
}

bool sf_quantized_query_init(sf_quantized_query *query, const float *vector, uint32_t dim,
                             const sf_quantized *quantized) {
  const sf_scoring *scoring = sf_scoring_of_metric(quantized->metric);
  double largest = 0;
  double squared_norm = 0;
  for (uint32_t i = 0; i < dim; i++) {
    double value = component_of(vector, quantized->centre, scoring, i);
    largest = fabs(value) > largest ? fabs(value) : largest;
    squared_norm += value * value;
  }
  double norm = fmax(sqrt(squared_norm), SF_QUANTIZED_NORM_MIN);
  if (!(norm <= SF_QUANTIZED_NORM_MAX) || dim > MAX_DIM)
    return false;
  float step = largest < SF_QUANTIZED_NORM_MIN ? 0 : (float)(largest / (double)MOST_OF_QUERY);
  int32_t sum;
  double residue = round_query(query->components, vector, dim, scoring, quantized->centre, step, &sum);
  double base;
  if (scoring->is_of_differences) {
    base = squared_norm * (1 - 2 * SLACK) - SF_QUANTIZED_NORM_MIN * SF_QUANTIZED_NORM_MIN;
  } else {
    double norm_of_centre = sqrt(sf_exact_squared_norm(quantized->centre, dim));
    double length = scoring->is_normalised ? 1 : 0; /* of what a scaled query's own roundings are multiplied with */
    base = -sf_exact_dot(vector, quantized->centre, dim) - SLACK * norm * (norm_of_centre + length);
  }
  /* 2q·x in a squared distance */
  double factor = scoring->is_of_differences ? 2 : 1;
  for (sf_quantized_kind kind = 0; kind < SF_QUANTIZED_KINDS; kind++) {
    double size =
        kind == SF_QUANTIZED_2BIT ? 1.5 : 4; /* |n| / √dim is at most this, as quantize_row.h chooses the scale */
    double slack = fmax(residue, SF_QUANTIZED_NORM_MIN) * size * sqrt((double)dim);
    query->comparisons[kind] = (sf_quantized_comparison){.components = query->components,
                                                         .offset = -(int32_t)(2 * sf_quantized_zero(kind)) * sum,
                                                         .base = (float)base,
                                                         .half_step = (float)factor * step / 2,
                                                         .slack = (float)(factor * slack * (1 + 3 * SLACK)),
                                                         .norm = (float)(factor * norm * (1 + 2 * SLACK))};
  }
  return true;
}
