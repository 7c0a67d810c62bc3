/* A request to stop, passed down to whatever takes long and looked at between its steps. */
#ifndef SF_BASE_CANCELLATION_H
#define SF_BASE_CANCELLATION_H

#include "base/error.h"
#include "base/time.h"

#include <stdatomic.h>

/* How something that sleeps hears of the request. `wake` is called once at most, by the thread that requests, with the
 * hooks locked: it must only wake its sleeper, and take no lock that is held around the calls below. */
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
  /* Of work that may take a limited time: it counts as cancelled from `deadline` on (nanoseconds of the monotonic clock; 0:
   * none), which progress puts off by `patience`, but never beyond `last_deadline`. Set before the work begins. */
  _Atomic uint64_t deadline;
  uint64_t patience;
  uint64_t last_deadline;
} sf_cancellation;

/* Gives work `total` nanoseconds in all, and `patience` between two steps. */
void sf_cancellation_limit(sf_cancellation *cancellation, uint64_t patience, uint64_t total);

/* The work has come one step further. Does nothing without a limit; `cancellation` may be NULL. */
void sf_cancellation_progress(const sf_cancellation *cancellation);

/* When to look again at the latest; UINT64_MAX: there is no limit. */
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

/* Between these two the hook is woken by a request; one that was made before the first of them wakes it too. Both take a
 * cancellation that may be NULL. After the second, `wake` neither runs nor will run. */
void sf_cancellation_add_hook(const sf_cancellation *cancellation, sf_cancellation_hook *hook);
void sf_cancellation_remove_hook(const sf_cancellation *cancellation, sf_cancellation_hook *hook);

#endif
