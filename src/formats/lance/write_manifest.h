/* Makes a data file a dataset: writes the schema of both, and the manifest of version 1. */
#ifndef SF_FORMATS_LANCE_WRITE_MANIFEST_H
#define SF_FORMATS_LANCE_WRITE_MANIFEST_H

#include "formats/lance/write_file.h"
#include "formats/shard_writer.h"

extern const sf_shard_writer_format sf_lance_writer;

/* Appends the message that a data file of `num_rows` rows has as its first global buffer. */
sf_code sf_lance_append_file_descriptor(sf_buffer *buffer, uint32_t dim, uint64_t num_rows, sf_error *error);

/* The dataset's one data file. */
typedef struct sf_lance_written_file {
  const char *name; /* below data/ */
  uint64_t num_rows;
  uint64_t size;
} sf_lance_written_file;

/* Writes `<root>/_versions/<name of version 1>`, whole or not at all, and syncs it. `file` NULL: there are no rows. */
sf_code sf_lance_write_manifest(const char *root, uint32_t dim, const sf_lance_written_file *file, sf_error *error);

#endif
