/*
 * Norms that are found out when a scan first comes by, along with what it came for: a shard whose vectors are searched
 * where they lie then needs no pass over them before its first search. A window of rows at a time.
 *
 * For any number of threads at once. None waits: who comes upon a window that another thread is at finds out for itself.
 */
#ifndef SF_VECTORS_LAZY_NORMS_H
#define SF_VECTORS_LAZY_NORMS_H

#include "base/cancellation.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct sf_lazy_norms sf_lazy_norms;

enum { SF_MAX_CHUNK_ROWS = 1024 };
/* At least 1 and at most SF_MAX_CHUNK_ROWS; from 16 on a multiple of it. The last window of some rows may have fewer. */
size_t sf_rows_per_chunk(size_t dim);

size_t sf_num_chunks(size_t num_rows, size_t dim);

/* Of one window's rows. */
typedef struct sf_chunk_norms {
  const float *inverse_norms; /* as sf_vector_segment has them, NaN where a row is not finite; NULL: not wanted */
  double max_norm;            /* no finite row's |x| is larger */
  bool has_dots;              /* they were found out now */
} sf_chunk_norms;

/* Borrows the vectors (num_rows × dim), and a bitmap of rows that are never a result (NULL: none). NULL when memory is
 * out. */
sf_lazy_norms *sf_lazy_norms_create(const float *vectors, size_t num_rows, size_t dim, bool wants_inverse_norms,
                                    const uint8_t *excluded);
void sf_lazy_norms_free(sf_lazy_norms *norms);

/*
 * Window `window` (row / sf_rows_per_chunk). Where its norms are to be found out now, the rows' dot products with the query
 * (dim components), as the kernel `dot` gives them, come along: `dots` has room for SF_MAX_CHUNK_ROWS. So does `scratch`,
 * where inverse norms lie that could not be kept: what this returns is good as long as both are.
 */
sf_chunk_norms sf_lazy_norms_of_chunk(sf_lazy_norms *norms, size_t window, const float *query, float *dots,
                                      float *scratch);

/* The same of one row, whose dot product comes along in any case. */
sf_chunk_norms sf_lazy_norms_of_row(sf_lazy_norms *norms, size_t row, const float *query, float *dot, float *scratch);

/* How many rows are not finite, of the windows that are known; those that are never a result aside. */
uint64_t sf_lazy_norms_num_not_finite(const sf_lazy_norms *norms);

/* Finds out about every window, until it is cancelled. */
void sf_lazy_norms_complete(sf_lazy_norms *norms, const sf_cancellation *cancellation);

#endif
