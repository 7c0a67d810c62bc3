#include "shard/vector_statistics.h"

#include "cmocka_includes.h"
#include "distance/distance.h"
#include "random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct sample {
  size_t num_rows;
  size_t dim;
  uint64_t first_row;
  float *vectors;
  uint8_t *excluded;
  float *inverse_norms;
  sf_vector_statistics statistics;
} sample;

static bool is_excluded(const uint8_t *excluded, uint64_t row) {
  return (excluded[row / 8] >> (row % 8) & 1) != 0;
}

/* Rows of all kinds: of ordinary length, tiny, huge, zero, not finite, and excluded ones of each. */
static sample make_sample(size_t num_rows, size_t dim, uint64_t first_row, uint64_t *random) {
  static const float scales[] = {1, 1, 1, 1e-25F, 1e25F, 0, INFINITY, NAN};
  sample made = {.num_rows = num_rows, .dim = dim, .first_row = first_row};
  made.vectors = calloc(num_rows * dim + 1, sizeof(float));
  made.excluded = calloc((size_t)(first_row + num_rows) / 8 + 1, 1);
  made.inverse_norms = calloc(num_rows + 1, sizeof(float));
  for (size_t row = 0; row < num_rows; row++) {
    float scale = scales[random_below(random, sizeof(scales) / sizeof(scales[0]))];
    for (size_t i = 0; i < dim; i++)
      made.vectors[row * dim + i] = random_component(random) * (isfinite(scale) ? scale : 1);
    if (!isfinite(scale))
      made.vectors[row * dim + random_below(random, dim)] = scale;
    if (random_below(random, 5) == 0)
      made.excluded[(first_row + row) / 8] |= (uint8_t)(1U << ((first_row + row) % 8));
  }
  return made;
}

static void free_sample(sample *freed) {
  free(freed->vectors);
  free(freed->excluded);
  free(freed->inverse_norms);
}

/* A row at a time, by the definitions. */
static void assert_as_defined(const sample *found, const uint8_t *excluded_before) {
  sf_vector_statistics expected = {0};
  for (size_t row = 0; row < found->num_rows; row++) {
    const float *vector = found->vectors + row * found->dim;
    double norm = sqrt(sf_exact_squared_norm(vector, found->dim));
    bool was_excluded = is_excluded(excluded_before, found->first_row + row);
    float inverse_norm = was_excluded ? 0 : sf_inverse_norm(vector, found->dim);
    assert_memory_equal(&found->inverse_norms[row], &inverse_norm, sizeof(inverse_norm));
    assert_int_equal(is_excluded(found->excluded, found->first_row + row), was_excluded || !isfinite(norm));
    if (was_excluded)
      continue;
    if (!isfinite(norm))
      expected.num_not_finite++;
    else
      expected.max_norm = fmax(expected.max_norm, norm);
  }
  assert_int_equal(found->statistics.num_not_finite, expected.num_not_finite);
  assert_memory_equal(&found->statistics.max_norm, &expected.max_norm, sizeof(double));
}

static void assert_statistics(size_t num_rows, size_t dim, uint64_t first_row, uint64_t *random) {
  sample rows = make_sample(num_rows, dim, first_row, random);
  size_t length = (size_t)(first_row + num_rows) / 8 + 1;
  uint8_t *excluded_before = malloc(length);
  memcpy(excluded_before, rows.excluded, length);
  assert_int_equal(sf_count_not_finite(rows.vectors, num_rows, dim) > 0, num_rows > 100);
  assert_int_equal(sf_vector_statistics_add(&rows.statistics, rows.vectors, first_row, num_rows, dim, rows.excluded,
                                            rows.inverse_norms, NULL, NULL),
                   SF_OK);
  assert_as_defined(&rows, excluded_before);
  for (size_t i = 0; i < first_row / 8; i++)
    assert_int_equal(rows.excluded[i], 0);
  free(excluded_before);
  free_sample(&rows);
}

static void rows_of_every_kind_are_looked_at_as_one_at_a_time_would_be(void **state) {
  (void)state;
  uint64_t random = 1;
  assert_statistics(0, 3, 0, &random);
  assert_statistics(1001, 1, 0, &random);
  assert_statistics(1537, 17, 3, &random);
  assert_statistics(3000, 384, 1021, &random); /* several windows */
  assert_statistics(150, 20000, 8, &random);
}

static void several_calls_add_up_and_norms_need_not_be_wanted(void **state) {
  (void)state;
  const float vectors[] = {3, 4, NAN, 0, 6, 8};
  uint8_t excluded[1] = {0};
  sf_vector_statistics statistics = {0};
  for (size_t row = 0; row < 3; row++)
    assert_int_equal(sf_vector_statistics_add(&statistics, vectors + row * 2, row, 1, 2, excluded, NULL, NULL, NULL),
                     SF_OK);
  assert_int_equal(statistics.num_not_finite, 1);
  assert_int_equal(excluded[0], 2);
  assert_true(statistics.max_norm == 10);
  assert_int_equal(sf_count_not_finite(vectors, 3, 2), 1);
}

static void what_was_cancelled_is_left(void **state) {
  (void)state;
  const float vectors[] = {3, 4};
  uint8_t excluded[1] = {0};
  sf_vector_statistics statistics = {0};
  sf_cancellation cancellation = {0};
  sf_error error = {0};
  sf_cancellation_request(&cancellation);
  assert_int_equal(sf_vector_statistics_add(&statistics, vectors, 0, 1, 2, excluded, NULL, &cancellation, &error),
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
