#include "base/cancellation.h"
#include "base/thread.h"
#include "base/time.h"
#include "cmocka_includes.h"
#include "storage/waiter.h"

typedef struct counting_hook {
  sf_cancellation_hook hook;
  int woken;
} counting_hook;

static void count_wake(sf_cancellation_hook *hook) {
  ((counting_hook *)hook)->woken++;
}

static void a_request_wakes_every_hook_once(void **state) {
  (void)state;
  sf_cancellation cancellation = {0};
  counting_hook hooks[3] = {0};
  for (int i = 0; i < 3; i++) {
    hooks[i].hook.wake = count_wake;
    sf_cancellation_add_hook(&cancellation, &hooks[i].hook);
  }
  sf_cancellation_remove_hook(&cancellation, &hooks[1].hook);
  sf_cancellation_request(&cancellation);
  sf_cancellation_request(&cancellation);
  assert_true(sf_cancellation_requested(&cancellation));
  assert_int_equal(hooks[0].woken, 1);
  assert_int_equal(hooks[1].woken, 0);
  assert_int_equal(hooks[2].woken, 1);
  sf_cancellation_remove_hook(&cancellation, &hooks[0].hook);
  sf_cancellation_remove_hook(&cancellation, &hooks[2].hook);
  assert_null(cancellation.hooks);
}

static void a_hook_that_comes_after_the_request_is_woken_at_once(void **state) {
  (void)state;
  sf_cancellation cancellation = {0};
  counting_hook late = {.hook = {.wake = count_wake}};
  sf_cancellation_request(&cancellation);
  sf_cancellation_add_hook(&cancellation, &late.hook);
  assert_int_equal(late.woken, 1);
  sf_cancellation_remove_hook(&cancellation, &late.hook);
}

static void no_cancellation_is_allowed(void **state) {
  (void)state;
  counting_hook hook = {.hook = {.wake = count_wake}};
  sf_cancellation_add_hook(NULL, &hook.hook);
  sf_cancellation_remove_hook(NULL, &hook.hook);
  assert_int_equal(hook.woken, 0);
}

static void *request_cancellation(void *cancellation) {
  sf_cancellation_request(cancellation);
  return NULL;
}

static void a_request_ends_a_wait_that_has_no_other_end(void **state) {
  (void)state;
  sf_cancellation cancellation = {0};
  sf_waiter waiter;
  pthread_t thread;
  assert_int_equal(sf_waiter_init(&waiter, &cancellation, NULL), SF_OK);
  assert_int_equal(sf_thread_start(&thread, request_cancellation, &cancellation), 0);
  while (!sf_cancellation_requested(&cancellation))
    sf_waiter_wait(&waiter, UINT64_MAX);
  pthread_join(thread, NULL);
  sf_waiter_destroy(&waiter);
}

static void a_wait_ends_at_its_deadline(void **state) {
  (void)state;
  sf_waiter waiter;
  assert_int_equal(sf_waiter_init(&waiter, NULL, NULL), SF_OK);
  uint64_t deadline = sf_monotonic_nanoseconds() + 2000000;
  sf_waiter_wait(&waiter, deadline);
  assert_true(sf_monotonic_nanoseconds() >= deadline);
  sf_waiter_signal(&waiter);
  sf_waiter_wait(&waiter, UINT64_MAX);
  sf_waiter_destroy(&waiter);
}

static void a_time_limit_counts_as_a_request_unless_there_is_progress(void **state) {
  (void)state;
  const uint64_t minute = (uint64_t)60 * 1000000000;
  sf_cancellation cancellation = {0};
  sf_cancellation_progress(NULL);
  sf_cancellation_progress(&cancellation);
  assert_int_equal(sf_cancellation_deadline(&cancellation), UINT64_MAX);
  assert_int_equal(sf_cancellation_deadline(NULL), UINT64_MAX);
  sf_cancellation_limit(&cancellation, minute, 2 * minute);
  assert_false(sf_cancellation_requested(&cancellation));
  uint64_t first = sf_cancellation_deadline(&cancellation);
  sf_cancellation_progress(&cancellation);
  assert_true(sf_cancellation_deadline(&cancellation) >= first);
  /* Progress does not put it off beyond the end. */
  sf_cancellation_limit(&cancellation, minute, 0);
  assert_true(sf_cancellation_requested(&cancellation));
  sf_cancellation_progress(&cancellation);
  assert_true(sf_cancellation_requested(&cancellation));
  assert_int_equal(sf_cancellation_check(&cancellation, NULL), SF_CANCELLED_ERROR);
}

static void a_wait_ends_at_the_time_limit_of_its_cancellation(void **state) {
  (void)state;
  sf_cancellation cancellation = {0};
  sf_waiter waiter;
  assert_int_equal(sf_waiter_init(&waiter, &cancellation, NULL), SF_OK);
  sf_cancellation_limit(&cancellation, 2000000, 2000000);
  sf_waiter_wait_or_cancelled(&waiter, UINT64_MAX);
  assert_true(sf_cancellation_requested(&cancellation));
  sf_waiter_destroy(&waiter);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_request_wakes_every_hook_once),
      cmocka_unit_test(a_hook_that_comes_after_the_request_is_woken_at_once),
      cmocka_unit_test(no_cancellation_is_allowed),
      cmocka_unit_test(a_request_ends_a_wait_that_has_no_other_end),
      cmocka_unit_test(a_wait_ends_at_its_deadline),
      cmocka_unit_test(a_time_limit_counts_as_a_request_unless_there_is_progress),
      cmocka_unit_test(a_wait_ends_at_the_time_limit_of_its_cancellation),
  };
  return cmocka_run_group_tests_name("cancellation", tests, NULL, NULL);
}
