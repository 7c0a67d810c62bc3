/*
 * A build under way: options and rows in, a pool of workers writes the shards, a driver publishes them. Opening and freeing are
 * in builder.c, adding rows in add.c, training in train.c, finishing in finish.c.
 *
 * One call at a time; it has no lock of its own. What it wrote is removed with it unless it was published.
 */
#ifndef SF_WRITER_BUILDER_H
#define SF_WRITER_BUILDER_H

#include "base/report.h"
#include "snapshot/run_record.h"
#include "writer/assign.h"
#include "writer/driver.h"
#include "writer/heartbeat.h"
#include "writer/new_folders.h"
#include "writer/partition_file.h"
#include "writer/routing_check.h"
#include "writer/spool.h"
#include "writer/staging.h"
#include "writer/unique_ids.h"
#include "writer/worker_pool.h"

/* Room for what becomes of a slice of a batch: one after the other, so that memory stays bounded. */
typedef struct sf_build_slice {
  size_t max_rows;
  sf_shard_row *rows;
  uint32_t *shard_ids;
  XXH128_hash_t *hashes;
  char **rewritten; /* payloads that had to be changed; NULL elsewhere */
  float *converted; /* max_rows × dim, for vectors that are not contiguous float32; NULL: none were */
} sf_build_slice;

struct sf_builder {
  long process;
  sf_build_role role;
  sf_build_plan plan;
  sf_storage *storage;
  sf_log log;
  char *run_id;
  char *s3_prefix;
  char *shards_key;       /* "shards/run_id=…" */
  char *shards_directory; /* where shards are written on this machine */
  const char *temporary_directory;
  sf_staging staging;
  sf_new_folders new_folders; /* of a root that is a directory */
  sf_build_threads *threads;
  sf_run_record record;
  sf_heartbeat *heartbeat; /* of the record, while the build is under way */
  sf_executor *executor;
  const sf_cancellation *cancellation; /* of the operation under way; NULL: none */

  sf_assigner *assigner;          /* NULL: not before the first rows, or centroids are yet to be trained */
  uint32_t *scratch;              /* num_dbs for each thread */
  sf_worker_pool *workers;        /* as long as the assigner */
  sf_partition_writer *partition; /* of a router: instead of workers */
  sf_unique_ids *ids;             /* NULL: rows are numbered */
  bool has_given_ids;
  bool has_string_ids; /* of some row */
  sf_build_slice slice;
  sf_routing_check check;
  uint64_t num_rows;

  /* Until centroids are trained: */
  sf_spool *spool;
  float *sample; /* sample_capacity × dim */
  size_t sample_rows;
  size_t sample_capacity;

  /* Of the first batch, for messages about ids: */
  char *ids_name;
  char *row_word;
  uint64_t first_number;

  sf_build_callback progress;
  void *progress_user_data;
  sf_build_progress state;
  double training_seconds;
  double writing_seconds;
  double finishing_seconds;
  bool has_failed; /* or finished */
  bool allows_no_rows;
  bool leaves_unpublished;
  sf_driver driver; /* of publishing */
};

/* Fails where the builder can't be used: it has failed or finished, or is another process's. */
sf_code sf_builder_check(const sf_builder *builder, sf_error *error);

/* Opens the storage for a driver or a router (split_build.c). */
sf_code sf_builder_open_driver(sf_builder *builder, sf_error *error);
sf_code sf_builder_open_router(sf_builder *builder, const char *staging_dir, sf_error *error);
/* Opens a root that is a directory: makes the run's folder (builder.c). */
sf_code sf_builder_open_directory(sf_builder *builder, const char *staging_dir, sf_error *error);

/* Publishes what the pool of workers has: describes it, checks the routing, stores manifest and pointer (finish.c). */
sf_code sf_builder_publish_workers(sf_builder *builder, sf_build_result **result, sf_error *error);

/* Reports the progress; fails with SF_CANCELLED_ERROR where the callback stops it. */
sf_code sf_builder_report_progress(sf_builder *builder, sf_error *error);

/* Makes what takes rows, once dimension and routing are known. */
sf_code sf_builder_begin_rows(sf_builder *builder, sf_error *error);

/* Gives rows that were checked to their shards, some at a time: those of the slice, and those that were kept. `contexts`
 * may be NULL. */
sf_code sf_builder_write_rows(sf_builder *builder, const sf_shard_row *rows, const char *const *contexts,
                              const uint32_t *shard_ids, size_t count, sf_error *error);

/* Keeps rows until there are centroids; trains them when there are enough. */
sf_code sf_builder_keep_rows(sf_builder *builder, const sf_shard_row *rows, size_t count, sf_error *error);
/* Trains with what was kept, and writes the rows. */
sf_code sf_builder_train_kept(sf_builder *builder, sf_error *error);

#endif
