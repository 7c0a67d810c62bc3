/* What is worth knowing of a stored vector before it is searched. */
#ifndef SF_SHARD_VECTOR_STATISTICS_H
#define SF_SHARD_VECTOR_STATISTICS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct sf_row_statistics {
  bool is_finite;     /* every component is */
  double norm;        /* |x|; 0 where it is not finite */
  float inverse_norm; /* as sf_vector_segment has it: 0 for a zero vector, NaN where float32 can't be trusted */
} sf_row_statistics;

sf_row_statistics sf_row_statistics_of(const float *row, size_t dim);

#endif
