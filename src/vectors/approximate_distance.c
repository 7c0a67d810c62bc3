#include "vectors/approximate_distance.h"

#include <float.h>
#include <math.h>

/* More than what the few float64 operations between a score and a bound can round away. */
static const double FLOAT64_SLACK = 0x1p-48;

sf_distance_bounds sf_distance_bounds_of(const sf_query_vector *query_vector, double max_norm) {
  const sf_scoring *scoring = &sf_scorings[query_vector->score_convention];
  return (sf_distance_bounds){.scoring = scoring,
                              .dim = query_vector->dim,
                              .error = scoring->is_of_differences ? 0 : scoring->error_bound(query_vector, max_norm)};
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
  if (bounds->scoring->is_of_differences) {
    double widest = widest_squared_l2(bounds->dim, key);
    return widened(bounds->scoring->is_root ? sqrt(widest) : widest);
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
  if (bounds->scoring->is_of_differences && score < 0)
    return -FLT_MAX;
  if (bounds->scoring->is_of_differences)
    return highest_squared_l2(bounds->dim, bounds->scoring->is_root ? widened(score * score) : score);
  return float32_above(score - 1 + bounds->error + FLOAT64_SLACK * (1 + fabs(score) + bounds->error));
}

const float *sf_compared_vector(const sf_query_vector *query_vector) {
  return sf_scorings[query_vector->score_convention].is_normalised ? query_vector->scaled : query_vector->query;
}

bool sf_scan_is_by_distance(const sf_query_vector *query_vector) {
  return sf_scorings[query_vector->score_convention].is_of_differences;
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
  sf_scorings[query_vector->score_convention].distances_of_dots(inverse_norms, count, dots);
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
  if (sf_scorings[first->score_convention].is_normalised && inverse_norms == NULL) {
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
