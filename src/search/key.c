#include "search/key.h"

#include <float.h>
#include <math.h>

/* Sums below it stay clear of FLT_MAX whatever the order of summation and its roundings. */
static const double LARGEST_SAFE_SUM = 1e37;

/* More than what the few float64 operations between a score and a bound can round away. */
static const double FLOAT64_SLACK = 0x1p-48;

/*
 * cos ≈ dot(scaled, x) · inverse: scaling, the inverse, their product and |scaled| ≤ 1 + u add fewer than 16 roundings
 * to the dot product's. What flushing denormal numbers loses of the dot product is multiplied by the inverse.
 */
static double cosine_error(size_t dim) {
  double rounded = sf_dot_error_bound(dim + 16, 1, 1);
  double flushed = sf_dot_error_bound(dim, 1, 0) / SF_TRUSTED_NORM_MIN;
  return rounded + 2 * flushed;
}

static double dot_error(const sf_scan_query *scan_query, double max_norm) {
  double largest_sum = scan_query->norm * max_norm;
  return largest_sum <= LARGEST_SAFE_SUM ? sf_dot_error_bound(scan_query->dim, scan_query->norm, max_norm) : INFINITY;
}

sf_key_bounds sf_key_bounds_of(const sf_scan_query *scan_query, double max_norm) {
  sf_key_bounds bounds = {.score_convention = scan_query->score_convention, .dim = scan_query->dim};
  switch (scan_query->score_convention) {
  case SF_SCORE_COSINE:
    bounds.error = cosine_error(scan_query->dim);
    break;
  case SF_SCORE_L2:
  case SF_SCORE_SQUARED_L2:
    break;
  case SF_SCORE_ONE_MINUS_DOT:
    bounds.error = dot_error(scan_query, max_norm);
    break;
  }
  return bounds;
}

/* Relative, and so not one for all rows. It needs no care for overflow: squares only add up, so that a result is finite
 * just when none of its sums overflowed, and a bound of FLT_MAX or above admits the infinite ones. */
static double widest_squared_l2(size_t dim, double squared_distance) {
  return squared_distance + sf_squared_l2_error_bound(dim, squared_distance);
}

static double widened(double value) {
  return value + FLOAT64_SLACK * fabs(value);
}

double sf_highest_score_of_key(const sf_key_bounds *bounds, float key) {
  if (isinf(bounds->error) || isnan(key))
    return INFINITY;
  switch (bounds->score_convention) {
  case SF_SCORE_L2:
    return widened(sqrt(widest_squared_l2(bounds->dim, key)));
  case SF_SCORE_SQUARED_L2:
    return widened(widest_squared_l2(bounds->dim, key));
  case SF_SCORE_COSINE:
  case SF_SCORE_ONE_MINUS_DOT:
    break;
  }
  return 1 + key + bounds->error + FLOAT64_SLACK * (1 + fabs((double)key) + bounds->error);
}

/* Not below the value, NaN aside. */
static float float32_above(double value) {
  if (!(value < FLT_MAX))
    return INFINITY;
  if (value < -FLT_MAX)
    return -FLT_MAX;
  float rounded = (float)value;
  return (double)rounded < value ? nextafterf(rounded, INFINITY) : rounded;
}

static float highest_squared_l2(size_t dim, double squared_distance) {
  return float32_above(widened(widest_squared_l2(dim, widened(squared_distance))));
}

float sf_highest_key_of_score(const sf_key_bounds *bounds, double score) {
  if (isinf(bounds->error) || score == INFINITY)
    return INFINITY;
  switch (bounds->score_convention) {
  case SF_SCORE_L2:
    return score < 0 ? -FLT_MAX : highest_squared_l2(bounds->dim, widened(score * score));
  case SF_SCORE_SQUARED_L2:
    return score < 0 ? -FLT_MAX : highest_squared_l2(bounds->dim, score);
  case SF_SCORE_COSINE:
  case SF_SCORE_ONE_MINUS_DOT:
    break;
  }
  return float32_above(score - 1 + bounds->error + FLOAT64_SLACK * (1 + fabs(score) + bounds->error));
}

static void cosine_keys(const sf_scan_query *scan_query, const sf_vector_segment *segment, size_t begin, size_t count,
                        float *keys) {
  const float *rows = segment->vectors + begin * scan_query->dim;
  if (segment->inverse_norms == NULL) {
    for (size_t i = 0; i < count; i++)
      keys[i] = NAN;
    return;
  }
  scan_query->kernels->dot(scan_query->scaled, rows, count, scan_query->dim, keys);
  const float *inverse_norms = segment->inverse_norms + begin;
  for (size_t i = 0; i < count; i++)
    keys[i] = -keys[i] * inverse_norms[i];
}

void sf_keys_of_rows(const sf_scan_query *scan_query, const sf_vector_segment *segment, size_t begin, size_t count,
                     float *keys) {
  const float *rows = segment->vectors + begin * scan_query->dim;
  switch (scan_query->score_convention) {
  case SF_SCORE_COSINE:
    cosine_keys(scan_query, segment, begin, count, keys);
    return;
  case SF_SCORE_L2:
  case SF_SCORE_SQUARED_L2:
    scan_query->kernels->squared_l2(scan_query->query, rows, count, scan_query->dim, keys);
    return;
  case SF_SCORE_ONE_MINUS_DOT:
    scan_query->kernels->dot(scan_query->query, rows, count, scan_query->dim, keys);
    for (size_t i = 0; i < count; i++)
      keys[i] = -keys[i];
    return;
  }
}
