/* Makes data files and an index a dataset: writes the schema of them, and the manifest of version 1. */
#ifndef SF_FORMATS_LANCE_WRITE_MANIFEST_H
#define SF_FORMATS_LANCE_WRITE_MANIFEST_H

#include "formats/lance/write_file.h"
#include "formats/lance/write_index.h"
#include "formats/shard_writer.h"

extern const sf_shard_writer_format sf_lance_writer;

/* Appends the message that a data file of `num_rows` rows has as its first global buffer. */
sf_code sf_lance_append_file_descriptor(sf_buffer *buffer, uint32_t dim, uint64_t num_rows, sf_error *error);

/* A data file is a fragment, in their order: `data/0.lance` is fragment 0. */
typedef struct sf_lance_written_file {
  uint64_t num_rows;
  uint64_t size;
} sf_lance_written_file;

#define SF_LANCE_MAX_FILES 2
#define SF_LANCE_FILE_NAME_SIZE 16

void sf_lance_data_file_name(size_t number, char name[SF_LANCE_FILE_NAME_SIZE]);

typedef struct sf_lance_written_dataset {
  uint32_t dim;
  sf_lance_written_file files[SF_LANCE_MAX_FILES];
  size_t num_files; /* 0: there are no rows */
  bool has_index;
  sf_lance_written_index index;
} sf_lance_written_dataset;

/* Writes `<root>/_versions/<name of version 1>`, whole or not at all, and syncs it. */
sf_code sf_lance_write_manifest(const char *root, const sf_lance_written_dataset *dataset, sf_error *error);

#endif
