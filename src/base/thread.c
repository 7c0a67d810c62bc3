#include "base/thread.h"

#include <errno.h>
#include <signal.h>

bool sf_condition_init(pthread_cond_t *condition) {
#if defined(__APPLE__)
  return pthread_cond_init(condition, NULL) == 0;
#else
  pthread_condattr_t attributes;
  if (pthread_condattr_init(&attributes) != 0)
    return false;
  bool made =
      pthread_condattr_setclock(&attributes, SF_CONDITION_CLOCK) == 0 && pthread_cond_init(condition, &attributes) == 0;
  pthread_condattr_destroy(&attributes);
  return made;
#endif
}

bool sf_condition_wait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *deadline) {
  if (deadline == NULL)
    return pthread_cond_wait(condition, mutex) == 0;
  return pthread_cond_timedwait(condition, mutex, deadline) != ETIMEDOUT;
}

int sf_thread_start(pthread_t *thread, void *(*run)(void *), void *argument) {
  sigset_t all;
  sigset_t previous;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &previous);
  int failure = pthread_create(thread, NULL, run, argument);
  pthread_sigmask(SIG_SETMASK, &previous, NULL);
  return failure;
}
