#include "storage/waiter.h"

#include "base/files.h"
#include "base/thread.h"
#include "base/time.h"

#include <errno.h>
#include <sys/file.h>

static void wake(sf_cancellation_hook *hook) {
  sf_waiter_signal((sf_waiter *)hook);
}

sf_code sf_waiter_init(sf_waiter *waiter, const sf_cancellation *cancellation, sf_error *error) {
  *waiter = (sf_waiter){.hook = {.wake = wake}, .cancellation = cancellation};
  if (!sf_condition_init(&waiter->condition))
    return sf_fail_memory(error, "condition variable");
  pthread_mutex_init(&waiter->mutex, NULL);
  sf_cancellation_add_hook(cancellation, &waiter->hook);
  return SF_OK;
}

void sf_waiter_destroy(sf_waiter *waiter) {
  sf_cancellation_remove_hook(waiter->cancellation, &waiter->hook);
  pthread_mutex_destroy(&waiter->mutex);
  pthread_cond_destroy(&waiter->condition);
}

/* Signalled with the mutex held: once it is free, the waiter may be gone. */
static void signal_with_flag(sf_waiter *waiter, bool *flag) {
  pthread_mutex_lock(&waiter->mutex);
  if (flag != NULL)
    *flag = true;
  waiter->signalled = true;
  pthread_cond_signal(&waiter->condition);
  pthread_mutex_unlock(&waiter->mutex);
}

void sf_waiter_signal(sf_waiter *waiter) {
  signal_with_flag(waiter, NULL);
}

void sf_waiter_set_flag(sf_waiter *waiter, bool *flag) {
  signal_with_flag(waiter, flag);
}

bool sf_waiter_flag_is_set(sf_waiter *waiter, const bool *flag) {
  pthread_mutex_lock(&waiter->mutex);
  bool is_set = *flag;
  pthread_mutex_unlock(&waiter->mutex);
  return is_set;
}

/* The deadline as the condition's clock has it. Rounded up, so that it has passed once the wait is over. */
static struct timespec condition_deadline(uint64_t deadline) {
  uint64_t now = sf_monotonic_nanoseconds();
  uint64_t left = deadline > now ? deadline - now : 0;
  return sf_deadline_after((int64_t)((left + 999999) / 1000000));
}

void sf_waiter_wait(sf_waiter *waiter, uint64_t deadline) {
  struct timespec until = {0};
  if (deadline != UINT64_MAX)
    until = condition_deadline(deadline);
  pthread_mutex_lock(&waiter->mutex);
  while (!waiter->signalled &&
         sf_condition_wait(&waiter->condition, &waiter->mutex, deadline == UINT64_MAX ? NULL : &until))
    continue;
  waiter->signalled = false;
  pthread_mutex_unlock(&waiter->mutex);
}

void sf_waiter_wait_or_cancelled(sf_waiter *waiter, uint64_t deadline) {
  uint64_t limit = sf_cancellation_deadline(waiter->cancellation);
  sf_waiter_wait(waiter, limit < deadline ? limit : deadline);
}

sf_code sf_wait_for_lock(int descriptor, const char *path, const sf_cancellation *cancellation, sf_error *error) {
  sf_waiter waiter;
  uint64_t pause = 1000000;
  SF_TRY(sf_waiter_init(&waiter, cancellation, error));
  sf_code code = SF_OK;
  while (code == SF_OK && flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) {
      code = sf_fail_errno(error, "lock", path, errno);
      break;
    }
    sf_waiter_wait_or_cancelled(&waiter, sf_monotonic_nanoseconds() + pause);
    pause = pause < 64000000 ? pause * 2 : pause;
    code = sf_cancellation_check(cancellation, error);
  }
  sf_waiter_destroy(&waiter);
  return code;
}
