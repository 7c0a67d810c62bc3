#include "reader/preload.h"

#include "base/thread.h"

typedef struct preload preload;

typedef struct preloaded_shard {
  sf_shard_waiter waiter; /* first: the served snapshot passes it to shard_loaded */
  preload *of;
  uint32_t db_id;
  bool is_waiting;
} preloaded_shard;

struct preload {
  sf_cancellation_hook hook; /* first: the cancellation passes it to wake */
  sf_cancellation stop;      /* for the shards being prepared: the preload was cancelled, or one of them failed */
  sf_served_snapshot *served;
  preloaded_shard *shards;
  size_t count;
  pthread_mutex_t mutex; /* guards all below, and is_waiting */
  pthread_cond_t changed;
  size_t num_waiting;
  sf_code code;
  sf_error error;
};

static void shard_loaded(sf_shard_waiter *waiter, sf_shard *shard, sf_code code, const sf_error *error) {
  preloaded_shard *loaded = (preloaded_shard *)waiter;
  preload *of = loaded->of;
  if (shard != NULL) {
    sf_shard_prepare(shard, &of->stop);
    sf_served_snapshot_return(of->served, loaded->db_id);
  }
  pthread_mutex_lock(&of->mutex);
  loaded->is_waiting = false;
  if (code != SF_OK && of->code == SF_OK) {
    of->code = code;
    of->error = *error;
    sf_cancellation_request(&of->stop);
  }
  of->num_waiting--;
  pthread_cond_signal(&of->changed);
  pthread_mutex_unlock(&of->mutex);
}

/* On cancellation. This mutex is never held while hooks are added or removed. */
static void wake(sf_cancellation_hook *hook) {
  preload *of = (preload *)hook;
  sf_cancellation_request(&of->stop);
  pthread_mutex_lock(&of->mutex);
  if (of->code == SF_OK)
    of->code = sf_fail(&of->error, SF_CANCELLED_ERROR, "the operation was cancelled");
  pthread_cond_signal(&of->changed);
  pthread_mutex_unlock(&of->mutex);
}

/* Begins to load every shard, until one has failed. */
static void start_loads(preload *of) {
  for (size_t i = 0; i < of->count; i++) {
    sf_shard *shard;
    sf_error error;
    pthread_mutex_lock(&of->mutex);
    bool go_on = of->code == SF_OK;
    of->num_waiting += go_on;
    of->shards[i].is_waiting = go_on;
    pthread_mutex_unlock(&of->mutex);
    if (!go_on)
      return;
    sf_error_clear(&error);
    sf_code code = sf_served_snapshot_acquire(of->served, of->shards[i].db_id, &of->shards[i].waiter, &shard, &error);
    if (code != SF_OK || shard != NULL)
      shard_loaded(&of->shards[i].waiter, shard, code, &error);
  }
}

/* Waits for all loads, or to the first failure. */
static void finish_loads(preload *of) {
  pthread_mutex_lock(&of->mutex);
  while (of->num_waiting > 0 && of->code == SF_OK)
    pthread_cond_wait(&of->changed, &of->mutex);
  for (size_t i = 0; i < of->count; i++)
    if (of->shards[i].is_waiting &&
        sf_served_snapshot_stop_waiting(of->served, of->shards[i].db_id, &of->shards[i].waiter)) {
      of->shards[i].is_waiting = false;
      of->num_waiting--;
    }
  while (of->num_waiting > 0) /* whose shard_loaded runs right now */
    pthread_cond_wait(&of->changed, &of->mutex);
  pthread_mutex_unlock(&of->mutex);
}

static void choose_shards(preload *of, const sf_manifest *manifest, uint32_t max_shards) {
  for (uint32_t id = 0; id < manifest->num_dbs && (max_shards == 0 || of->count < max_shards); id++)
    if (manifest->shards[id].db_url != NULL)
      of->shards[of->count++] = (preloaded_shard){.waiter.loaded = shard_loaded, .of = of, .db_id = id};
}

sf_code sf_preload_shards(sf_served_snapshot *served, uint32_t max_shards, const sf_cancellation *cancellation,
                          sf_error *error) {
  const sf_manifest *manifest = &sf_served_snapshot_metadata(served)->manifest;
  preload all = {.hook.wake = wake, .served = served};
  all.shards = sf_calloc(manifest->num_dbs, sizeof(*all.shards));
  if (all.shards == NULL || pthread_mutex_init(&all.mutex, NULL) != 0 || !sf_condition_init(&all.changed)) {
    free(all.shards);
    return sf_fail_memory(error, "shards");
  }
  choose_shards(&all, manifest, max_shards);
  sf_cancellation_add_hook(cancellation, &all.hook);
  start_loads(&all);
  finish_loads(&all);
  sf_cancellation_remove_hook(cancellation, &all.hook);
  if (all.code != SF_OK && error != NULL)
    *error = all.error;
  pthread_cond_destroy(&all.changed);
  pthread_mutex_destroy(&all.mutex);
  free(all.shards);
  return all.code;
}
