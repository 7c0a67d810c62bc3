#include "reader/reader.h"

#include "base/assert.h"
#include "base/process.h"
#include "reader/options.h"

sf_code sf_reader_create(const sf_reader_options *options, sf_reader **created, sf_error *error) {
  sf_reader *reader = sf_calloc(1, sizeof(*reader));
  if (reader == NULL || pthread_mutex_init(&reader->mutex, NULL) != 0 ||
      pthread_mutex_init(&reader->refresh_mutex, NULL) != 0 || !sf_condition_init(&reader->changed) ||
      sf_filter_cache_create(&reader->filters, NULL) != SF_OK) {
    free(reader);
    return sf_fail_memory(error, "reader");
  }
  reader->process = sf_process_id();
  reader->max_concurrency = options->max_concurrency;
  reader->max_cached_shards = options->max_cached_shards;
  reader->max_cache_bytes = options->max_cache_bytes;
  reader->max_filter_bytes = options->max_filter_bytes;
  reader->max_fallback_attempts = sf_reader_options_fallback_attempts(options);
  reader->preload_shards = options->preload_shards;
  reader->log = (sf_log){.callback = options->log, .user_data = options->log_user_data};
  reader->events = (sf_event_listener){.callback = options->event, .user_data = options->event_user_data};
  reader->activities.next = reader->activities.previous = &reader->activities;
  *created = reader;
  return SF_OK;
}

void sf_reader_release_resources(sf_reader *reader) {
  pthread_mutex_lock(&reader->mutex);
  sf_executor *executor = reader->executor;
  sf_shard_resources *resources = reader->resources;
  sf_storage *storage = reader->storage;
  reader->executor = NULL;
  reader->resources = NULL;
  reader->storage = NULL;
  pthread_mutex_unlock(&reader->mutex);
  sf_executor_release(executor);
  sf_shard_resources_free(resources);
  sf_storage_close(storage);
}

void sf_reader_destroy(sf_reader *reader) {
  SF_ASSERT(reader->activities.next == &reader->activities);
  SF_ASSERT(reader->num_jobs == 0 && reader->num_snapshots == 0);
  sf_reader_release_resources(reader);
  pthread_cond_destroy(&reader->changed);
  pthread_mutex_destroy(&reader->mutex);
  pthread_mutex_destroy(&reader->refresh_mutex);
  sf_filter_cache_free(reader->filters);
  free(reader->cache_dir);
  free(reader->shard_format);
  free(reader->manifest_ref);
  free(reader);
}

sf_code sf_reader_check_process(const sf_reader *reader, sf_error *error) {
  if (reader == NULL)
    return sf_fail(error, SF_READER_STATE_ERROR, "expected a reader, found NULL");
  return sf_process_check(reader->process, "the reader", error);
}

sf_code sf_reader_acquire_served(sf_reader *reader, sf_served_snapshot **served, sf_error *error) {
  SF_TRY(sf_reader_check_process(reader, error));
  pthread_mutex_lock(&reader->mutex);
  /* While a close waits for activities, the snapshot is still there. */
  sf_served_snapshot *acquired = reader->is_closed ? NULL : reader->served;
  if (acquired != NULL)
    sf_served_snapshot_retain(acquired);
  pthread_mutex_unlock(&reader->mutex);
  *served = acquired;
  return acquired != NULL ? SF_OK : sf_fail(error, SF_READER_STATE_ERROR, "the reader is closed");
}

sf_code sf_reader_begin_activity(sf_reader *reader, sf_activity *activity, sf_error *error) {
  pthread_mutex_lock(&reader->mutex);
  bool is_closed = reader->is_closed;
  if (!is_closed) {
    activity->next = &reader->activities;
    activity->previous = reader->activities.previous;
    activity->previous->next = activity;
    reader->activities.previous = activity;
  }
  pthread_mutex_unlock(&reader->mutex);
  return is_closed ? sf_fail(error, SF_READER_STATE_ERROR, "the reader is closed") : SF_OK;
}

void sf_reader_end_activity(sf_reader *reader, sf_activity *activity) {
  pthread_mutex_lock(&reader->mutex);
  activity->previous->next = activity->next;
  activity->next->previous = activity->previous;
  pthread_cond_broadcast(&reader->changed);
  pthread_mutex_unlock(&reader->mutex);
}
