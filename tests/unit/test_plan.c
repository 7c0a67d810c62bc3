#include "query/plan.h"

#include "cmocka_includes.h"
#include "random.h"

#include <string.h>

enum { MAX_SEGMENTS = 6, DIM = 8 };

/* A shard of segments that are never read. */
static void make_shard(sf_shard *shard, sf_vector_segment segments[MAX_SEGMENTS], uint64_t *random) {
  uint64_t first_row = 0;
  *shard = (sf_shard){.dim = DIM, .segments = segments, .num_segments = (size_t)random_below(random, MAX_SEGMENTS + 1)};
  for (size_t i = 0; i < shard->num_segments; i++) {
    size_t num_rows = random_below(random, 4) == 0 ? 0 : (size_t)random_below(random, 1000000);
    segments[i] = (sf_vector_segment){.first_row = first_row, .num_rows = num_rows};
    first_row += num_rows;
  }
}

static void make_plan(const sf_shard *shard, sf_plan *plan) {
  static const float query[DIM];
  static float scaled[DIM];
  static const sf_collector_params collector = {.kind = SF_COLLECT_TOP_K, .top_k = 10};
  sf_query_vector query_vector;
  sf_query_vector_init(&query_vector, query, DIM, SF_SCORE_L2, scaled);
  const sf_plan_params params = {.shard = shard, .query = &query_vector, .collector = &collector};
  assert_int_equal(sf_plan_make(&params, plan, NULL), SF_OK);
}

static void tasks_cover_every_row_once_and_in_order(void **state) {
  (void)state;
  uint64_t random = random_seed(41);
  for (size_t round = 0; round < 500; round++) {
    sf_vector_segment segments[MAX_SEGMENTS];
    sf_shard shard;
    sf_plan plan;
    make_shard(&shard, segments, &random);
    make_plan(&shard, &plan);
    size_t segment = 0;
    size_t row = 0;
    while (sf_plan_has_task(&plan)) {
      while (segments[segment].num_rows == row) {
        segment++;
        row = 0;
      }
      sf_scan_task next = sf_plan_next_task(&plan);
      sf_scan_task task = sf_plan_take_task(&plan);
      assert_memory_equal(&next, &task, sizeof(task));
      assert_ptr_equal(task.range.segment, &segments[segment]);
      assert_int_equal(task.begin, row);
      assert_true(task.end > task.begin && task.end <= segments[segment].num_rows);
      row = task.end;
    }
    while (segment < shard.num_segments && segments[segment].num_rows == row) {
      segment++;
      row = 0;
    }
    assert_int_equal(segment, shard.num_segments);
    assert_true(sf_plan_is_done(&plan));
    sf_plan_free(&plan);
  }
}

static void at_least_so_many_tasks_are_left_as_ranges(void **state) {
  (void)state;
  sf_vector_segment segments[] = {
      {.num_rows = 10}, {.num_rows = 20, .first_row = 10}, {.num_rows = 5, .first_row = 30}};
  const sf_shard shard = {.dim = DIM, .segments = segments, .num_segments = 3};
  sf_plan plan;
  make_plan(&shard, &plan);
  for (size_t left = 3; left > 0; left--) {
    assert_int_equal(sf_plan_count_tasks(&plan), left);
    sf_plan_take_task(&plan);
  }
  assert_int_equal(sf_plan_count_tasks(&plan), 0);
  sf_plan_free(&plan);
}

static void a_stopped_plan_has_no_tasks(void **state) {
  (void)state;
  sf_vector_segment segments[] = {{.num_rows = 10}, {.num_rows = 20, .first_row = 10}};
  const sf_shard shard = {.dim = DIM, .segments = segments, .num_segments = 2};
  sf_plan plan;
  make_plan(&shard, &plan);
  sf_plan_take_task(&plan);
  sf_plan_stop(&plan);
  assert_true(sf_plan_is_done(&plan));
  assert_false(sf_plan_has_task(&plan));
  assert_int_equal(sf_plan_count_tasks(&plan), 0);
  sf_plan_free(&plan);
}

static void a_shard_without_rows_has_no_tasks(void **state) {
  (void)state;
  sf_vector_segment empty = {0};
  const sf_shard shard = {.dim = DIM, .segments = &empty, .num_segments = 1};
  sf_plan plan;
  make_plan(&shard, &plan);
  assert_true(sf_plan_is_done(&plan));
  sf_plan_free(&plan);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tasks_cover_every_row_once_and_in_order),
      cmocka_unit_test(at_least_so_many_tasks_are_left_as_ranges),
      cmocka_unit_test(a_stopped_plan_has_no_tasks),
      cmocka_unit_test(a_shard_without_rows_has_no_tasks),
  };
  return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
