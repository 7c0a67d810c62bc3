/* The vectors of a fragment as segments to scan: in place where they are plain float32, else decoded into the cache. */
#ifndef SF_FORMATS_LANCE_SEGMENTS_H
#define SF_FORMATS_LANCE_SEGMENTS_H

#include "cache/cache_use.h"
#include "cache/vector_file.h"
#include "formats/lance/dataset.h"

typedef struct sf_lance_segments {
  sf_vector_segment *segments; /* by first_row */
  size_t num_segments;
  size_t capacity;
  /* The memory of the segments, besides the mapped data files. */
  void **owned;
  size_t num_owned;
  sf_vector_file *decoded;
  size_t num_decoded;
  sf_cache_use use;  /* of the cache's folder, once a file is in it */
  uint64_t num_rows; /* live ones */
  uint64_t num_not_finite;
  sf_noted_rows first_not_finite; /* with verify_only */
} sf_lance_segments;

/* Adds a fragment's vectors. With `verify_only` everything is read and decoded, but neither kept nor put into the
 * cache. Zero-initialise `segments`; free whatever happened. */
sf_code sf_lance_segments_add(sf_lance_segments *segments, const sf_shard_params *params,
                              const sf_lance_fragment *fragment, const sf_cancellation *cancellation, sf_error *error);
void sf_lance_segments_free(sf_lance_segments *segments);

#endif
