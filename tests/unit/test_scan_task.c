#include "query/plan.h"

#include "cmocka_includes.h"
#include "random.h"

static const float centre;

/* Nothing of it is read. */
static sf_vector_segment segment_of(size_t num_rows, bool is_quantized) {
  sf_vector_segment segment = {.num_rows = num_rows};
  if (is_quantized)
    segment.quantized.centre = &centre;
  return segment;
}

static size_t task_rows(const sf_vector_segment *segment, uint32_t dim, size_t row) {
  const sf_row_range range = sf_row_range_of(segment);
  sf_scan_task task = sf_scan_task_at(&range, dim, row);
  return task.end - task.begin;
}

static void tasks_are_whole_chunks_that_end_with_the_range(void **state) {
  (void)state;
  uint64_t random = random_seed(1);
  for (size_t round = 0; round < 2000; round++) {
    uint32_t dim = 1 + (uint32_t)random_below(&random, round % 10 == 0 ? 65536 : 1000);
    size_t most_rows = ((size_t)400 << 20) / dim / sizeof(float) + 1;
    sf_vector_segment segment = segment_of(1 + (size_t)random_below(&random, most_rows), round % 2 == 0);
    const sf_row_range range = sf_row_range_of(&segment);
    size_t row = 0;
    while (row < segment.num_rows) {
      sf_scan_task task = sf_scan_task_at(&range, dim, row);
      size_t rows = task.end - task.begin;
      assert_int_equal(task.begin, row);
      assert_true(rows > 0 && rows <= segment.num_rows - row);
      assert_true(rows % sf_rows_per_chunk(dim) == 0 || row + rows == segment.num_rows);
      row += rows;
    }
  }
}

enum { DIM = 256, ROWS_OF_A_MIB = (1 << 20) / DIM / sizeof(float) };

static void tasks_without_quantized_vectors_are_about_equal(void **state) {
  (void)state;
  sf_vector_segment segment = segment_of(41 * ROWS_OF_A_MIB, false);
  size_t count = 0;
  for (size_t row = 0; row < segment.num_rows; count++) {
    size_t rows = task_rows(&segment, DIM, row);
    row += rows;
    assert_true(rows <= 4 * ROWS_OF_A_MIB);
    assert_true(rows > 3 * ROWS_OF_A_MIB || row == segment.num_rows);
  }
  assert_int_equal(count, 11);
}

static void tasks_with_quantized_vectors_become_smaller(void **state) {
  (void)state;
  sf_vector_segment segment = segment_of(300 * ROWS_OF_A_MIB, true);
  size_t previous = 32 * ROWS_OF_A_MIB;
  for (size_t row = 0; row < segment.num_rows;) {
    size_t rows = task_rows(&segment, DIM, row);
    assert_true(rows <= previous);
    row += rows;
    previous = rows;
  }
  assert_true(task_rows(&segment, DIM, 0) > 24 * ROWS_OF_A_MIB);
  assert_true(previous <= 8 * ROWS_OF_A_MIB);
}

static void a_small_segment_is_one_task(void **state) {
  (void)state;
  for (int is_quantized = 0; is_quantized < 2; is_quantized++) {
    sf_vector_segment segment = segment_of(1000, is_quantized == 1);
    assert_int_equal(task_rows(&segment, 100, 0), 1000);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tasks_are_whole_chunks_that_end_with_the_range),
      cmocka_unit_test(tasks_without_quantized_vectors_are_about_equal),
      cmocka_unit_test(tasks_with_quantized_vectors_become_smaller),
      cmocka_unit_test(a_small_segment_is_one_task),
  };
  return cmocka_run_group_tests_name("scan tasks", tests, NULL, NULL);
}
