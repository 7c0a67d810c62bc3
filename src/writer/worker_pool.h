/*
 * The workers of a build, one for each shard, and the threads that run them. Rows go to their shard's worker; where that many
 * open shards would take more memory than there may be, they go to a spool, and each shard is written when the pool is
 * finished.
 */
#ifndef SF_WRITER_WORKER_POOL_H
#define SF_WRITER_WORKER_POOL_H

#include "base/build_threads.h"
#include "snapshot/shard_result.h"
#include "storage/storage.h"
#include "writer/plan.h"

typedef struct sf_worker_pool sf_worker_pool;

/* All borrowed for as long as the pool lives. The plan's dimension is known. */
typedef struct sf_worker_pool_params {
  const sf_build_plan *plan;
  sf_build_threads *threads;
  sf_storage *storage;
  const char *run_key;           /* "shards/run_id=…" */
  const char *directory;         /* the run's shards on this machine: see sf_worker_params */
  const char *staging_directory; /* for temporary files */
  bool is_elsewhere;             /* the shards are written by others: no rows are added */
} sf_worker_pool_params;

sf_code sf_worker_pool_create(const sf_worker_pool_params *params, sf_worker_pool **pool, sf_error *error);
void sf_worker_pool_free(sf_worker_pool *pool); /* NULL is allowed */

/* Row i goes to shard shard_ids[i], after the rows that were added before it. */
sf_code sf_worker_pool_add(sf_worker_pool *pool, const sf_shard_row *rows, const uint32_t *shard_ids, size_t count,
                           sf_error *error);

/* Called by the thread that finishes the pool when shards were completed; false stops. */
typedef bool (*sf_worker_pool_callback)(uint32_t shards_done, uint32_t shards_total, uint64_t bytes_done,
                                        void *user_data);

/* Finishes all workers. */
sf_code sf_worker_pool_finish(sf_worker_pool *pool, sf_worker_pool_callback callback, void *user_data,
                              const sf_cancellation *cancellation, sf_error *error);

/* Takes what workers elsewhere returned: `results` and `shard_rows`, num_dbs each, by db_id. */
void sf_worker_pool_adopt(sf_worker_pool *pool, const sf_shard_result *results, const uint64_t *shard_rows);

/* What the workers returned, num_dbs by db_id; an empty shard has a result without rows. Once the pool is finished. */
const sf_shard_result *sf_worker_pool_results(const sf_worker_pool *pool);

/* How many rows were added for each shard, num_dbs by db_id. */
const uint64_t *sf_worker_pool_rows(const sf_worker_pool *pool);

#endif
