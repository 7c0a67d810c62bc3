#include "query/collector.h"

#include "cmocka_includes.h"
#include "random.h"

#include <math.h>
#include <stdlib.h>

static int by_score_then_row(const void *left, const void *right) {
  return sf_scored_row_before(left, right) ? -1 : sf_scored_row_before(right, left);
}

/* Rows with many equal scores, in any order. */
static size_t make_rows(sf_scored_row *rows, size_t max_count, uint64_t *random) {
  size_t count = random_below(random, max_count + 1);
  for (size_t i = 0; i < count; i++) {
    rows[i] = (sf_scored_row){.score = (double)random_below(random, 20) - 10, .row = i};
    size_t other = random_below(random, i + 1);
    sf_scored_row moved = rows[other];
    rows[other] = rows[i];
    rows[i] = moved;
  }
  return count;
}

static void add_all(sf_collector *collector, const sf_scored_row *rows, size_t count) {
  for (size_t i = 0; i < count; i++)
    assert_true(sf_collector_add(collector, rows[i]));
}

static void the_best_k_are_kept_in_order_whatever_the_order_they_came_in(void **state) {
  (void)state;
  uint64_t random = random_seed(1);
  for (size_t round = 0; round < 500; round++) {
    enum { MAX_ROWS = 200 };
    sf_scored_row all[MAX_ROWS];
    const sf_collector_params params = {.kind = SF_COLLECT_TOP_K, .top_k = 1 + random_below(&random, MAX_ROWS + 10)};
    sf_collector collector = {.params = &params};
    size_t count = make_rows(all, MAX_ROWS, &random);
    sf_collector_begin(&collector, MAX_ROWS);
    add_all(&collector, all, count);
    qsort(all, count, sizeof(*all), by_score_then_row);
    assert_int_equal(collector.count, count < params.top_k ? count : params.top_k);
    double threshold = sf_collector_threshold(&collector);
    assert_true(threshold == (count < collector.max_rows ? INFINITY : all[collector.max_rows - 1].score));
    sf_collector_finish(&collector);
    for (size_t i = 0; i < collector.count; i++)
      assert_int_equal(collector.rows[i].row, all[i].row);
    sf_collector_free(&collector);
  }
}

static void no_row_above_the_threshold_is_kept_from_then_on(void **state) {
  (void)state;
  uint64_t random = random_seed(2);
  const sf_collector_params params = {.kind = SF_COLLECT_TOP_K, .top_k = 5};
  sf_collector collector = {.params = &params};
  sf_collector_begin(&collector, 1000);
  double previous = sf_collector_first_threshold(&params);
  assert_true(previous == INFINITY);
  for (size_t row = 0; row < 1000; row++) {
    double score = (double)random_component(&random);
    assert_true(sf_collector_add(&collector, (sf_scored_row){.score = score, .row = row}));
    double threshold = sf_collector_threshold(&collector);
    assert_true(threshold <= previous);
    if (score > previous)
      assert_true(threshold == previous);
    previous = threshold;
  }
  sf_collector_free(&collector);
}

static void a_scan_of_fewer_rows_than_are_wanted_is_full_with_them(void **state) {
  (void)state;
  const sf_collector_params params = {.kind = SF_COLLECT_TOP_K, .top_k = SIZE_MAX};
  sf_collector collector = {.params = &params};
  assert_int_equal(sf_collector_max_rows(&params), SIZE_MAX);
  sf_collector_begin(&collector, 2);
  assert_int_equal(collector.max_rows, 2);
  add_all(&collector, (const sf_scored_row[]){{7, 0}, {3, 1}}, 2);
  assert_true(sf_collector_threshold(&collector) == 7);
  sf_collector_free(&collector);
}

static void a_scan_of_no_rows_collects_none(void **state) {
  (void)state;
  const sf_collector_params params = {.kind = SF_COLLECT_TOP_K, .top_k = 3};
  sf_collector collector = {.params = &params};
  sf_collector_begin(&collector, 0);
  add_all(&collector, (const sf_scored_row[]){{7, 0}}, 1);
  assert_int_equal(collector.count, 0);
  assert_true(sf_collector_threshold(&collector) == INFINITY);
  sf_collector_finish(&collector);
}

static void a_collector_begins_anew_with_the_memory_that_it_has(void **state) {
  (void)state;
  uint64_t random = random_seed(3);
  const sf_collector_params many = {.kind = SF_COLLECT_TOP_K, .top_k = 100};
  const sf_collector_params few = {.kind = SF_COLLECT_TOP_K, .top_k = 3};
  sf_collector collector = {0};
  sf_scored_row rows[300];
  for (size_t round = 0; round < 100; round++) {
    size_t count = make_rows(rows, 300, &random);
    collector.params = round % 2 == 0 ? &many : &few;
    sf_collector_begin(&collector, 300);
    assert_int_equal(collector.count, 0);
    add_all(&collector, rows, count);
    sf_collector_finish(&collector);
    qsort(rows, count, sizeof(*rows), by_score_then_row);
    assert_int_equal(collector.count, count < collector.max_rows ? count : collector.max_rows);
    for (size_t i = 0; i < collector.count; i++)
      assert_int_equal(collector.rows[i].row, rows[i].row);
  }
  assert_true(collector.capacity <= 100);
  sf_collector_free(&collector);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_best_k_are_kept_in_order_whatever_the_order_they_came_in),
      cmocka_unit_test(no_row_above_the_threshold_is_kept_from_then_on),
      cmocka_unit_test(a_scan_of_fewer_rows_than_are_wanted_is_full_with_them),
      cmocka_unit_test(a_scan_of_no_rows_collects_none),
      cmocka_unit_test(a_collector_begins_anew_with_the_memory_that_it_has),
  };
  return cmocka_run_group_tests_name("collector", tests, NULL, NULL);
}
