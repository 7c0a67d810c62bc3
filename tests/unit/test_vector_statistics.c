#include "vectors/vector_statistics.h"

#include "cmocka_includes.h"
#include "random.h"
#include "vectors/distance.h"

#include <math.h>
#include <string.h>

#define MAX_ROWS 3000
#define MAX_COMPONENTS 3000000
#define MAX_FIRST_ROW 1024

static float vectors[MAX_COMPONENTS];
static float inverse_norms[MAX_ROWS];
static uint8_t excluded[(MAX_FIRST_ROW + MAX_ROWS) / 8 + 1];
static uint8_t excluded_before[sizeof(excluded)];

static bool is_set(const uint8_t *bits, uint64_t row) {
  return (bits[row / 8] >> (row % 8) & 1) != 0;
}

/* Rows of all kinds: of ordinary length, tiny, huge, zero, not finite, and excluded ones of each. */
static void make_rows(size_t num_rows, size_t dim, uint64_t first_row, uint64_t *random) {
  static const float scales[] = {1, 1, 1, 1e-25F, 1e25F, 0, INFINITY, NAN};
  memset(excluded, 0, sizeof(excluded));
  for (size_t row = 0; row < num_rows; row++) {
    float scale = scales[random_below(random, sizeof(scales) / sizeof(scales[0]))];
    for (size_t i = 0; i < dim; i++)
      vectors[row * dim + i] = random_component(random) * (isfinite(scale) ? scale : 1);
    if (!isfinite(scale))
      vectors[row * dim + random_below(random, dim)] = scale;
    if (random_below(random, 5) == 0)
      excluded[(first_row + row) / 8] |= (uint8_t)(1U << ((first_row + row) % 8));
  }
  memcpy(excluded_before, excluded, sizeof(excluded));
}

/* A row at a time, by the definitions. */
static void assert_as_defined(const sf_vector_statistics *found, size_t num_rows, size_t dim, uint64_t first_row) {
  sf_vector_statistics expected = {0};
  for (size_t row = 0; row < num_rows; row++) {
    const float *vector = vectors + row * dim;
    double norm = sqrt(sf_exact_squared_norm(vector, dim));
    bool was_excluded = is_set(excluded_before, first_row + row);
    float inverse_norm = was_excluded ? 0 : sf_inverse_norm(vector, dim);
    assert_memory_equal(&inverse_norms[row], &inverse_norm, sizeof(inverse_norm));
    assert_int_equal(is_set(excluded, first_row + row), was_excluded || !isfinite(norm));
    if (was_excluded)
      continue;
    if (!isfinite(norm))
      expected.num_not_finite++;
    else
      expected.max_norm = fmax(expected.max_norm, norm);
  }
  assert_int_equal(found->num_not_finite, expected.num_not_finite);
  assert_memory_equal(&found->max_norm, &expected.max_norm, sizeof(double));
}

static void assert_statistics(size_t num_rows, size_t dim, uint64_t first_row, uint64_t *random) {
  sf_vector_statistics statistics = {0};
  make_rows(num_rows, dim, first_row, random);
  assert_int_equal(sf_count_not_finite(vectors, num_rows, dim, NULL, 0) > 0, num_rows > 100);
  assert_int_equal(
      sf_vector_statistics_add(&statistics, vectors, first_row, num_rows, dim, excluded, inverse_norms, NULL, NULL),
      SF_OK);
  assert_as_defined(&statistics, num_rows, dim, first_row);
  for (uint64_t row = 0; row < first_row; row++)
    assert_false(is_set(excluded, row));
}

static void rows_of_every_kind_are_looked_at_as_one_at_a_time_would_be(void **state) {
  (void)state;
  uint64_t random = random_seed(1);
  assert_statistics(0, 3, 0, &random);
  assert_statistics(1001, 1, 0, &random);
  assert_statistics(1537, 17, 3, &random);
  assert_statistics(3000, 384, 1021, &random); /* several chunks */
  assert_statistics(150, 20000, 8, &random);
}

static void several_calls_add_up_and_norms_need_not_be_wanted(void **state) {
  (void)state;
  const float few[] = {3, 4, NAN, 0, 6, 8};
  uint8_t bits[1] = {0};
  sf_vector_statistics statistics = {0};
  for (size_t row = 0; row < 3; row++)
    assert_int_equal(sf_vector_statistics_add(&statistics, few + row * 2, row, 1, 2, bits, NULL, NULL, NULL), SF_OK);
  assert_int_equal(statistics.num_not_finite, 1);
  assert_int_equal(bits[0], 2);
  assert_true(statistics.max_norm == 10);
  assert_int_equal(sf_count_not_finite(few, 3, 2, NULL, 0), 1);
}

static void what_was_cancelled_is_left(void **state) {
  (void)state;
  const float few[] = {3, 4};
  uint8_t bits[1] = {0};
  sf_vector_statistics statistics = {0};
  sf_cancellation cancellation = {0};
  sf_error error = {0};
  sf_cancellation_request(&cancellation);
  assert_int_equal(sf_vector_statistics_add(&statistics, few, 0, 1, 2, bits, NULL, &cancellation, &error),
                   SF_CANCELLED_ERROR);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rows_of_every_kind_are_looked_at_as_one_at_a_time_would_be),
      cmocka_unit_test(several_calls_add_up_and_norms_need_not_be_wanted),
      cmocka_unit_test(what_was_cancelled_is_left),
  };
  return cmocka_run_group_tests_name("vector statistics", tests, NULL, NULL);
}
