/*
 * As much of cmocka's interface as the tests use that tools/test-arm64 builds: for another architecture there is no
 * package of it to link. The first failure ends the program.
 */
#ifndef SF_TESTS_ARM64_CMOCKA_H
#define SF_TESTS_ARM64_CMOCKA_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct CMUnitTest {
  const char *name;
  void (*function)(void **state);
};

#define cmocka_unit_test(function)                                                                                     \
  { #function, function }

#define fail_msg(...)                                                                                                  \
  do {                                                                                                                 \
    printf("%s:%d: ", __FILE__, __LINE__);                                                                             \
    printf(__VA_ARGS__);                                                                                               \
    printf("\n");                                                                                                      \
    exit(1);                                                                                                           \
  } while (0)

#define assert_true(condition)                                                                                         \
  do {                                                                                                                 \
    if (!(condition))                                                                                                  \
      fail_msg("expected %s", #condition);                                                                             \
  } while (0)

#define assert_false(condition) assert_true(!(condition))
#define assert_null(pointer) assert_true((pointer) == NULL)
#define assert_non_null(pointer) assert_true((pointer) != NULL)
#define assert_int_equal(a, b) assert_true((unsigned long long)(a) == (unsigned long long)(b))
#define assert_int_not_equal(a, b) assert_true((unsigned long long)(a) != (unsigned long long)(b))
#define assert_ptr_equal(a, b) assert_true((const void *)(a) == (const void *)(b))
#define assert_ptr_not_equal(a, b) assert_true((const void *)(a) != (const void *)(b))
#define assert_string_equal(a, b) assert_true(strcmp(a, b) == 0)
#define assert_memory_equal(a, b, size) assert_true(memcmp(a, b, size) == 0)

static inline int sf_run_tests(const struct CMUnitTest *tests, size_t count) {
  for (size_t i = 0; i < count; i++) {
    void *state = NULL;
    tests[i].function(&state);
    printf("[       OK ] %s\n", tests[i].name);
  }
  return 0;
}

#define cmocka_run_group_tests_name(name, tests, setup, teardown)                                                      \
  sf_run_tests(tests, sizeof(tests) / sizeof((tests)[0]))

#endif
