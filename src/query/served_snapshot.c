#include "query/served_snapshot.h"

#include "base/assert.h"
#include "base/report.h"
#include "base/thread.h"
#include "base/time.h"
#include "cache/cache_limit.h"
#include "query/filter_bitmaps.h"
#include "query/shard_params.h"
#include "query/snapshot_lists.h"

#include <errno.h>
#include <stdatomic.h>

typedef enum load_state { NOT_LOADED, LOADING, LOADED } load_state;

typedef struct entry {
  sf_task task; /* first: the executor passes it to run_load */
  sf_served_snapshot *served;
  load_state state;
  sf_shard *shard;
  uint32_t num_users;
  sf_shard_waiter *waiters;
  sf_cancellation cancellation; /* of the load under way */
  atomic_bool has_logged_rows;  /* that some of its vectors are not finite */
  bool is_indexed;              /* its row directory was asked for */
  struct entry *more_recent;    /* in the list of loaded shards that are not acquired */
  struct entry *less_recent;
} entry;

struct sf_served_snapshot {
  sf_served_snapshot_params params;
  char *cache_dir;
  sf_scan_registry *scans;
  sf_filter_bitmaps *bitmaps;
  sf_snapshot_lists *lists;
  atomic_uint references;
  atomic_uint num_indexing; /* loads that are done, and make a row directory: each holds a reference */
  sf_cancellation indexing; /* of them, once nothing else holds one */
  pthread_mutex_t mutex;    /* guards all below; the executor's may be taken inside */
  uint32_t num_loaded;
  entry *most_recent; /* of those not acquired */
  entry *least_recent;
  entry *entries; /* by db_id */
};

static void run_load(sf_task *task);

sf_code sf_served_snapshot_create(const sf_served_snapshot_params *params, sf_served_snapshot **created,
                                  sf_error *error) {
  uint32_t num_dbs = params->snapshot->manifest.num_dbs;
  sf_served_snapshot *served = sf_calloc(1, sizeof(*served));
  if (served == NULL)
    return sf_fail_memory(error, "shards");
  served->params = *params;
  served->cache_dir = sf_strdup(params->cache_dir);
  served->entries = sf_calloc(num_dbs, sizeof(*served->entries));
  served->lists = sf_snapshot_lists_create(num_dbs);
  if (served->cache_dir == NULL || served->entries == NULL || served->lists == NULL ||
      sf_scan_registry_create(num_dbs, &served->scans, NULL) != SF_OK ||
      sf_filter_bitmaps_create(params->max_filter_bytes, &served->bitmaps, NULL) != SF_OK ||
      pthread_mutex_init(&served->mutex, NULL) != 0) {
    sf_filter_bitmaps_free(served->bitmaps);
    sf_scan_registry_free(served->scans);
    sf_snapshot_lists_free(served->lists);
    free(served->cache_dir);
    free(served->entries);
    free(served);
    return sf_fail_memory(error, "shards");
  }
  served->params.cache_dir = served->cache_dir;
  atomic_init(&served->references, 1);
  for (uint32_t i = 0; i < num_dbs; i++) {
    served->entries[i].served = served;
    served->entries[i].task.run = run_load;
  }
  *created = served;
  return SF_OK;
}

static void unlink_recent_locked(sf_served_snapshot *served, entry *of) {
  SF_ASSERT_LOCKED(&served->mutex);
  *(of->more_recent != NULL ? &of->more_recent->less_recent : &served->most_recent) = of->less_recent;
  *(of->less_recent != NULL ? &of->less_recent->more_recent : &served->least_recent) = of->more_recent;
  of->more_recent = of->less_recent = NULL;
}

static void link_recent_locked(sf_served_snapshot *served, entry *of) {
  SF_ASSERT_LOCKED(&served->mutex);
  of->less_recent = served->most_recent;
  *(served->most_recent != NULL ? &served->most_recent->more_recent : &served->least_recent) = of;
  served->most_recent = of;
}

/* A shard to close when there are more than allowed, with `coming` that are about to be loaded, and one is not acquired; else
 * NULL. */
static sf_shard *evict_one_locked(sf_served_snapshot *served, uint32_t coming) {
  SF_ASSERT_LOCKED(&served->mutex);
  entry *oldest = served->least_recent;
  if (served->params.max_shards == 0 || served->num_loaded + coming <= served->params.max_shards || oldest == NULL)
    return NULL;
  unlink_recent_locked(served, oldest);
  sf_shard *shard = oldest->shard;
  oldest->shard = NULL;
  oldest->is_indexed = false;
  oldest->state = NOT_LOADED;
  served->num_loaded--;
  return shard;
}

static sf_code start_load_locked(sf_served_snapshot *served, entry *of, sf_error *error) {
  SF_ASSERT_LOCKED(&served->mutex);
  atomic_store(&of->cancellation.requested, false);
  if (!sf_executor_submit(served->params.executor, SF_LANE_LOAD, &of->task))
    return sf_fail_thread(error, errno, "to load a shard");
  of->state = LOADING;
  sf_served_snapshot_retain(served);
  return SF_OK;
}

/* Closes shards, outside of the mutex, until there are no more than allowed. */
static void evict(sf_served_snapshot *served, uint32_t coming) {
  for (;;) {
    pthread_mutex_lock(&served->mutex);
    sf_shard *shard = evict_one_locked(served, coming);
    pthread_mutex_unlock(&served->mutex);
    if (shard == NULL)
      return;
    sf_shard_close(shard);
  }
}

/* The same on disk. A cache that stays too large is no reason for a search to fail. */
static void shrink(const sf_served_snapshot *served) {
  sf_error error;
  if (served->params.max_cache_bytes == 0)
    return;
  if (sf_cache_limit_enforce(served->cache_dir, served->params.max_cache_bytes, &error) != SF_OK)
    sf_log_message(served->params.log, SF_LOG_WARNING, "the local cache could not be shrunk: %s", error.message);
}

sf_code sf_served_snapshot_acquire(sf_served_snapshot *served, uint32_t db_id, sf_shard_waiter *waiter,
                                   sf_shard **shard, sf_error *error) {
  entry *wanted = &served->entries[db_id];
  sf_code code = SF_OK;
  *shard = NULL;
  pthread_mutex_lock(&served->mutex);
  if (wanted->state == LOADED) {
    if (wanted->num_users++ == 0)
      unlink_recent_locked(served, wanted);
    *shard = wanted->shard;
  } else {
    if (wanted->state == NOT_LOADED)
      code = start_load_locked(served, wanted, error);
    if (code == SF_OK) {
      waiter->next = wanted->waiters;
      wanted->waiters = waiter;
    }
  }
  pthread_mutex_unlock(&served->mutex);
  return code;
}

sf_shard *sf_served_snapshot_acquire_loaded(sf_served_snapshot *served, uint32_t db_id) {
  entry *wanted = &served->entries[db_id];
  pthread_mutex_lock(&served->mutex);
  sf_shard *shard = wanted->state == LOADED ? wanted->shard : NULL;
  if (shard != NULL && wanted->num_users++ == 0)
    unlink_recent_locked(served, wanted);
  pthread_mutex_unlock(&served->mutex);
  return shard;
}

void sf_served_snapshot_use_again(sf_served_snapshot *served, uint32_t db_id) {
  pthread_mutex_lock(&served->mutex);
  SF_ASSERT(served->entries[db_id].num_users > 0);
  served->entries[db_id].num_users++;
  pthread_mutex_unlock(&served->mutex);
}

sf_shard *sf_served_snapshot_loaded(sf_served_snapshot *served, uint32_t db_id) {
  pthread_mutex_lock(&served->mutex);
  SF_ASSERT(served->entries[db_id].num_users > 0);
  sf_shard *shard = served->entries[db_id].shard;
  pthread_mutex_unlock(&served->mutex);
  return shard;
}

sf_code sf_served_snapshot_place(const sf_served_snapshot *served, uint32_t db_id, char **folder, sf_cache_place *place,
                                 sf_error *error) {
  const sf_manifest_shard *shard = &served->params.snapshot->manifest.shards[db_id];
  SF_TRY(sf_shard_cache_folder(served->cache_dir, db_id, folder, error));
  *place = (sf_cache_place){.cache_dir = *folder,
                            .db_url = shard->db_url,
                            .checkpoint_id = shard->checkpoint_id,
                            .max_cache_bytes = served->params.max_cache_bytes};
  return SF_OK;
}

/* Says once that vectors of the shard are left out, which its writer may not know. The shard is acquired. */
static void log_not_finite(sf_served_snapshot *served, uint32_t db_id, const sf_shard *shard) {
  atomic_bool *has_logged = &served->entries[db_id].has_logged_rows;
  if (atomic_load_explicit(has_logged, memory_order_relaxed))
    return;
  uint64_t count = sf_shard_num_not_finite(shard);
  if (count > 0 && !atomic_exchange(has_logged, true))
    sf_log_message(served->params.log, SF_LOG_WARNING,
                   "shard %u (%s): %llu stored vectors are not finite; no search returns them", (unsigned)db_id,
                   served->params.snapshot->manifest.shards[db_id].db_url, (unsigned long long)count);
}

/* The opening of a row directory, by lane LOAD. It holds the served snapshot and the shard. */
typedef struct index_run {
  sf_task task; /* first: the executor passes it to run_index */
  sf_served_snapshot *served;
  uint32_t db_id;
} index_run;

/* Where it fails, ids are read as before. */
static void run_index(sf_task *task) {
  index_run *run = (index_run *)task;
  sf_served_snapshot *served = run->served;
  sf_error error;
  char *folder;
  sf_cache_place place;
  sf_code code = sf_served_snapshot_place(served, run->db_id, &folder, &place, &error);
  if (code == SF_OK) {
    sf_shard *shard = sf_served_snapshot_loaded(served, run->db_id);
    code = sf_shard_open_directory(shard, &place, &served->indexing, &error);
    free(folder);
  }
  if (code != SF_OK && code != SF_CANCELLED_ERROR)
    sf_log_message(served->params.log, SF_LOG_DEBUG, "shard %u: no row directory: %s", (unsigned)run->db_id,
                   error.message);
  sf_served_snapshot_return(served, run->db_id);
  sf_served_snapshot_end_indexing(served);
  free(run);
}

/* Has the row directory of a shard opened that gains by it, once a search is done with the shard: no search waits for it. Without
 * memory or a thread it is not. */
static void start_index_locked(sf_served_snapshot *served, entry *of) {
  SF_ASSERT_LOCKED(&served->mutex);
  if (of->is_indexed || !sf_shard_wants_directory(of->shard))
    return;
  of->is_indexed = true;
  index_run *run = sf_calloc(1, sizeof(*run));
  if (run == NULL)
    return;
  *run = (index_run){.task.run = run_index, .served = served, .db_id = (uint32_t)(of - served->entries)};
  sf_served_snapshot_begin_indexing(served);
  of->num_users++;
  if (sf_executor_submit(served->params.executor, SF_LANE_LOAD, &run->task))
    return;
  of->num_users--;
  atomic_fetch_sub(&served->num_indexing, 1);
  atomic_fetch_sub(&served->references, 1); /* never the last: the caller holds one */
  free(run);
}

void sf_served_snapshot_return(sf_served_snapshot *served, uint32_t db_id) {
  entry *returned = &served->entries[db_id];
  log_not_finite(served, db_id, returned->shard);
  pthread_mutex_lock(&served->mutex);
  start_index_locked(served, returned);
  if (--returned->num_users == 0)
    link_recent_locked(served, returned);
  bool too_many = served->params.max_shards != 0 && served->num_loaded > served->params.max_shards;
  pthread_mutex_unlock(&served->mutex);
  if (too_many) {
    evict(served, 0);
    shrink(served);
  }
}

bool sf_served_snapshot_stop_waiting(sf_served_snapshot *served, uint32_t db_id, sf_shard_waiter *waiter) {
  entry *wanted = &served->entries[db_id];
  pthread_mutex_lock(&served->mutex);
  sf_shard_waiter **next = &wanted->waiters;
  while (*next != NULL && *next != waiter)
    next = &(*next)->next;
  bool found = *next != NULL;
  if (found)
    *next = waiter->next;
  if (found && wanted->waiters == NULL)
    sf_cancellation_request(&wanted->cancellation);
  pthread_mutex_unlock(&served->mutex);
  return found;
}

static sf_code open_shard(const sf_served_snapshot *served, uint32_t db_id, const sf_cancellation *cancellation,
                          sf_shard **shard, sf_error *error) {
  const sf_manifest *manifest = &served->params.snapshot->manifest;
  char *folder = NULL;
  char *key = NULL;
  SF_TRY(sf_shard_cache_folder(served->cache_dir, db_id, &folder, error));
  sf_code code = sf_shard_key(served->params.storage, manifest, db_id, &key, error);
  if (code == SF_OK) {
    sf_shard_params params = sf_shard_params_of(served->params.storage, served->params.resources, manifest, db_id);
    params.key = key;
    params.cache_dir = folder;
    params.format_name = served->params.shard_format;
    params.max_cache_bytes = served->params.max_cache_bytes;
    code = sf_shard_open(&params, cancellation, shard, error);
  }
  free(key);
  free(folder);
  return code;
}

/* Ends a load, and returns the waiters to call. A load that was cancelled and is wanted again starts anew, without a call
 * yet. */
static sf_shard_waiter *end_load_locked(sf_served_snapshot *served, entry *of, sf_shard *shard, sf_code *code,
                                        sf_error *error) {
  SF_ASSERT_LOCKED(&served->mutex);
  of->state = NOT_LOADED;
  if (*code == SF_CANCELLED_ERROR && of->waiters != NULL) {
    *code = start_load_locked(served, of, error);
    if (*code == SF_OK)
      return NULL;
  }
  sf_shard_waiter *waiters = of->waiters;
  of->waiters = NULL;
  if (*code != SF_OK)
    return waiters;
  of->state = LOADED;
  of->shard = shard;
  served->num_loaded++;
  for (const sf_shard_waiter *next = waiters; next != NULL; next = next->next)
    of->num_users++;
  if (of->num_users == 0)
    link_recent_locked(served, of);
  return waiters;
}

/* Before the waiters are called: no other thread can have closed the shard. */
static void report_load(const sf_served_snapshot *served, uint32_t db_id, const sf_shard *shard, sf_code code,
                        const sf_error *error, uint64_t started) {
  if (code == SF_CANCELLED_ERROR)
    return;
  double duration_ms = (double)(sf_monotonic_nanoseconds() - started) / 1e6;
  uint64_t num_rows = shard != NULL ? shard->num_rows : 0;
  if (code == SF_OK)
    sf_log_message(served->params.log, SF_LOG_DEBUG, "shard %u: loaded %llu rows in %.1f ms", (unsigned)db_id,
                   (unsigned long long)num_rows, duration_ms);
  else
    sf_log_message(served->params.log, SF_LOG_DEBUG, "shard %u: not loaded: %s", (unsigned)db_id, error->message);
  sf_event_emit(served->params.events, (sf_event){.type = SF_EVENT_SHARD_LOAD,
                                                  .code = code,
                                                  .message = code == SF_OK ? NULL : error->message,
                                                  .duration_ms = duration_ms,
                                                  .shard_id = db_id,
                                                  .num_rows = num_rows,
                                                  .num_not_finite = shard != NULL ? shard->num_not_finite : 0});
}

static void run_load(sf_task *task) {
  entry *loaded = (entry *)task;
  sf_served_snapshot *served = loaded->served;
  sf_shard *shard = NULL;
  sf_error error;
  sf_error_clear(&error);
  uint64_t started = sf_monotonic_nanoseconds();
  uint32_t db_id = (uint32_t)(loaded - served->entries);
  sf_code code = sf_cancellation_check(&loaded->cancellation, &error);
  /* What is loaded is never evicted from the disk: where that is bounded, this one's room is made before it is written. */
  if (code == SF_OK && served->params.max_cache_bytes != 0)
    evict(served, 1);
  if (code == SF_OK)
    code = open_shard(served, db_id, &loaded->cancellation, &shard, &error);
  report_load(served, db_id, shard, code, &error, started);
  if (code == SF_OK)
    log_not_finite(served, db_id, shard);
  pthread_mutex_lock(&served->mutex);
  sf_shard_waiter *waiters = end_load_locked(served, loaded, shard, &code, &error);
  pthread_mutex_unlock(&served->mutex);
  evict(served, 0);
  shrink(served);
  while (waiters != NULL) {
    sf_shard_waiter *next = waiters->next; /* the waiter may be gone once it was called */
    waiters->loaded(waiters, shard, code, &error);
    waiters = next;
  }
  sf_served_snapshot_release(served);
}

void sf_served_snapshot_retain(sf_served_snapshot *served) {
  atomic_fetch_add_explicit(&served->references, 1, memory_order_relaxed);
}

void sf_served_snapshot_release(sf_served_snapshot *served) {
  /* What nobody will search needs no index. Others may release meanwhile: then the indexing goes on to its end. */
  if (atomic_load(&served->references) <= atomic_load(&served->num_indexing) + 1)
    sf_cancellation_request(&served->indexing);
  if (atomic_fetch_sub_explicit(&served->references, 1, memory_order_acq_rel) != 1)
    return;
  uint32_t num_dbs = served->params.snapshot->manifest.num_dbs;
  for (uint32_t i = 0; i < num_dbs; i++)
    sf_shard_close(served->entries[i].shard);
  sf_served_snapshot_params params = served->params;
  pthread_mutex_destroy(&served->mutex);
  sf_filter_bitmaps_free(served->bitmaps);
  sf_scan_registry_free(served->scans);
  sf_snapshot_lists_free(served->lists);
  free(served->entries);
  free(served->cache_dir);
  free(served);
  params.freed(params.freed_context);
}

const sf_snapshot *sf_served_snapshot_metadata(const sf_served_snapshot *served) {
  return served->params.snapshot;
}

sf_filter_bitmaps *sf_served_snapshot_bitmaps(const sf_served_snapshot *served) {
  return served->bitmaps;
}

sf_scan_registry *sf_served_snapshot_scans(const sf_served_snapshot *served) {
  return served->scans;
}

bool sf_served_snapshot_traffic(const sf_served_snapshot *served, sf_storage_traffic *traffic) {
  return sf_storage_get_traffic(served->params.storage, traffic);
}

void sf_served_snapshot_begin_indexing(sf_served_snapshot *served) {
  sf_served_snapshot_retain(served);
  atomic_fetch_add(&served->num_indexing, 1);
}

void sf_served_snapshot_end_indexing(sf_served_snapshot *served) {
  atomic_fetch_sub(&served->num_indexing, 1);
  sf_served_snapshot_release(served);
}

const sf_cancellation *sf_served_snapshot_indexing(const sf_served_snapshot *served) {
  return &served->indexing;
}

sf_snapshot_lists *sf_served_snapshot_lists(const sf_served_snapshot *served) {
  return served->lists;
}

sf_executor *sf_served_snapshot_executor(const sf_served_snapshot *served) {
  return served->params.executor;
}

const sf_log *sf_served_snapshot_log(const sf_served_snapshot *served) {
  return served->params.log;
}

const sf_event_listener *sf_served_snapshot_events(const sf_served_snapshot *served) {
  return served->params.events;
}

sf_storage *sf_served_snapshot_storage(const sf_served_snapshot *served) {
  return served->params.storage;
}
