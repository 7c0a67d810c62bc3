/*
 * Closing and freeing a reader. A close ends the reader for new calls, waits for the activities, cancels those that are left
 * at its timeout, and returns when no search holds a snapshot any more. Closing again waits for the first close.
 */
#include "base/assert.h"
#include "base/time.h"
#include "reader/reader_job.h"
#include "reader/serve.h"

/* Waits until no activity is left; false when the deadline (NULL: none) has passed. */
static bool wait_until_idle_locked(sf_reader *reader, const struct timespec *deadline) {
  SF_ASSERT_LOCKED(&reader->mutex);
  while (reader->activities.next != &reader->activities)
    if (!sf_condition_wait(&reader->changed, &reader->mutex, deadline))
      return false;
  return true;
}

/* Cancels all activities. Releases the mutex for each, so that it begins anew with the ring after each. */
static void cancel_activities_locked(sf_reader *reader) {
  SF_ASSERT_LOCKED(&reader->mutex);
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
    next = reader->activities.next;
  }
}

sf_code sf_reader_close(sf_reader *reader, int64_t timeout_ms, sf_error *error) {
  SF_TRY(sf_reader_check_process(reader, error));
  uint64_t started = sf_monotonic_nanoseconds();
  struct timespec deadline = sf_deadline_after(timeout_ms > 0 ? timeout_ms : 0);
  pthread_mutex_lock(&reader->mutex);
  bool was_open = !reader->is_closed && reader->served != NULL;
  reader->is_closed = true;
  if (!wait_until_idle_locked(reader, timeout_ms < 0 ? NULL : &deadline)) {
    cancel_activities_locked(reader);
    wait_until_idle_locked(reader, NULL);
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
  sf_reader_release_resources(reader);
  if (was_open)
    sf_reader_report(reader, (sf_event){.type = SF_EVENT_READER_CLOSED}, started);
  return SF_OK;
}

void sf_reader_free(sf_reader *reader) {
  /* In a fork's child the threads are gone and the locks may be held for ever: what the parent opened stays as it is. */
  if (reader == NULL || sf_reader_check_process(reader, NULL) != SF_OK)
    return;
  sf_reader_close(reader, 0, NULL);
  pthread_mutex_lock(&reader->mutex);
  while (reader->num_jobs > 0)
    pthread_cond_wait(&reader->changed, &reader->mutex);
  pthread_mutex_unlock(&reader->mutex);
  sf_reader_destroy(reader);
}

/* ------------------------------------------------------------------------------------------------------ Asynchronously */

static sf_code run(void *context, const sf_cancellation *cancellation, sf_outcome *outcome, sf_error *error) {
  (void)cancellation;
  (void)outcome;
  const sf_reader_job *closing = context;
  return sf_reader_close(closing->reader, closing->timeout_ms, error);
}

sf_code sf_reader_close_submit(sf_reader *reader, int64_t timeout_ms, sf_completion_queue *queue, void *user_data,
                               sf_operation **operation, sf_error *error) {
  static const sf_job_functions functions = {.run = run, .free_context = sf_reader_job_free};
  const sf_reader_job job = {.reader = reader, .timeout_ms = timeout_ms};
  return sf_reader_job_submit(job, &functions, queue, user_data, operation, error);
}
