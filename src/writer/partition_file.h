/*
 * Partition files: the rows of one partition of the input, on their way from the worker that routed them to those that write
 * shards. Lists of rows, one for each shard, and after them lists of ids, by the highest bits of a hash; each in extents,
 * which lie in the file in the order in which they were written. What lies where is not in the file: it goes by way of the
 * driver, with a checksum of each extent.
 *
 * A file is scratch of its run, below "shards/run_id=<run_id>/partitions/", and removed before the run is published.
 * Processes of one run have one byte order.
 */
#ifndef SF_WRITER_PARTITION_FILE_H
#define SF_WRITER_PARTITION_FILE_H

#include "formats/shard_writer.h"
#include "shardyfusion/distributed.h"
#include "snapshot/run_id.h"
#include "storage/storage.h"

#include <xxhash.h>

#define SF_PARTITION_FOLDER "partitions"

/* "shards/run_id=<run_id>/partitions/" and the key of a file in it; to free, NULL when memory is out. */
char *sf_partition_folder(const char *run_id);
char *sf_partition_key(const char *run_id, uint64_t token);

/* ---- Extents in memory ---- */

/* An entry of a list of ids. */
typedef struct sf_partition_id {
  uint64_t high; /* the hash */
  uint64_t low;
  uint64_t row;
} sf_partition_id;

/* The list of ids that a hash belongs to, from 0 to SF_NUM_ID_LISTS − 1. */
uint32_t sf_partition_id_list(uint64_t high);

/* Appends a row; false when memory is out. */
bool sf_partition_append_row(sf_buffer *extent, const sf_shard_row *row, uint64_t number, uint32_t dim);

/* The rows in the bytes of an extent, borrowed from them, which must be aligned as malloc does. Fails where they are not whole
 * rows, `count` in all. `numbers` may be NULL. */
sf_code sf_partition_parse_rows(const void *bytes, size_t length, uint32_t dim, size_t count, sf_shard_row *rows,
                                uint64_t *numbers, sf_error *error);

/* ---- Writing: a router ---- */

typedef struct sf_partition_writer sf_partition_writer;

typedef struct sf_partition_writer_params {
  sf_storage *storage; /* borrowed */
  const char *run_id;
  const char *staging_directory; /* of a remote storage */
  uint32_t num_dbs;
  uint32_t dim;
  size_t max_bytes; /* that all lists may have in memory */
} sf_partition_writer_params;

sf_code sf_partition_writer_create(const sf_partition_writer_params *params, sf_partition_writer **writer,
                                   sf_error *error);
/* Removes the file unless it was finished. NULL is allowed. */
void sf_partition_writer_free(sf_partition_writer *writer);

/* Rows of the partition, from number `first` on, with the hashes of their ids (NULL: they have none). */
typedef struct sf_partition_rows {
  const sf_shard_row *rows;
  const uint32_t *shard_ids;
  const XXH128_hash_t *hashes;
  uint64_t first;
  size_t count;
} sf_partition_rows;
sf_code sf_partition_writer_add(sf_partition_writer *writer, const sf_partition_rows *rows, sf_error *error);

/* Stores the file. */
sf_code sf_partition_writer_finish(sf_partition_writer *writer, uint64_t num_rows, const sf_cancellation *cancellation,
                                   sf_partition **partition, sf_error *error);

/* ---- Reading ---- */

/* The bytes of a piece, checked; to free. */
sf_code sf_partition_read(sf_storage *storage, const char *run_id, const sf_partition_piece *piece, void **bytes,
                          sf_error *error);

#endif
