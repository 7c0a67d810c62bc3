#include "base/files.h"
#include "base/thread.h"
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

static size_t num_chunks(void) {
  size_t rows = sf_rows_per_chunk(DIM);
  return (NUM_ROWS + rows - 1) / rows;
}

static sf_lazy_quantized *make(sf_metric metric) {
  char path[PATH_SIZE];
  sf_lazy_quantized *lazy =
      sf_lazy_quantized_create(vectors, NUM_ROWS, DIM, metric, NULL, sf_open_nameless, path_of(path, "quantized-"));
  assert_non_null(lazy);
  return lazy;
}

static void fill(uint64_t seed) {
  uint64_t random = random_seed(seed);
  for (size_t i = 0; i < NUM_ROWS * DIM; i++)
    vectors[i] = random_component(&random);
}

/* What making the group at once gives. */
static void assert_chunk(const sf_lazy_quantized *lazy, size_t chunk) {
  const sf_quantized *quantized = sf_lazy_quantized_get(lazy);
  assert_non_null(quantized);
  size_t rows = sf_rows_per_chunk(DIM);
  uint8_t groups[SF_QUANTIZED_KINDS][1024];
  uint8_t *const made[SF_QUANTIZED_KINDS] = {groups[0], groups[1]};
  float centre[DIM];
  sf_quantized_choose_centre(vectors, NUM_ROWS, DIM, quantized->metric, centre);
  assert_memory_equal(quantized->centre, centre, sizeof(centre));
  for (size_t row = chunk * rows; row < NUM_ROWS && row < (chunk + 1) * rows; row += SF_QUANTIZED_GROUP_ROWS) {
    size_t left = NUM_ROWS - row;
    sf_quantized_make_groups(vectors + row * DIM, left < SF_QUANTIZED_GROUP_ROWS ? left : SF_QUANTIZED_GROUP_ROWS, DIM,
                             quantized->metric, centre, made);
    for (sf_quantized_kind kind = 0; kind < SF_QUANTIZED_KINDS; kind++) {
      size_t size = (size_t)sf_quantized_group_size(kind, DIM, quantized->metric);
      assert_true(size <= sizeof(groups[kind]));
      assert_memory_equal(quantized->groups[kind] + row / SF_QUANTIZED_GROUP_ROWS * size, groups[kind], size);
    }
  }
}

static void the_second_visit_quantizes_a_chunk(void **state) {
  (void)state;
  fill(1);
  sf_lazy_quantized *lazy = make(SF_METRIC_L2);
  sf_lazy_quantized_visit(lazy, 1);
  assert_null(sf_lazy_quantized_get(lazy));
  assert_false(sf_lazy_quantized_has(lazy, 1));
  sf_lazy_quantized_visit(lazy, 1);
  assert_true(sf_lazy_quantized_has(lazy, 1));
  assert_false(sf_lazy_quantized_has(lazy, 0));
  assert_chunk(lazy, 1);
  sf_lazy_quantized_visit(lazy, num_chunks() - 1);
  sf_lazy_quantized_visit(lazy, num_chunks() - 1);
  assert_chunk(lazy, num_chunks() - 1);
  sf_lazy_quantized_free(lazy);
}

static void completing_quantizes_every_chunk_unless_it_is_cancelled(void **state) {
  (void)state;
  sf_cancellation cancellation = {0};
  fill(2);
  sf_lazy_quantized *lazy = make(SF_METRIC_COSINE);
  sf_cancellation_request(&cancellation);
  sf_lazy_quantized_complete(lazy, &cancellation);
  assert_false(sf_lazy_quantized_has(lazy, 0));
  sf_lazy_quantized_complete(lazy, NULL);
  for (size_t i = 0; i < num_chunks(); i++) {
    assert_true(sf_lazy_quantized_has(lazy, i));
    assert_chunk(lazy, i);
  }
  sf_lazy_quantized_free(lazy);
}

/* Nothing of them is left in the folder, either. */
static void where_no_file_can_be_made_there_are_no_quantized_vectors(void **state) {
  (void)state;
  char path[PATH_SIZE];
  put_text("file", "in the way");
  sf_lazy_quantized *lazy = sf_lazy_quantized_create(vectors, NUM_ROWS, DIM, SF_METRIC_L2, NULL, sf_open_nameless,
                                                     path_of(path, "file/below/quantized-"));
  assert_non_null(lazy);
  sf_lazy_quantized_complete(lazy, NULL);
  assert_null(sf_lazy_quantized_get(lazy));
  for (size_t i = 0; i < num_chunks(); i++)
    assert_false(sf_lazy_quantized_has(lazy, i));
  sf_lazy_quantized_free(lazy);
}

static void few_vectors_and_long_ones_have_none(void **state) {
  (void)state;
  assert_true(sf_lazy_quantized_serve(16384, 1));
  assert_false(sf_lazy_quantized_serve(16383, 1));
  assert_true(sf_lazy_quantized_serve(1000, 4096));
  assert_false(sf_lazy_quantized_serve(1000, 4097)); /* a chunk has fewer rows than a group */
}

static void *visit_chunks(void *argument) {
  sf_lazy_quantized *lazy = argument;
  for (size_t visit = 0; visit < 3; visit++)
    for (size_t i = 0; i < num_chunks(); i++) {
      if (sf_lazy_quantized_has(lazy, i))
        assert_non_null(sf_lazy_quantized_get(lazy));
      sf_lazy_quantized_visit(lazy, i);
    }
  return NULL;
}

static void threads_quantize_each_chunk_once(void **state) {
  (void)state;
  fill(3);
  for (int round = 0; round < 10; round++) {
    sf_lazy_quantized *lazy = make(SF_METRIC_DOT_PRODUCT);
    pthread_t threads[NUM_THREADS];
    for (size_t i = 0; i < NUM_THREADS; i++)
      assert_int_equal(sf_thread_start(&threads[i], visit_chunks, lazy), 0);
    for (size_t i = 0; i < NUM_THREADS; i++)
      pthread_join(threads[i], NULL);
    sf_lazy_quantized_complete(lazy, NULL); /* chunks that threads met while the first one was being made */
    for (size_t i = 0; i < num_chunks(); i++) {
      assert_true(sf_lazy_quantized_has(lazy, i));
      assert_chunk(lazy, i);
    }
    sf_lazy_quantized_free(lazy);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_second_visit_quantizes_a_chunk),
      cmocka_unit_test(completing_quantizes_every_chunk_unless_it_is_cancelled),
      cmocka_unit_test(where_no_file_can_be_made_there_are_no_quantized_vectors),
      cmocka_unit_test(few_vectors_and_long_ones_have_none),
      cmocka_unit_test(threads_quantize_each_chunk_once),
  };
  return cmocka_run_group_tests_name("lazy quantized", tests, NULL, NULL);
}
