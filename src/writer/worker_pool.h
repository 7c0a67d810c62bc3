/*
 * The shards of a build: rows go to a writer for each, or, where that many writers would take more memory than there may
 * be, to a temporary file first.
 */
#ifndef SF_WRITER_WORKER_POOL_H
#define SF_WRITER_WORKER_POOL_H

#include "snapshot/run_id.h"
#include "storage/storage.h"
#include "writer/plan.h"
#include "writer/spool.h"
#include "writer/thread_pool.h"

typedef struct sf_worker_pool sf_worker_pool;

/* What it is made from; all borrowed for as long as it lives. The plan's dimension is known. */
typedef struct sf_worker_pool_params {
  const sf_build_plan *plan;
  sf_thread_pool *threads;
  sf_storage *storage;
  const char *key;               /* "shards/run_id=…" */
  const char *directory;         /* where that lies on this machine: in the storage itself, or to be uploaded */
  const char *staging_directory; /* for temporary files */
} sf_worker_pool_params;

sf_code sf_worker_pool_create(const sf_worker_pool_params *source, sf_worker_pool **set, sf_error *error);
void sf_worker_pool_free(sf_worker_pool *set); /* NULL is allowed */

/* Row i goes to shard_ids[i], behind those that went there before. */
sf_code sf_worker_pool_add(sf_worker_pool *set, const sf_shard_row *rows, const uint32_t *shard_ids, size_t count,
                           sf_error *error);

/* Called, by the thread that finishes the set, when shards were completed; false stops. */
typedef bool (*sf_worker_pool_callback)(uint32_t shards_done, uint32_t shards_total, uint64_t bytes_done,
                                        void *user_data);

/* Completes all shards, and uploads them where the storage is remote. */
sf_code sf_worker_pool_finish(sf_worker_pool *set, sf_worker_pool_callback callback, void *user_data,
                              const sf_cancellation *cancellation, sf_error *error);

typedef struct sf_shard_record {
  uint64_t num_rows;
  uint64_t num_bytes;
  char checkpoint_id[SF_HEX_ID_SIZE];
} sf_shard_record;

/* One for each of num_dbs. */
const sf_shard_record *sf_worker_pool_records(const sf_worker_pool *set);

/* "db=00003/attempt=00": where a shard lies below the set's key. */
void sf_shard_name(uint32_t db_id, char name[32]);

#endif
