/* Building one snapshot in many processes, on one machine or many, that all reach its root. */
#ifndef SHARDYFUSION_DISTRIBUTED_H
#define SHARDYFUSION_DISTRIBUTED_H

#include "build.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A driver owns the run; workers route the input and write the shards.
 *
 * 1. The driver opens a builder with the role SF_BUILD_DRIVER, and trains it where centroids are to be trained. Workers get
 *    its run id and its routing artifact.
 * 2. For each partition of the input, a worker opens a builder with the role SF_BUILD_ROUTER, adds the partition's rows, and
 *    calls sf_builder_finish_partition. The rows are checked, assigned to their shards and written to a partition file below
 *    the run's own prefix; its extents say what lies where.
 * 3. For each shard, a worker runs sf_shard_task_run with all extents of the shard: one shard, below the prefix of an
 *    attempt of its own. sf_partitions_find_equal_ids looks for ids that occur twice, in any part of all ids.
 * 4. The driver passes one written shard for each shard that has rows to sf_builder_publish.
 *
 * What workers return are plain values. A partition may be routed twice and a shard written twice, also at the same time:
 * names differ, and only what is passed on to the next step counts. A worker that outlives its run finds the partition files
 * gone and fails. If the driver fails, frees its builder or is killed, nothing is published; the free, or a cleanup, removes
 * what was written.
 */

/* A partition's file keeps the rows of each shard, and hashes of all ids in so many lists after them. */
#define SF_NUM_ID_LISTS 64

/* Rows, or hashes of ids, that lie together in a partition file. */
typedef struct sf_partition_extent {
  uint64_t list; /* shard id; from num_dbs on: a list of ids */
  uint64_t offset;
  uint64_t num_bytes;
  uint64_t num_rows;
  uint64_t checksum; /* of the bytes */
} sf_partition_extent;

/* A partition that was routed. One block, allocated by the library. */
typedef struct sf_partition {
  uint64_t token; /* names the file: random */
  uint64_t num_rows;
  size_t num_extents;
  const sf_partition_extent *extents;
} sf_partition;

/* Of a router: completes the partition file. *partition is the caller's to free with sf_free; the builder is finished, and
 * still has to be freed. An empty partition has no file. */
SF_API sf_code sf_builder_finish_partition(sf_builder *builder, sf_partition **partition, sf_error *error);

/* An extent, and the partition that it belongs to. */
typedef struct sf_partition_piece {
  uint64_t token;
  sf_partition_extent extent;
} sf_partition_piece;

/* What a worker does with pieces of partition files. All borrowed for the call. */
typedef struct sf_shard_task {
  size_t size; /* sizeof(sf_shard_task) */
  const char *root;
  const char *run_id;
  uint32_t dim;
  const sf_partition_piece *pieces;
  size_t num_pieces;
  const sf_s3_options *s3; /* NULL: all from the environment */
  sf_log_callback log;     /* NULL: silent */
  void *log_user_data;
  /* To write a shard: */
  const char *backend; /* as in sf_build_options */
  sf_metric metric;
  uint32_t db_id;
  uint32_t attempt;        /* of this call alone: a random number will do */
  const char *staging_dir; /* for shards to upload; NULL: $TMPDIR or /tmp */
  bool emit_sidecar;       /* as in sf_build_options */
} sf_shard_task;

#define SF_SHARD_TASK_INIT SF_INITIALIZER(sf_shard_task)

typedef struct sf_written_shard {
  uint32_t db_id;
  uint32_t attempt;
  uint64_t num_rows;
  uint64_t num_bytes;
  char checkpoint_id[33];
} sf_written_shard;

/* Writes one shard of the rows in its pieces, in their order, with some MiB of memory beside the largest piece. It is stored when
 * this returns. `sample` (dim floats; NULL: none) gets the vector of the first row. What fails removes what it wrote. */
SF_API sf_code sf_shard_task_run(const sf_shard_task *task, sf_written_shard *written, float *sample, sf_error *error);

typedef struct sf_partition_row {
  uint64_t token; /* of its partition */
  uint64_t row;   /* from 0, in the order in which rows were added to the router */
} sf_partition_row;

/* Looks for two rows of one id in lists of ids: all pieces of one list, or of several. Needs 32 bytes of memory a row. Of several
 * such pairs it finds one, the same each time; `rows` has room for both. */
SF_API sf_code sf_partitions_find_equal_ids(const sf_shard_task *task, bool *found, sf_partition_row *rows,
                                            sf_error *error);

/* The id of a row, looked for in the pieces, all of shards: an integer's decimals, or a string, which *is_string says. The
 * caller frees *id with sf_free; NULL: the row is not in them. */
SF_API sf_code sf_partitions_row_id(const sf_shard_task *task, uint64_t row, char **id, bool *is_string,
                                    sf_error *error);

typedef struct sf_piece_row {
  sf_row_id id;
  const float *vector; /* dim components */
  const char *payload; /* JSON, payload_length bytes; NULL: none */
  size_t payload_length;
} sf_piece_row;

/* One block, allocated by the library. */
typedef struct sf_piece_rows {
  size_t num_rows;
  const sf_piece_row *rows;
} sf_piece_rows;

/* The rows of a task's one piece, of a shard: for shards that the caller writes itself. SF_READER_STATE_ERROR: the run has ended.
 * *rows is the caller's to free with sf_free. */
SF_API sf_code sf_partitions_read_piece(const sf_shard_task *task, sf_piece_rows **rows, sf_error *error);

/* Of a driver: its run id, its number of shards, and the routing artifact, centroids or hyperplanes, as soon as there is one:
 * *num_rows × *dim, NULL where the strategy has none. All are the builder's. */
SF_API const char *sf_builder_run_id(const sf_builder *builder);
SF_API uint32_t sf_builder_num_dbs(const sf_builder *builder);
SF_API sf_code sf_builder_artifact(sf_builder *builder, const float **artifact, size_t *num_rows, size_t *dim,
                                   sf_error *error);

/* Of a driver: publishes, as sf_builder_finish does. `shards` has one element for each shard that has rows, in any order;
 * `shard_rows` (num_dbs) is how many rows were routed to each. `samples` (num_shards × dim; NULL: none) are vectors of rows of
 * these shards: a reader must route them there. Partition files, and shards that are not among these, are removed first. */
SF_API sf_code sf_builder_publish(sf_builder *builder, const sf_written_shard *shards, size_t num_shards,
                                  const uint64_t *shard_rows, const float *samples, sf_build_result **result,
                                  sf_error *error);

#ifdef __cplusplus
}
#endif

#endif
