#include "base/thread.h"
#include "vectors/lazy_norms.h"

#include "cmocka_includes.h"
#include "random.h"
#include "vectors/distance.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_COMPONENTS 600000
#define NUM_THREADS 4

static float vectors[MAX_COMPONENTS];

/* Rows of all kinds: of ordinary length, tiny, huge and zero ones, and here and there one that is not finite. */
static void make_rows(size_t num_rows, size_t dim, uint64_t *random) {
  static const float scales[] = {1, 1, 1, 1e-25F, 1e25F, 0};
  for (size_t row = 0; row < num_rows; row++) {
    float scale = scales[random_below(random, sizeof(scales) / sizeof(scales[0]))];
    for (size_t i = 0; i < dim; i++)
      vectors[row * dim + i] = random_component(random) * scale;
    if (random_below(random, 1000) == 0)
      vectors[row * dim + random_below(random, dim)] = random_below(random, 2) == 0 ? INFINITY : NAN;
  }
}

/* A row at a time, by the definitions. What float32 was trusted with is as near as its error allows; the rest is exact. */
static void assert_chunk(const sf_chunk_norms *found, size_t begin, size_t end, size_t dim) {
  double max_norm = 0;
  double error = sf_dot_error_bound(dim, 1, 1) / 2 + 0x1p-22;
  for (size_t row = begin; row < end; row++) {
    const float *vector = vectors + row * dim;
    double norm = sqrt(sf_exact_squared_norm(vector, dim));
    float exact = sf_inverse_norm(vector, dim);
    float inverse_norm = found->inverse_norms[row - begin];
    if (norm > 1e-3 && norm < 1e3)
      assert_true(fabs((double)inverse_norm * norm - 1) <= error);
    else
      assert_memory_equal(&inverse_norm, &exact, sizeof(exact));
    max_norm = isfinite(norm) ? fmax(max_norm, norm) : max_norm;
  }
  assert_true(found->max_norm >= max_norm);
  assert_true(found->max_norm <= max_norm * (1 + 4 * error));
}

/* The dot products with a query come along with the norms, and only then. */
static void assert_dots(const sf_chunk_norms *found, bool expected, const float *dots, const float *query, size_t begin,
                        size_t end, size_t dim) {
  assert_int_equal(found->has_dots, expected);
  for (size_t row = begin; row < end && found->has_dots; row++) {
    float dot;
    sf_kernels_get()->dot(query, vectors + row * dim, 1, dim, &dot);
    assert_memory_equal(&dots[row - begin], &dot, sizeof(dot));
  }
}

static void assert_norms(size_t num_rows, size_t dim, uint64_t *random) {
  float dots[SF_MAX_CHUNK_ROWS];
  float scratch[SF_MAX_CHUNK_ROWS];
  size_t chunk_rows = sf_rows_per_chunk(dim);
  assert_true(chunk_rows >= 1 && chunk_rows <= SF_MAX_CHUNK_ROWS);
  make_rows(num_rows, dim, random);
  sf_lazy_norms *norms = sf_lazy_norms_create(vectors, num_rows, dim, true, NULL);
  assert_non_null(norms);
  for (int pass = 0; pass < 2; pass++) {
    for (size_t row = 0; row < num_rows; row += chunk_rows) {
      size_t end = row + chunk_rows < num_rows ? row + chunk_rows : num_rows;
      sf_chunk_norms found = sf_lazy_norms_of_chunk(norms, row / chunk_rows, vectors, dots, scratch);
      assert_ptr_not_equal(found.inverse_norms, scratch);
      assert_chunk(&found, row, end, dim);
      assert_dots(&found, pass == 0, dots, vectors, row, end, dim);
    }
  }
  sf_lazy_norms_free(norms);
}

static void chunks_of_every_shape_have_the_norms_of_their_rows(void **state) {
  (void)state;
  uint64_t random = random_seed(1);
  assert_norms(1, 1, &random);
  assert_norms(5000, 1, &random);
  assert_norms(1024, 64, &random);
  assert_norms(1967, 100, &random);
  assert_norms(17, 30000, &random);
  assert_norms(3, 65536 + 1, &random);
}

/* A thread that takes denormal numbers for zeros finds out for others that don't. */
static void a_vector_of_denormals_is_never_taken_for_zero(void **state) {
  (void)state;
  const float few[] = {1e-40F, 0, 0, -0.0F, 1, 1};
  float dots[SF_MAX_CHUNK_ROWS];
  float scratch[SF_MAX_CHUNK_ROWS];
  sf_lazy_norms *norms = sf_lazy_norms_create(few, 3, 2, true, NULL);
  assert_non_null(norms);
#if defined(__x86_64__)
  const unsigned denormals_are_zero = 1U << 6;
  unsigned before = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(before | denormals_are_zero);
#endif
  sf_chunk_norms found = sf_lazy_norms_of_chunk(norms, 0, few, dots, scratch);
#if defined(__x86_64__)
  __builtin_ia32_ldmxcsr(before);
#endif
  assert_true(isnan(found.inverse_norms[0]));
  assert_true(found.inverse_norms[1] == 0);
  assert_true(fabs((double)found.inverse_norms[2] - sqrt(0.5)) < 1e-6);
  sf_lazy_norms_free(norms);
}

static void rows_that_are_not_finite_are_counted_once(void **state) {
  (void)state;
  const float rows[] = {1, NAN, INFINITY, 0, 2, 2, -INFINITY, 1, 3e38F, 3e38F};
  const uint8_t excluded[] = {1U << 3};
  float dots[SF_MAX_CHUNK_ROWS];
  float scratch[SF_MAX_CHUNK_ROWS];
  for (int wants_inverses = 0; wants_inverses < 2; wants_inverses++) {
    sf_lazy_norms *norms = sf_lazy_norms_create(rows, 5, 2, wants_inverses == 1, excluded);
    assert_non_null(norms);
    assert_int_equal(sf_lazy_norms_num_not_finite(norms), 0);
    (void)sf_lazy_norms_of_row(norms, 0, rows + 4, dots, scratch);
    assert_int_equal(sf_lazy_norms_num_not_finite(norms), 0);
    for (int i = 0; i < 2; i++)
      (void)sf_lazy_norms_of_chunk(norms, 0, rows + 4, dots, scratch);
    assert_int_equal(sf_lazy_norms_num_not_finite(norms), 2);
    sf_lazy_norms_free(norms);
  }
}

static void inverse_norms_need_not_be_wanted(void **state) {
  (void)state;
  const float few[] = {3, 4, 0, 0, 6, 8};
  float dots[SF_MAX_CHUNK_ROWS];
  float scratch[SF_MAX_CHUNK_ROWS];
  sf_lazy_norms *norms = sf_lazy_norms_create(few, 3, 2, false, NULL);
  assert_non_null(norms);
  sf_chunk_norms found = sf_lazy_norms_of_chunk(norms, 0, few, dots, scratch);
  assert_null(found.inverse_norms);
  assert_true(found.max_norm >= 10 && found.max_norm < 10.0001);
  sf_lazy_norms_free(norms);
}

/* What is known isn't looked at again: the vectors may change then, and the norms don't. */
static void completing_computes_every_chunk(void **state) {
  (void)state;
  uint64_t random = random_seed(2);
  float dots[SF_MAX_CHUNK_ROWS];
  float scratch[SF_MAX_CHUNK_ROWS];
  const size_t num_rows = 2000;
  make_rows(num_rows, 3, &random);
  sf_lazy_norms *norms = sf_lazy_norms_create(vectors, num_rows, 3, true, NULL);
  assert_non_null(norms);
  sf_lazy_norms_complete(norms, NULL);
  float *copy = malloc(num_rows * 3 * sizeof(float));
  assert_non_null(copy);
  memcpy(copy, vectors, num_rows * 3 * sizeof(float));
  memset(vectors, 0, num_rows * 3 * sizeof(float));
  sf_chunk_norms last = sf_lazy_norms_of_chunk(norms, (num_rows - 1) / sf_rows_per_chunk(3), vectors, dots, scratch);
  memcpy(vectors, copy, num_rows * 3 * sizeof(float));
  assert_chunk(&last, SF_MAX_CHUNK_ROWS, num_rows, 3);
  free(copy);
  sf_lazy_norms_free(norms);
}

static void completing_stops_when_it_is_cancelled(void **state) {
  (void)state;
  const float before[] = {3, 4};
  float few[2];
  float dots[SF_MAX_CHUNK_ROWS];
  float scratch[SF_MAX_CHUNK_ROWS];
  sf_cancellation cancellation = {0};
  memcpy(few, before, sizeof(few));
  sf_lazy_norms *norms = sf_lazy_norms_create(few, 1, 2, true, NULL);
  assert_non_null(norms);
  sf_cancellation_request(&cancellation);
  sf_lazy_norms_complete(norms, &cancellation);
  few[0] = 6;
  few[1] = 8;
  assert_true(sf_lazy_norms_of_chunk(norms, 0, few, dots, scratch).max_norm >= 10);
  sf_lazy_norms_free(norms);
}

typedef struct visit {
  sf_lazy_norms *norms;
  const sf_chunk_norms *expected; /* of each chunk */
  size_t num_rows;
  size_t dim;
  size_t first_chunk; /* where this thread begins its round */
  bool differs;
} visit;

static void *visit_chunks(void *argument) {
  visit *mine = argument;
  float dots[SF_MAX_CHUNK_ROWS];
  float scratch[SF_MAX_CHUNK_ROWS];
  size_t chunk_rows = sf_rows_per_chunk(mine->dim);
  size_t num_chunks = (mine->num_rows + chunk_rows - 1) / chunk_rows;
  for (size_t i = 0; i < num_chunks; i++) {
    size_t chunk = (mine->first_chunk + i) % num_chunks;
    size_t left = mine->num_rows - chunk * chunk_rows;
    size_t count = left < chunk_rows ? left : chunk_rows;
    const sf_chunk_norms *expected = &mine->expected[chunk];
    sf_chunk_norms found = sf_lazy_norms_of_chunk(mine->norms, chunk, vectors, dots, scratch);
    mine->differs |= memcmp(&found.max_norm, &expected->max_norm, sizeof(found.max_norm)) != 0 ||
                     memcmp(found.inverse_norms, expected->inverse_norms, count * sizeof(float)) != 0;
  }
  return NULL;
}

/* Two of them begin together, two elsewhere: some meet at a chunk that another one is computing. */
static void threads_that_meet_compute_the_same(void **state) {
  (void)state;
  enum { NUM_ROWS = 20000, DIM = 25, NUM_WINDOWS = (NUM_ROWS + SF_MAX_CHUNK_ROWS - 1) / SF_MAX_CHUNK_ROWS };
  uint64_t random = random_seed(3);
  float dots[SF_MAX_CHUNK_ROWS];
  float scratch[SF_MAX_CHUNK_ROWS];
  make_rows(NUM_ROWS, DIM, &random);
  assert_int_equal(sf_rows_per_chunk(DIM), SF_MAX_CHUNK_ROWS);
  sf_lazy_norms *known = sf_lazy_norms_create(vectors, NUM_ROWS, DIM, true, NULL);
  assert_non_null(known);
  sf_chunk_norms expected[NUM_WINDOWS];
  for (size_t i = 0; i < NUM_WINDOWS; i++)
    expected[i] = sf_lazy_norms_of_chunk(known, i, vectors, dots, scratch);
  for (int round = 0; round < 20; round++) {
    sf_lazy_norms *norms = sf_lazy_norms_create(vectors, NUM_ROWS, DIM, true, NULL);
    assert_non_null(norms);
    pthread_t threads[NUM_THREADS];
    visit visits[NUM_THREADS];
    for (size_t i = 0; i < NUM_THREADS; i++) {
      visits[i] = (visit){norms, expected, NUM_ROWS, DIM, i / 2 * 7, false};
      assert_int_equal(sf_thread_start(&threads[i], visit_chunks, &visits[i]), 0);
    }
    for (size_t i = 0; i < NUM_THREADS; i++) {
      pthread_join(threads[i], NULL);
      assert_false(visits[i].differs);
    }
    sf_lazy_norms_free(norms);
  }
  sf_lazy_norms_free(known);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(chunks_of_every_shape_have_the_norms_of_their_rows),
      cmocka_unit_test(a_vector_of_denormals_is_never_taken_for_zero),
      cmocka_unit_test(rows_that_are_not_finite_are_counted_once),
      cmocka_unit_test(inverse_norms_need_not_be_wanted),
      cmocka_unit_test(completing_computes_every_chunk),
      cmocka_unit_test(completing_stops_when_it_is_cancelled),
      cmocka_unit_test(threads_that_meet_compute_the_same),
  };
  return cmocka_run_group_tests_name("lazy norms", tests, NULL, NULL);
}
