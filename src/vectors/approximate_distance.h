/*
 * Keys: what the float32 pass makes of a row, lower is closer: −cos, the squared Euclidean distance, or −dot. A key is
 * near the exact score's place; how near, the bounds say.
 */
#ifndef SF_VECTORS_APPROXIMATE_DISTANCE_H
#define SF_VECTORS_APPROXIMATE_DISTANCE_H

#include "vectors/query_vector.h"

typedef struct sf_distance_bounds {
  const sf_scoring *scoring;
  size_t dim;
  double error; /* of products: |score − (1 + key)| is at most this; infinite where float32 may overflow. */
} sf_distance_bounds;

/* For rows with norms of at most `max_norm`. */
sf_distance_bounds sf_distance_bounds_of(const sf_query_vector *query_vector, double max_norm);

/* No row with this key scores higher. */
double sf_highest_score_of_distance(const sf_distance_bounds *bounds, float key);

/* No row with this score, or a lower one, has a higher key (it may have none: NaN). */
float sf_highest_distance_of_score(const sf_distance_bounds *bounds, double score);

/* L2 and its square, which need no norms. */
bool sf_scan_is_by_distance(const sf_query_vector *query_vector);

/* What of the query the kernels compare with the rows. */
const float *sf_compared_vector(const sf_query_vector *query_vector);

/* Turns dot products of rows with the compared vector into keys, in place; not by distance. */
void sf_distances_of_dots(const sf_query_vector *query_vector, const float *inverse_norms, size_t count, float *dots);

/*
 * The keys of `count` contiguous rows for each of the queries, which are of one shard: the same in all but the vector.
 * `inverse_norms` are the rows' for cosine, or NULL. A key is NaN where float32 can't tell, and never finite where the row
 * isn't. A query's keys don't depend on the others.
 */
void sf_approximate_distances(const sf_query_vector *const *query_vectors, size_t num_queries, const float *rows,
                              size_t count, const float *inverse_norms, float *const *keys);

#endif
