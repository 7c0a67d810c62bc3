#include "base/helper_thread.h"

#include "base/thread.h"

/* A fork's child begins with what the parent had at that moment, and so may have fewer helpers, never more. */
static atomic_uint num_helpers;

bool sf_helper_thread_start(pthread_t *thread, void *(*run)(void *), void *argument) {
  bool starts = atomic_fetch_add_explicit(&num_helpers, 1, memory_order_relaxed) < SF_MAX_HELPER_THREADS &&
                sf_thread_start(thread, run, argument) == 0;
  if (!starts)
    atomic_fetch_sub_explicit(&num_helpers, 1, memory_order_relaxed);
  return starts;
}

void sf_helper_thread_join(pthread_t thread) {
  pthread_join(thread, NULL);
  atomic_fetch_sub_explicit(&num_helpers, 1, memory_order_relaxed);
}
