/*
 * Refreshing a reader: where a newer snapshot is live, it is loaded and served instead. One refresh runs at a time; another
 * waits for it. A refresh that fails keeps the old snapshot and is no error: the reason goes to the log, the event and
 * sf_reader_health.
 */
#include "base/assert.h"
#include "base/time.h"
#include "reader/manifest_source.h"
#include "reader/reader_job.h"
#include "reader/serve.h"

/* A refresh as an activity. Both its operation's cancellation and a close cancel it, so that it has a cancellation of its
 * own. */
typedef struct running_refresh {
  sf_activity activity; /* first: the reader passes it to begin_cancel */
  sf_cancellation cancellation;
  sf_cancellation_hook hook; /* on the operation's cancellation */
} running_refresh;

static void *begin_cancel(sf_activity *activity) {
  running_refresh *running = (running_refresh *)activity;
  sf_cancellation_request(&running->cancellation);
  return NULL;
}

static void finish_cancel(void *token) {
  (void)token;
}

static void pass_on_cancellation(sf_cancellation_hook *hook) {
  running_refresh *running = (running_refresh *)(void *)((char *)hook - offsetof(running_refresh, hook));
  sf_cancellation_request(&running->cancellation);
}

/* `given` NULL: what `_CURRENT` points to. */
static sf_code load_newer_locked(sf_reader *reader, const sf_manifest_source *given,
                                 const sf_cancellation *cancellation, bool *changed, sf_error *error) {
  SF_ASSERT_LOCKED(&reader->refresh_mutex);
  pthread_mutex_lock(&reader->mutex);
  char *known_ref = sf_strdup(reader->manifest_ref);
  pthread_mutex_unlock(&reader->mutex);
  if (known_ref == NULL)
    return sf_fail_memory(error, "reference of a manifest");
  /* No fallback: an older manifest is no reason to leave the one that is served. */
  const sf_snapshot_load_options options = {
      .given = given, .known_ref = known_ref, .log = &reader->log, .events = &reader->events};
  sf_snapshot *snapshot = NULL;
  sf_code code = sf_snapshot_load(reader->storage, &options, cancellation, &snapshot, error);
  free(known_ref);
  if (code != SF_OK || snapshot == NULL)
    return code;
  SF_TRY(sf_reader_serve(reader, snapshot, cancellation, error));
  *changed = true;
  return SF_OK;
}

/* Keeps the result for sf_reader_health: without an allocation, since memory may be what the refresh lacked. */
static void store_result(sf_reader *reader, const sf_error *result) {
  pthread_mutex_lock(&reader->mutex);
  reader->refresh_error = *result;
  pthread_mutex_unlock(&reader->mutex);
}

/* Fails only where it was cancelled. */
static sf_code refresh_active(sf_reader *reader, const sf_manifest_source *given, const sf_cancellation *cancellation,
                              bool *changed, sf_error *error) {
  uint64_t started = sf_monotonic_nanoseconds();
  sf_error failure;
  sf_error_clear(&failure);
  pthread_mutex_lock(&reader->refresh_mutex);
  sf_code code = load_newer_locked(reader, given, cancellation, changed, &failure);
  if (code != SF_CANCELLED_ERROR)
    store_result(reader, &failure);
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
  sf_reader_report(reader, event, started);
  return SF_OK;
}

static sf_code refresh(sf_reader *reader, const sf_manifest_source *given, const sf_cancellation *cancellation,
                       bool *changed, sf_error *error) {
  running_refresh running = {.activity = {.begin_cancel = begin_cancel, .finish_cancel = finish_cancel},
                             .hook.wake = pass_on_cancellation};
  *changed = false;
  SF_TRY(sf_reader_check_process(reader, error));
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

/* ------------------------------------------------------------------------------------------------------ Asynchronously */

static const sf_outcome_kind refresh_changed = {.name = "whether a refresh changed the snapshot"}; /* count: 0 or 1 */

static sf_code run(void *context, const sf_cancellation *cancellation, sf_outcome *outcome, sf_error *error) {
  const sf_reader_job *refreshing = context;
  bool changed = false;
  sf_code code = refresh(refreshing->reader, refreshing->manifest, cancellation, &changed, error);
  *outcome = (sf_outcome){.kind = &refresh_changed, .count = changed};
  return code;
}

bool sf_operation_refresh_changed(const sf_operation *operation) {
  return sf_operation_count(operation, &refresh_changed) != 0;
}

static const sf_job_functions functions = {.run = run, .free_context = sf_reader_job_free};

sf_code sf_reader_refresh_submit(sf_reader *reader, sf_completion_queue *queue, void *user_data,
                                 sf_operation **operation, sf_error *error) {
  return sf_reader_job_submit((sf_reader_job){.reader = reader}, &functions, queue, user_data, operation, error);
}

sf_code sf_reader_refresh_to_submit(sf_reader *reader, const sf_manifest_source *manifest, sf_completion_queue *queue,
                                    void *user_data, sf_operation **operation, sf_error *error) {
  SF_TRY(sf_manifest_source_check(manifest, error));
  const sf_reader_job job = {.reader = reader, .manifest = sf_manifest_source_copy(manifest)};
  if (job.manifest == NULL)
    return sf_fail_memory(error, "manifest");
  return sf_reader_job_submit(job, &functions, queue, user_data, operation, error);
}
