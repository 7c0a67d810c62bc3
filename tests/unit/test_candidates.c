#include "query/candidates.h"

#include "cmocka_includes.h"
#include "random.h"

#include <math.h>
#include <stdlib.h>

static int by_distance(const void *left, const void *right) {
  float a = ((const sf_candidate *)left)->distance;
  float b = ((const sf_candidate *)right)->distance;
  if (isnan(a) || isnan(b))
    return (isnan(a) != 0) - (isnan(b) != 0);
  return (a > b) - (a < b);
}

static void make_candidates(sf_candidates *candidates, uint64_t *random) {
  static const float special[] = {0, -0.0F, INFINITY, -INFINITY, NAN, 1e-45F, -1e-45F, 1};
  for (size_t i = 0; i < candidates->count; i++) {
    float component = random_component(random);
    candidates->items[i].distance = random_below(random, 3) == 0 ? special[random_below(random, 8)] : component;
    candidates->items[i].row = i;
  }
}

static void the_kth_distance_is_that_of_sorted_candidates(void **state) {
  (void)state;
  uint64_t random = random_seed(2);
  for (size_t round = 0; round < 500; round++) {
    sf_candidate items[100];
    sf_candidate sorted[100];
    sf_candidates candidates = {.items = items, .count = 1 + random_below(&random, 100), .capacity = 100};
    make_candidates(&candidates, &random);
    for (size_t i = 0; i < candidates.count; i++)
      sorted[i] = items[i];
    qsort(sorted, candidates.count, sizeof(*sorted), by_distance);
    for (size_t k = 1; k <= candidates.count; k++) {
      float expected = sorted[k - 1].distance;
      float found = sf_candidates_kth_distance(&candidates, k);
      assert_true(isnan(expected) ? isnan(found) : found == expected);
    }
  }
}

static void dropping_keeps_the_order_and_what_is_unknown(void **state) {
  (void)state;
  sf_candidate items[] = {{3, 0}, {NAN, 1}, {1, 2}, {2, 3}, {-INFINITY, 4}, {INFINITY, 5}};
  sf_candidates candidates = {.items = items, .count = 6, .capacity = 6};
  sf_candidates_drop_above(&candidates, 2);
  const size_t expected[] = {1, 2, 3, 4};
  assert_int_equal(candidates.count, 4);
  for (size_t i = 0; i < 4; i++)
    assert_int_equal(items[i].row, expected[i]);
}

static void dropping_above_the_kth_distance_keeps_at_least_k(void **state) {
  (void)state;
  uint64_t random = random_seed(3);
  for (size_t round = 0; round < 500; round++) {
    sf_candidate items[100];
    sf_candidates candidates = {.items = items, .count = 1 + random_below(&random, 100), .capacity = 100};
    make_candidates(&candidates, &random);
    size_t k = 1 + random_below(&random, candidates.count);
    float kth = sf_candidates_kth_distance(&candidates, k);
    sf_candidates_drop_above(&candidates, kth);
    assert_true(candidates.count >= k);
    for (size_t i = 0; i < candidates.count; i++) {
      assert_false(items[i].distance > kth);
      assert_true(i == 0 || items[i - 1].row < items[i].row);
    }
  }
}

static void room_for_candidates_is_bounded_by_the_rows(void **state) {
  (void)state;
  sf_candidates candidates;
  assert_int_equal(sf_candidates_init(&candidates, SIZE_MAX, 1000, NULL), SF_OK);
  assert_int_equal(candidates.capacity, 1000);
  sf_candidates_free(&candidates);
  assert_int_equal(sf_candidates_init(&candidates, 100, SIZE_MAX, NULL), SF_OK);
  assert_true(candidates.capacity >= 200 && candidates.capacity <= 1000);
  sf_candidates_free(&candidates);
  sf_error error;
  assert_int_equal(sf_candidates_init(&candidates, SIZE_MAX / 4, SIZE_MAX, &error), SF_OUT_OF_MEMORY_ERROR);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_kth_distance_is_that_of_sorted_candidates),
      cmocka_unit_test(dropping_keeps_the_order_and_what_is_unknown),
      cmocka_unit_test(dropping_above_the_kth_distance_keeps_at_least_k),
      cmocka_unit_test(room_for_candidates_is_bounded_by_the_rows),
  };
  return cmocka_run_group_tests_name("candidates", tests, NULL, NULL);
}
