#include "base/thread.h"
#include "cache/scratch_folder.h"
#include "vectors/lazy_quantized.h"

#include "cmocka_includes.h"
#include "random.h"
#include "temporary_folder.h"
#include "vectors/lazy_norms.h"

#include <stdlib.h>
#include <string.h>

#define NUM_THREADS 4

enum { NUM_ROWS = 6005, DIM = 50 };

static float vectors[NUM_ROWS * DIM];

static size_t num_windows(void) {
  size_t rows = sf_rows_per_chunk(DIM);
  return (NUM_ROWS + rows - 1) / rows;
}

static sf_lazy_quantized *make(sf_metric metric) {
  char path[PATH_SIZE];
  sf_lazy_quantized *codes = sf_lazy_quantized_create(vectors, NUM_ROWS, DIM, metric, NULL, sf_scratch_file_open,
                                                      path_of(path, "cache/shard_00001"));
  assert_non_null(codes);
  return codes;
}

static void fill(uint64_t seed) {
  uint64_t random = random_seed(seed);
  for (size_t i = 0; i < NUM_ROWS * DIM; i++)
    vectors[i] = random_component(&random);
}

/* What making the group at once gives. */
static void assert_window(const sf_lazy_quantized *lazy, size_t window) {
  const sf_quantized *codes = sf_lazy_quantized_get(lazy);
  assert_non_null(codes);
  size_t rows = sf_rows_per_chunk(DIM);
  uint8_t groups[SF_QUANTIZED_KINDS][1024];
  uint8_t *const made[SF_QUANTIZED_KINDS] = {groups[0], groups[1]};
  float centre[DIM];
  sf_quantized_choose_centre(vectors, NUM_ROWS, DIM, codes->metric, centre);
  assert_memory_equal(codes->centre, centre, sizeof(centre));
  for (size_t row = window * rows; row < NUM_ROWS && row < (window + 1) * rows; row += SF_QUANTIZED_GROUP_ROWS) {
    size_t left = NUM_ROWS - row;
    sf_quantized_make_groups(vectors + row * DIM, left < SF_QUANTIZED_GROUP_ROWS ? left : SF_QUANTIZED_GROUP_ROWS, DIM,
                             codes->metric, centre, made);
    for (sf_quantized_kind kind = 0; kind < SF_QUANTIZED_KINDS; kind++) {
      size_t size = (size_t)sf_quantized_group_size(kind, DIM, codes->metric);
      assert_true(size <= sizeof(groups[kind]));
      assert_memory_equal(codes->groups[kind] + row / SF_QUANTIZED_GROUP_ROWS * size, groups[kind], size);
    }
  }
}

static void the_second_visit_codes_a_window(void **state) {
  (void)state;
  fill(1);
  sf_lazy_quantized *codes = make(SF_METRIC_L2);
  sf_lazy_quantized_visit(codes, 1);
  assert_null(sf_lazy_quantized_get(codes));
  assert_false(sf_lazy_quantized_has(codes, 1));
  sf_lazy_quantized_visit(codes, 1);
  assert_true(sf_lazy_quantized_has(codes, 1));
  assert_false(sf_lazy_quantized_has(codes, 0));
  assert_window(codes, 1);
  sf_lazy_quantized_visit(codes, num_windows() - 1);
  sf_lazy_quantized_visit(codes, num_windows() - 1);
  assert_window(codes, num_windows() - 1);
  sf_lazy_quantized_free(codes);
}

static void completing_codes_every_window_unless_it_is_cancelled(void **state) {
  (void)state;
  sf_cancellation cancellation = {0};
  fill(2);
  sf_lazy_quantized *codes = make(SF_METRIC_COSINE);
  sf_cancellation_request(&cancellation);
  sf_lazy_quantized_complete(codes, &cancellation);
  assert_false(sf_lazy_quantized_has(codes, 0));
  sf_lazy_quantized_complete(codes, NULL);
  for (size_t i = 0; i < num_windows(); i++) {
    assert_true(sf_lazy_quantized_has(codes, i));
    assert_window(codes, i);
  }
  sf_lazy_quantized_free(codes);
}

/* Nothing of them is left in the folder, either. */
static void where_no_file_can_be_made_there_are_no_codes(void **state) {
  (void)state;
  char path[PATH_SIZE];
  put_text("file", "in the way");
  sf_lazy_quantized *codes = sf_lazy_quantized_create(vectors, NUM_ROWS, DIM, SF_METRIC_L2, NULL, sf_scratch_file_open,
                                                      path_of(path, "file/below/shard_00001"));
  assert_non_null(codes);
  sf_lazy_quantized_complete(codes, NULL);
  assert_null(sf_lazy_quantized_get(codes));
  for (size_t i = 0; i < num_windows(); i++)
    assert_false(sf_lazy_quantized_has(codes, i));
  sf_lazy_quantized_free(codes);
}

static void few_vectors_and_long_ones_have_none(void **state) {
  (void)state;
  assert_true(sf_lazy_quantized_serve(16384, 1));
  assert_false(sf_lazy_quantized_serve(16383, 1));
  assert_true(sf_lazy_quantized_serve(1000, 4096));
  assert_false(sf_lazy_quantized_serve(1000, 4097)); /* a window has fewer rows than a group */
}

static void *visit_windows(void *argument) {
  sf_lazy_quantized *codes = argument;
  for (size_t visit = 0; visit < 3; visit++)
    for (size_t i = 0; i < num_windows(); i++) {
      if (sf_lazy_quantized_has(codes, i))
        assert_non_null(sf_lazy_quantized_get(codes));
      sf_lazy_quantized_visit(codes, i);
    }
  return NULL;
}

static void threads_code_each_window_once(void **state) {
  (void)state;
  fill(3);
  for (int round = 0; round < 10; round++) {
    sf_lazy_quantized *codes = make(SF_METRIC_DOT_PRODUCT);
    pthread_t threads[NUM_THREADS];
    for (size_t i = 0; i < NUM_THREADS; i++)
      assert_int_equal(sf_thread_start(&threads[i], visit_windows, codes), 0);
    for (size_t i = 0; i < NUM_THREADS; i++)
      pthread_join(threads[i], NULL);
    sf_lazy_quantized_complete(codes, NULL); /* what threads came upon while the first window was begun */
    for (size_t i = 0; i < num_windows(); i++) {
      assert_true(sf_lazy_quantized_has(codes, i));
      assert_window(codes, i);
    }
    sf_lazy_quantized_free(codes);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_second_visit_codes_a_window),
      cmocka_unit_test(completing_codes_every_window_unless_it_is_cancelled),
      cmocka_unit_test(where_no_file_can_be_made_there_are_no_codes),
      cmocka_unit_test(few_vectors_and_long_ones_have_none),
      cmocka_unit_test(threads_code_each_window_once),
  };
  return cmocka_run_group_tests_name("lazy codes", tests, NULL, NULL);
}
