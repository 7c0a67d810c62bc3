/*
 * A segment: rows whose vectors are contiguous in memory, with their norms, a bitmap of
 * excluded rows and quantized vectors. A scan task is of one segment; a shard has one or several.
 */
#ifndef SF_VECTORS_SEGMENT_H
#define SF_VECTORS_SEGMENT_H

#include "vectors/lazy_norms.h"
#include "vectors/lazy_quantized.h"
#include "vectors/metrics.h"
#include "vectors/quantized.h"

/* Borrows all that it points to. Immutable but for the lazy parts, which any number of threads may use at once. */
typedef struct sf_vector_segment {
  const float *vectors; /* num_rows × dim */
  /* 1/|x| of each row, for cosine, as sf_inverse_norm gives it, or (lazy_norms) from a sum in float32; else NULL. 0 for
   * a zero vector; NaN where float32 can't be trusted with the row (a norm that is tiny or huge), which then is always
   * scored exactly. */
  const float *inverse_norms;
  /* Bit r % 8 of byte r / 8 set: row r is never a result (deleted, null, or not finite: a row that is not finite is no
   * result, whatever its bit says). NULL: no row is excluded. */
  const uint8_t *excluded;
  uint64_t first_row; /* number of its first row in the shard */
  size_t num_rows;
  double max_norm; /* for dot products: no row's |x| is larger, excluded rows aside */
  /* Computes both kinds of norms chunk by chunk in the first scan: then inverse_norms is NULL and max_norm infinite.
   * NULL: they are known, or not needed. */
  sf_lazy_norms *lazy_norms;
  /* Quantized vectors of these rows, and perhaps of others: this segment's begin at row first_quantized of them.
   * Zero-initialised: none. */
  sf_quantized quantized;
  size_t first_quantized;
  sf_lazy_quantized *lazy_quantized; /* quantizes chunk by chunk; then first_quantized is 0. NULL: not lazy */
} sf_vector_segment;

#endif
