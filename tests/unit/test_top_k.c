#include "cmocka_includes.h"
#include "query/candidates.h"
#include "query/top_k.h"
#include "random.h"

#include <math.h>
#include <stdlib.h>

static int by_score_then_row(const void *left, const void *right) {
  return sf_neighbour_before(left, right) ? -1 : sf_neighbour_before(right, left);
}

static void the_best_k_are_kept_in_order_whatever_the_order_they_came_in(void **state) {
  (void)state;
  uint64_t random = random_seed(1);
  for (size_t round = 0; round < 500; round++) {
    sf_neighbour all[60];
    sf_neighbour kept[70];
    size_t count = random_below(&random, 61);
    sf_top_k top_k = {.neighbours = kept, .capacity = 1 + random_below(&random, 70)};
    for (size_t i = 0; i < count; i++) {
      all[i] = (sf_neighbour){.score = (double)random_below(&random, 20) - 10, .row = i};
      size_t other = random_below(&random, i + 1);
      sf_neighbour moved = all[other];
      all[other] = all[i];
      all[i] = moved;
    }
    for (size_t i = 0; i < count; i++)
      sf_top_k_add(&top_k, all[i]);
    qsort(all, count, sizeof(*all), by_score_then_row);
    assert_int_equal(top_k.count, count < top_k.capacity ? count : top_k.capacity);
    const sf_neighbour *worst = sf_top_k_worst(&top_k);
    assert_int_equal(worst != NULL, count >= top_k.capacity);
    if (worst != NULL)
      assert_int_equal(worst->row, all[top_k.capacity - 1].row);
    sf_top_k_sort(&top_k);
    for (size_t i = 0; i < top_k.count; i++)
      assert_int_equal(kept[i].row, all[i].row);
  }
}

static int by_key(const void *left, const void *right) {
  float a = ((const sf_candidate *)left)->key;
  float b = ((const sf_candidate *)right)->key;
  if (isnan(a) || isnan(b))
    return (isnan(a) != 0) - (isnan(b) != 0);
  return (a > b) - (a < b);
}

static void the_kth_key_is_that_of_sorted_candidates(void **state) {
  (void)state;
  static const float special[] = {0, -0.0F, INFINITY, -INFINITY, NAN, 1e-45F, -1e-45F, 1};
  uint64_t random = random_seed(2);
  for (size_t round = 0; round < 500; round++) {
    sf_candidate items[100];
    sf_candidate sorted[100];
    sf_candidates candidates = {.items = items, .count = 1 + random_below(&random, 100), .capacity = 100};
    for (size_t i = 0; i < candidates.count; i++) {
      float component = random_component(&random);
      items[i].key = random_below(&random, 3) == 0 ? special[random_below(&random, 8)] : component;
      items[i].row = i;
      sorted[i] = items[i];
    }
    qsort(sorted, candidates.count, sizeof(*sorted), by_key);
    for (size_t k = 1; k <= candidates.count; k++) {
      float expected = sorted[k - 1].key;
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
      cmocka_unit_test(the_best_k_are_kept_in_order_whatever_the_order_they_came_in),
      cmocka_unit_test(the_kth_key_is_that_of_sorted_candidates),
      cmocka_unit_test(dropping_keeps_the_order_and_what_is_unknown),
      cmocka_unit_test(room_for_candidates_is_bounded_by_the_rows),
  };
  return cmocka_run_group_tests_name("top_k", tests, NULL, NULL);
}
