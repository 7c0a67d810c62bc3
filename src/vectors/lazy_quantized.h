/*
 * Quantized vectors of rows that are searched in a mapped file, made chunk by chunk (see lazy_norms.h): the second scan
 * of a chunk quantizes it, so that a process that searches only once does not pay for it. They are stored in a mapped
 * file without a name, in pages that the system can write out and take back. Without such a file there are none, and
 * scans read float32.
 *
 * For any number of threads at once, none of which waits: while one thread quantizes a chunk, others scan its float32.
 */
#ifndef SF_VECTORS_LAZY_QUANTIZED_H
#define SF_VECTORS_LAZY_QUANTIZED_H

#include "base/cancellation.h"
#include "base/error.h"
#include "vectors/quantized.h"

typedef struct sf_lazy_quantized sf_lazy_quantized;

/* Whether there are enough vectors to be worth quantizing, and chunks end where groups do. */
bool sf_lazy_quantized_serve(size_t num_rows, uint32_t dim);

/* Opens an empty file without a name, at or beside `location`, that is removed when its last descriptor is closed. The
 * caller closes *descriptor. Called at most once, by the thread that quantizes the first chunk. */
typedef sf_code (*sf_open_nameless_file)(const char *location, int *descriptor, sf_error *error);

/* Borrows the vectors (num_rows × dim), and a bitmap of rows that are never a result (NULL: none); `location`, which is
 * passed to `open_file`, is copied. NULL when memory is out. */
sf_lazy_quantized *sf_lazy_quantized_create(const float *vectors, size_t num_rows, uint32_t dim, sf_metric metric,
                                            const uint8_t *excluded, sf_open_nameless_file open_file,
                                            const char *location);
void sf_lazy_quantized_free(sf_lazy_quantized *lazy); /* NULL is allowed */

/* NULL until the first chunk is quantized. Only groups of chunks that have been quantized may be read. */
const sf_quantized *sf_lazy_quantized_get(const sf_lazy_quantized *lazy);
bool sf_lazy_quantized_has(const sf_lazy_quantized *lazy, size_t chunk);

/* Called after a scan of the chunk's float32 vectors: the second call quantizes the chunk. */
void sf_lazy_quantized_visit(sf_lazy_quantized *lazy, size_t chunk);

/* How many rows are not finite, in chunks that are quantized; excluded rows do not count. Counted where the metric
 * needs no norms; elsewhere lazy_norms.h counts them, and this is 0. */
uint64_t sf_lazy_quantized_num_not_finite(const sf_lazy_quantized *lazy);

/* Quantizes every chunk, until it is cancelled. */
void sf_lazy_quantized_complete(sf_lazy_quantized *lazy, const sf_cancellation *cancellation);

#endif
