#include "query/merge.h"

#include "cmocka_includes.h"
#include "random.h"

#include <math.h>
#include <stdlib.h>

enum { MAX_TASKS = 12, MAX_ROWS = 40 };

/* Sorted rows of one task, with many equal scores. */
typedef struct task_rows {
  uint32_t shard_id;
  size_t count;
  sf_scored_row rows[MAX_ROWS];
} task_rows;

static int by_score_then_row(const void *left, const void *right) {
  return sf_scored_row_before(left, right) ? -1 : 1;
}

static int by_score_shard_and_row(const void *left, const void *right) {
  const sf_merged_row *a = left;
  const sf_merged_row *b = right;
  if (a->score != b->score)
    return a->score < b->score ? -1 : 1;
  if (a->shard_id != b->shard_id)
    return a->shard_id < b->shard_id ? -1 : 1;
  return a->row < b->row ? -1 : 1;
}

static void make_task(task_rows *task, size_t number, uint64_t *random) {
  task->shard_id = (uint32_t)random_below(random, 4);
  task->count = (size_t)random_below(random, MAX_ROWS + 1);
  for (size_t i = 0; i < task->count; i++) /* no row is in two tasks */
    task->rows[i] = (sf_scored_row){.score = (double)random_below(random, 15), .row = number * MAX_ROWS + i};
  qsort(task->rows, task->count, sizeof(*task->rows), by_score_then_row);
}

static void tasks_merge_to_the_best_of_all_their_rows(void **state) {
  (void)state;
  uint64_t random = random_seed(51);
  for (size_t round = 0; round < 500; round++) {
    const sf_collector_params params = {.kind = SF_COLLECT_TOP_K, .top_k = 1 + (size_t)random_below(&random, 100)};
    sf_merge merged = {.params = &params};
    sf_merged_row all[MAX_TASKS * MAX_ROWS];
    size_t num_all = 0;
    for (size_t i = 0; i < MAX_TASKS; i++) {
      task_rows task;
      size_t num_taken;
      make_task(&task, i, &random);
      assert_true(sf_merge_add(&merged, task.shard_id, task.shard_id + 7, task.rows, task.count, &num_taken));
      assert_true(num_taken <= task.count);
      for (size_t j = 0; j < task.count; j++)
        all[num_all++] =
            (sf_merged_row){.score = task.rows[j].score, .row = task.rows[j].row, .shard_id = task.shard_id};
    }
    qsort(all, num_all, sizeof(*all), by_score_shard_and_row);
    assert_int_equal(merged.count, num_all < params.top_k ? num_all : params.top_k);
    for (size_t i = 0; i < merged.count; i++) {
      assert_int_equal(merged.items[i].row, all[i].row);
      assert_int_equal(merged.items[i].shard_id, all[i].shard_id);
      assert_int_equal(merged.items[i].shard_index, all[i].shard_id + 7);
    }
    double threshold = sf_merge_threshold(&merged);
    assert_true(threshold == (num_all < params.top_k ? INFINITY : all[params.top_k - 1].score));
    sf_merge_free(&merged);
  }
}

static void rows_that_come_too_late_are_not_taken(void **state) {
  (void)state;
  const sf_collector_params params = {.kind = SF_COLLECT_TOP_K, .top_k = 2};
  const sf_scored_row near[] = {{.score = 1, .row = 4}, {.score = 2, .row = 9}};
  const sf_scored_row far[] = {{.score = 2, .row = 3}, {.score = 5, .row = 1}};
  sf_merge merged = {.params = &params};
  size_t num_taken;
  assert_true(sf_merge_add(&merged, 1, 0, near, 2, &num_taken));
  assert_int_equal(num_taken, 2);
  assert_true(sf_merge_add(&merged, 2, 1, far, 2, &num_taken)); /* a tie: the lower shard id comes first */
  assert_int_equal(num_taken, 0);
  assert_true(sf_merge_add(&merged, 0, 2, far, 2, &num_taken));
  assert_int_equal(num_taken, 1);
  assert_int_equal(merged.items[1].row, 3);
  sf_merge_free(&merged);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tasks_merge_to_the_best_of_all_their_rows),
      cmocka_unit_test(rows_that_come_too_late_are_not_taken),
  };
  return cmocka_run_group_tests_name("merge", tests, NULL, NULL);
}
