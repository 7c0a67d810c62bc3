/*
 * Norms that are computed chunk by chunk, by the first scan of each chunk and together with its dot products: a shard
 * whose vectors are searched in the mapped file then needs no pass over them before its first search.
 *
 * Sums of squares are in float32, with the bound of sf_dot_error_bound; a row for which that is not enough (norms that
 * are tiny, huge or not finite) is summed in float64.
 *
 * For any number of threads at once, none of which waits: a thread that scans a chunk whose norms another thread is
 * computing computes them for itself, into its own memory.
 */
#ifndef SF_VECTORS_LAZY_NORMS_H
#define SF_VECTORS_LAZY_NORMS_H

#include "base/cancellation.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct sf_lazy_norms sf_lazy_norms;

enum { SF_MAX_CHUNK_ROWS = 1024 };
/* At least 1 and at most SF_MAX_CHUNK_ROWS; from 16 on a multiple of it. The last chunk may have fewer. */
size_t sf_rows_per_chunk(size_t dim);

size_t sf_num_chunks(size_t num_rows, size_t dim);

/* The norms of a chunk's rows. */
typedef struct sf_chunk_norms {
  const float *inverse_norms; /* as sf_vector_segment has them, NaN where a row is not finite; NULL: not wanted */
  double max_norm;            /* no finite row's |x| is larger */
  bool has_dots;              /* the norms were computed by this call, and `dots` with them */
} sf_chunk_norms;

/* Borrows the vectors (num_rows × dim), and a bitmap of rows that are never a result (NULL: none). NULL when memory is
 * out. */
sf_lazy_norms *sf_lazy_norms_create(const float *vectors, size_t num_rows, size_t dim, bool wants_inverse_norms,
                                    const uint8_t *excluded);
void sf_lazy_norms_free(sf_lazy_norms *norms);

/*
 * The norms of chunk number `chunk` (row / sf_rows_per_chunk). Where they have to be computed, `dots` becomes the rows'
 * dot products with the query (dim components), with the same bits as the kernel `dot`. `dots` and `scratch` have room
 * for SF_MAX_CHUNK_ROWS. `scratch` holds inverse norms that another thread is storing: the result is valid as long as
 * both are.
 */
sf_chunk_norms sf_lazy_norms_of_chunk(sf_lazy_norms *norms, size_t chunk, const float *query, float *dots,
                                      float *scratch);

/* The same for one row; its dot product is computed in any case. */
sf_chunk_norms sf_lazy_norms_of_row(sf_lazy_norms *norms, size_t row, const float *query, float *dot, float *scratch);

/* How many rows are not finite, in the chunks whose norms are known; excluded rows do not count. */
uint64_t sf_lazy_norms_num_not_finite(const sf_lazy_norms *norms);

/* Computes the norms of every chunk, until it is cancelled. */
void sf_lazy_norms_complete(sf_lazy_norms *norms, const sf_cancellation *cancellation);

#endif
