#include "vectors/approximate_distance.h"

#include <float.h>
#include <math.h>

/* Sums below it stay clear of FLT_MAX whatever the order of summation and its roundings. */
static const double LARGEST_SAFE_SUM = 1e37;

/* More than what the few float64 operations between a score and a bound can round away. */
static const double FLOAT64_SLACK = 0x1p-48;

/*
 * cos ≈ dot(scaled, x) · inverse: scaling, the inverse, their product and |scaled| ≤ 1 + u add fewer than 16 roundings
 * to the dot product's dim. The inverse of a norm that was found in float32 has half of dim more, since a root halves the
 * error of its sum; another half of dim covers the products of these errors. What flushing denormal numbers loses of the
 * dot product is multiplied by the inverse.
 */
static double cosine_error(size_t dim) {
  double rounded = sf_dot_error_bound(2 * dim + 16, 1, 1);
  double flushed = sf_dot_error_bound(dim, 1, 0) / SF_TRUSTED_NORM_MIN;
  return rounded + 2 * flushed;
}

static double dot_error(const sf_query_vector *query_vector, double max_norm) {
  double largest_sum = query_vector->norm * max_norm;
  return largest_sum <= LARGEST_SAFE_SUM ? sf_dot_error_bound(query_vector->dim, query_vector->norm, max_norm)
                                         : INFINITY;
}

sf_distance_bounds sf_distance_bounds_of(const sf_query_vector *query_vector, double max_norm) {
  sf_distance_bounds bounds = {.score_convention = query_vector->score_convention, .dim = query_vector->dim};
  switch (query_vector->score_convention) {
  case SF_SCORE_COSINE:
    bounds.error = cosine_error(query_vector->dim);
    break;
  case SF_SCORE_L2:
  case SF_SCORE_SQUARED_L2:
    break;
  case SF_SCORE_ONE_MINUS_DOT:
    bounds.error = dot_error(query_vector, max_norm);
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

double sf_highest_score_of_distance(const sf_distance_bounds *bounds, float key) {
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
  double score = 1 + (double)key;
  return score + bounds->error + FLOAT64_SLACK * (1 + fabs((double)key) + bounds->error);
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

float sf_highest_distance_of_score(const sf_distance_bounds *bounds, double score) {
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

const float *sf_compared_vector(const sf_query_vector *query_vector) {
  return query_vector->score_convention == SF_SCORE_COSINE ? query_vector->scaled : query_vector->query;
}

bool sf_scan_is_by_distance(const sf_query_vector *query_vector) {
  return query_vector->score_convention == SF_SCORE_L2 || query_vector->score_convention == SF_SCORE_SQUARED_L2;
}

/* Two queries or more on a tile, where there is a kernel for it. Places of the tile that are left get the last query
 * once more, which costs less than the rows do for one query alone. */
static void compare_tile(const sf_query_vector *const *query_vectors, size_t num_queries, const float *rows,
                         size_t count, float *const *keys) {
  const float *queries[SF_SHARED_QUERIES];
  float *results[SF_SHARED_QUERIES];
  for (size_t i = 0; i < SF_SHARED_QUERIES; i++) {
    size_t taken = i < num_queries ? i : num_queries - 1;
    queries[i] = sf_compared_vector(query_vectors[taken]);
    results[i] = keys[taken];
  }
  const sf_kernels *kernels = query_vectors[0]->kernels;
  sf_shared_kernel compare =
      sf_scan_is_by_distance(query_vectors[0]) ? kernels->squared_l2_shared : kernels->dot_shared;
  compare(queries, rows, count, query_vectors[0]->dim, results);
}

static void compare_rows(const sf_query_vector *query_vector, const float *rows, size_t count, float *keys) {
  const sf_kernels *kernels = query_vector->kernels;
  sf_rows_kernel compare = sf_scan_is_by_distance(query_vector) ? kernels->squared_l2 : kernels->dot;
  compare(sf_compared_vector(query_vector), rows, count, query_vector->dim, keys);
}

void sf_distances_of_dots(const sf_query_vector *query_vector, const float *inverse_norms, size_t count, float *dots) {
  if (query_vector->score_convention == SF_SCORE_ONE_MINUS_DOT) {
    /* An infinite one says nothing of where its row belongs, and may be a row's that is not finite. */
    for (size_t i = 0; i < count; i++)
      dots[i] = fabsf(dots[i]) <= FLT_MAX ? -dots[i] : NAN;
    return;
  }
  for (size_t i = 0; i < count; i++)
    dots[i] = -dots[i] * inverse_norms[i];
}

static void fill_unknown(size_t num_queries, size_t count, float *const *keys) {
  for (size_t i = 0; i < num_queries; i++)
    for (size_t j = 0; j < count; j++)
      keys[i][j] = NAN;
}

void sf_approximate_distances(const sf_query_vector *const *query_vectors, size_t num_queries, const float *rows,
                              size_t count, const float *inverse_norms, float *const *keys) {
  const sf_query_vector *first = query_vectors[0];
  bool has_tile = first->kernels->dot_shared != NULL;
  if (first->score_convention == SF_SCORE_COSINE && inverse_norms == NULL) {
    fill_unknown(num_queries, count, keys);
    return;
  }
  for (size_t i = 0; i < num_queries;) {
    size_t taken = has_tile && num_queries - i > 1 ? num_queries - i : 1;
    if (taken > SF_SHARED_QUERIES)
      taken = SF_SHARED_QUERIES;
    if (taken > 1)
      compare_tile(query_vectors + i, taken, rows, count, keys + i);
    else
      compare_rows(query_vectors[i], rows, count, keys[i]);
    i += taken;
  }
  for (size_t i = 0; i < num_queries && !sf_scan_is_by_distance(first); i++)
    sf_distances_of_dots(query_vectors[i], inverse_norms, count, keys[i]);
}
