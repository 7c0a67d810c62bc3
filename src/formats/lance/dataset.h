/* A Lance dataset in a storage: its folder, its newest manifest, and its fragments with their columns. */
#ifndef SF_FORMATS_LANCE_DATASET_H
#define SF_FORMATS_LANCE_DATASET_H

#include "formats/lance/deletions.h"
#include "formats/lance/string_column.h"
#include "formats/lance/vector_column.h"
#include "formats/shard.h"

/* "<key>/vector_index.lance", one folder deeper where vectors are stored beside key-value data. The caller frees it. */
char *sf_lance_dataset_root(const sf_shard_params *params);

/* Whether there is a dataset: a manifest in `_versions/`. */
sf_code sf_lance_dataset_exists(sf_storage *storage, const char *root, const sf_cancellation *cancellation,
                                bool *exists, sf_error *error);

/* Reads the newest version's manifest. Zero-initialise `manifest`; free it whatever happened. */
sf_code sf_lance_dataset_manifest(sf_storage *storage, const char *root, const sf_cancellation *cancellation,
                                  sf_lance_manifest *manifest, sf_error *error);

/* The rows that were written together. */
typedef struct sf_lance_fragment {
  uint64_t first_row; /* in the shard */
  uint64_t num_rows;  /* deleted ones included */
  size_t num_files;
  sf_lance_data_file files[SF_LANCE_NUM_COLUMNS]; /* each that has one of our columns, once */
  sf_lance_column vectors;                        /* no pages where no file has the column */
  sf_lance_vector_page *vector_pages;             /* one for each page */
  sf_lance_string_column *ids;
  sf_lance_string_column *payloads; /* NULL: all are null */
  sf_buffer deletion_file;
  sf_lance_deletions deletions;
} sf_lance_fragment;

/* Opens a data file of the dataset; the mirror in the cache, where the storage is not on this machine, is its
 * business. */
typedef sf_code (*sf_lance_open_file)(const Sf__Lance__DataFile *file, void *user_data, sf_lance_object **object,
                                      sf_error *error);

/* Opens a fragment's files and columns, and reads its deletions. Zero-initialise `fragment`, with first_row; close it
 * whatever happened. It must not move while it is open. */
sf_code sf_lance_fragment_open(sf_storage *storage, const char *root, const sf_lance_manifest *manifest,
                               const Sf__Lance__Fragment *message, sf_lance_open_file open_file, void *user_data,
                               const sf_cancellation *cancellation, sf_lance_fragment *fragment, sf_error *error);
void sf_lance_fragment_close(sf_lance_fragment *fragment);

/* Whether the rows of a page count: of one that has vectors, or of any where the fragment has no more rows than its files have bytes.
 * A page without vectors takes no bytes, and could have endlessly many; ids of rows that were written take some. */
bool sf_lance_fragment_has_rows(const sf_lance_fragment *fragment, size_t page);
/* One more than the highest row number of those pages, in the shard; the fragment's first row where it has none. */
uint64_t sf_lance_fragment_row_end(const sf_lance_fragment *fragment);

#endif
