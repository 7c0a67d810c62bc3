#include "query/quantized_pass.h"

#include "scan_problem.h"
#include "vectors/approximate_distance.h"

/* Exact scores of the rows whose offsets are not among those found: none may be as low as the threshold allows. */
static void assert_ruled_out_safely(const sf_query_vector *query, const struct scan_problem *problem, size_t begin,
                                    size_t count, const uint16_t *offsets, size_t num_found, double score_threshold) {
  size_t next = 0;
  for (size_t i = 0; i < count; i++) {
    if (next < num_found && offsets[next] == i) {
      next++;
      continue;
    }
    const float *row = problem->vectors + (begin + i) * problem->dim;
    if (isfinite(sf_exact_squared_norm(row, problem->dim)))
      assert_true(sf_exact_score(query, row) > score_threshold);
  }
  assert_int_equal(next, num_found); /* they ascend, and none is beyond the rows */
}

/* The rows are asked for in ranges that begin anywhere within a chunk. */
static void pass_over(sf_quantized_pass *pass, const sf_query_vector *query, const struct scan_problem *problem,
                      uint64_t *random) {
  size_t chunk_rows = sf_rows_per_chunk(problem->dim);
  const float *row = problem->vectors + random_below(random, problem->num_rows) * problem->dim;
  if (!isfinite(sf_exact_squared_norm(row, problem->dim)))
    return;
  double score_threshold = sf_exact_score(query, row);
  double max_norm = 0;
  for (size_t i = 0; i < problem->num_rows; i++) {
    double norm = sqrt(sf_exact_squared_norm(problem->vectors + i * problem->dim, problem->dim));
    max_norm = isfinite(norm) ? fmax(max_norm, norm) : max_norm;
  }
  sf_distance_bounds bounds = sf_distance_bounds_of(query, max_norm);
  float threshold = sf_highest_distance_of_score(&bounds, score_threshold);
  for (size_t begin = 0; begin < problem->num_rows;) {
    uint16_t offsets[SF_MAX_CHUNK_ROWS];
    size_t left_in_chunk = chunk_rows - begin % chunk_rows;
    size_t left = problem->num_rows - begin < left_in_chunk ? problem->num_rows - begin : left_in_chunk;
    size_t count = 1 + (size_t)random_below(random, left);
    if (sf_quantized_pass_serves(pass, begin / chunk_rows)) {
      size_t num_found = sf_quantized_pass_find(pass, begin, count, threshold, offsets);
      assert_ruled_out_safely(query, problem, begin, count, offsets, num_found, score_threshold);
    }
    begin += count;
  }
}

static void no_row_that_may_be_a_result_is_ruled_out(void **state) {
  (void)state;
  uint64_t random = random_seed(21);
  for (size_t round = 0; round < 12 * NUM_MAKERS; round++) {
    struct scan_problem problem;
    sf_query_vector query;
    sf_quantized_pass pass;
    float scaled[64];
    sf_score_convention convention = conventions[round % NUM_CONVENTIONS];
    make_problem(&problem, component_makers[round % NUM_MAKERS], 1 + (size_t)random_below(&random, 3000),
                 1 + (size_t)random_below(&random, 64), &random);
    quantize_problem(&problem, sf_scorings[convention].metric, &random);
    sf_query_vector_init(&query, problem.query, (uint32_t)problem.dim, convention, scaled);
    assert_int_equal(sf_quantized_pass_init(&pass, &query, &problem.segment, NULL, NULL), SF_OK);
    if (pass.is_on)
      pass_over(&pass, &query, &problem, &random);
    sf_quantized_pass_free(&pass);
    free_problem(&problem);
  }
}

static void far_rows_are_ruled_out(void **state) {
  (void)state;
  enum { NUM_ROWS = 512, DIM = 32, NEAR = 300 };
  uint64_t random = random_seed(22);
  struct scan_problem problem;
  make_problem(&problem, uniform, NUM_ROWS, DIM, &random);
  for (size_t i = 0; i < DIM; i++) {
    problem.query[i] = 10;
    for (size_t row = 0; row < NUM_ROWS; row++)
      problem.vectors[row * DIM + i] = row == NEAR ? 10 : -10 + random_component(&random);
  }
  sf_lazy_norms_free(problem.segment.lazy_norms); /* which describing the segment anew would lose */
  describe_segment(&problem, 0);
  add_quantized(&problem, SF_METRIC_L2, &random);
  sf_query_vector query;
  float scaled[DIM];
  sf_query_vector_init(&query, problem.query, DIM, SF_SCORE_L2, scaled);
  sf_quantized_pass pass;
  assert_int_equal(sf_quantized_pass_init(&pass, &query, &problem.segment, NULL, NULL), SF_OK);
  assert_true(pass.is_on);
  uint16_t offsets[NUM_ROWS];
  assert_int_equal(sf_quantized_pass_find(&pass, 0, NUM_ROWS, 1, offsets), 1);
  assert_int_equal(offsets[0], NEAR);
  sf_quantized_pass_free(&pass);
  free_problem(&problem);
}

static void a_segment_without_quantized_vectors_has_no_pass(void **state) {
  (void)state;
  uint64_t random = random_seed(23);
  struct scan_problem problem;
  sf_query_vector query;
  float scaled[8];
  make_problem(&problem, uniform, 100, 8, &random);
  sf_query_vector_init(&query, problem.query, 8, SF_SCORE_COSINE, scaled);
  sf_quantized_pass pass;
  assert_int_equal(sf_quantized_pass_init(&pass, &query, &problem.segment, NULL, NULL), SF_OK);
  assert_false(pass.is_on);
  assert_false(sf_quantized_pass_serves(&pass, 0));
  sf_quantized_pass_free(&pass);
  free_problem(&problem);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(no_row_that_may_be_a_result_is_ruled_out),
      cmocka_unit_test(far_rows_are_ruled_out),
      cmocka_unit_test(a_segment_without_quantized_vectors_has_no_pass),
  };
  return cmocka_run_group_tests_name("quantized pass", tests, NULL, NULL);
}
