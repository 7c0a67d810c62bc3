/* Helpers: as many as a process may have, and again when they have ended. */
#include "base/thread.h"

#include <cmocka_includes.h>

static void *wait_at(void *barrier) {
  pthread_barrier_wait(barrier);
  return NULL;
}

static void there_are_never_more_than_a_process_may_have(void **state) {
  (void)state;
  pthread_t threads[SF_MAX_HELPER_THREADS + 1];
  for (int round = 0; round < 2; round++) {
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, SF_MAX_HELPER_THREADS + 1);
    for (size_t i = 0; i < SF_MAX_HELPER_THREADS; i++)
      assert_true(sf_helper_thread_start(&threads[i], wait_at, &barrier));
    assert_false(sf_helper_thread_start(&threads[SF_MAX_HELPER_THREADS], wait_at, &barrier));
    pthread_barrier_wait(&barrier);
    for (size_t i = 0; i < SF_MAX_HELPER_THREADS; i++)
      sf_helper_thread_join(threads[i]);
    pthread_barrier_destroy(&barrier);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(there_are_never_more_than_a_process_may_have)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
