/* Norms of stored vectors, and which rows are not finite: in float64, before a vector file is searched. */
#ifndef SF_VECTORS_VECTOR_STATISTICS_H
#define SF_VECTORS_VECTOR_STATISTICS_H

#include "base/cancellation.h"

/* Of all rows that were added. Begin with zeros. */
typedef struct sf_vector_statistics {
  uint64_t num_not_finite;
  double max_norm; /* the largest |x| of a finite row */
} sf_vector_statistics;

/*
 * Adds `count` rows, whose bits in the bitmap `excluded` begin at `first_row`. Rows that are excluded already are
 * skipped, and their inverse norm is 0; rows that are not finite are counted and become excluded. `inverse_norms`,
 * `count` as sf_vector_segment has them, may be NULL.
 */
sf_code sf_vector_statistics_add(sf_vector_statistics *statistics, const float *vectors, uint64_t first_row,
                                 size_t count, size_t dim, uint8_t *excluded, float *inverse_norms,
                                 const sf_cancellation *cancellation, sf_error *error);

/* How many rows are not finite; rows that are excluded (their bits begin at `first_row`; NULL: none) do not count. */
uint64_t sf_count_not_finite(const float *vectors, size_t count, size_t dim, const uint8_t *excluded,
                             uint64_t first_row);

#endif
