#include "reader/reader.h"

#include "base/process.h"
#include "base/time.h"
#include "reader/manifest_source.h"
#include "reader/options.h"
#include "reader/preload.h"

#include <string.h>

/* What a shard cache tells of when it is gone. */
typedef struct served_snapshot {
  sf_reader *reader;
  sf_snapshot *snapshot;
} served_snapshot;

static void snapshot_freed(void *context) {
  served_snapshot *freed = context;
  sf_reader *reader = freed->reader;
  sf_snapshot_free(freed->snapshot);
  free(freed);
  pthread_mutex_lock(&reader->mutex);
  reader->num_snapshots--;
  pthread_cond_broadcast(&reader->changed);
  pthread_mutex_unlock(&reader->mutex);
}

/* Makes a loaded snapshot ready to be served. It is taken over: freed on failure. */
static sf_code make_servable(sf_reader *reader, sf_snapshot *snapshot, const sf_cancellation *cancellation,
                             sf_served_snapshot **servable, sf_error *error) {
  served_snapshot *served = sf_calloc(1, sizeof(*served));
  const sf_served_snapshot_params source = {.storage = reader->storage,
                                            .resources = reader->resources,
                                            .executor = reader->executor,
                                            .snapshot = snapshot,
                                            .cache_dir = reader->cache_dir,
                                            .shard_format = reader->shard_format,
                                            .events = &reader->events,
                                            .max_shards = reader->max_cached_shards,
                                            .max_cache_bytes = reader->max_cache_bytes,
                                            .log = &reader->log,
                                            .freed = snapshot_freed,
                                            .freed_context = served};
  sf_code code =
      served == NULL ? sf_fail_memory(error, "snapshot") : sf_served_snapshot_create(&source, servable, error);
  if (code != SF_OK) {
    free(served);
    sf_snapshot_free(snapshot);
    return code;
  }
  *served = (served_snapshot){.reader = reader, .snapshot = snapshot};
  pthread_mutex_lock(&reader->mutex);
  reader->num_snapshots++;
  pthread_mutex_unlock(&reader->mutex);
  if (reader->preload_shards)
    code = sf_preload_shards(*servable, reader->max_cached_shards, cancellation, error);
  if (code != SF_OK)
    sf_served_snapshot_release(*servable);
  return code;
}

/* Serves it from now on. Searches under way keep the old one. A reader that is being closed takes it, too: closing waits
 * for the refresh that brings it. */
static sf_code serve(sf_reader *reader, sf_served_snapshot *servable, sf_error *error) {
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

static double milliseconds_since(uint64_t started) {
  return (double)(sf_monotonic_nanoseconds() - started) / 1e6;
}

static void log_of_snapshot(const sf_reader *reader, const sf_event *event) {
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

/* Reports an event that concerns the snapshot that is (or was) served, with what there is to say of that. */
static void tell_of_snapshot(sf_reader *reader, sf_event event, uint64_t started) {
  sf_snapshot_info *info = NULL;
  char *manifest_ref = NULL;
  if (!sf_event_has_callback(&reader->events) && reader->log.callback == NULL)
    return;
  event.duration_ms = milliseconds_since(started);
  if (sf_reader_snapshot_info(reader, &info, NULL) == SF_OK) {
    event.manifest_ref = info->manifest_ref;
    event.run_id = info->run_id;
    event.num_shards = info->num_dbs;
  } else {
    pthread_mutex_lock(&reader->mutex);
    manifest_ref = sf_strdup(reader->manifest_ref);
    pthread_mutex_unlock(&reader->mutex);
    event.manifest_ref = manifest_ref;
  }
  if (event.manifest_ref != NULL)
    log_of_snapshot(reader, &event);
  sf_event_emit(&reader->events, event);
  sf_free(info);
  free(manifest_ref);
}

static sf_code load_first(sf_reader *reader, const sf_manifest_source *given, const sf_cancellation *cancellation,
                          sf_error *error) {
  uint64_t started = sf_monotonic_nanoseconds();
  const sf_snapshot_load_options options = {.max_fallback_attempts = reader->max_fallback_attempts,
                                            .given = given,
                                            .log = &reader->log,
                                            .events = &reader->events};
  sf_snapshot *snapshot = NULL;
  sf_served_snapshot *servable = NULL;
  SF_TRY(sf_snapshot_load(reader->storage, &options, cancellation, &snapshot, error));
  SF_TRY(make_servable(reader, snapshot, cancellation, &servable, error));
  SF_TRY(serve(reader, servable, error));
  tell_of_snapshot(reader, (sf_event){.type = SF_EVENT_READER_INITIALIZED}, started);
  return SF_OK;
}

/* Lets go of what a closed reader needs no more: its threads, its connections. Once for each. */
static void release_means(sf_reader *reader) {
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

/* Frees a reader that nothing is under way on. */
static void destroy(sf_reader *reader) {
  release_means(reader);
  pthread_cond_destroy(&reader->changed);
  pthread_mutex_destroy(&reader->mutex);
  pthread_mutex_destroy(&reader->refresh_mutex);
  free(reader->cache_dir);
  free(reader->shard_format);
  free(reader->manifest_ref);
  free(reader);
}

static sf_code create(const sf_reader_options *options, sf_reader **created, sf_error *error) {
  sf_reader *reader = sf_calloc(1, sizeof(*reader));
  if (reader == NULL || pthread_mutex_init(&reader->mutex, NULL) != 0 ||
      pthread_mutex_init(&reader->refresh_mutex, NULL) != 0 || !sf_condition_init(&reader->changed)) {
    free(reader);
    return sf_fail_memory(error, "reader");
  }
  reader->process = sf_process_id();
  reader->max_concurrency = options->max_concurrency;
  reader->max_cached_shards = options->max_cached_shards;
  reader->max_cache_bytes = options->max_cache_bytes;
  reader->max_fallback_attempts = sf_reader_options_fallback_attempts(options);
  reader->preload_shards = options->preload_shards;
  reader->log = (sf_log){.callback = options->log, .user_data = options->log_user_data};
  reader->events = (sf_event_listener){.callback = options->event, .user_data = options->event_user_data};
  reader->activities.next = reader->activities.previous = &reader->activities;
  *created = reader;
  return SF_OK;
}

static sf_code create_executor(const sf_reader_options *options, sf_executor **executor, sf_error *error) {
  sf_executor_options wanted = SF_EXECUTOR_OPTIONS_INIT;
  wanted.num_workers = options->num_workers;
  wanted.num_loaders = options->num_loaders;
  wanted.thread_nice = options->thread_nice;
  return sf_executor_create_with(&wanted, executor, error);
}

static sf_code equip(sf_reader *reader, const char *root, const sf_reader_options *options, sf_error *error) {
  SF_TRY(sf_reader_options_open_storage(options, root, &reader->storage, error));
  SF_TRY(sf_reader_options_cache_dir(options, reader->storage->root, &reader->cache_dir, error));
  SF_TRY(sf_shard_resources_create(&reader->resources, error));
  SF_TRY(sf_shard_format_check(options->shard_format, error));
  reader->shard_format = sf_strdup(options->shard_format);
  if (reader->shard_format == NULL && options->shard_format != NULL)
    return sf_fail_memory(error, "reader");
  if (options->executor == NULL)
    return create_executor(options, &reader->executor, error);
  SF_TRY(sf_executor_check(options->executor, error));
  sf_executor_retain(options->executor);
  reader->executor = options->executor;
  return SF_OK;
}

static sf_code open_reader(const char *root, const sf_reader_options *given, const sf_cancellation *cancellation,
                           sf_reader **opened, sf_error *error) {
  sf_reader_options options;
  sf_reader *reader = NULL;
  SF_TRY(sf_reader_options_read(given, &options, error));
  if (options.manifest != NULL)
    SF_TRY(sf_manifest_source_check(options.manifest, error));
  SF_TRY(create(&options, &reader, error));
  sf_code code = equip(reader, root, &options, error);
  if (code == SF_OK)
    code = load_first(reader, options.manifest, cancellation, error);
  if (code == SF_OK)
    *opened = reader;
  else
    sf_reader_free(reader);
  return code;
}

sf_code sf_reader_open(const char *root, const sf_reader_options *options, sf_reader **reader, sf_error *error) {
  return open_reader(root, options, NULL, reader, error);
}

sf_code sf_reader_check_open(const sf_reader *reader, sf_error *error) {
  if (reader == NULL)
    return sf_fail(error, SF_READER_STATE_ERROR, "expected a reader, found NULL");
  return sf_process_check(reader->process, "the reader", error);
}

sf_code sf_reader_take_served(sf_reader *reader, sf_served_snapshot **served, sf_error *error) {
  SF_TRY(sf_reader_check_open(reader, error));
  pthread_mutex_lock(&reader->mutex);
  sf_served_snapshot *taken = reader->is_closed ? NULL : reader->served; /* closing may take a while */
  if (taken != NULL)
    sf_served_snapshot_retain(taken);
  pthread_mutex_unlock(&reader->mutex);
  *served = taken;
  return taken != NULL ? SF_OK : sf_fail(error, SF_READER_STATE_ERROR, "the reader is closed");
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

/* A refresh, as an activity: what it looks at when it is asked to stop. */
typedef struct running_refresh {
  sf_activity activity; /* first: the reader hands it back */
  sf_cancellation cancellation;
  sf_cancellation_hook hook; /* on the operation's cancellation, which it passes on */
} running_refresh;

static void *begin_refresh_cancel(sf_activity *activity) {
  running_refresh *running = (running_refresh *)activity;
  sf_cancellation_request(&running->cancellation);
  return NULL;
}

static void finish_refresh_cancel(void *token) {
  (void)token;
}

static void pass_on_cancellation(sf_cancellation_hook *hook) {
  running_refresh *running = (running_refresh *)(void *)((char *)hook - offsetof(running_refresh, hook));
  sf_cancellation_request(&running->cancellation);
}

static sf_code load_newer(sf_reader *reader, const sf_manifest_source *given, const sf_cancellation *cancellation,
                          bool *changed, sf_error *error) {
  pthread_mutex_lock(&reader->mutex);
  char *known_ref = sf_strdup(reader->manifest_ref);
  pthread_mutex_unlock(&reader->mutex);
  if (known_ref == NULL)
    return sf_fail_memory(error, "reference of a manifest");
  /* No fallback: an older manifest is no reason to leave the one that is served. */
  const sf_snapshot_load_options options = {
      .given = given, .known_ref = known_ref, .log = &reader->log, .events = &reader->events};
  sf_snapshot *snapshot = NULL;
  sf_served_snapshot *servable = NULL;
  sf_code code = sf_snapshot_load(reader->storage, &options, cancellation, &snapshot, error);
  free(known_ref);
  if (code != SF_OK || snapshot == NULL)
    return code;
  SF_TRY(make_servable(reader, snapshot, cancellation, &servable, error));
  SF_TRY(serve(reader, servable, error));
  *changed = true;
  return SF_OK;
}

/* Keeps how a refresh ended for sf_reader_health: without an allocation, since it may be for want of memory. */
static void note_refresh(sf_reader *reader, const sf_error *outcome) {
  pthread_mutex_lock(&reader->mutex);
  reader->refresh_error = *outcome;
  pthread_mutex_unlock(&reader->mutex);
}

static sf_code refresh_active(sf_reader *reader, const sf_manifest_source *given, const sf_cancellation *cancellation,
                              bool *changed, sf_error *error) {
  uint64_t started = sf_monotonic_nanoseconds();
  sf_error failure;
  sf_error_clear(&failure);
  pthread_mutex_lock(&reader->refresh_mutex);
  sf_code code = load_newer(reader, given, cancellation, changed, &failure);
  if (code != SF_CANCELLED_ERROR)
    note_refresh(reader, &failure);
  pthread_mutex_unlock(&reader->refresh_mutex);
  if (code == SF_CANCELLED_ERROR) {
    if (error != NULL)
      *error = failure;
    return code;
  }
  if (code != SF_OK)
    sf_log_message(&reader->log, SF_LOG_WARNING, "refresh: keeping the snapshot that is served: %s: %s",
                   sf_code_name(code), failure.message);
  const sf_event event = {.type = SF_EVENT_READER_REFRESHED,
                          .code = code,
                          .message = code == SF_OK ? NULL : failure.message,
                          .changed = *changed};
  tell_of_snapshot(reader, event, started);
  return SF_OK;
}

/* `given` NULL: to what `_CURRENT` points to. */
static sf_code refresh(sf_reader *reader, const sf_manifest_source *given, const sf_cancellation *cancellation,
                       bool *changed, sf_error *error) {
  running_refresh running = {.activity = {.begin_cancel = begin_refresh_cancel, .finish_cancel = finish_refresh_cancel},
                             .hook.wake = pass_on_cancellation};
  *changed = false;
  SF_TRY(sf_reader_check_open(reader, error));
  SF_TRY(sf_reader_begin_activity(reader, &running.activity, error));
  sf_cancellation_add_hook(cancellation, &running.hook);
  sf_code code = refresh_active(reader, given, &running.cancellation, changed, error);
  sf_cancellation_remove_hook(cancellation, &running.hook);
  sf_reader_end_activity(reader, &running.activity);
  return code;
}

sf_code sf_reader_refresh(sf_reader *reader, bool *changed, sf_error *error) {
  return refresh(reader, NULL, NULL, changed, error);
}

sf_code sf_reader_refresh_to(sf_reader *reader, const sf_manifest_source *manifest, bool *changed, sf_error *error) {
  SF_TRY(sf_manifest_source_check(manifest, error));
  return refresh(reader, manifest, NULL, changed, error);
}

/* With the mutex held: waits until nothing is under way; false when the deadline (NULL: none) has passed. */
static bool wait_until_idle(sf_reader *reader, const struct timespec *deadline) {
  while (reader->activities.next != &reader->activities)
    if (!sf_condition_wait(&reader->changed, &reader->mutex, deadline))
      return false;
  return true;
}

/* With the mutex held, which it lets go of in between: cancels all that is under way. */
static void cancel_activities(sf_reader *reader) {
  for (sf_activity *next = reader->activities.next; next != &reader->activities;) {
    if (next->is_cancelled) {
      next = next->next;
      continue;
    }
    next->is_cancelled = true;
    void *token = next->begin_cancel(next);
    void (*finish_cancel)(void *) = next->finish_cancel;
    pthread_mutex_unlock(&reader->mutex);
    finish_cancel(token);
    pthread_mutex_lock(&reader->mutex);
    next = reader->activities.next; /* the list may have changed */
  }
}

sf_code sf_reader_close(sf_reader *reader, int64_t timeout_ms, sf_error *error) {
  SF_TRY(sf_reader_check_open(reader, error));
  uint64_t started = sf_monotonic_nanoseconds();
  struct timespec deadline = sf_deadline_after(timeout_ms > 0 ? timeout_ms : 0);
  pthread_mutex_lock(&reader->mutex);
  bool was_open = !reader->is_closed && reader->served != NULL;
  reader->is_closed = true;
  if (!wait_until_idle(reader, timeout_ms < 0 ? NULL : &deadline)) {
    cancel_activities(reader);
    wait_until_idle(reader, NULL);
  }
  sf_served_snapshot *served = reader->served;
  reader->served = NULL;
  pthread_mutex_unlock(&reader->mutex);
  if (served != NULL)
    sf_served_snapshot_release(served);
  pthread_mutex_lock(&reader->mutex);
  while (reader->num_snapshots > 0)
    pthread_cond_wait(&reader->changed, &reader->mutex);
  pthread_mutex_unlock(&reader->mutex);
  release_means(reader);
  if (was_open)
    tell_of_snapshot(reader, (sf_event){.type = SF_EVENT_READER_CLOSED}, started);
  return SF_OK;
}

void sf_reader_free(sf_reader *reader) {
  /* In a fork's child the threads are gone and the locks may be held for ever: what the parent opened stays as it is. */
  if (reader == NULL || sf_reader_check_open(reader, NULL) != SF_OK)
    return;
  sf_reader_close(reader, 0, NULL);
  pthread_mutex_lock(&reader->mutex);
  while (reader->num_jobs > 0)
    pthread_cond_wait(&reader->changed, &reader->mutex);
  pthread_mutex_unlock(&reader->mutex);
  destroy(reader);
}

/* The asynchronous twins. -------------------------------------------------------------------------------------- */

typedef struct open_context {
  char *root;
  sf_reader_options options;
} open_context;

static void free_open(void *context) {
  open_context *opening = context;
  sf_reader_options_copy_free(&opening->options);
  free(opening->root);
  free(opening);
}

static void free_opened(void *value, size_t count) {
  (void)count;
  sf_reader_free(value);
}

static const sf_outcome_kind opened_reader = {.name = "reader", .free = free_opened};

static sf_code run_open(void *context, const sf_cancellation *cancellation, sf_outcome *outcome, sf_error *error) {
  const open_context *opening = context;
  sf_reader *reader = NULL;
  sf_code code = open_reader(opening->root, &opening->options, cancellation, &reader, error);
  *outcome = (sf_outcome){.kind = &opened_reader, .value = reader};
  return code;
}

sf_reader *sf_operation_take_reader(sf_operation *operation) {
  return sf_operation_take(operation, &opened_reader, NULL);
}

sf_code sf_reader_open_submit(const char *root, const sf_reader_options *options, sf_executor *executor,
                              sf_completion_queue *queue, void *user_data, sf_operation **operation, sf_error *error) {
  static const sf_job_functions functions = {.run = run_open, .free_context = free_open};
  if (root == NULL)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "snapshot root: expected a path or a URL, found nothing");
  open_context *opening = sf_calloc(1, sizeof(*opening));
  if (opening == NULL)
    return sf_fail_memory(error, "operation");
  sf_code code = sf_reader_options_copy(options, &opening->options, error);
  if (code != SF_OK) {
    free(opening);
    return code;
  }
  opening->root = sf_strdup(root);
  if (opening->root == NULL) {
    free_open(opening);
    return sf_fail_memory(error, "operation");
  }
  return sf_job_submit(executor, queue, user_data, &functions, opening, operation, error);
}

/* What refresh and close need. */
typedef struct reader_context {
  sf_reader *reader;
  int64_t timeout_ms;
  sf_manifest_source *manifest; /* to refresh to; NULL: what `_CURRENT` points to */
} reader_context;

static void free_reader_context(void *context) {
  reader_context *used = context;
  sf_reader *reader = used->reader;
  free(used->manifest);
  free(used);
  pthread_mutex_lock(&reader->mutex);
  reader->num_jobs--;
  pthread_cond_broadcast(&reader->changed);
  pthread_mutex_unlock(&reader->mutex);
}

static const sf_outcome_kind refresh_changed = {.name = "whether a refresh changed the snapshot"}; /* count: 0 or 1 */

static sf_code run_refresh(void *context, const sf_cancellation *cancellation, sf_outcome *outcome, sf_error *error) {
  const reader_context *refreshing = context;
  bool changed = false;
  sf_code code = refresh(refreshing->reader, refreshing->manifest, cancellation, &changed, error);
  *outcome = (sf_outcome){.kind = &refresh_changed, .count = changed};
  return code;
}

bool sf_operation_refresh_changed(const sf_operation *operation) {
  return sf_operation_count(operation, &refresh_changed) != 0;
}

static sf_code run_close(void *context, const sf_cancellation *cancellation, sf_outcome *outcome, sf_error *error) {
  (void)cancellation;
  (void)outcome;
  const reader_context *closing = context;
  return sf_reader_close(closing->reader, closing->timeout_ms, error);
}

/* A copy of what the operation needs: `needed` has it but for the reader. Its manifest is taken over. */
static sf_code submit_for_reader(sf_reader *reader, reader_context needed, const sf_job_functions *functions,
                                 sf_completion_queue *queue, void *user_data, sf_operation **operation,
                                 sf_error *error) {
  sf_code code = sf_reader_check_open(reader, error);
  reader_context *context = code == SF_OK ? sf_calloc(1, sizeof(*context)) : NULL;
  if (context == NULL) {
    free(needed.manifest);
    return code != SF_OK ? code : sf_fail_memory(error, "operation");
  }
  needed.reader = reader;
  *context = needed;
  pthread_mutex_lock(&reader->mutex);
  reader->num_jobs++;
  sf_executor *executor = reader->executor; /* none when it is closed: then the job has one of its own, to say so */
  if (executor != NULL)
    sf_executor_retain(executor);
  pthread_mutex_unlock(&reader->mutex);
  code = sf_job_submit(executor, queue, user_data, functions, context, operation, error);
  sf_executor_release(executor);
  return code;
}

sf_code sf_reader_refresh_submit(sf_reader *reader, sf_completion_queue *queue, void *user_data,
                                 sf_operation **operation, sf_error *error) {
  static const sf_job_functions functions = {.run = run_refresh, .free_context = free_reader_context};
  return submit_for_reader(reader, (reader_context){0}, &functions, queue, user_data, operation, error);
}

sf_code sf_reader_refresh_to_submit(sf_reader *reader, const sf_manifest_source *manifest, sf_completion_queue *queue,
                                    void *user_data, sf_operation **operation, sf_error *error) {
  static const sf_job_functions functions = {.run = run_refresh, .free_context = free_reader_context};
  SF_TRY(sf_manifest_source_check(manifest, error));
  const reader_context needed = {.manifest = sf_manifest_source_copy(manifest)};
  if (needed.manifest == NULL)
    return sf_fail_memory(error, "manifest");
  return submit_for_reader(reader, needed, &functions, queue, user_data, operation, error);
}

sf_code sf_reader_close_submit(sf_reader *reader, int64_t timeout_ms, sf_completion_queue *queue, void *user_data,
                               sf_operation **operation, sf_error *error) {
  static const sf_job_functions functions = {.run = run_close, .free_context = free_reader_context};
  const reader_context needed = {.timeout_ms = timeout_ms};
  return submit_for_reader(reader, needed, &functions, queue, user_data, operation, error);
}
