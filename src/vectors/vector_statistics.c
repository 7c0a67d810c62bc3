#include "vectors/vector_statistics.h"

#include "vectors/distance.h"

#include <math.h>

enum {
  BATCH_ROWS = 512,      /* norms on the stack */
  CHUNK_BYTES = 1 << 20, /* of vectors between two checks of the cancellation */
};

static bool is_set(const uint8_t *bits, uint64_t index) {
  return (bits[index / 8] >> (index % 8) & 1) != 0;
}

/* Excluded rows count as zero. Squares of finite float32 can't overflow float64: a sum is finite exactly if its row is.
 * Roots are rounded correctly, and so keep the order of their squares: the largest square has the largest root. */
static void add_norms(sf_vector_statistics *statistics, double *squared_norms, size_t count, uint64_t first_row,
                      uint8_t *excluded) {
  double largest = 0;
  for (size_t i = 0; i < count; i++) {
    uint64_t row = first_row + i;
    if (is_set(excluded, row)) {
      squared_norms[i] = 0;
    } else if (!isfinite(squared_norms[i])) {
      excluded[row / 8] |= (uint8_t)(1U << (row % 8));
      statistics->num_not_finite++;
    } else if (squared_norms[i] > largest) {
      largest = squared_norms[i];
    }
  }
  statistics->max_norm = fmax(statistics->max_norm, sqrt(largest));
}

static void add_batch(sf_vector_statistics *statistics, const float *vectors, uint64_t first_row, size_t count,
                      size_t dim, uint8_t *excluded, float *inverse_norms) {
  double squared_norms[BATCH_ROWS];
  sf_kernels_get()->exact_squared_norms(vectors, count, dim, squared_norms);
  add_norms(statistics, squared_norms, count, first_row, excluded);
  if (inverse_norms != NULL)
    sf_inverses_of_squared_norms(squared_norms, count, inverse_norms);
}

static size_t rows_per_chunk(size_t dim) {
  size_t rows = CHUNK_BYTES / sizeof(float) / dim;
  return rows < 1 ? 1 : rows;
}

static size_t smaller(size_t a, size_t b) {
  return a < b ? a : b;
}

sf_code sf_vector_statistics_add(sf_vector_statistics *statistics, const float *vectors, uint64_t first_row,
                                 size_t count, size_t dim, uint8_t *excluded, float *inverse_norms,
                                 const sf_cancellation *cancellation, sf_error *error) {
  size_t chunk_rows = rows_per_chunk(dim);
  for (size_t chunk = 0; chunk < count; chunk += chunk_rows) {
    SF_TRY(sf_cancellation_check(cancellation, error));
    size_t end = smaller(chunk + chunk_rows, count);
    for (size_t row = chunk; row < end; row += BATCH_ROWS)
      add_batch(statistics, vectors + row * dim, first_row + row, smaller(end - row, BATCH_ROWS), dim, excluded,
                inverse_norms == NULL ? NULL : inverse_norms + row);
  }
  return SF_OK;
}

uint64_t sf_count_not_finite(const float *vectors, size_t count, size_t dim, const uint8_t *excluded,
                             uint64_t first_row) {
  uint64_t num_not_finite = 0;
  double squared_norms[BATCH_ROWS];
  for (size_t row = 0; row < count; row += BATCH_ROWS) {
    size_t rows = smaller(count - row, BATCH_ROWS);
    sf_kernels_get()->exact_squared_norms(vectors + row * dim, rows, dim, squared_norms);
    for (size_t i = 0; i < rows; i++)
      num_not_finite += !isfinite(squared_norms[i]) && (excluded == NULL || !is_set(excluded, first_row + row + i));
  }
  return num_not_finite;
}
