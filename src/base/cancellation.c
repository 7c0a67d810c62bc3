#include "base/cancellation.h"

#include <sched.h>

/* Work gets a const cancellation, because it must not request one itself; adding hooks is allowed. No cancellation is defined
 * const. */
static sf_cancellation *with_hooks(const sf_cancellation *cancellation) {
  return (sf_cancellation *)(uintptr_t)cancellation;
}

/* A spin lock: it is held for a few instructions or for wake-ups, and a mutex can't portably be zero-initialised. */
static void lock_hooks(sf_cancellation *cancellation) {
  while (atomic_exchange_explicit(&cancellation->hooks_locked, true, memory_order_acquire))
    sched_yield();
}

static void unlock_hooks(sf_cancellation *cancellation) {
  atomic_store_explicit(&cancellation->hooks_locked, false, memory_order_release);
}

void sf_cancellation_request(sf_cancellation *cancellation) {
  lock_hooks(cancellation);
  if (!atomic_exchange_explicit(&cancellation->requested, true, memory_order_acq_rel))
    for (sf_cancellation_hook *hook = cancellation->hooks; hook != NULL; hook = hook->next)
      hook->wake(hook);
  unlock_hooks(cancellation);
}

void sf_cancellation_limit(sf_cancellation *cancellation, uint64_t patience, uint64_t total) {
  cancellation->patience = patience;
  cancellation->last_deadline = sf_monotonic_nanoseconds() + total;
  sf_cancellation_progress(cancellation);
}

void sf_cancellation_progress(const sf_cancellation *cancellation) {
  if (cancellation == NULL || cancellation->last_deadline == 0)
    return;
  uint64_t next = sf_monotonic_nanoseconds() + cancellation->patience;
  atomic_store_explicit(&with_hooks(cancellation)->deadline,
                        next < cancellation->last_deadline ? next : cancellation->last_deadline, memory_order_relaxed);
}

void sf_cancellation_add_hook(const sf_cancellation *cancellation, sf_cancellation_hook *hook) {
  if (cancellation == NULL)
    return;
  sf_cancellation *owner = with_hooks(cancellation);
  lock_hooks(owner);
  hook->previous = NULL;
  hook->next = owner->hooks;
  if (owner->hooks != NULL)
    owner->hooks->previous = hook;
  owner->hooks = hook;
  if (sf_cancellation_requested(cancellation))
    hook->wake(hook);
  unlock_hooks(owner);
}

void sf_cancellation_remove_hook(const sf_cancellation *cancellation, sf_cancellation_hook *hook) {
  if (cancellation == NULL)
    return;
  sf_cancellation *owner = with_hooks(cancellation);
  lock_hooks(owner);
  if (hook->previous != NULL)
    hook->previous->next = hook->next;
  else
    owner->hooks = hook->next;
  if (hook->next != NULL)
    hook->next->previous = hook->previous;
  unlock_hooks(owner);
}
