/*
 * Making the lists of a shard: k-means on a sample of its rows gives the centroids, each row goes to the nearest one, and
 * the mean of a list's rows becomes its centre, relative to which they are quantized.
 *
 * About 4√n lists: then choosing lists and scanning the chosen ones take about as long as each other; half as many cost a
 * search of words a tenth to a fifth more. The first centroids are rows that are drawn: k-means++ took four times as long as all
 * else here, and a search of words read a tenth more lists for the same recall than with a few more iterations.
 */
#ifndef SF_LISTS_MAKE_LISTS_H
#define SF_LISTS_MAKE_LISTS_H

#include "base/cancellation.h"
#include "lists/lists.h"
#include "vectors/segment.h"

/* All borrowed for the call. */
typedef struct sf_lists_params {
  const sf_vector_segment *segments; /* by first_row, ascending */
  size_t num_segments;
  uint32_t dim;
  sf_metric metric;
  sf_lists_identity identity;
  uint32_t num_lists; /* 0: chosen by the number of rows */
  uint32_t num_threads;
  uint64_t max_memory_bytes; /* that making may take, without the segments; 0: no bound */
  uint64_t seed;
} sf_lists_params;

/*
 * Makes the bytes of lists, for the caller to free(). The same for the same rows, parameters and kernels, whatever the number of threads.
 * Takes memory for them, for a sample of at most 128 MiB, and some 24 bytes a row. Fails with
 * SF_CONFIG_VALIDATION_ERROR where no row can be a result, there are more than SF_LISTS_MAX_ROWS, or max_memory_bytes do not
 * suffice.
 */
sf_code sf_lists_make(const sf_lists_params *params, const sf_cancellation *cancellation, void **bytes, size_t *length,
                      sf_error *error);

/* Whether a row can be a result: its vector is finite, and it is not excluded. */
bool sf_lists_has_rows(const sf_vector_segment *segments, size_t num_segments, uint32_t dim);

#endif
