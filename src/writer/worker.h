/*
 * A worker turns rows into one shard: it writes the shard's files on this machine, below the prefix of an attempt of its own
 * ("db=00003/attempt=00"), uploads them where the storage is remote, and returns what the manifest needs as plain values.
 *
 * It knows nothing of the other shards, of the builder or of publishing: a builder runs one for each shard (worker_pool.h),
 * and a task of another process can run one alone. What workers returned, a driver publishes (driver.h).
 */
#ifndef SF_WRITER_WORKER_H
#define SF_WRITER_WORKER_H

#include "formats/shard_writer.h"
#include "snapshot/shard_result.h"
#include "storage/storage.h"

/* One thread at a time. */
typedef struct sf_worker sf_worker;

/* All borrowed for as long as the worker lives. */
typedef struct sf_worker_params {
  const sf_shard_writer_format *format;
  sf_metric metric;
  uint32_t dim;
  uint32_t page_size; /* see sf_shard_writer_options */
  bool emits_sidecar; /* which the format has */
  uint32_t db_id;
  uint32_t attempt;
  sf_storage *storage;
  const char *run_key; /* "shards/run_id=<run_id>": the key of the run's shards */
  const char
      *directory; /* the run's shards on this machine: run_key in the storage itself, or a folder to upload from */
} sf_worker_params;

/* Opens the shard's files, in a folder that must be empty. They remain when the worker fails, for the caller to remove. */
sf_code sf_worker_create(const sf_worker_params *params, sf_worker **worker, sf_error *error);
void sf_worker_free(sf_worker *worker); /* NULL is allowed */

/* Rows in their order in the shard, at least one before it is finished. They were checked: see sf_shard_row. */
sf_code sf_worker_add(sf_worker *worker, const sf_shard_row *rows, size_t count, sf_error *error);

/* Completes the shard: its objects are stored, and on disk, when it returns. Those of a directory can still lose their names
 * to a crash until the driver has synced the run's folder. Nothing may be added after it. */
sf_code sf_worker_finish(sf_worker *worker, const sf_cancellation *cancellation, sf_shard_result *result,
                         sf_error *error);

#endif
