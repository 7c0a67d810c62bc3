#include "writer/worker_pool.h"

#include "base/assert.h"
#include "base/memory.h"
#include "base/thread.h"
#include "writer/spool.h"
#include "writer/worker.h"

#include <stdatomic.h>
#include <string.h>

/* A worker's buffers and caches, and how many shards may have open files at a time. */
#define WORKER_BYTES ((uint64_t)6 << 20)
#define MAX_OPEN_WORKERS 128

struct sf_worker_pool {
  sf_worker_pool_params params;
  uint32_t num_dbs;
  uint64_t *num_rows;       /* added for each shard */
  sf_shard_result *results; /* of each shard */
  sf_worker **workers;      /* NULL where none is open */
  sf_spool *spool;          /* NULL: rows go to workers at once */
  size_t *starts;           /* num_dbs + 1: of the added rows by shard */
  sf_shard_row *grouped;    /* the added rows by shard */
  size_t capacity;
};

static bool fits_in_memory(const sf_build_plan *plan) {
  return plan->num_dbs <= MAX_OPEN_WORKERS && plan->num_dbs * WORKER_BYTES <= plan->max_memory_bytes / 2;
}

static sf_code allocate(sf_worker_pool *pool, sf_error *error) {
  const sf_build_plan *plan = pool->params.plan;
  pool->num_rows = sf_calloc(plan->num_dbs, sizeof(*pool->num_rows));
  pool->results = sf_calloc(plan->num_dbs, sizeof(*pool->results));
  pool->workers = sf_calloc(plan->num_dbs, sizeof(sf_worker *));
  pool->starts = sf_calloc((size_t)plan->num_dbs + 1, sizeof(*pool->starts));
  if (pool->num_rows == NULL || pool->results == NULL || pool->workers == NULL || pool->starts == NULL)
    return sf_fail_memory(error, "shards");
  for (uint32_t id = 0; id < plan->num_dbs; id++)
    pool->results[id].db_id = id;
  if (pool->params.is_elsewhere || fits_in_memory(plan))
    return SF_OK;
  return sf_spool_create(pool->params.staging_directory, plan->num_dbs, plan->dim, (size_t)(plan->max_memory_bytes / 4),
                         &pool->spool, error);
}

sf_code sf_worker_pool_create(const sf_worker_pool_params *params, sf_worker_pool **created, sf_error *error) {
  sf_worker_pool *pool = sf_calloc(1, sizeof(*pool));
  if (pool == NULL)
    return sf_fail_memory(error, "shards");
  pool->params = *params;
  pool->num_dbs = params->plan->num_dbs;
  sf_code code = allocate(pool, error);
  if (code == SF_OK)
    *created = pool;
  else
    sf_worker_pool_free(pool);
  return code;
}

void sf_worker_pool_free(sf_worker_pool *pool) {
  if (pool == NULL)
    return;
  for (uint32_t i = 0; pool->workers != NULL && i < pool->num_dbs; i++)
    sf_worker_free(pool->workers[i]);
  sf_spool_free(pool->spool);
  free(pool->num_rows);
  free(pool->results);
  free(pool->workers);
  free(pool->starts);
  free(pool->grouped);
  free(pool);
}

const sf_shard_result *sf_worker_pool_results(const sf_worker_pool *pool) {
  return pool->results;
}

const uint64_t *sf_worker_pool_rows(const sf_worker_pool *pool) {
  return pool->num_rows;
}

void sf_worker_pool_adopt(sf_worker_pool *pool, const sf_shard_result *results, const uint64_t *shard_rows) {
  SF_ASSERT(pool->params.is_elsewhere);
  memcpy(pool->results, results, pool->num_dbs * sizeof(*results));
  memcpy(pool->num_rows, shard_rows, pool->num_dbs * sizeof(*shard_rows));
}

static sf_code open_worker(sf_worker_pool *pool, uint32_t db_id, sf_error *error) {
  const sf_build_plan *plan = pool->params.plan;
  const sf_worker_params params = {.format = plan->format,
                                   .metric = plan->metric,
                                   .dim = plan->dim,
                                   .page_size = plan->page_size,
                                   .emits_sidecar = plan->emits_sidecar,
                                   .db_id = db_id,
                                   .storage = pool->params.storage,
                                   .run_key = pool->params.run_key,
                                   .directory = pool->params.directory};
  return sf_worker_create(&params, &pool->workers[db_id], error);
}

/* ----------------------------------------------------------------------------------------------------------- Adding */

/* What the threads of a pool share while they work on shards, each on one at a time. */
typedef struct shared_work {
  sf_worker_pool *pool;
  atomic_uint next_shard;
  atomic_bool failed;
  pthread_mutex_t mutex; /* guards code and error */
  sf_code code;
  sf_error error;
  /* Of finishing: */
  const sf_cancellation *cancellation;
  sf_worker_pool_callback callback;
  void *user_data;
  uint32_t shards_total;
  atomic_uint shards_done;
  atomic_ullong bytes_done;
} shared_work;

static void note_failure(shared_work *work, sf_code code, const sf_error *error) {
  if (code == SF_OK)
    return;
  pthread_mutex_lock(&work->mutex);
  if (work->code == SF_OK) {
    work->code = code;
    work->error = *error;
  }
  pthread_mutex_unlock(&work->mutex);
  atomic_store(&work->failed, true);
}

static sf_code run_shared(shared_work *work, sf_thread_function function, sf_error *error) {
  if (pthread_mutex_init(&work->mutex, NULL) != 0)
    return sf_fail_memory(error, "threads");
  sf_build_threads_run(work->pool->params.threads, function, work);
  pthread_mutex_destroy(&work->mutex);
  if (work->code != SF_OK && error != NULL)
    *error = work->error;
  return work->code;
}

static void write_rows(void *context, uint32_t thread) {
  (void)thread;
  shared_work *work = context;
  sf_worker_pool *pool = work->pool;
  for (uint32_t id; (id = atomic_fetch_add(&work->next_shard, 1)) < pool->num_dbs && !atomic_load(&work->failed);) {
    size_t first = pool->starts[id];
    size_t count = pool->starts[id + 1] - first;
    sf_error error;
    sf_code code = SF_OK;
    if (count > 0 && pool->workers[id] == NULL)
      code = open_worker(pool, id, &error);
    if (count > 0 && code == SF_OK)
      code = sf_worker_add(pool->workers[id], pool->grouped + first, count, &error);
    note_failure(work, code, &error);
  }
}

/* Sorts the rows by shard, keeping their order (a counting sort). */
static sf_code group(sf_worker_pool *pool, const sf_shard_row *rows, const uint32_t *shard_ids, size_t count,
                     sf_error *error) {
  if (count > pool->capacity) {
    sf_shard_row *grouped = sf_reallocarray(pool->grouped, count, sizeof(*grouped));
    if (grouped == NULL)
      return sf_fail_memory(error, "rows");
    pool->grouped = grouped;
    pool->capacity = count;
  }
  memset(pool->starts, 0, ((size_t)pool->num_dbs + 1) * sizeof(*pool->starts));
  for (size_t i = 0; i < count; i++)
    pool->starts[shard_ids[i] + 1]++;
  for (uint32_t id = 0; id < pool->num_dbs; id++)
    pool->starts[id + 1] += pool->starts[id];
  for (size_t i = 0; i < count; i++)
    pool->grouped[pool->starts[shard_ids[i]]++] = rows[i];
  /* Each start has moved to the next one's place. */
  memmove(pool->starts + 1, pool->starts, pool->num_dbs * sizeof(*pool->starts));
  pool->starts[0] = 0;
  return SF_OK;
}

sf_code sf_worker_pool_add(sf_worker_pool *pool, const sf_shard_row *rows, const uint32_t *shard_ids, size_t count,
                           sf_error *error) {
  for (size_t i = 0; i < count; i++) {
    SF_ASSERT(shard_ids[i] < pool->num_dbs);
    pool->num_rows[shard_ids[i]]++;
  }
  if (pool->spool != NULL) {
    for (size_t i = 0; i < count; i++)
      SF_TRY(sf_spool_add(pool->spool, shard_ids[i], &rows[i], error));
    return SF_OK;
  }
  SF_TRY(group(pool, rows, shard_ids, count, error));
  shared_work work = {.pool = pool};
  return run_shared(&work, write_rows, error);
}

/* -------------------------------------------------------------------------------------------------------- Finishing */

static sf_code write_spooled(const sf_shard_row *rows, size_t count, void *user_data, sf_error *error) {
  return sf_worker_add(user_data, rows, count, error);
}

static sf_code finish_shard(shared_work *work, uint32_t id, sf_error *error) {
  sf_worker_pool *pool = work->pool;
  SF_TRY(sf_cancellation_check(work->cancellation, error));
  if (pool->spool != NULL) {
    SF_TRY(open_worker(pool, id, error));
    SF_TRY(sf_spool_read(pool->spool, id, write_spooled, pool->workers[id], error));
  }
  SF_TRY(sf_worker_finish(pool->workers[id], work->cancellation, &pool->results[id], error));
  sf_worker_free(pool->workers[id]);
  pool->workers[id] = NULL;
  return SF_OK;
}

static void finish_shards(void *context, uint32_t thread) {
  shared_work *work = context;
  sf_worker_pool *pool = work->pool;
  for (uint32_t id; (id = atomic_fetch_add(&work->next_shard, 1)) < pool->num_dbs && !atomic_load(&work->failed);) {
    if (pool->num_rows[id] == 0)
      continue;
    sf_error error;
    sf_code code = finish_shard(work, id, &error);
    if (code == SF_OK) {
      uint32_t done = atomic_fetch_add(&work->shards_done, 1) + 1;
      uint64_t bytes = atomic_fetch_add(&work->bytes_done, pool->results[id].num_bytes) + pool->results[id].num_bytes;
      if (thread == 0 && !work->callback(done, work->shards_total, bytes, work->user_data))
        code = sf_fail(&error, SF_CANCELLED_ERROR, "the build was stopped");
    }
    note_failure(work, code, &error);
  }
}

sf_code sf_worker_pool_finish(sf_worker_pool *pool, sf_worker_pool_callback callback, void *user_data,
                              const sf_cancellation *cancellation, sf_error *error) {
  shared_work work = {.pool = pool, .callback = callback, .user_data = user_data, .cancellation = cancellation};
  for (uint32_t id = 0; id < pool->num_dbs; id++)
    work.shards_total += pool->num_rows[id] > 0;
  if (pool->spool != NULL)
    SF_TRY(sf_spool_flush(pool->spool, error));
  SF_TRY(run_shared(&work, finish_shards, error));
  /* The last of them may have been another thread's. */
  if (!callback(work.shards_done, work.shards_total, work.bytes_done, user_data))
    return sf_fail(error, SF_CANCELLED_ERROR, "the build was stopped");
  return SF_OK;
}
