/* Assertions of invariants: on in the tests, and what they print before they abort. */
#ifndef SF_ASSERTIONS
#define SF_ASSERTIONS
#endif
#include "base/assert.h"
#include "cmocka_includes.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs it in a child whose standard error is read; returns how the child ended. */
static int run_in_child(void (*run)(void), char *printed, size_t size) {
  int ends[2];
  int status;
  size_t length = 0;
  assert_int_equal(pipe(ends), 0);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    signal(SIGABRT, SIG_DFL);
    dup2(ends[1], STDERR_FILENO);
    run();
    _exit(0);
  }
  close(ends[1]);
  for (ssize_t count; (count = read(ends[0], printed + length, size - 1 - length)) > 0;)
    length += (size_t)count;
  printed[length] = '\0';
  close(ends[0]);
  assert_int_equal(waitpid(child, &status, 0), child);
  return status;
}

static void assert_false_condition(void) {
  int number = 2;
  SF_ASSERT(number + 1 == 4);
}

static void assert_true_condition(void) {
  int number = 2;
  SF_ASSERT(number + 1 == 3);
}

static void assert_free_mutex_locked(void) {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  SF_ASSERT_LOCKED(&mutex);
}

static void assert_held_mutex_locked(void) {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_lock(&mutex);
  SF_ASSERT_LOCKED(&mutex);
  pthread_mutex_unlock(&mutex);
  pthread_mutex_destroy(&mutex);
}

static void a_false_condition_prints_its_place_and_text_and_aborts(void **state) {
  (void)state;
  char printed[512];
  int status = run_in_child(assert_false_condition, printed, sizeof(printed));
  assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
  assert_non_null(strstr(printed, "test_assert.c:"));
  assert_non_null(strstr(printed, "assert_false_condition: expected number + 1 == 4\n"));
}

static void a_true_condition_does_nothing(void **state) {
  (void)state;
  char printed[512];
  assert_int_equal(run_in_child(assert_true_condition, printed, sizeof(printed)), 0);
  assert_string_equal(printed, "");
}

static void a_mutex_that_no_thread_holds_aborts(void **state) {
  (void)state;
  char printed[512];
  int status = run_in_child(assert_free_mutex_locked, printed, sizeof(printed));
  assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
  assert_int_equal(run_in_child(assert_held_mutex_locked, printed, sizeof(printed)), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_false_condition_prints_its_place_and_text_and_aborts),
      cmocka_unit_test(a_true_condition_does_nothing),
      cmocka_unit_test(a_mutex_that_no_thread_holds_aborts),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
