/* A query's vector with what a scan needs of it for every row, and the exact score of a row. */
#ifndef SF_VECTORS_QUERY_VECTOR_H
#define SF_VECTORS_QUERY_VECTOR_H

#include "vectors/distance.h"
#include "vectors/metrics.h"

/* Borrows both vectors. Immutable: any thread. */
typedef struct sf_query_vector {
  const float *query;  /* dim components, all finite */
  const float *scaled; /* the query divided by its norm (all zero for a zero query); for cosine */
  double norm;
  double squared_norm;
  uint32_t dim;
  sf_score_convention score_convention;
  const sf_kernels *kernels; /* those in use */
} sf_query_vector;

/* `scaled_storage` has room for dim components and must live as long as the query vector. */
void sf_query_vector_init(sf_query_vector *query_vector, const float *query, uint32_t dim,
                          sf_score_convention score_convention, float *scaled_storage);

/* Whether the distance is of differences (L2 and its square), which needs no norms. */
bool sf_query_is_of_differences(const sf_query_vector *query_vector);

/* The vector that the kernels compare with the rows: the query, for cosine scaled to length 1. */
const float *sf_compared_vector(const sf_query_vector *query_vector);

/* The exact score of one row, whose components must be finite, in float64: the same on every CPU. */
double sf_exact_score(const sf_query_vector *query_vector, const float *row);

#endif
