/*
 * Writes the vector index that tells Lance a dataset's metric.
 *
 * A search through Lance that names no metric compares by L2, unless the column has an index, whose metric it takes. Rows
 * that the index does not have are compared one by one, so an index of one row makes such searches right, and leaves them
 * exact. It must have a row of the dataset: Lance ignores an index none of whose fragments is there. So the first row is
 * a fragment of its own, and the index has that one.
 *
 * The index is an IVF_FLAT of one partition, in two Lance files below `_indices/<uuid>/`: index.idx has the partition's
 * centroid, auxiliary.idx the vector and its row id.
 */
#ifndef SF_FORMATS_LANCE_WRITE_INDEX_H
#define SF_FORMATS_LANCE_WRITE_INDEX_H

#include "base/memory.h"
#include "base/uuid.h"
#include "shardyfusion/types.h"

/* Zero-initialise. */
typedef struct sf_lance_written_index {
  sf_metric metric;
  uint8_t uuid[SF_UUID_BYTES];
  uint64_t centroid_file_size;
  uint64_t vector_file_size;
} sf_lance_written_index;

/* Whether Lance would take another metric without an index. */
bool sf_lance_metric_needs_index(sf_metric metric);

/* Writes the index's files, and syncs them, for a dataset whose fragment 0 has one row, with this vector. */
sf_code sf_lance_write_index(const char *root, sf_metric metric, const float *vector, uint32_t dim,
                             sf_lance_written_index *index, sf_error *error);

/* Appends the message with which a manifest file lists the index. */
sf_code sf_lance_append_index_section(sf_buffer *buffer, const sf_lance_written_index *index, sf_error *error);

#endif
