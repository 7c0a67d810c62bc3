/* The header of a vector file, and the offsets of its sections. */
#ifndef SF_CACHE_VECTOR_LAYOUT_H
#define SF_CACHE_VECTOR_LAYOUT_H

#include "vectors/quantized.h"

#define SF_VECTOR_FILE_MAGIC "SFVECTOR"

/* The first 256 bytes of a vector file. */
typedef struct sf_vector_file_header {
  char magic[8];
  uint32_t version;
  uint32_t dim;
  uint32_t metric;
  uint32_t reserved;
  uint64_t num_rows;
  uint64_t num_not_finite;
  double max_norm;
  uint64_t identity;        /* hash of what the file was made from */
  uint64_t data_checksum;   /* XXH3-64 of all bytes after the header */
  uint64_t header_checksum; /* XXH3-64 of the header with this field 0 */
  uint8_t unused[256 - 72];
} sf_vector_file_header;

_Static_assert(sizeof(sf_vector_file_header) == 256, "the header is part of the file's layout");

/* Offsets in bytes from the file's beginning. */
typedef struct sf_vector_layout {
  bool has_norms;
  bool has_quantized;
  bool has_excluded;
  uint64_t vectors;
  uint64_t norms;
  uint64_t row_ids;
  uint64_t centre; /* of the quantized vectors */
  uint64_t groups[SF_QUANTIZED_KINDS];
  uint64_t excluded;
  uint64_t file_size;
} sf_vector_layout;

/* False when the file would not fit an address space. The metric decides on norms, and dim and
 * num_rows on quantized vectors. */
bool sf_vector_layout_compute(uint64_t num_rows, uint32_t dim, sf_metric metric, bool has_excluded,
                              sf_vector_layout *layout);

#endif
