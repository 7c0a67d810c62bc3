/*
 * cos is dot / √(|q|²|x|²), cut to [−1, 1], where the exact result lies (Cauchy–Schwarz): a vector is at distance 0
 * from itself, and from its multiples up to a few 10⁻¹⁶. The error bounds rest on sf_dot_error_bound (distance.h).
 */
#include "vectors/metrics.h"

#include "base/assert.h"
#include "vectors/query_vector.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------------------ Exact scores */

/* The squares of float32 components lie far inside the range of float64, and so does the product of their sums. Its
 * root is exactly |x|² for a row equal to the query, since √(a·a) = a in binary floating point. */
static double cosine_score(const sf_query_vector *query_vector, const float *row) {
  double squared_norms = query_vector->squared_norm * sf_exact_squared_norm(row, query_vector->dim);
  if (squared_norms == 0)
    return 1;
  double cosine = sf_exact_dot(query_vector->query, row, query_vector->dim) / sqrt(squared_norms);
  return 1 - fmax(-1, fmin(cosine, 1));
}

static double squared_l2_score(const sf_query_vector *query_vector, const float *row) {
  return sf_exact_squared_l2(query_vector->query, row, query_vector->dim);
}

static double l2_score(const sf_query_vector *query_vector, const float *row) {
  return sqrt(squared_l2_score(query_vector, row));
}

static double one_minus_dot_score(const sf_query_vector *query_vector, const float *row) {
  return 1 - sf_exact_dot(query_vector->query, row, query_vector->dim);
}

/* ------------------------------------------------------------------------------------------------ Distances of products */

static void negate_cosines(const float *inverse_norms, size_t count, float *dots) {
  for (size_t i = 0; i < count; i++)
    dots[i] = -dots[i] * inverse_norms[i];
}

/* An infinite product says nothing of where its row belongs, and may be a row's that is not finite. */
static void negate_dots(const float *inverse_norms, size_t count, float *dots) {
  (void)inverse_norms;
  for (size_t i = 0; i < count; i++)
    dots[i] = fabsf(dots[i]) <= FLT_MAX ? -dots[i] : NAN;
}

/* ------------------------------------------------------------------------------------------------------- Error bounds */

/*
 * cos ≈ dot(scaled, x) · inverse: scaling, the inverse, their product and |scaled| ≤ 1 + u add fewer than 16 roundings
 * to the dot product's dim. The inverse of a norm that was found in float32 has half of dim more, since a root halves
 * the error of its sum; another half of dim covers the products of these errors. What flushing denormal numbers loses
 * of the dot product is multiplied by the inverse.
 */
static double cosine_error(const sf_query_vector *query_vector, double max_norm) {
  (void)max_norm;
  size_t dim = query_vector->dim;
  double rounded = sf_dot_error_bound(2 * dim + 16, 1, 1);
  double flushed = sf_dot_error_bound(dim, 1, 0) / SF_TRUSTED_NORM_MIN;
  return rounded + 2 * flushed;
}

static double dot_error(const sf_query_vector *query_vector, double max_norm) {
  const double largest_safe_sum = 1e37; /* below FLT_MAX whatever the order of summation and its roundings */
  double largest_sum = query_vector->norm * max_norm;
  return largest_sum <= largest_safe_sum ? sf_dot_error_bound(query_vector->dim, query_vector->norm, max_norm)
                                         : INFINITY;
}

/* --------------------------------------------------------------------------------------------------------- The table */

const sf_scoring sf_scorings[SF_SCORE_CONVENTIONS] = {
    [SF_SCORE_COSINE] = {.metric = SF_METRIC_COSINE,
                         .metric_name = "cosine",
                         .is_normalised = true,
                         .distances_of_dots = negate_cosines,
                         .error_bound = cosine_error,
                         .exact_score = cosine_score},
    [SF_SCORE_L2] = {.metric = SF_METRIC_L2,
                     .metric_name = "l2",
                     .is_of_differences = true,
                     .is_root = true,
                     .exact_score = l2_score},
    [SF_SCORE_SQUARED_L2] = {.metric = SF_METRIC_L2,
                             .metric_name = "l2",
                             .is_of_differences = true,
                             .exact_score = squared_l2_score},
    [SF_SCORE_ONE_MINUS_DOT] = {.metric = SF_METRIC_DOT_PRODUCT,
                                .metric_name = "dot_product",
                                .distances_of_dots = negate_dots,
                                .error_bound = dot_error,
                                .exact_score = one_minus_dot_score},
};

static const sf_scoring *find_row(sf_metric metric) {
  for (size_t i = 0; i < SF_SCORE_CONVENTIONS; i++)
    if (sf_scorings[i].metric == metric)
      return &sf_scorings[i];
  return NULL;
}

bool sf_metric_is_known(sf_metric metric) {
  return find_row(metric) != NULL;
}

const sf_scoring *sf_scoring_of_metric(sf_metric metric) {
  const sf_scoring *scoring = find_row(metric);
  SF_ASSERT(scoring != NULL);
  return scoring;
}

const char *sf_metric_name(sf_metric metric) {
  const sf_scoring *scoring = find_row(metric);
  return scoring != NULL ? scoring->metric_name : "unknown";
}

bool sf_metric_find(const char *name, sf_metric *metric) {
  for (size_t i = 0; i < SF_SCORE_CONVENTIONS; i++)
    if (strcmp(sf_scorings[i].metric_name, name) == 0) {
      *metric = sf_scorings[i].metric;
      return true;
    }
  return false;
}

bool sf_score_convention_of(sf_metric metric, unsigned conventions, sf_score_convention *convention) {
  for (unsigned i = 0; i < SF_SCORE_CONVENTIONS; i++)
    if ((conventions >> i & 1) != 0 && sf_scorings[i].metric == metric) {
      *convention = (sf_score_convention)i;
      return true;
    }
  return false;
}
