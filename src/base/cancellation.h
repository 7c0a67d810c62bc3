/*
 * Cancellation: a flag, passed down to work that takes long and polled between its steps; with hooks, for threads that sleep,
 * and an optional deadline, for work that has to progress.
 *
 * Locks: the hooks are guarded by a spin lock that a request holds while it wakes them. A hook's `wake` may take its
 * sleeper's mutex; so the calls that add and remove hooks are made without it.
 */
#ifndef SF_BASE_CANCELLATION_H
#define SF_BASE_CANCELLATION_H

#include "base/error.h"
#include "base/time.h"

#include <stdatomic.h>

/* Wakes a thread that sleeps. `wake` is called at most once, by the requesting thread, with the hooks locked: it may only
 * wake its sleeper, and take no lock that is held around the calls below. */
typedef struct sf_cancellation_hook {
  void (*wake)(struct sf_cancellation_hook *hook);
  struct sf_cancellation_hook *next;
  struct sf_cancellation_hook *previous;
} sf_cancellation_hook;

/* Zero-initialise. */
typedef struct sf_cancellation {
  atomic_bool requested;
  atomic_bool hooks_locked;
  sf_cancellation_hook *hooks;
  /* For work with a time limit: it counts as cancelled from `deadline` on (nanoseconds of the monotonic clock; 0: none).
   * Progress moves it to `patience` from now, but never beyond `last_deadline`. Set before the work begins. */
  _Atomic uint64_t deadline;
  uint64_t patience;
  uint64_t last_deadline;
} sf_cancellation;

/* Limits work to `total` nanoseconds in all, and to `patience` nanoseconds between two steps. */
void sf_cancellation_limit(sf_cancellation *cancellation, uint64_t patience, uint64_t total);

/* Called by the work after each step. Does nothing without a limit; `cancellation` may be NULL. */
void sf_cancellation_progress(const sf_cancellation *cancellation);

/* When a sleeping thread has to poll at the latest; UINT64_MAX: there is no limit. */
static inline uint64_t sf_cancellation_deadline(const sf_cancellation *cancellation) {
  uint64_t deadline = cancellation == NULL ? 0 : atomic_load_explicit(&cancellation->deadline, memory_order_relaxed);
  return deadline == 0 ? UINT64_MAX : deadline;
}

void sf_cancellation_request(sf_cancellation *cancellation);

/* `cancellation` may be NULL: never cancelled. */
static inline bool sf_cancellation_requested(const sf_cancellation *cancellation) {
  if (cancellation == NULL)
    return false;
  uint64_t deadline = atomic_load_explicit(&cancellation->deadline, memory_order_relaxed);
  return atomic_load_explicit(&cancellation->requested, memory_order_acquire) ||
         (deadline != 0 && sf_monotonic_nanoseconds() >= deadline);
}

static inline sf_code sf_cancellation_check(const sf_cancellation *cancellation, sf_error *error) {
  if (sf_cancellation_requested(cancellation))
    return sf_fail(error, SF_CANCELLED_ERROR, "the operation was cancelled");
  return SF_OK;
}

/* A hook is woken by a request from the time it is added, at once where the request was made before, until it is removed. After
 * sf_cancellation_remove_hook returned, `wake` neither runs nor will run. `cancellation` may be NULL. */
void sf_cancellation_add_hook(const sf_cancellation *cancellation, sf_cancellation_hook *hook);
void sf_cancellation_remove_hook(const sf_cancellation *cancellation, sf_cancellation_hook *hook);

#endif
