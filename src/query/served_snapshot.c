#include "query/served_snapshot.h"

#include "base/report.h"
#include "base/thread.h"
#include "base/time.h"
#include "cache/cache_limit.h"
#include "query/shard_params.h"

#include <errno.h>
#include <stdatomic.h>

typedef enum load_state { NOT_LOADED, LOADING, LOADED } load_state;

typedef struct entry {
  sf_task task; /* first: the executor hands it back */
  sf_served_snapshot *cache;
  load_state state;
  sf_shard *shard;
  uint32_t num_lent;
  sf_shard_waiter *waiters;
  sf_cancellation cancellation; /* of the load under way */
  atomic_bool has_told_of_rows; /* that some of its vectors are not finite */
  struct entry *more_recent;    /* in the list of loaded shards that are not lent */
  struct entry *less_recent;
} entry;

struct sf_served_snapshot {
  sf_served_snapshot_params source;
  char *cache_dir;
  sf_scan_registry *scans;
  atomic_uint references;
  pthread_mutex_t mutex; /* guards all below; the executor's may be taken inside */
  uint32_t num_loaded;
  entry *most_recent; /* of those not lent */
  entry *least_recent;
  entry *entries; /* by db_id */
};

static void run_load(sf_task *task);

sf_code sf_served_snapshot_create(const sf_served_snapshot_params *source, sf_served_snapshot **created,
                                  sf_error *error) {
  uint32_t num_dbs = source->snapshot->manifest.num_dbs;
  sf_served_snapshot *cache = sf_calloc(1, sizeof(*cache));
  if (cache == NULL)
    return sf_fail_memory(error, "shards");
  cache->source = *source;
  cache->cache_dir = sf_strdup(source->cache_dir);
  cache->entries = sf_calloc(num_dbs, sizeof(*cache->entries));
  if (cache->cache_dir == NULL || cache->entries == NULL ||
      sf_scan_registry_create(num_dbs, &cache->scans, NULL) != SF_OK || pthread_mutex_init(&cache->mutex, NULL) != 0) {
    sf_scan_registry_free(cache->scans);
    free(cache->cache_dir);
    free(cache->entries);
    free(cache);
    return sf_fail_memory(error, "shards");
  }
  cache->source.cache_dir = cache->cache_dir;
  atomic_init(&cache->references, 1);
  for (uint32_t i = 0; i < num_dbs; i++) {
    cache->entries[i].cache = cache;
    cache->entries[i].task.run = run_load;
  }
  *created = cache;
  return SF_OK;
}

/* The four below: with the mutex held. */

static void unlink_recent(sf_served_snapshot *cache, entry *of) {
  *(of->more_recent != NULL ? &of->more_recent->less_recent : &cache->most_recent) = of->less_recent;
  *(of->less_recent != NULL ? &of->less_recent->more_recent : &cache->least_recent) = of->more_recent;
  of->more_recent = of->less_recent = NULL;
}

static void link_recent(sf_served_snapshot *cache, entry *of) {
  of->less_recent = cache->most_recent;
  *(cache->most_recent != NULL ? &cache->most_recent->more_recent : &cache->least_recent) = of;
  cache->most_recent = of;
}

/* A shard to close when there are more than allowed, with `coming` that are about to be loaded, and one is not lent; else
 * NULL. */
static sf_shard *evict_one(sf_served_snapshot *cache, uint32_t coming) {
  entry *oldest = cache->least_recent;
  if (cache->source.max_shards == 0 || cache->num_loaded + coming <= cache->source.max_shards || oldest == NULL)
    return NULL;
  unlink_recent(cache, oldest);
  sf_shard *shard = oldest->shard;
  oldest->shard = NULL;
  oldest->state = NOT_LOADED;
  cache->num_loaded--;
  return shard;
}

static sf_code start_load(sf_served_snapshot *cache, entry *of, sf_error *error) {
  atomic_store(&of->cancellation.requested, false);
  if (!sf_executor_submit(cache->source.executor, SF_LANE_LOAD, &of->task))
    return sf_fail_thread(error, errno, "to load a shard");
  of->state = LOADING;
  sf_served_snapshot_retain(cache);
  return SF_OK;
}

/* Closes shards, outside of the mutex, until there are no more than allowed. */
static void evict(sf_served_snapshot *cache, uint32_t coming) {
  for (;;) {
    pthread_mutex_lock(&cache->mutex);
    sf_shard *shard = evict_one(cache, coming);
    pthread_mutex_unlock(&cache->mutex);
    if (shard == NULL)
      return;
    sf_shard_close(shard);
  }
}

/* The same on disk. A cache that stays too large is no reason for a search to fail. */
static void shrink(const sf_served_snapshot *cache) {
  sf_error error;
  if (cache->source.max_cache_bytes == 0)
    return;
  if (sf_cache_limit_enforce(cache->cache_dir, cache->source.max_cache_bytes, &error) != SF_OK)
    sf_log_message(cache->source.log, SF_LOG_WARNING, "the local cache could not be shrunk: %s", error.message);
}

sf_code sf_served_snapshot_acquire(sf_served_snapshot *cache, uint32_t db_id, sf_shard_waiter *waiter, sf_shard **shard,
                                   sf_error *error) {
  entry *wanted = &cache->entries[db_id];
  sf_code code = SF_OK;
  *shard = NULL;
  pthread_mutex_lock(&cache->mutex);
  if (wanted->state == LOADED) {
    if (wanted->num_lent++ == 0)
      unlink_recent(cache, wanted);
    *shard = wanted->shard;
  } else {
    if (wanted->state == NOT_LOADED)
      code = start_load(cache, wanted, error);
    if (code == SF_OK) {
      waiter->next = wanted->waiters;
      wanted->waiters = waiter;
    }
  }
  pthread_mutex_unlock(&cache->mutex);
  return code;
}

/* Says once that vectors of the shard are left out: whoever wrote them does not know. The shard is held. */
static void tell_of_not_finite(sf_served_snapshot *cache, uint32_t db_id, const sf_shard *shard) {
  atomic_bool *has_told = &cache->entries[db_id].has_told_of_rows;
  if (atomic_load_explicit(has_told, memory_order_relaxed))
    return;
  uint64_t count = sf_shard_num_not_finite(shard);
  if (count > 0 && !atomic_exchange(has_told, true))
    sf_log_message(cache->source.log, SF_LOG_WARNING,
                   "shard %u (%s): %llu stored vectors are not finite; no search returns them", (unsigned)db_id,
                   cache->source.snapshot->manifest.shards[db_id].db_url, (unsigned long long)count);
}

void sf_served_snapshot_return(sf_served_snapshot *cache, uint32_t db_id) {
  entry *given = &cache->entries[db_id];
  tell_of_not_finite(cache, db_id, given->shard);
  pthread_mutex_lock(&cache->mutex);
  if (--given->num_lent == 0)
    link_recent(cache, given);
  bool too_many = cache->source.max_shards != 0 && cache->num_loaded > cache->source.max_shards;
  pthread_mutex_unlock(&cache->mutex);
  if (too_many) {
    evict(cache, 0);
    shrink(cache);
  }
}

bool sf_served_snapshot_stop_waiting(sf_served_snapshot *cache, uint32_t db_id, sf_shard_waiter *waiter) {
  entry *wanted = &cache->entries[db_id];
  pthread_mutex_lock(&cache->mutex);
  sf_shard_waiter **next = &wanted->waiters;
  while (*next != NULL && *next != waiter)
    next = &(*next)->next;
  bool found = *next != NULL;
  if (found)
    *next = waiter->next;
  if (found && wanted->waiters == NULL)
    sf_cancellation_request(&wanted->cancellation);
  pthread_mutex_unlock(&cache->mutex);
  return found;
}

static sf_code open_shard(const sf_served_snapshot *cache, uint32_t db_id, const sf_cancellation *cancellation,
                          sf_shard **shard, sf_error *error) {
  const sf_manifest *manifest = &cache->source.snapshot->manifest;
  char *folder = NULL;
  char *key = NULL;
  SF_TRY(sf_shard_cache_folder(cache->cache_dir, db_id, &folder, error));
  sf_code code = sf_shard_key(cache->source.storage, manifest, db_id, &key, error);
  if (code == SF_OK) {
    sf_shard_params source = sf_shard_params_of(cache->source.storage, cache->source.resources, manifest, db_id);
    source.key = key;
    source.cache_dir = folder;
    source.format_name = cache->source.shard_format;
    source.max_cache_bytes = cache->source.max_cache_bytes;
    code = sf_shard_open(&source, cancellation, shard, error);
  }
  free(key);
  free(folder);
  return code;
}

/* With the mutex held: notes how a load ended and gives the list of those to tell. A load that was given up and is
 * wanted again starts anew, and nobody is told yet. */
static sf_shard_waiter *note_end(sf_served_snapshot *cache, entry *of, sf_shard *shard, sf_code *code,
                                 sf_error *error) {
  of->state = NOT_LOADED;
  if (*code == SF_CANCELLED_ERROR && of->waiters != NULL) {
    *code = start_load(cache, of, error);
    if (*code == SF_OK)
      return NULL;
  }
  sf_shard_waiter *waiters = of->waiters;
  of->waiters = NULL;
  if (*code != SF_OK)
    return waiters;
  of->state = LOADED;
  of->shard = shard;
  cache->num_loaded++;
  for (const sf_shard_waiter *next = waiters; next != NULL; next = next->next)
    of->num_lent++;
  if (of->num_lent == 0)
    link_recent(cache, of);
  return waiters;
}

/* Before those who wait hear of it. The shard is held by whoever waits, or not known to anybody yet. */
static void tell_of_load(const sf_served_snapshot *cache, uint32_t db_id, const sf_shard *shard, sf_code code,
                         const sf_error *error, uint64_t started) {
  if (code == SF_CANCELLED_ERROR)
    return;
  double duration_ms = (double)(sf_monotonic_nanoseconds() - started) / 1e6;
  uint64_t num_rows = shard != NULL ? shard->num_rows : 0;
  if (code == SF_OK)
    sf_log_message(cache->source.log, SF_LOG_DEBUG, "shard %u: loaded %llu rows in %.1f ms", (unsigned)db_id,
                   (unsigned long long)num_rows, duration_ms);
  else
    sf_log_message(cache->source.log, SF_LOG_DEBUG, "shard %u: not loaded: %s", (unsigned)db_id, error->message);
  sf_event_emit(cache->source.events, (sf_event){.type = SF_EVENT_SHARD_LOAD,
                                                 .code = code,
                                                 .message = code == SF_OK ? NULL : error->message,
                                                 .duration_ms = duration_ms,
                                                 .shard_id = db_id,
                                                 .num_rows = num_rows,
                                                 .num_not_finite = shard != NULL ? shard->num_not_finite : 0});
}

static void run_load(sf_task *task) {
  entry *loaded = (entry *)task;
  sf_served_snapshot *cache = loaded->cache;
  sf_shard *shard = NULL;
  sf_error error;
  sf_error_clear(&error);
  uint64_t started = sf_monotonic_nanoseconds();
  uint32_t db_id = (uint32_t)(loaded - cache->entries);
  sf_code code = sf_cancellation_check(&loaded->cancellation, &error);
  /* What is loaded is never evicted from the disk: where that is bounded, this one's room is made before it is written. */
  if (code == SF_OK && cache->source.max_cache_bytes != 0)
    evict(cache, 1);
  if (code == SF_OK)
    code = open_shard(cache, db_id, &loaded->cancellation, &shard, &error);
  tell_of_load(cache, db_id, shard, code, &error, started);
  if (code == SF_OK)
    tell_of_not_finite(cache, db_id, shard);
  pthread_mutex_lock(&cache->mutex);
  sf_shard_waiter *waiters = note_end(cache, loaded, shard, &code, &error);
  pthread_mutex_unlock(&cache->mutex);
  evict(cache, 0);
  shrink(cache);
  while (waiters != NULL) {
    sf_shard_waiter *next = waiters->next; /* the waiter may be gone once it was called */
    waiters->loaded(waiters, shard, code, &error);
    waiters = next;
  }
  sf_served_snapshot_release(cache);
}

void sf_served_snapshot_retain(sf_served_snapshot *cache) {
  atomic_fetch_add_explicit(&cache->references, 1, memory_order_relaxed);
}

void sf_served_snapshot_release(sf_served_snapshot *cache) {
  if (atomic_fetch_sub_explicit(&cache->references, 1, memory_order_acq_rel) != 1)
    return;
  uint32_t num_dbs = cache->source.snapshot->manifest.num_dbs;
  for (uint32_t i = 0; i < num_dbs; i++)
    sf_shard_close(cache->entries[i].shard);
  sf_served_snapshot_params source = cache->source;
  pthread_mutex_destroy(&cache->mutex);
  sf_scan_registry_free(cache->scans);
  free(cache->entries);
  free(cache->cache_dir);
  free(cache);
  source.freed(source.freed_context);
}

const sf_snapshot *sf_served_snapshot_metadata(const sf_served_snapshot *cache) {
  return cache->source.snapshot;
}

sf_scan_registry *sf_served_snapshot_scans(const sf_served_snapshot *cache) {
  return cache->scans;
}
