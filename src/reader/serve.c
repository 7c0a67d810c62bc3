#include "reader/serve.h"

#include "base/time.h"
#include "reader/preload.h"

/* The snapshot that a sf_served_snapshot borrows, freed after it. */
typedef struct owned_snapshot {
  sf_reader *reader;
  sf_snapshot *snapshot;
} owned_snapshot;

static void free_snapshot(void *context) {
  owned_snapshot *freed = context;
  sf_reader *reader = freed->reader;
  sf_snapshot_free(freed->snapshot);
  free(freed);
  pthread_mutex_lock(&reader->mutex);
  reader->num_snapshots--;
  pthread_cond_broadcast(&reader->changed);
  pthread_mutex_unlock(&reader->mutex);
}

/* Takes the snapshot over: freed on failure. */
static sf_code make_servable(sf_reader *reader, sf_snapshot *snapshot, const sf_cancellation *cancellation,
                             sf_served_snapshot **servable, sf_error *error) {
  owned_snapshot *owned = sf_calloc(1, sizeof(*owned));
  const sf_served_snapshot_params params = {.storage = reader->storage,
                                            .resources = reader->resources,
                                            .executor = reader->executor,
                                            .snapshot = snapshot,
                                            .cache_dir = reader->cache_dir,
                                            .shard_format = reader->shard_format,
                                            .events = &reader->events,
                                            .max_shards = reader->max_cached_shards,
                                            .max_cache_bytes = reader->max_cache_bytes,
                                            .max_filter_bytes = reader->max_filter_bytes,
                                            .log = &reader->log,
                                            .freed = free_snapshot,
                                            .freed_context = owned};
  sf_code code =
      owned == NULL ? sf_fail_memory(error, "snapshot") : sf_served_snapshot_create(&params, servable, error);
  if (code != SF_OK) {
    free(owned);
    sf_snapshot_free(snapshot);
    return code;
  }
  *owned = (owned_snapshot){.reader = reader, .snapshot = snapshot};
  pthread_mutex_lock(&reader->mutex);
  reader->num_snapshots++;
  pthread_mutex_unlock(&reader->mutex);
  if (reader->preload_shards)
    code = sf_preload_shards(*servable, reader->max_cached_shards, cancellation, error);
  if (code != SF_OK)
    sf_served_snapshot_release(*servable);
  return code;
}

/* A reader that is being closed takes it, too: closing waits for the refresh that brings it, and then releases it. */
static sf_code replace_served(sf_reader *reader, sf_served_snapshot *servable, sf_error *error) {
  const sf_snapshot *snapshot = sf_served_snapshot_metadata(servable);
  char *ref = sf_strdup(snapshot->manifest_ref);
  if (ref == NULL) {
    sf_served_snapshot_release(servable);
    return sf_fail_memory(error, "reference of a manifest");
  }
  pthread_mutex_lock(&reader->mutex);
  sf_served_snapshot *old = reader->served;
  char *old_ref = reader->manifest_ref;
  reader->served = servable;
  reader->manifest_ref = ref;
  reader->published_seconds = snapshot->published_seconds;
  reader->num_shards = snapshot->manifest.num_dbs;
  pthread_mutex_unlock(&reader->mutex);
  free(old_ref);
  if (old != NULL)
    sf_served_snapshot_release(old);
  return SF_OK;
}

sf_code sf_reader_serve(sf_reader *reader, sf_snapshot *snapshot, const sf_cancellation *cancellation,
                        sf_error *error) {
  sf_served_snapshot *servable = NULL;
  SF_TRY(make_servable(reader, snapshot, cancellation, &servable, error));
  return replace_served(reader, servable, error);
}

static double milliseconds_since(uint64_t started) {
  return (double)(sf_monotonic_nanoseconds() - started) / 1e6;
}

static void log_event(const sf_reader *reader, const sf_event *event) {
  bool is_new =
      event->type == SF_EVENT_READER_INITIALIZED || (event->type == SF_EVENT_READER_REFRESHED && event->changed);
  if (is_new && event->run_id != NULL)
    sf_log_message(&reader->log, SF_LOG_INFO, "serving the snapshot %s: %u shards, %s, after %.1f ms", event->run_id,
                   (unsigned)event->num_shards, event->manifest_ref, event->duration_ms);
  else if (event->type == SF_EVENT_READER_REFRESHED && event->code == SF_OK && event->run_id != NULL)
    sf_log_message(&reader->log, SF_LOG_DEBUG, "refresh: %s is still the live snapshot", event->run_id);
  else if (event->type == SF_EVENT_READER_CLOSED)
    sf_log_message(&reader->log, SF_LOG_DEBUG, "closed the reader of %s", event->manifest_ref);
}

void sf_reader_report(sf_reader *reader, sf_event event, uint64_t started) {
  sf_snapshot_info *info = NULL;
  char *manifest_ref = NULL;
  if (!sf_event_has_callback(&reader->events) && reader->log.callback == NULL)
    return;
  event.duration_ms = milliseconds_since(started);
  if (sf_reader_snapshot_info(reader, &info, NULL) == SF_OK) {
    event.manifest_ref = info->manifest_ref;
    event.run_id = info->run_id;
    event.num_shards = info->num_dbs;
  } else { /* closed */
    pthread_mutex_lock(&reader->mutex);
    manifest_ref = sf_strdup(reader->manifest_ref);
    pthread_mutex_unlock(&reader->mutex);
    event.manifest_ref = manifest_ref;
  }
  if (event.manifest_ref != NULL)
    log_event(reader, &event);
  sf_event_emit(&reader->events, event);
  sf_free(info);
  free(manifest_ref);
}
