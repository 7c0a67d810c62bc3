#include "builder.h"

#include "errors.h"
#include "s3.h"

#include <unistd.h>

/* How long the caller's thread goes without checking for signals (Ctrl-C). */
#define WAIT_INTERVAL_MS 50

const char *const sf_py_attribute_names[SF_PY_NUM_ATTRIBUTES] = {"id", "vector", "payload", "shard_id",
                                                                 "routing_context"};

/* -------------------------------------------------------------------------------------------------------------- Progress */

/* With the GIL: checks for signals, and calls `progress`. -1 with an exception set if either stops the build. */
static int report(sf_py_builder *self, const sf_build_progress *progress) {
  if (PyErr_CheckSignals() < 0)
    return -1;
  if (self->progress == NULL)
    return 0;
  PyObject *done = PyObject_CallFunction(self->progress, "sKIIK", sf_build_phase_name(progress->phase),
                                         (unsigned long long)progress->rows, (unsigned)progress->shards_done,
                                         (unsigned)progress->shards_total, (unsigned long long)progress->bytes_done);
  Py_XDECREF(done);
  return done == NULL ? -1 : 0;
}

/* Checks for signals, and calls `progress` if there was an update since `news`. */
static int report_news(sf_py_builder *self, uint64_t *news) {
  pthread_mutex_lock(&self->mutex);
  sf_build_progress latest = self->latest;
  bool is_new = self->news != *news;
  *news = self->news;
  pthread_mutex_unlock(&self->mutex);
  return is_new ? report(self, &latest) : PyErr_CheckSignals();
}

/* -1 with an exception set where a signal, or a progress function that raised, has cancelled the operation. */
static int wait_for_end(sf_py_builder *self, sf_operation *operation) {
  bool is_finished = false;
  bool is_stopped = false;
  pthread_mutex_lock(&self->mutex);
  uint64_t news = self->news;
  pthread_mutex_unlock(&self->mutex);
  while (!is_finished) {
    Py_BEGIN_ALLOW_THREADS
    is_finished = sf_operation_wait(operation, is_stopped ? -1 : WAIT_INTERVAL_MS);
    Py_END_ALLOW_THREADS
    if (is_stopped || report_news(self, &news) == 0)
      continue;
    is_stopped = true;
    sf_operation_cancel(operation);
  }
  return is_stopped ? -1 : 0;
}

int sf_py_builder_wait(sf_py_builder *self, sf_code code, sf_operation *operation, sf_error *error) {
  if (code == SF_OK && wait_for_end(self, operation) < 0)
    return -1;
  if (code == SF_OK)
    code = sf_operation_result(operation, error);
  if (code == SF_OK)
    return 0;
  sf_py_raise_failure(sf_py_state_of((PyObject *)self), self->sink, error);
  return -1;
}

void sf_py_builder_release_operation(sf_operation *operation) {
  Py_BEGIN_ALLOW_THREADS
  sf_operation_release(operation);
  Py_END_ALLOW_THREADS
}

int sf_py_builder_claim(sf_py_builder *self) {
  const char *why;
  SF_PY_BEGIN_LOCK(self);
  why = self->builder == NULL             ? "the builder is closed"
        : self->process != (long)getpid() ? "the builder belongs to the process that forked"
        : self->is_busy                   ? "the builder is in use by another thread"
                                          : NULL;
  if (why == NULL)
    self->is_busy = true;
  SF_PY_END_LOCK;
  if (why == NULL)
    return 0;
  sf_py_fail(sf_py_state_of((PyObject *)self), SF_READER_STATE_ERROR, "%s", why);
  return -1;
}

void sf_py_builder_release(sf_py_builder *self) {
  SF_PY_BEGIN_LOCK(self);
  self->is_busy = false;
  SF_PY_END_LOCK;
}
