#include "vectors/query_vector.h"

#include "base/assert.h"

#include <math.h>

void sf_query_vector_init(sf_query_vector *query_vector, const float *query, uint32_t dim,
                          sf_score_convention score_convention, float *scaled_storage) {
  SF_ASSERT(dim > 0 && score_convention < SF_SCORE_CONVENTIONS);
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

double sf_exact_score(const sf_query_vector *query_vector, const float *row) {
  return sf_scorings[query_vector->score_convention].exact_score(query_vector, row);
}

const float *sf_compared_vector(const sf_query_vector *query_vector) {
  return sf_scorings[query_vector->score_convention].is_normalised ? query_vector->scaled : query_vector->query;
}

bool sf_query_is_of_differences(const sf_query_vector *query_vector) {
  return sf_scorings[query_vector->score_convention].is_of_differences;
}
