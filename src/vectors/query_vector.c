#include "vectors/query_vector.h"

#include <math.h>

void sf_query_vector_init(sf_query_vector *query_vector, const float *query, uint32_t dim,
                          sf_score_convention score_convention, float *scaled_storage) {
  double squared_norm = sf_exact_squared_norm(query, dim);
  double norm = sqrt(squared_norm);
  for (uint32_t i = 0; i < dim; i++)
    scaled_storage[i] = norm > 0 ? (float)((double)query[i] / norm) : 0;
  *query_vector = (sf_query_vector){
      .query = query,
      .scaled = scaled_storage,
      .norm = norm,
      .squared_norm = squared_norm,
      .dim = dim,
      .score_convention = score_convention,
      .kernels = sf_kernels_get(),
  };
}

/* The squares of float32 components lie far inside the range of float64, and so does the product of their sums. Its
 * root is exactly |x|² for a row equal to the query, since √(a·a) = a in binary floating point. */
static double cosine_distance(const sf_query_vector *query_vector, const float *row) {
  double squared_norms = query_vector->squared_norm * sf_exact_squared_norm(row, query_vector->dim);
  if (squared_norms == 0)
    return 1;
  double cosine = sf_exact_dot(query_vector->query, row, query_vector->dim) / sqrt(squared_norms);
  return 1 - fmax(-1, fmin(cosine, 1));
}

double sf_exact_score(const sf_query_vector *query_vector, const float *row) {
  switch (query_vector->score_convention) {
  case SF_SCORE_COSINE:
    return cosine_distance(query_vector, row);
  case SF_SCORE_L2:
    return sqrt(sf_exact_squared_l2(query_vector->query, row, query_vector->dim));
  case SF_SCORE_SQUARED_L2:
    return sf_exact_squared_l2(query_vector->query, row, query_vector->dim);
  case SF_SCORE_ONE_MINUS_DOT:
    break;
  }
  return 1 - sf_exact_dot(query_vector->query, row, query_vector->dim);
}
