#include "writer/heartbeat.h"

#include "base/memory.h"
#include "base/thread.h"

struct sf_heartbeat {
  sf_run_record *record;
  sf_storage *storage;
  const sf_log *log;
  uint32_t interval_ms;
  pthread_t thread;
  pthread_mutex_t mutex;
  pthread_cond_t stopped;
  bool is_stopped; /* guarded by the mutex */
  sf_cancellation cancellation;
};

/* Whether the interval passed without a stop. */
static bool wait_for_next(sf_heartbeat *heartbeat) {
  const struct timespec deadline = sf_deadline_after(heartbeat->interval_ms);
  bool is_due = false;
  pthread_mutex_lock(&heartbeat->mutex);
  while (!heartbeat->is_stopped && !is_due)
    is_due = !sf_condition_wait(&heartbeat->stopped, &heartbeat->mutex, &deadline);
  is_due = !heartbeat->is_stopped;
  pthread_mutex_unlock(&heartbeat->mutex);
  return is_due;
}

static void *run(void *argument) {
  sf_heartbeat *heartbeat = argument;
  while (wait_for_next(heartbeat)) {
    sf_error failure;
    sf_code code = sf_run_record_renew(heartbeat->record, heartbeat->storage, &heartbeat->cancellation, &failure);
    if (code != SF_OK && code != SF_CANCELLED_ERROR)
      sf_log_message(heartbeat->log, SF_LOG_WARNING, "the record of the run %s could not be renewed: %s",
                     heartbeat->record->run_id, failure.message);
  }
  return NULL;
}

static sf_code start_thread(sf_heartbeat *heartbeat, sf_error *error) {
  if (pthread_mutex_init(&heartbeat->mutex, NULL) != 0)
    return sf_fail_memory(error, "heartbeat");
  if (!sf_condition_init(&heartbeat->stopped)) {
    pthread_mutex_destroy(&heartbeat->mutex);
    return sf_fail_memory(error, "heartbeat");
  }
  int reason = sf_thread_start(&heartbeat->thread, run, heartbeat);
  if (reason == 0)
    return SF_OK;
  pthread_cond_destroy(&heartbeat->stopped);
  pthread_mutex_destroy(&heartbeat->mutex);
  return sf_fail_thread(error, reason, "for the record of a run");
}

sf_code sf_heartbeat_start(sf_run_record *record, sf_storage *storage, const sf_log *log, uint32_t interval_ms,
                           sf_heartbeat **started, sf_error *error) {
  sf_heartbeat *heartbeat = sf_calloc(1, sizeof(*heartbeat));
  if (heartbeat == NULL)
    return sf_fail_memory(error, "heartbeat");
  heartbeat->record = record;
  heartbeat->storage = storage;
  heartbeat->log = log;
  heartbeat->interval_ms = interval_ms;
  sf_code code = start_thread(heartbeat, error);
  if (code == SF_OK)
    *started = heartbeat;
  else
    free(heartbeat);
  return code;
}

void sf_heartbeat_stop(sf_heartbeat *heartbeat) {
  if (heartbeat == NULL)
    return;
  pthread_mutex_lock(&heartbeat->mutex);
  heartbeat->is_stopped = true;
  pthread_cond_signal(&heartbeat->stopped);
  pthread_mutex_unlock(&heartbeat->mutex);
  sf_cancellation_request(&heartbeat->cancellation);
  pthread_join(heartbeat->thread, NULL);
  pthread_cond_destroy(&heartbeat->stopped);
  pthread_mutex_destroy(&heartbeat->mutex);
  free(heartbeat);
}
