#include "vectors/lazy_norms.h"

#include "base/assert.h"
#include "base/memory.h"
#include "vectors/distance.h"

#include <math.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
  CHUNK_BYTES = 256 * 1024,
  WHOLE_ROWS = 16,         /* so that chunks end where groups of quantized vectors do */
  TOUCHED_BYTES = 1 << 16, /* what Linux maps around a page that is touched, by default */
};

enum { UNKNOWN, BEING_COMPUTED, KNOWN };

struct sf_lazy_norms {
  const float *vectors;
  size_t num_rows;
  size_t dim;
  const uint8_t *excluded; /* NULL: none */
  float *inverse_norms;    /* NULL: not wanted */
  double *max_norms;       /* one for each chunk */
  /* One for each chunk. The thread that takes it from UNKNOWN to BEING_COMPUTED writes the chunk's norms, and then
   * stores KNOWN with release. */
  atomic_uchar *states;
  _Atomic uint64_t num_not_finite; /* in chunks that are KNOWN */
};

size_t sf_rows_per_chunk(size_t dim) {
  SF_ASSERT(dim > 0);
  size_t rows = CHUNK_BYTES / sizeof(float) / dim;
  if (rows >= WHOLE_ROWS)
    rows -= rows % WHOLE_ROWS;
  return rows < 1 ? 1 : rows > SF_MAX_CHUNK_ROWS ? SF_MAX_CHUNK_ROWS : rows;
}

size_t sf_num_chunks(size_t num_rows, size_t dim) {
  size_t rows = sf_rows_per_chunk(dim);
  return num_rows / rows + (num_rows % rows != 0);
}

sf_lazy_norms *sf_lazy_norms_create(const float *vectors, size_t num_rows, size_t dim, bool wants_inverse_norms,
                                    const uint8_t *excluded) {
  sf_lazy_norms *norms = sf_calloc(1, sizeof(*norms));
  if (norms == NULL)
    return NULL;
  *norms = (sf_lazy_norms){.vectors = vectors, .num_rows = num_rows, .dim = dim, .excluded = excluded};
  size_t num_chunks = sf_num_chunks(norms->num_rows, norms->dim);
  norms->inverse_norms = wants_inverse_norms ? sf_calloc(num_rows, sizeof(float)) : NULL;
  norms->max_norms = sf_calloc(num_chunks, sizeof(double));
  norms->states = sf_calloc(num_chunks, sizeof(*norms->states)); /* all UNKNOWN */
  if ((wants_inverse_norms && norms->inverse_norms == NULL) || norms->max_norms == NULL || norms->states == NULL) {
    sf_lazy_norms_free(norms);
    return NULL;
  }
  return norms;
}

void sf_lazy_norms_free(sf_lazy_norms *norms) {
  if (norms == NULL)
    return;
  free(norms->inverse_norms);
  free(norms->max_norms);
  free(norms->states);
  free(norms);
}

/*
 * A page of the mapped file that is not mapped yet stops the CPU's prefetching. Touching a chunk's pages before its
 * vectors are read makes the pass as fast as memory is, and costs next to nothing where they are mapped already.
 * (MADV_POPULATE_READ was tried: it takes twice as long, since it visits every page.)
 */
static void touch_pages(const float *vectors, size_t length) {
  const volatile uint8_t *bytes = (const volatile uint8_t *)vectors;
  for (size_t offset = 0; offset < length; offset += TOUCHED_BYTES)
    (void)bytes[offset];
}

/* By the bits: the result is stored for other threads, which may treat denormal numbers differently. */
static bool is_zero(const float *vector, size_t dim) {
  for (size_t i = 0; i < dim; i++) {
    uint32_t bits;
    memcpy(&bits, &vector[i], sizeof(bits));
    if ((bits & 0x7FFFFFFFU) != 0)
      return false;
  }
  return true;
}

/* In float64, for norms outside the range of float32 sums. NaN for a row that is not finite. */
static double compute_exactly(const sf_lazy_norms *norms, size_t row, float *inverse_norm) {
  const float *vector = norms->vectors + row * norms->dim;
  double squared_norm = sf_exact_squared_norm(vector, norms->dim);
  sf_inverses_of_squared_norms(&squared_norm, 1, inverse_norm);
  if (squared_norm == 0 && !is_zero(vector, norms->dim))
    *inverse_norm = NAN;
  return isfinite(squared_norm) ? sqrt(squared_norm) : NAN;
}

static bool is_excluded(const sf_lazy_norms *norms, size_t row) {
  return norms->excluded != NULL && (norms->excluded[row / 8] >> (row % 8) & 1) != 0;
}

/*
 * From squared norms in float32. A squared norm is trusted where flushing denormal numbers to zero, which may lose
 * 2·dim·FLT_MIN, is far below its own rounding, and where no sum can have overflowed. Returns an upper bound of the
 * norms, and counts rows that are not finite.
 */
static double compute_inverses(const sf_lazy_norms *norms, size_t begin, size_t count, const float *squared_norms,
                               float *inverse_norms, uint64_t *num_not_finite) {
  const float least = 1e-29F * (float)norms->dim;
  const float most = 1e36F;
  float largest = 0;
  double largest_exact = 0;
  for (size_t i = 0; i < count; i++) {
    bool is_trusted = squared_norms[i] >= least && squared_norms[i] <= most;
    inverse_norms[i] = is_trusted ? 1 / sqrtf(squared_norms[i]) : -1;
    largest = is_trusted && squared_norms[i] > largest ? squared_norms[i] : largest;
  }
  for (size_t i = 0; i < count; i++) {
    if (inverse_norms[i] == -1) {
      double norm = compute_exactly(norms, begin + i, &inverse_norms[i]);
      largest_exact = norm > largest_exact ? norm : largest_exact;
      *num_not_finite += isnan(norm) && !is_excluded(norms, begin + i);
    }
  }
  /* The sum s is at least |x|²(1 − e); 2⁻²⁸ covers what flushing may have lost. */
  double error = sf_dot_error_bound(norms->dim, 1, 1) + 0x1p-28;
  double norm = error < 0.5 ? sqrt((double)largest / (1 - error)) : INFINITY;
  return norm > largest_exact ? norm : largest_exact;
}

static double compute_chunk(const sf_lazy_norms *norms, size_t chunk, const float *query, float *dots,
                            float *inverse_norms, uint64_t *num_not_finite) {
  float squared_norms[SF_MAX_CHUNK_ROWS];
  size_t rows = sf_rows_per_chunk(norms->dim);
  size_t begin = chunk * rows;
  size_t count = norms->num_rows - begin < rows ? norms->num_rows - begin : rows;
  const float *vectors = norms->vectors + begin * norms->dim;
  touch_pages(vectors, count * norms->dim * sizeof(float));
  sf_kernels_get()->dots_and_norms(query, vectors, count, norms->dim, dots, squared_norms);
  return compute_inverses(norms, begin, count, squared_norms, inverse_norms, num_not_finite);
}

sf_chunk_norms sf_lazy_norms_of_chunk(sf_lazy_norms *norms, size_t chunk, const float *query, float *dots,
                                      float *scratch) {
  SF_ASSERT(chunk < sf_num_chunks(norms->num_rows, norms->dim));
  atomic_uchar *state = &norms->states[chunk];
  float *kept = norms->inverse_norms == NULL ? NULL : norms->inverse_norms + chunk * sf_rows_per_chunk(norms->dim);
  if (atomic_load_explicit(state, memory_order_acquire) == KNOWN)
    return (sf_chunk_norms){kept, norms->max_norms[chunk], false};
  unsigned char unknown = UNKNOWN;
  bool is_mine = atomic_compare_exchange_strong_explicit(state, &unknown, BEING_COMPUTED, memory_order_relaxed,
                                                         memory_order_relaxed);
  float *computed = is_mine && kept != NULL ? kept : scratch;
  uint64_t num_not_finite = 0;
  double max_norm = compute_chunk(norms, chunk, query, dots, computed, &num_not_finite);
  if (is_mine) {
    if (num_not_finite > 0)
      atomic_fetch_add_explicit(&norms->num_not_finite, num_not_finite, memory_order_relaxed);
    norms->max_norms[chunk] = max_norm;
    atomic_store_explicit(state, KNOWN, memory_order_release);
  }
  return (sf_chunk_norms){kept == NULL ? NULL : computed, max_norm, true};
}

sf_chunk_norms sf_lazy_norms_of_row(sf_lazy_norms *norms, size_t row, const float *query, float *dot, float *scratch) {
  SF_ASSERT(row < norms->num_rows);
  const sf_kernels *kernels = sf_kernels_get();
  const float *vector = norms->vectors + row * norms->dim;
  size_t chunk = row / sf_rows_per_chunk(norms->dim);
  float *kept = norms->inverse_norms == NULL ? NULL : norms->inverse_norms + row;
  if (atomic_load_explicit(&norms->states[chunk], memory_order_acquire) == KNOWN) {
    kernels->dot(query, vector, 1, norms->dim, dot);
    return (sf_chunk_norms){kept, norms->max_norms[chunk], true};
  }
  float squared_norm;
  kernels->dots_and_norms(query, vector, 1, norms->dim, dot, &squared_norm);
  uint64_t ignored = 0;
  double max_norm = compute_inverses(norms, row, 1, &squared_norm, scratch, &ignored);
  return (sf_chunk_norms){kept == NULL ? NULL : scratch, max_norm, true};
}

uint64_t sf_lazy_norms_num_not_finite(const sf_lazy_norms *norms) {
  return atomic_load_explicit(&norms->num_not_finite, memory_order_relaxed);
}

void sf_lazy_norms_complete(sf_lazy_norms *norms, const sf_cancellation *cancellation) {
  float dots[SF_MAX_CHUNK_ROWS];
  float scratch[SF_MAX_CHUNK_ROWS];
  size_t num_chunks = sf_num_chunks(norms->num_rows, norms->dim);
  for (size_t i = 0; i < num_chunks && !sf_cancellation_requested(cancellation); i++)
    (void)sf_lazy_norms_of_chunk(norms, i, norms->vectors, dots, scratch); /* any query would do */
}
