/*
 * Codes that are made by and by, where vectors are searched in place: a window of rows (see lazy_norms.h) is coded when a
 * scan comes by for the second time, so that who searches only once pays nothing for it. They lie in a file without a name
 * beside the cache, mapped: memory that the system can take back. Where that can't be made there are no codes.
 *
 * For any number of threads at once. None waits: a window that another thread is at has no codes yet.
 */
#ifndef SF_VECTORS_LAZY_QUANTIZED_H
#define SF_VECTORS_LAZY_QUANTIZED_H

#include "base/cancellation.h"
#include "base/error.h"
#include "vectors/quantized.h"

typedef struct sf_lazy_quantized sf_lazy_quantized;

/* Whether there are enough vectors for codes, and windows that end with their groups. */
bool sf_lazy_quantized_serve(size_t num_rows, uint32_t dim);

/* Opens an empty file without a name, at or beside `location`, that is removed when its last descriptor is closed. The
 * caller closes *descriptor. Called at most once, by the thread that quantizes the first chunk. */
typedef sf_code (*sf_open_nameless_file)(const char *location, int *descriptor, sf_error *error);

/* Borrows the vectors (num_rows × dim), and a bitmap of rows that are never a result (NULL: none); `location`, which is
 * passed to `open_file`, is copied. NULL when memory is out. */
sf_lazy_quantized *sf_lazy_quantized_create(const float *vectors, size_t num_rows, uint32_t dim, sf_metric metric,
                                            const uint8_t *excluded, sf_open_nameless_file open_file,
                                            const char *location);
void sf_lazy_quantized_free(sf_lazy_quantized *codes); /* NULL is allowed */

/* NULL until the first window is coded. Only groups of windows that are coded may be looked at. */
const sf_quantized *sf_lazy_quantized_get(const sf_lazy_quantized *codes);
bool sf_lazy_quantized_has(const sf_lazy_quantized *codes, size_t window);

/* Notes that a scan came by, or codes the window. */
void sf_lazy_quantized_visit(sf_lazy_quantized *codes, size_t window);

/* How many rows are not finite, of the windows that are coded; those that are never a result aside. Counted for SF_METRIC_L2,
 * which needs no norms: for the others those find out (lazy_norms.h), and this is 0. */
uint64_t sf_lazy_quantized_num_not_finite(const sf_lazy_quantized *codes);

/* Codes every window, until it is cancelled. */
void sf_lazy_quantized_complete(sf_lazy_quantized *codes, const sf_cancellation *cancellation);

#endif
