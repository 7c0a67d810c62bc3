/* What a thread sleeps on while its transfers run elsewhere: woken by each that finishes, by cancellation, by time. */
#ifndef SF_STORAGE_WAITER_H
#define SF_STORAGE_WAITER_H

#include "base/cancellation.h"

#include <pthread.h>

typedef struct sf_waiter {
  sf_cancellation_hook hook; /* first: the hook is the waiter */
  const sf_cancellation *cancellation;
  pthread_mutex_t mutex;
  pthread_cond_t condition;
  bool signalled;
} sf_waiter;

/* No wake-up before this is missed; the waiter may not move. */
sf_code sf_waiter_init(sf_waiter *waiter, const sf_cancellation *cancellation, sf_error *error);
void sf_waiter_destroy(sf_waiter *waiter);

void sf_waiter_signal(sf_waiter *waiter);

/* Sets a flag that the sleeper reads with sf_waiter_flag_is_set, and signals. Once the sleeper has seen the flag, whoever
 * set it touches neither flag nor waiter any more. */
void sf_waiter_set_flag(sf_waiter *waiter, bool *flag);
bool sf_waiter_flag_is_set(sf_waiter *waiter, const bool *flag);

/* Sleeps until a signal since the last wait, or until `deadline` (nanoseconds of the monotonic clock; UINT64_MAX: none). */
void sf_waiter_wait(sf_waiter *waiter, uint64_t deadline);
/* As wait, and not beyond the time limit of the waiter's cancellation: for loops that look at it. */
void sf_waiter_wait_or_cancelled(sf_waiter *waiter, uint64_t deadline);

/* Takes a lock of flock's, which gives no event to wait for beside a cancellation: it is tried again, at growing intervals.
 * `path` is for the message. */
sf_code sf_wait_for_lock(int descriptor, const char *path, const sf_cancellation *cancellation, sf_error *error);

#endif
