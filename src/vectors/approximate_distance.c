#include "vectors/approximate_distance.h"

#include "base/assert.h"

#include <float.h>
#include <math.h>

/* Relative; more than the few float64 operations between a score and a bound can round away. */
static const double FLOAT64_SLACK = 0x1p-48;

sf_distance_bounds sf_distance_bounds_of(const sf_query_vector *query_vector, double max_norm) {
  const sf_scoring *scoring = &sf_scorings[query_vector->score_convention];
  return (sf_distance_bounds){.scoring = scoring,
                              .dim = query_vector->dim,
                              .error = scoring->is_of_differences ? 0 : scoring->error_bound(query_vector, max_norm)};
}

/* A relative error, and so not one for all rows. Overflow needs no care: squares only add up, so that a result is
 * finite exactly if none of its sums overflowed, and a bound of FLT_MAX or above prunes no infinite one. */
static double widest_squared_l2(size_t dim, double squared_distance) {
  return squared_distance + sf_squared_l2_error_bound(dim, squared_distance);
}

static double widened(double value) {
  return value + FLOAT64_SLACK * fabs(value);
}

double sf_highest_score_of_distance(const sf_distance_bounds *bounds, float distance) {
  if (isinf(bounds->error) || isnan(distance))
    return INFINITY;
  if (bounds->scoring->is_of_differences) {
    double widest = widest_squared_l2(bounds->dim, distance);
    return widened(bounds->scoring->is_root ? sqrt(widest) : widest);
  }
  double score = 1 + (double)distance;
  return score + bounds->error + FLOAT64_SLACK * (1 + fabs((double)distance) + bounds->error);
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

/* Several queries at once, by a shared kernel. Unused places get the last query again, which costs less than reading
 * the rows for one query alone. */
static void compare_shared(const sf_query_vector *const *query_vectors, size_t num_queries, const float *rows,
                           size_t count, float *const *distances) {
  const float *queries[SF_SHARED_QUERIES];
  float *results[SF_SHARED_QUERIES];
  for (size_t i = 0; i < SF_SHARED_QUERIES; i++) {
    size_t taken = i < num_queries ? i : num_queries - 1;
    queries[i] = sf_compared_vector(query_vectors[taken]);
    results[i] = distances[taken];
  }
  const sf_kernels *kernels = query_vectors[0]->kernels;
  sf_shared_kernel compare =
      sf_query_is_of_differences(query_vectors[0]) ? kernels->squared_l2_shared : kernels->dot_shared;
  compare(queries, rows, count, query_vectors[0]->dim, results);
}

static void compare_rows(const sf_query_vector *query_vector, const float *rows, size_t count, float *distances) {
  const sf_kernels *kernels = query_vector->kernels;
  sf_rows_kernel compare = sf_query_is_of_differences(query_vector) ? kernels->squared_l2 : kernels->dot;
  compare(sf_compared_vector(query_vector), rows, count, query_vector->dim, distances);
}

void sf_distances_of_dots(const sf_query_vector *query_vector, const float *inverse_norms, size_t count, float *dots) {
  sf_scorings[query_vector->score_convention].distances_of_dots(inverse_norms, count, dots);
}

static void fill_unknown(size_t num_queries, size_t count, float *const *distances) {
  for (size_t i = 0; i < num_queries; i++)
    for (size_t j = 0; j < count; j++)
      distances[i][j] = NAN;
}

void sf_approximate_distances(const sf_query_vector *const *query_vectors, size_t num_queries, const float *rows,
                              size_t count, const float *inverse_norms, float *const *distances) {
  SF_ASSERT(num_queries > 0);
  const sf_query_vector *first = query_vectors[0];
  bool has_shared = first->kernels->dot_shared != NULL;
  if (sf_scorings[first->score_convention].is_normalised && inverse_norms == NULL) {
    fill_unknown(num_queries, count, distances);
    return;
  }
  for (size_t i = 0; i < num_queries;) {
    size_t taken = has_shared && num_queries - i > 1 ? num_queries - i : 1;
    if (taken > SF_SHARED_QUERIES)
      taken = SF_SHARED_QUERIES;
    if (taken > 1)
      compare_shared(query_vectors + i, taken, rows, count, distances + i);
    else
      compare_rows(query_vectors[i], rows, count, distances[i]);
    i += taken;
  }
  for (size_t i = 0; i < num_queries && !sf_query_is_of_differences(first); i++)
    sf_distances_of_dots(query_vectors[i], inverse_norms, count, distances[i]);
}
