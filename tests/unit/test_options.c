/* Versioned structs of the public interface, as callers of other versions give them. */
#include "base/options.h"

#include <cmocka_includes.h>
#include <stdio.h>

/* The struct of this version; `second` came in the second one. */
typedef struct options {
  size_t size;
  int first;
  int second;
} options;

/* As a later header has it. */
typedef struct later_options {
  options known;
  int third;
} later_options;

#define FIRST_SIZE SF_SIZE_WITH(options, first)
static const options defaults = {.size = sizeof(options), .first = 1, .second = 2};

static void members_that_an_older_caller_does_not_know_keep_their_defaults(void **state) {
  (void)state;
  const options given = {.size = FIRST_SIZE, .first = 7, .second = 8};
  options read = defaults;
  assert_int_equal(sf_options_read(&given, FIRST_SIZE, &read, "options: expected them", NULL), SF_OK);
  assert_int_equal(read.size, sizeof(options));
  assert_int_equal(read.first, 7);
  assert_int_equal(read.second, 2);
}

static void members_that_only_a_later_caller_knows_are_left_out(void **state) {
  (void)state;
  struct {
    options read;
    int after;
  } held = {.read = defaults, .after = 5};
  const later_options given = {.known = {.size = sizeof(given), .first = 7, .second = 8}, .third = 9};
  assert_int_equal(sf_options_read(&given, FIRST_SIZE, &held.read, "options: expected them", NULL), SF_OK);
  assert_int_equal(held.read.size, sizeof(options));
  assert_int_equal(held.read.first, 7);
  assert_int_equal(held.read.second, 8);
  assert_int_equal(held.after, 5);
}

static void a_struct_that_was_not_initialised_is_refused_by_its_name(void **state) {
  (void)state;
  sf_error error;
  char expected_message[80];
  const options given = {.size = FIRST_SIZE - 1, .first = 7};
  snprintf(expected_message, sizeof(expected_message), "options: expected them initialised, found size %zu",
           given.size);
  options read = defaults;
  assert_int_equal(sf_options_read(&given, FIRST_SIZE, &read, "options: expected them", &error),
                   SF_CONFIG_VALIDATION_ERROR);
  assert_string_equal(error.message, expected_message);
  assert_memory_equal(&read, &defaults, sizeof(read));
  assert_int_equal(sf_options_read(NULL, FIRST_SIZE, &read, "request: expected it", &error),
                   SF_CONFIG_VALIDATION_ERROR);
  assert_string_equal(error.message, "request: expected it initialised, found none");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(members_that_an_older_caller_does_not_know_keep_their_defaults),
      cmocka_unit_test(members_that_only_a_later_caller_knows_are_left_out),
      cmocka_unit_test(a_struct_that_was_not_initialised_is_refused_by_its_name),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
