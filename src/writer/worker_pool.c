#include "writer/worker_pool.h"

#include "base/files.h"
#include "base/memory.h"
#include "base/thread.h"
#include "writer/upload.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* A writer's buffers and caches, and how many files may be open at a time. */
#define WRITER_BYTES ((uint64_t)6 << 20)
#define MAX_OPEN_WRITERS 128

struct sf_worker_pool {
  sf_worker_pool_params source;
  uint32_t num_dbs;
  sf_shard_record *records;
  sf_shard_writer **writers; /* NULL where none is open */
  sf_spool *spool;           /* NULL: rows go to writers at once */
  size_t *starts;            /* num_dbs + 1: of a slice's rows by shard */
  sf_shard_row *grouped;     /* a slice's rows by shard */
  size_t capacity;
};

void sf_shard_name(uint32_t db_id, char name[32]) {
  snprintf(name, 32, "db=%05u/attempt=00", (unsigned)db_id);
}

static bool fits_in_memory(const sf_build_plan *plan) {
  return plan->num_dbs <= MAX_OPEN_WRITERS && plan->num_dbs * WRITER_BYTES <= plan->max_memory_bytes / 2;
}

static sf_code make_set(sf_worker_pool *set, sf_error *error) {
  const sf_build_plan *plan = set->source.plan;
  set->records = sf_calloc(plan->num_dbs, sizeof(*set->records));
  set->writers = sf_calloc(plan->num_dbs, sizeof(sf_shard_writer *));
  set->starts = sf_calloc((size_t)plan->num_dbs + 1, sizeof(*set->starts));
  if (set->records == NULL || set->writers == NULL || set->starts == NULL)
    return sf_fail_memory(error, "shards");
  if (fits_in_memory(plan))
    return SF_OK;
  return sf_spool_create(set->source.staging_directory, plan->num_dbs, plan->dim, (size_t)(plan->max_memory_bytes / 4),
                         &set->spool, error);
}

sf_code sf_worker_pool_create(const sf_worker_pool_params *source, sf_worker_pool **created, sf_error *error) {
  sf_worker_pool *set = sf_calloc(1, sizeof(*set));
  if (set == NULL)
    return sf_fail_memory(error, "shards");
  set->source = *source;
  set->num_dbs = source->plan->num_dbs;
  sf_code code = make_set(set, error);
  if (code == SF_OK)
    *created = set;
  else
    sf_worker_pool_free(set);
  return code;
}

void sf_worker_pool_free(sf_worker_pool *set) {
  if (set == NULL)
    return;
  for (uint32_t i = 0; set->writers != NULL && i < set->num_dbs; i++)
    sf_shard_writer_free(set->writers[i]);
  sf_spool_free(set->spool);
  free(set->writers);
  free(set->records);
  free(set->starts);
  free(set->grouped);
  free(set);
}

const sf_shard_record *sf_worker_pool_records(const sf_worker_pool *set) {
  return set->records;
}

/* The path of a shard's folder, to free; NULL when memory is out. */
static char *folder_of(const sf_worker_pool *set, uint32_t db_id) {
  char name[32];
  sf_shard_name(db_id, name);
  return sf_format("%s/%s", set->source.directory, name);
}

static sf_code open_writer(sf_worker_pool *set, uint32_t db_id, sf_error *error) {
  char *folder = folder_of(set, db_id);
  if (folder == NULL)
    return sf_fail_memory(error, "path of a shard");
  const sf_build_plan *plan = set->source.plan;
  const sf_shard_writer_options options = {
      .directory = folder, .db_id = db_id, .dim = plan->dim, .metric = plan->metric};
  sf_code code = sf_make_folders(folder, error);
  if (code == SF_OK)
    code = plan->format->create(&options, &set->writers[db_id], error);
  free(folder);
  return code;
}

/* ----------------------------------------------------------------------------------------------------------- Adding */

/* What the threads of a pool share while they work on shards, each on one at a time. */
typedef struct shared_work {
  sf_worker_pool *set;
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
  sf_thread_pool_run(work->set->source.threads, function, work);
  pthread_mutex_destroy(&work->mutex);
  if (work->code != SF_OK && error != NULL)
    *error = work->error;
  return work->code;
}

static void write_slice(void *context, uint32_t thread) {
  (void)thread;
  shared_work *work = context;
  sf_worker_pool *set = work->set;
  for (uint32_t id; (id = atomic_fetch_add(&work->next_shard, 1)) < set->num_dbs && !atomic_load(&work->failed);) {
    size_t first = set->starts[id];
    size_t count = set->starts[id + 1] - first;
    sf_error error;
    sf_code code = SF_OK;
    if (count > 0 && set->writers[id] == NULL)
      code = open_writer(set, id, &error);
    if (count > 0 && code == SF_OK)
      code = sf_shard_writer_add(set->writers[id], set->grouped + first, count, &error);
    note_failure(work, code, &error);
  }
}

/* Sorts the rows by shard, keeping their order (a counting sort). */
static sf_code group(sf_worker_pool *set, const sf_shard_row *rows, const uint32_t *shard_ids, size_t count,
                     sf_error *error) {
  if (count > set->capacity) {
    sf_shard_row *grouped = sf_reallocarray(set->grouped, count, sizeof(*grouped));
    if (grouped == NULL)
      return sf_fail_memory(error, "rows");
    set->grouped = grouped;
    set->capacity = count;
  }
  memset(set->starts, 0, ((size_t)set->num_dbs + 1) * sizeof(*set->starts));
  for (size_t i = 0; i < count; i++)
    set->starts[shard_ids[i] + 1]++;
  for (uint32_t id = 0; id < set->num_dbs; id++)
    set->starts[id + 1] += set->starts[id];
  for (size_t i = 0; i < count; i++)
    set->grouped[set->starts[shard_ids[i]]++] = rows[i];
  /* Each start has moved to the next one's place. */
  memmove(set->starts + 1, set->starts, set->num_dbs * sizeof(*set->starts));
  set->starts[0] = 0;
  return SF_OK;
}

sf_code sf_worker_pool_add(sf_worker_pool *set, const sf_shard_row *rows, const uint32_t *shard_ids, size_t count,
                           sf_error *error) {
  for (size_t i = 0; i < count; i++)
    set->records[shard_ids[i]].num_rows++;
  if (set->spool != NULL) {
    for (size_t i = 0; i < count; i++)
      SF_TRY(sf_spool_add(set->spool, shard_ids[i], &rows[i], error));
    return SF_OK;
  }
  SF_TRY(group(set, rows, shard_ids, count, error));
  shared_work work = {.set = set};
  return run_shared(&work, write_slice, error);
}

/* -------------------------------------------------------------------------------------------------------- Finishing */

static sf_code write_spooled(const sf_shard_row *rows, size_t count, void *user_data, sf_error *error) {
  return sf_shard_writer_add(user_data, rows, count, error);
}

static sf_code complete_shard(sf_worker_pool *set, uint32_t id, sf_error *error) {
  if (set->spool != NULL) {
    SF_TRY(open_writer(set, id, error));
    SF_TRY(sf_spool_read(set->spool, id, write_spooled, set->writers[id], error));
  }
  SF_TRY(sf_shard_writer_finish(set->writers[id], error));
  sf_shard_writer_free(set->writers[id]);
  set->writers[id] = NULL;
  return sf_hex_id_make(set->records[id].checkpoint_id, error);
}

static sf_code upload_shard(const sf_worker_pool *set, uint32_t id, const char *folder,
                            const sf_cancellation *cancellation, sf_error *error) {
  char name[32];
  sf_shard_name(id, name);
  char *key = sf_format("%s/%s", set->source.key, name);
  if (key == NULL)
    return sf_fail_memory(error, "key of a shard");
  sf_code code = sf_upload_folder(set->source.storage, key, folder, cancellation, error);
  free(key);
  sf_remove_tree(folder);
  return code;
}

static sf_code finish_shard(shared_work *work, uint32_t id, sf_error *error) {
  sf_worker_pool *set = work->set;
  SF_TRY(sf_cancellation_check(work->cancellation, error));
  SF_TRY(complete_shard(set, id, error));
  char *folder = folder_of(set, id);
  if (folder == NULL)
    return sf_fail_memory(error, "path of a shard");
  sf_code code = sf_folder_size(folder, &set->records[id].num_bytes, error);
  if (code == SF_OK && set->source.storage->vtable->is_remote)
    code = upload_shard(set, id, folder, work->cancellation, error);
  free(folder);
  return code;
}

static void finish_shards(void *context, uint32_t thread) {
  shared_work *work = context;
  sf_worker_pool *set = work->set;
  for (uint32_t id; (id = atomic_fetch_add(&work->next_shard, 1)) < set->num_dbs && !atomic_load(&work->failed);) {
    if (set->records[id].num_rows == 0)
      continue;
    sf_error error;
    sf_code code = finish_shard(work, id, &error);
    if (code == SF_OK) {
      uint32_t done = atomic_fetch_add(&work->shards_done, 1) + 1;
      uint64_t bytes = atomic_fetch_add(&work->bytes_done, set->records[id].num_bytes) + set->records[id].num_bytes;
      if (thread == 0 && !work->callback(done, work->shards_total, bytes, work->user_data))
        code = sf_fail(&error, SF_CANCELLED_ERROR, "the build was stopped");
    }
    note_failure(work, code, &error);
  }
}

/* Syncs a folder and the `levels` above it. */
static sf_code sync_upwards(const char *folder, int levels, sf_error *error) {
  sf_sync_folder(folder);
  if (levels == 0)
    return SF_OK;
  char *above = sf_folder_of(folder);
  if (above == NULL)
    return sf_fail_memory(error, "path of a folder");
  sf_code code = sync_upwards(above, levels - 1, error);
  free(above);
  return code;
}

/* Names are on disk once their folders are. */
static sf_code sync_folders(const sf_worker_pool *set, sf_error *error) {
  if (set->source.storage->vtable->is_remote)
    return SF_OK;
  for (uint32_t id = 0; id < set->num_dbs; id++) {
    if (set->records[id].num_rows == 0)
      continue;
    char *folder = folder_of(set, id);
    sf_code code = folder == NULL ? sf_fail_memory(error, "path of a folder") : sync_upwards(folder, 1, error);
    free(folder);
    if (code != SF_OK)
      return code;
  }
  return sync_upwards(set->source.directory, 2, error);
}

sf_code sf_worker_pool_finish(sf_worker_pool *set, sf_worker_pool_callback callback, void *user_data,
                              const sf_cancellation *cancellation, sf_error *error) {
  shared_work work = {.set = set, .callback = callback, .user_data = user_data, .cancellation = cancellation};
  for (uint32_t id = 0; id < set->num_dbs; id++)
    work.shards_total += set->records[id].num_rows > 0;
  if (set->spool != NULL)
    SF_TRY(sf_spool_flush(set->spool, error));
  SF_TRY(run_shared(&work, finish_shards, error));
  SF_TRY(sync_folders(set, error));
  /* The last of them may have been another thread's. */
  if (!callback(work.shards_done, work.shards_total, work.bytes_done, user_data))
    return sf_fail(error, SF_CANCELLED_ERROR, "the build was stopped");
  return SF_OK;
}
