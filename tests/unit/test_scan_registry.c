/* Where searches that scan the same shard find one another. */
#include "query/scan_registry.h"

#include <cmocka_includes.h>
#include <stddef.h>
#include <string.h>

enum { NUM_SHARDS = 3, NUM_PLACES = 5 };

typedef struct visitor {
  sf_scan_position place;
  unsigned times_kept;
} visitor;

typedef struct board_test {
  sf_scan_registry *board;
  visitor visitors[NUM_PLACES];
} board_test;

static int set_up(void **state) {
  static board_test test;
  memset(&test, 0, sizeof(test));
  assert_int_equal(sf_scan_registry_create(NUM_SHARDS, &test.board, NULL), SF_OK);
  for (size_t i = 0; i < NUM_PLACES; i++)
    sf_scan_registry_put(test.board, 1, &test.visitors[i].place, 0, 0);
  *state = &test;
  return 0;
}

static int tear_down(void **state) {
  board_test *test = *state;
  for (size_t i = 0; i < NUM_PLACES; i++)
    sf_scan_registry_remove(test->board, 1, &test->visitors[i].place);
  sf_scan_registry_free(test->board);
  return 0;
}

static void keep(sf_scan_position *place) {
  ((visitor *)((char *)place - offsetof(visitor, place)))->times_kept++;
}

static void expect_found(board_test *test, uint32_t shard, size_t segment, size_t row, size_t limit,
                         const size_t *expected, size_t num_expected) {
  sf_scan_position *found[NUM_PLACES];
  for (size_t i = 0; i < NUM_PLACES; i++)
    test->visitors[i].times_kept = 0;
  assert_int_equal(sf_scan_registry_find(test->board, shard, segment, row, keep, found, limit), num_expected);
  unsigned times_kept = 0;
  for (size_t i = 0; i < NUM_PLACES; i++)
    times_kept += test->visitors[i].times_kept;
  assert_int_equal(times_kept, num_expected);
  for (size_t i = 0; i < num_expected; i++) {
    assert_ptr_equal(found[i], &test->visitors[expected[i]].place);
    assert_int_equal(test->visitors[expected[i]].times_kept, 1);
  }
}

static void places_at_a_row_are_found_in_the_order_in_which_they_were_entered(void **state) {
  expect_found(*state, 1, 0, 0, NUM_PLACES, (const size_t[]){0, 1, 2, 3, 4}, 5);
}

static void no_more_are_found_than_asked_for(void **state) {
  expect_found(*state, 1, 0, 0, 2, (const size_t[]){0, 1}, 2);
  expect_found(*state, 1, 0, 0, 0, NULL, 0);
}

static void a_place_is_found_where_it_stands_now(void **state) {
  board_test *test = *state;
  sf_scan_registry_put(test->board, 1, &test->visitors[1].place, 0, 100);
  sf_scan_registry_put(test->board, 1, &test->visitors[3].place, 2, 0);
  expect_found(test, 1, 0, 0, NUM_PLACES, (const size_t[]){0, 2, 4}, 3);
  expect_found(test, 1, 0, 100, NUM_PLACES, (const size_t[]){1}, 1);
  expect_found(test, 1, 2, 0, NUM_PLACES, (const size_t[]){3}, 1);
}

static void a_place_that_was_taken_off_is_not_found(void **state) {
  board_test *test = *state;
  sf_scan_registry_remove(test->board, 1, &test->visitors[0].place);
  sf_scan_registry_remove(test->board, 1, &test->visitors[2].place);
  sf_scan_registry_remove(test->board, 1, &test->visitors[4].place);
  sf_scan_registry_remove(test->board, 1, &test->visitors[4].place);
  expect_found(test, 1, 0, 0, NUM_PLACES, (const size_t[]){1, 3}, 2);
  sf_scan_registry_put(test->board, 1, &test->visitors[0].place, 0, 0);
  expect_found(test, 1, 0, 0, NUM_PLACES, (const size_t[]){1, 3, 0}, 3);
}

static void the_places_of_other_shards_are_not_found(void **state) {
  expect_found(*state, 0, 0, 0, NUM_PLACES, NULL, 0);
  expect_found(*state, 2, 0, 0, NUM_PLACES, NULL, 0);
}

#define BOARD_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      BOARD_TEST(places_at_a_row_are_found_in_the_order_in_which_they_were_entered),
      BOARD_TEST(no_more_are_found_than_asked_for),
      BOARD_TEST(a_place_is_found_where_it_stands_now),
      BOARD_TEST(a_place_that_was_taken_off_is_not_found),
      BOARD_TEST(the_places_of_other_shards_are_not_found),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
