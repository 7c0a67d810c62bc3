#include "cmocka_includes.h"
#include "random.h"
#include "shardyfusion/types.h"
#include "vectors/distance.h"

#include <float.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_ROWS = 17 };

/* Largest components, from denormal numbers to where a sum of 4,096 products is still below FLT_MAX. */
static const float scales[] = {1e-44F, 1e-39F, 1e-30F, 1e-19F, 1e-3F, 1, 1e4F, 1e15F};
enum { NUM_SCALES = sizeof(scales) / sizeof(scales[0]) };

static const size_t long_dims[] = {384, 768, 1024, 1536, 2048, 4096};

/* 1 to 300, then the long ones; 0 after the last. */
static size_t next_dim(size_t dim) {
  if (dim < 300)
    return dim + 1;
  for (size_t i = 0; i < sizeof(long_dims) / sizeof(long_dims[0]); i++) {
    if (long_dims[i] > dim)
      return long_dims[i];
  }
  return 0;
}

/* Of exactly this size, so that a sanitizer sees a read past the end. */
static float *random_vectors(size_t count, size_t dim, float scale, uint64_t *random) {
  float *vectors = malloc(count * dim > 0 ? count * dim * sizeof(float) : 1);
  assert_non_null(vectors);
  for (size_t i = 0; i < count * dim; i++)
    vectors[i] = scale * random_component(random);
  return vectors;
}

static long double precise_dot(const float *a, const float *b, size_t dim) {
  long double sum = 0;
  for (size_t i = 0; i < dim; i++)
    sum += (long double)a[i] * (long double)b[i];
  return sum;
}

static long double precise_squared_l2(const float *a, const float *b, size_t dim) {
  long double sum = 0;
  for (size_t i = 0; i < dim; i++)
    sum += ((long double)a[i] - (long double)b[i]) * ((long double)a[i] - (long double)b[i]);
  return sum;
}

/* As in a process in which some library asked for it; where the test knows how to. */
static void run_flushing_denormals(sf_rows_kernel kernel, const float *query, const float *rows, size_t num_rows,
                                   size_t dim, float *results) {
#if defined(__x86_64__)
  enum { FLUSH_DENORMALS = 0x8040 }; /* results to zero, operands as zero */
  unsigned before = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(before | FLUSH_DENORMALS);
  kernel(query, rows, num_rows, dim, results);
  __builtin_ia32_ldmxcsr(before);
#else
  kernel(query, rows, num_rows, dim, results);
#endif
}

static void assert_dots_within_bound(const float *results, const float *query, const float *rows, size_t num_rows,
                                     size_t dim) {
  double query_norm = (double)sqrtl(precise_dot(query, query, dim));
  for (size_t row = 0; row < num_rows; row++) {
    const float *x = rows + row * dim;
    double bound = sf_dot_error_bound(dim, query_norm, (double)sqrtl(precise_dot(x, x, dim)));
    assert_true(fabsl(results[row] - precise_dot(query, x, dim)) <= bound);
    assert_true(fabs(results[row] - sf_exact_dot(query, x, dim)) <= bound);
  }
}

static void assert_squared_l2_within_bound(const float *results, const float *query, const float *rows, size_t num_rows,
                                           size_t dim) {
  for (size_t row = 0; row < num_rows; row++) {
    const float *x = rows + row * dim;
    double fast_bound = sf_squared_l2_error_bound(dim, results[row]);
    double exact_bound = sf_squared_l2_error_bound(dim, sf_exact_squared_l2(query, x, dim));
    assert_true(fabsl(results[row] - precise_squared_l2(query, x, dim)) <= fmin(fast_bound, exact_bound));
    assert_true(fabs(results[row] - sf_exact_squared_l2(query, x, dim)) <= fmin(fast_bound, exact_bound));
  }
}

static void assert_within_bounds(const sf_kernels *kernels, const float *query, const float *rows, size_t num_rows,
                                 size_t dim) {
  float *results = malloc(num_rows > 0 ? num_rows * sizeof(float) : 1);
  assert_non_null(results);
  kernels->dot(query, rows, num_rows, dim, results);
  assert_dots_within_bound(results, query, rows, num_rows, dim);
  run_flushing_denormals(kernels->dot, query, rows, num_rows, dim, results);
  assert_dots_within_bound(results, query, rows, num_rows, dim);
  kernels->squared_l2(query, rows, num_rows, dim, results);
  assert_squared_l2_within_bound(results, query, rows, num_rows, dim);
  run_flushing_denormals(kernels->squared_l2, query, rows, num_rows, dim, results);
  assert_squared_l2_within_bound(results, query, rows, num_rows, dim);
  free(results);
}

static void every_kernel_is_within_its_error_bound(void **state) {
  (void)state;
  uint64_t random = random_seed(1);
  const sf_kernels *const *all = sf_kernels_all();
  for (size_t dim = 1; dim != 0; dim = next_dim(dim)) {
    for (size_t num_rows = 0; num_rows <= MAX_ROWS; num_rows += dim > 64 ? 4 : 1) {
      float scale = scales[random_below(&random, NUM_SCALES)];
      float *query = random_vectors(1, dim, scales[random_below(&random, NUM_SCALES)], &random);
      float *rows = random_vectors(num_rows, dim, scale, &random);
      for (size_t i = 0; all[i] != NULL; i++) {
        if (all[i]->supported())
          assert_within_bounds(all[i], query, rows, num_rows, dim);
      }
      free(query);
      free(rows);
    }
  }
}

/* Cancellation is where a float32 result is furthest from the exact one. */
static void a_row_near_the_query_is_within_the_error_bound(void **state) {
  (void)state;
  uint64_t random = random_seed(2);
  const sf_kernels *const *all = sf_kernels_all();
  for (size_t dim = 1; dim <= 300; dim++) {
    float *query = random_vectors(1, dim, 1, &random);
    float *rows = random_vectors(2, dim, 1e-6F, &random);
    for (size_t i = 0; i < dim; i++) {
      rows[i] += query[i];
      rows[dim + i] = i % 2 == 0 ? query[i] : -query[i];
    }
    for (size_t i = 0; all[i] != NULL; i++) {
      if (all[i]->supported())
        assert_within_bounds(all[i], query, rows, 2, dim);
    }
    free(query);
    free(rows);
  }
}

typedef struct tile_results {
  float *alone;                       /* SF_SHARED_QUERIES × num_rows */
  float *together[SF_SHARED_QUERIES]; /* num_rows each */
} tile_results;

static void assert_tile_is_rows(sf_shared_kernel tile, sf_rows_kernel rows_kernel,
                                const float *const queries[SF_SHARED_QUERIES], const float *rows, size_t num_rows,
                                size_t dim) {
  tile_results results;
  results.alone = random_vectors(SF_SHARED_QUERIES, num_rows, 0, &(uint64_t){1});
  for (size_t i = 0; i < SF_SHARED_QUERIES; i++) {
    results.together[i] = random_vectors(1, num_rows, 0, &(uint64_t){1});
    rows_kernel(queries[i], rows, num_rows, dim, results.alone + i * num_rows);
  }
  tile(queries, rows, num_rows, dim, results.together);
  for (size_t i = 0; i < SF_SHARED_QUERIES; i++) {
    assert_memory_equal(results.together[i], results.alone + i * num_rows, num_rows * sizeof(float));
    free(results.together[i]);
  }
  free(results.alone);
}

static void a_tile_gives_each_query_the_bits_that_it_gets_alone(void **state) {
  (void)state;
  uint64_t random = random_seed(6);
  for (size_t dim = 1; dim != 0; dim = next_dim(dim)) {
    for (size_t num_rows = 0; num_rows <= MAX_ROWS; num_rows += dim > 64 ? 4 : 1) {
      float *rows = random_vectors(num_rows, dim, 1, &random);
      float *queries[SF_SHARED_QUERIES];
      for (size_t i = 0; i < SF_SHARED_QUERIES; i++)
        queries[i] = random_vectors(1, dim, 1, &random);
      for (size_t i = 0; sf_kernels_all()[i] != NULL; i++) {
        const sf_kernels *kernels = sf_kernels_all()[i];
        if (!kernels->supported() || kernels->dot_shared == NULL)
          continue;
        const float *const asked[SF_SHARED_QUERIES] = {queries[0], queries[1], queries[2], queries[3]};
        assert_tile_is_rows(kernels->dot_shared, kernels->dot, asked, rows, num_rows, dim);
        assert_tile_is_rows(kernels->squared_l2_shared, kernels->squared_l2, asked, rows, num_rows, dim);
      }
      for (size_t i = 0; i < SF_SHARED_QUERIES; i++)
        free(queries[i]);
      free(rows);
    }
  }
}

static void kernels_read_rows_of_any_alignment(void **state) {
  (void)state;
  uint64_t random = random_seed(3);
  enum { DIM = 37, ROWS = 6, SHIFTS = 8 };
  float *query = random_vectors(1, DIM, 1, &random);
  float *rows = random_vectors(ROWS, DIM, 1, &random);
  for (size_t i = 0; sf_kernels_all()[i] != NULL; i++) {
    for (size_t shift = 0; shift < SHIFTS; shift++) {
      float shifted[ROWS * DIM + SHIFTS];
      memcpy(shifted + shift, rows, ROWS * DIM * sizeof(float));
      if (sf_kernels_all()[i]->supported())
        assert_within_bounds(sf_kernels_all()[i], query, shifted + shift, ROWS, DIM);
    }
  }
  free(query);
  free(rows);
}

static void assert_tile_within_bounds(const sf_kernels *kernels, const float *const *rows, const float *columns,
                                      size_t num_columns, size_t dim) {
  float *panel = malloc(num_columns * dim * sizeof(float));
  float *results = malloc(SF_TILE_ROWS * num_columns * sizeof(float));
  assert_true(panel != NULL && results != NULL);
  for (size_t column = 0; column < num_columns; column++)
    for (size_t i = 0; i < dim; i++)
      panel[i * num_columns + column] = columns[column * dim + i];
  kernels->dot_tile(rows, panel, num_columns, dim, results);
  for (size_t row = 0; row < SF_TILE_ROWS; row++)
    assert_dots_within_bound(results + row * num_columns, rows[row], columns, num_columns, dim);
  free(panel);
  free(results);
}

static void every_tile_kernel_is_within_its_error_bound(void **state) {
  (void)state;
  uint64_t random = random_seed(5);
  const sf_kernels *const *all = sf_kernels_all();
  for (size_t dim = 1; dim != 0; dim = dim < 40 ? dim + 1 : next_dim(dim + 60)) {
    for (size_t i = 0; all[i] != NULL; i++) {
      for (size_t num_columns = SF_TILE_COLUMNS; num_columns <= all[i]->panel_columns; num_columns += SF_TILE_COLUMNS) {
        if (!all[i]->supported())
          continue;
        float *x = random_vectors(SF_TILE_ROWS - 1, dim, scales[random_below(&random, NUM_SCALES)], &random);
        float *columns = random_vectors(num_columns, dim, scales[random_below(&random, NUM_SCALES)], &random);
        /* In an order of their own, one of them twice. */
        const float *rows[SF_TILE_ROWS] = {x + 3 * dim, x, x + 4 * dim, x + dim, x, x + 2 * dim};
        assert_tile_within_bounds(all[i], rows, columns, num_columns, dim);
        free(x);
        free(columns);
      }
    }
  }
}

/* Keeps compilers from making vectors of a loop, and so from changing anything. */
static double lane_by_lane(const float *a, const float *b, size_t dim, bool of_difference) {
  volatile double lanes[8] = {0};
  for (size_t i = 0; i < dim; i++) {
    volatile double left = of_difference ? (double)a[i] - (double)b[i] : (double)a[i];
    volatile double right = of_difference ? left : (double)b[i];
    volatile double product = left * right;
    lanes[i % 8] = lanes[i % 8] + product;
  }
  volatile double even = (lanes[0] + lanes[4]) + (lanes[2] + lanes[6]);
  volatile double odd = (lanes[1] + lanes[5]) + (lanes[3] + lanes[7]);
  return even + odd;
}

static void assert_same_bits(double a, double b) {
  assert_memory_equal(&a, &b, sizeof(a));
}

static void exact_results_are_the_lanes_in_their_order_bit_for_bit(void **state) {
  (void)state;
  uint64_t random = random_seed(4);
  for (size_t dim = 1; dim != 0; dim = next_dim(dim)) {
    float *a = random_vectors(1, dim, FLT_MAX, &random);
    float *b = random_vectors(1, dim, 1e-3F, &random);
    float *c = random_vectors(1, dim, 1, &random);
    assert_same_bits(sf_exact_dot(a, b, dim), lane_by_lane(a, b, dim, false));
    assert_same_bits(sf_exact_dot(c, b, dim), lane_by_lane(c, b, dim, false));
    assert_same_bits(sf_exact_squared_l2(a, b, dim), lane_by_lane(a, b, dim, true));
    assert_same_bits(sf_exact_squared_l2(c, b, dim), lane_by_lane(c, b, dim, true));
    assert_same_bits(sf_exact_squared_norm(c, dim), lane_by_lane(c, c, dim, false));
    free(a);
    free(b);
    free(c);
  }
}

static void dots_and_norms_have_the_bits_of_the_dot_kernel(void **state) {
  (void)state;
  uint64_t random = random_seed(6);
  for (size_t dim = 1; dim != 0; dim = next_dim(dim)) {
    for (size_t num_rows = 0; num_rows <= 9; num_rows++) {
      float *query = random_vectors(1, dim, 1, &random);
      float *rows = random_vectors(num_rows, dim, scales[random_below(&random, NUM_SCALES)], &random);
      for (size_t i = 0; sf_kernels_all()[i] != NULL; i++) {
        const sf_kernels *kernels = sf_kernels_all()[i];
        float dots[10];
        float squared_norms[10];
        if (!kernels->supported())
          continue;
        dots[num_rows] = squared_norms[num_rows] = -1;
        kernels->dots_and_norms(query, rows, num_rows, dim, dots, squared_norms);
        for (size_t row = 0; row < num_rows; row++) {
          float expected[2];
          kernels->dot(query, rows + row * dim, 1, dim, &expected[0]);
          kernels->dot(rows + row * dim, rows + row * dim, 1, dim, &expected[1]);
          assert_memory_equal(&dots[row], &expected[0], sizeof(float));
          assert_memory_equal(&squared_norms[row], &expected[1], sizeof(float));
        }
        assert_true(dots[num_rows] == -1 && squared_norms[num_rows] == -1);
      }
      free(query);
      free(rows);
    }
  }
}

static void every_kernel_has_the_bits_of_the_exact_squared_norms(void **state) {
  (void)state;
  uint64_t random = random_seed(5);
  for (size_t dim = 1; dim != 0; dim = next_dim(dim)) {
    for (size_t num_rows = 0; num_rows <= 5; num_rows++) {
      float *rows = random_vectors(num_rows, dim, scales[random_below(&random, NUM_SCALES)], &random);
      for (size_t i = 0; sf_kernels_all()[i] != NULL; i++) {
        double results[6] = {-1, -1, -1, -1, -1, -1};
        if (!sf_kernels_all()[i]->supported())
          continue;
        sf_kernels_all()[i]->exact_squared_norms(rows, num_rows, dim, results);
        for (size_t row = 0; row < num_rows; row++)
          assert_same_bits(results[row], sf_exact_squared_norm(rows + row * dim, dim));
        assert_true(results[num_rows] == -1);
      }
      free(rows);
    }
  }
}

static void exact_squared_norms_of_what_is_not_finite_are_not_finite(void **state) {
  (void)state;
  for (size_t dim = 1; dim < 40; dim++) {
    float rows[3 * 40];
    for (size_t place = 0; place < dim; place++) {
      for (size_t i = 0; i < 3 * dim; i++)
        rows[i] = FLT_MAX;
      rows[place] = NAN;
      rows[2 * dim + place] = -INFINITY;
      for (size_t i = 0; sf_kernels_all()[i] != NULL; i++) {
        double results[3];
        if (!sf_kernels_all()[i]->supported())
          continue;
        sf_kernels_all()[i]->exact_squared_norms(rows, 3, dim, results);
        assert_true(isnan(results[0]));
        assert_true(isfinite(results[1]));
        assert_true(isinf(results[2]));
      }
    }
  }
}

static void exact_results_neither_overflow_nor_underflow(void **state) {
  (void)state;
  const float largest[2] = {FLT_MAX, -FLT_MAX};
  const float smallest[2] = {FLT_TRUE_MIN, 0};
  assert_true(sf_exact_squared_norm(largest, 2) == 2 * (double)FLT_MAX * (double)FLT_MAX);
  assert_true(sf_exact_squared_norm(smallest, 2) == (double)FLT_TRUE_MIN * (double)FLT_TRUE_MIN);
  assert_true(sf_exact_squared_norm(smallest, 2) > 0);
}

static void an_inverse_norm_is_given_only_where_float32_can_be_trusted(void **state) {
  (void)state;
  assert_true(sf_inverse_norm((const float[]){3, 4}, 2) == 0.2F);
  assert_true(sf_inverse_norm((const float[]){0, -0.0F}, 2) == 0);
  assert_true(isnan(sf_inverse_norm((const float[]){1e-19F}, 1)));
  assert_true(isnan(sf_inverse_norm((const float[]){1e19F}, 1)));
  assert_true(isnan(sf_inverse_norm((const float[]){INFINITY}, 1)));
  assert_true(isnan(sf_inverse_norm((const float[]){NAN, 1}, 2)));
}

static void a_dim_without_a_float32_bound_has_an_infinite_one(void **state) {
  (void)state;
  assert_true(isinf(sf_dot_error_bound((size_t)1 << 24, 0, 0)));
  assert_true(isinf(sf_squared_l2_error_bound((size_t)1 << 24, 0)));
}

/* In a process of its own, since kernels are picked once in each. */
static void assert_picked(const char *forced, const char *expected) {
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    if (forced == NULL)
      unsetenv("SHARDYFUSION_KERNEL");
    else
      setenv("SHARDYFUSION_KERNEL", forced, 1);
    bool as_expected = strcmp(sf_kernel_name(), expected) == 0;
    setenv("SHARDYFUSION_KERNEL", "portable", 1);
    _exit(as_expected && strcmp(sf_kernel_name(), expected) == 0 ? 0 : 1);
  }
  int status = -1;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
}

static void the_environment_forces_a_supported_kernel_and_the_best_is_the_default(void **state) {
  (void)state;
  const char *best = NULL;
  for (size_t i = 0; sf_kernels_all()[i] != NULL; i++) {
    const sf_kernels *kernels = sf_kernels_all()[i];
    if (kernels->supported() && best == NULL)
      best = kernels->name;
    if (kernels->supported())
      assert_picked(kernels->name, kernels->name);
  }
  assert_non_null(best);
  assert_picked(NULL, best);
  assert_picked("", best);
  assert_picked("no such kernel", best);
}

static void *get_kernels(void *argument) {
  const sf_kernels **kernels = argument;
  *kernels = sf_kernels_get();
  return NULL;
}

static void threads_that_ask_at_once_get_the_same_kernels(void **state) {
  (void)state;
  enum { THREADS = 8 };
  pthread_t threads[THREADS];
  const sf_kernels *kernels[THREADS] = {NULL};
  for (size_t i = 0; i < THREADS; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, get_kernels, (void *)&kernels[i]), 0);
  for (size_t i = 0; i < THREADS; i++)
    assert_int_equal(pthread_join(threads[i], NULL), 0);
  for (size_t i = 0; i < THREADS; i++)
    assert_ptr_equal(kernels[i], sf_kernels_get());
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_environment_forces_a_supported_kernel_and_the_best_is_the_default),
      cmocka_unit_test(threads_that_ask_at_once_get_the_same_kernels),
      cmocka_unit_test(every_kernel_is_within_its_error_bound),
      cmocka_unit_test(a_row_near_the_query_is_within_the_error_bound),
      cmocka_unit_test(a_tile_gives_each_query_the_bits_that_it_gets_alone),
      cmocka_unit_test(kernels_read_rows_of_any_alignment),
      cmocka_unit_test(every_tile_kernel_is_within_its_error_bound),
      cmocka_unit_test(exact_results_are_the_lanes_in_their_order_bit_for_bit),
      cmocka_unit_test(dots_and_norms_have_the_bits_of_the_dot_kernel),
      cmocka_unit_test(every_kernel_has_the_bits_of_the_exact_squared_norms),
      cmocka_unit_test(exact_squared_norms_of_what_is_not_finite_are_not_finite),
      cmocka_unit_test(exact_results_neither_overflow_nor_underflow),
      cmocka_unit_test(an_inverse_norm_is_given_only_where_float32_can_be_trusted),
      cmocka_unit_test(a_dim_without_a_float32_bound_has_an_infinite_one),
  };
  return cmocka_run_group_tests_name("distance", tests, NULL, NULL);
}
