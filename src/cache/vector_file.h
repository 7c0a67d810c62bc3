/*
 * The vectors of a shard as one mapped file of the local cache, so that a second process, or a second start, decodes
 * nothing.
 *
 * Layout, version 3, little-endian (docs/cache-format.md has it to the byte):
 *   header     256 bytes, see vector_layout.h
 *   vectors    num_rows × dim float32, at a multiple of 4096
 *   norms      num_rows float32: 1/|x| as sf_vector_segment has it; for cosine only
 *   row ids    num_rows int64
 *   centre     dim float32, and
 *   groups     of 16 rows' quantized vectors (vectors/quantized.h): first all 2-bit ones, then, a section of its own, all
 *              4-bit ones; only from 64 KiB of vectors on
 *   excluded   a bitmap of num_rows bits; only where a row is excluded
 * Sections other than the vectors begin at multiples of 64. The header holds a checksum of itself and one of all that
 * follows; both are verified when the file is mapped, so that a file that went bad is made again and never searched.
 */
#ifndef SF_CACHE_VECTOR_FILE_H
#define SF_CACHE_VECTOR_FILE_H

#include "cache/cached_file.h"
#include "vectors/segment.h"

#define SF_VECTOR_FILE_NAME "vectors.sfv"
#define SF_VECTOR_FILE_VERSION 3

/* The shard or data file that a vector file was made from. A file with another identity is not used. */
typedef struct sf_vector_file_identity {
  const char *db_url;
  const char *checkpoint_id; /* NULL: none */
  uint64_t source_size;      /* of the file that was decoded */
  int64_t source_modified;   /* its time of modification, in nanoseconds */
  uint32_t dim;
  sf_metric metric;
} sf_vector_file_identity;

/* A mapped file. All zero where there are no rows. */
typedef struct sf_vector_file {
  void *mapping;
  size_t mapping_length;
  sf_vector_segment segment;
  const int64_t *row_ids; /* num_rows, ascending */
  uint64_t num_not_finite;
} sf_vector_file;

/* Maps the file `name` in the folder; no descriptor of it is kept. *usable is false when it is missing, of another
 * identity or version, or its checksums are wrong; only failures that would also prevent making it are errors. */
sf_code sf_vector_file_map(const sf_folder *folder, const char *name, const sf_vector_file_identity *identity,
                           bool *usable, sf_vector_file *file, sf_error *error);
void sf_vector_file_unmap(sf_vector_file *file);

/* Writes a vector file of a known number of rows, in any order. One thread at a time. */
typedef struct sf_vector_file_writer sf_vector_file_writer;

/* All the disk space that it will take is reserved at once. The folder is borrowed until the writer is freed. */
sf_code sf_vector_file_create(const sf_folder *folder, const char *name, const sf_vector_file_identity *identity,
                              uint64_t num_rows, sf_vector_file_writer **writer, sf_error *error);
/* The most bytes that such a file takes; 0 when it can't be made. */
uint64_t sf_vector_file_size(const sf_vector_file_identity *identity, uint64_t num_rows);
/* Rows [first_row, first_row + count): vectors (count × dim, native float32), and their ids. */
sf_code sf_vector_file_write_rows(sf_vector_file_writer *writer, uint64_t first_row, const float *vectors,
                                  const int64_t *row_ids, size_t count, sf_error *error);
/* Every row was written: completes the file and publishes it. Frees the writer, also when it fails. */
sf_code sf_vector_file_finish(sf_vector_file_writer *writer, sf_error *error);
/* Removes what was written, and frees the writer. NULL is allowed. */
void sf_vector_file_abandon(sf_vector_file_writer *writer);

/* Writes every row, in any order. */
typedef sf_code (*sf_vector_file_fill)(void *context, sf_vector_file_writer *writer,
                                       const sf_cancellation *cancellation, sf_error *error);

/* All of the above: makes the file, lets `fill` write its rows, and completes it, or removes it where that fails. */
sf_code sf_vector_file_write(const sf_folder *folder, const char *name, const sf_vector_file_identity *identity,
                             uint64_t num_rows, sf_vector_file_fill fill, void *context,
                             const sf_cancellation *cancellation, sf_error *error);

/* A vector file of the cache, and how it is made where there is none. */
typedef struct sf_cached_vectors {
  sf_cache_place place;
  const char *name;
  sf_vector_file_identity identity;
  uint64_t num_bytes; /* as sf_cached_file has it */
  void *context;
  /* Makes and publishes the file `name` of the identity in the folder, whose lock is held. */
  sf_code (*make)(void *context, const sf_folder *folder, const sf_cancellation *cancellation, sf_error *error);
} sf_cached_vectors;

/* Maps the file, which is made first where no usable one is there. */
sf_code sf_cached_vectors_open(const sf_cached_vectors *vectors, const sf_cancellation *cancellation,
                               sf_vector_file *file, sf_error *error);

#endif
