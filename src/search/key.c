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

/* The squared distance's error is relative: only whether it may overflow is the same for all rows. */
static double squared_l2_error(const sf_scan_query *scan_query, double max_norm) {
  double largest_distance = scan_query->norm + max_norm;
  return largest_distance * largest_distance <= LARGEST_SAFE_SUM ? 0 : INFINITY;
}

sf_key_bounds sf_key_bounds_of(const sf_scan_query *scan_query, double max_norm) {
  sf_key_bounds bounds = {.score_convention = scan_query->score_convention, .dim = scan_query->dim};
  switch (scan_query->score_convention) {
  case SF_SCORE_COSINE:
    bounds.error = cosine_error(scan_query->dim);
    break;
  case SF_SCORE_L2:
  case SF_SCORE_SQUARED_L2:
    bounds.error = squared_l2_error(scan_query, max_norm);
    break;
  case SF_SCORE_ONE_MINUS_DOT:
    bounds.error = dot_error(scan_query, max_norm);
    break;
  }
  return bounds;
}

static double widened(double value) {
  return value + FLOAT64_SLACK * fabs(value);
}

double sf_highest_score_of_key(const sf_key_bounds *bounds, float key) {
  if (isinf(bounds->error) || isnan(key))
    return INFINITY;
  double squared_distance = key;
  switch (bounds->score_convention) {
  case SF_SCORE_L2:
    return widened(sqrt(squared_distance + sf_squared_l2_error_bound(bounds->dim, squared_distance)));
  case SF_SCORE_SQUARED_L2:
    return widened(squared_distance + sf_squared_l2_error_bound(bounds->dim, squared_distance));
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
  double widest = widened(squared_distance);
  return float32_above(widest + widened(sf_squared_l2_error_bound(dim, widest)));
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

/* A row without an inverse norm that float32 can be trusted with has no key. */
static void scale_to_cosine_keys(const float *inverse_norms, size_t count, float *keys) {
  const float lowest = (float)(0.5 / SF_TRUSTED_NORM_MAX);
  const float highest = (float)(2 / SF_TRUSTED_NORM_MIN);
  for (size_t i = 0; i < count; i++) {
    float inverse = inverse_norms[i];
    bool trusted = (inverse >= lowest && inverse <= highest) || inverse == 0;
    keys[i] = trusted ? -keys[i] * inverse : NAN;
  }
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
  scale_to_cosine_keys(segment->inverse_norms + begin, count, keys);
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
