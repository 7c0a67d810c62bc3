/*
 * Approximate distances: what the float32 kernels compute for a row, lower is closer: −cos, the squared Euclidean
 * distance, or −dot. Error bounds (error_bound.c: Higham, Accuracy and Stability of Numerical Algorithms, §3.1;
 * metrics.c) turn scores into approximate distances and back, so that pruning by an approximate distance never loses a
 * row whose exact score is good enough.
 */
#ifndef SF_VECTORS_APPROXIMATE_DISTANCE_H
#define SF_VECTORS_APPROXIMATE_DISTANCE_H

#include "vectors/query_vector.h"

typedef struct sf_distance_bounds {
  const sf_scoring *scoring;
  size_t dim;
  double error; /* of products: |score − (1 + distance)| is at most this; infinite where float32 may overflow. */
} sf_distance_bounds;

/* Bounds for rows with norms of at most `max_norm`. */
sf_distance_bounds sf_distance_bounds_of(const sf_query_vector *query_vector, double max_norm);

/* No row at this approximate distance scores higher. */
double sf_highest_score_of_distance(const sf_distance_bounds *bounds, float distance);

/* No row with this score or a lower one has a greater approximate distance (it may be NaN, unknown). */
float sf_highest_distance_of_score(const sf_distance_bounds *bounds, double score);

/* Turns dot products of rows with the compared vector into approximate distances, in place; not for differences. */
void sf_distances_of_dots(const sf_query_vector *query_vector, const float *inverse_norms, size_t count, float *dots);

/*
 * The approximate distances of `count` contiguous rows to each of the queries, which are of one shard: the same in all
 * but the vector. `inverse_norms` are the rows' for cosine, or NULL (then all are NaN). A distance is NaN where float32
 * can't tell, and never finite where the row isn't. A query's distances don't depend on the other queries.
 */
void sf_approximate_distances(const sf_query_vector *const *query_vectors, size_t num_queries, const float *rows,
                              size_t count, const float *inverse_norms, float *const *distances);

#endif
