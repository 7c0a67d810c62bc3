#include "query/pruning_threshold.h"

#include "base/thread.h"
#include "cmocka_includes.h"
#include "random.h"

#include <math.h>
#include <stdlib.h>

static sf_collector_params top_k_of(size_t top_k) {
  return (sf_collector_params){.kind = SF_COLLECT_TOP_K, .top_k = top_k};
}

static void a_threshold_falls_and_never_rises(void **state) {
  (void)state;
  const sf_collector_params params = top_k_of(3);
  sf_pruning_threshold threshold;
  assert_true(sf_pruning_threshold_init(&threshold, &params));
  assert_true(sf_pruning_threshold_get(&threshold) == INFINITY);
  sf_pruning_threshold_lower(&threshold, 2);
  sf_pruning_threshold_lower(&threshold, 5);
  assert_true(sf_pruning_threshold_get(&threshold) == 2);
  sf_pruning_threshold_lower(&threshold, -1);
  assert_true(sf_pruning_threshold_get(&threshold) == -1);
  sf_pruning_threshold_free(&threshold);
}

static void so_many_sampled_rows_as_are_wanted_lower_it(void **state) {
  (void)state;
  const sf_collector_params params = top_k_of(3);
  sf_pruning_threshold threshold;
  assert_true(sf_pruning_threshold_init(&threshold, &params));
  sf_pruning_threshold_add(&threshold, (sf_scored_row){.score = 7, .row = 1});
  sf_pruning_threshold_add(&threshold, (sf_scored_row){.score = 1, .row = 2});
  assert_true(sf_pruning_threshold_get(&threshold) == INFINITY);
  sf_pruning_threshold_add(&threshold, (sf_scored_row){.score = 3, .row = 3});
  assert_true(sf_pruning_threshold_get(&threshold) == 7);
  sf_pruning_threshold_add(&threshold, (sf_scored_row){.score = 9, .row = 4});
  assert_true(sf_pruning_threshold_get(&threshold) == 7);
  sf_pruning_threshold_add(&threshold, (sf_scored_row){.score = 2, .row = 5});
  assert_true(sf_pruning_threshold_get(&threshold) == 3);
  sf_pruning_threshold_free(&threshold);
}

static void none_or_too_many_rows_are_not_sampled(void **state) {
  (void)state;
  static const size_t tops[] = {0, 257, SIZE_MAX};
  for (size_t i = 0; i < sizeof(tops) / sizeof(tops[0]); i++) {
    sf_pruning_threshold threshold;
    size_t part;
    const sf_collector_params params = top_k_of(tops[i]);
    assert_true(sf_pruning_threshold_init(&threshold, &params));
    sf_pruning_threshold_lower(&threshold, 4);
    assert_false(sf_pruning_threshold_take_part(&threshold, &part));
    assert_true(sf_pruning_threshold_get(&threshold) == 4);
    sf_pruning_threshold_free(&threshold);
  }
}

enum { NUM_THREADS = 4, PART_ROWS = 50, TOP_K = 20 };

static double scores[SF_SAMPLE_PARTS][PART_ROWS];

typedef struct sampler {
  sf_pruning_threshold *threshold;
  size_t num_parts[SF_SAMPLE_PARTS]; /* how often each was taken */
} sampler;

static void *sample(void *argument) {
  sampler *mine = argument;
  for (size_t part; sf_pruning_threshold_take_part(mine->threshold, &part);) {
    mine->num_parts[part]++;
    for (size_t row = 0; row < PART_ROWS; row++)
      sf_pruning_threshold_add(mine->threshold,
                               (sf_scored_row){.score = scores[part][row], .row = part * PART_ROWS + row});
  }
  return NULL;
}

static int by_size(const void *left, const void *right) {
  double a = *(const double *)left;
  double b = *(const double *)right;
  return (a > b) - (a < b);
}

static void threads_take_each_part_once_and_find_one_threshold(void **state) {
  (void)state;
  uint64_t random = random_seed(21);
  for (size_t round = 0; round < 50; round++) {
    sf_pruning_threshold threshold;
    sampler samplers[NUM_THREADS] = {0};
    pthread_t threads[NUM_THREADS];
    for (size_t part = 0; part < SF_SAMPLE_PARTS; part++)
      for (size_t row = 0; row < PART_ROWS; row++)
        scores[part][row] = (double)random_component(&random);
    const sf_collector_params params = top_k_of(TOP_K);
    assert_true(sf_pruning_threshold_init(&threshold, &params));
    for (size_t i = 0; i < NUM_THREADS; i++) {
      samplers[i].threshold = &threshold;
      assert_int_equal(sf_thread_start(&threads[i], sample, &samplers[i]), 0);
    }
    for (size_t i = 0; i < NUM_THREADS; i++)
      pthread_join(threads[i], NULL);
    for (size_t part = 0; part < SF_SAMPLE_PARTS; part++) {
      size_t taken = 0;
      for (size_t i = 0; i < NUM_THREADS; i++)
        taken += samplers[i].num_parts[part];
      assert_int_equal(taken, 1);
    }
    qsort(scores, sizeof(scores) / sizeof(double), sizeof(double), by_size);
    assert_true(sf_pruning_threshold_get(&threshold) == scores[0][TOP_K - 1]);
    sf_pruning_threshold_free(&threshold);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_threshold_falls_and_never_rises),
      cmocka_unit_test(so_many_sampled_rows_as_are_wanted_lower_it),
      cmocka_unit_test(none_or_too_many_rows_are_not_sampled),
      cmocka_unit_test(threads_take_each_part_once_and_find_one_threshold),
  };
  return cmocka_run_group_tests_name("pruning threshold", tests, NULL, NULL);
}
