#include "cmocka_includes.h"
#include "random.h"
#include "vectors/quantized.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const sf_metric metrics[] = {SF_METRIC_COSINE, SF_METRIC_L2, SF_METRIC_DOT_PRODUCT};
enum { NUM_METRICS = sizeof(metrics) / sizeof(metrics[0]) };

/* Rows, a query and quantized vectors, every buffer of exactly its size. */
struct problem {
  size_t num_rows;
  uint32_t dim;
  sf_metric metric;
  float *rows;
  float *query; /* for cosine of length 1, or zero */
  float *centre;
  uint8_t *groups[SF_QUANTIZED_KINDS];
  sf_quantized quantized;
};

static void *exact_size(size_t bytes) {
  void *memory = malloc(bytes > 0 ? bytes : 1);
  assert_non_null(memory);
  return memory;
}

static size_t num_groups(const struct problem *problem) {
  return (size_t)sf_quantized_num_groups(problem->num_rows);
}

static void make_quantized(struct problem *problem) {
  problem->centre = exact_size(problem->dim * sizeof(float));
  problem->quantized = (sf_quantized){.metric = problem->metric, .centre = problem->centre};
  for (sf_quantized_kind kind = 0; kind < SF_QUANTIZED_KINDS; kind++)
    problem->quantized.groups[kind] = problem->groups[kind] =
        exact_size(num_groups(problem) * (size_t)sf_quantized_group_size(kind, problem->dim, problem->metric));
  sf_quantized_choose_centre(problem->rows, problem->num_rows, problem->dim, problem->metric, problem->centre);
  sf_quantized_make_groups(problem->rows, problem->num_rows, problem->dim, problem->metric, problem->centre,
                           problem->groups);
}

static void scale_query(struct problem *problem) {
  double norm = sqrt(sf_exact_squared_norm(problem->query, problem->dim));
  for (uint32_t i = 0; i < problem->dim && norm > 0; i++)
    problem->query[i] = (float)((double)problem->query[i] / norm);
}

/* Rows of every size, about a point that may lie far off, some of them special. */
static void make_problem(struct problem *problem, size_t num_rows, uint32_t dim, sf_metric metric, uint64_t *random) {
  static const float scales[] = {1, 1, 1, 1e-3F, 1e3F, 1e-14F, 1e-20F, 1e-40F, 1e14F, 1e18F, 1e30F};
  static const float offsets[] = {0, 0, 1, 100};
  static const float not_finite[] = {NAN, INFINITY, -INFINITY};
  float scale = scales[random_below(random, sizeof(scales) / sizeof(scales[0]))];
  float offset = offsets[random_below(random, sizeof(offsets) / sizeof(offsets[0]))];
  *problem = (struct problem){.num_rows = num_rows, .dim = dim, .metric = metric};
  problem->rows = exact_size(num_rows * dim * sizeof(float));
  problem->query = exact_size(dim * sizeof(float));
  for (size_t row = 0; row < num_rows; row++) {
    float *components = problem->rows + row * dim;
    uint64_t kind = random_below(random, 12);
    float of_row = kind == 0 ? 0 : kind == 1 ? scale * 1e6F : scale;
    for (uint32_t i = 0; i < dim; i++) {
      bool is_spike = kind == 2 && random_below(random, dim) > 1;
      components[i] = is_spike ? 0 : of_row * (offset + random_component(random));
      if (kind == 3) /* as far from a code as can be: all but one component between two integers */
        components[i] = i == 0 ? 7.5F * scale : 0.5F * scale;
      if (kind == 4)
        components[i] = scale * (random_below(random, 2) == 0 ? 1.0F : -1.0F);
    }
    if (kind == 5)
      components[random_below(random, dim)] = not_finite[random_below(random, 3)];
  }
  for (uint32_t i = 0; i < dim; i++)
    problem->query[i] = scale * random_component(random);
  uint64_t kind = random_below(random, 6);
  if (kind < 2) /* a row, or its opposite: what rounding leaves of it is then in the query's direction */
    for (uint32_t i = 0; i < dim; i++)
      problem->query[i] = problem->rows[(num_rows - 1) * dim + i] * (kind == 0 ? 1.0F : -1.0F);
  for (uint32_t i = 0; i < dim; i++)
    if (!isfinite(problem->query[i]))
      problem->query[i] = 1;
  if (metric == SF_METRIC_COSINE)
    scale_query(problem);
  make_quantized(problem);
}

static void free_problem(struct problem *problem) {
  free(problem->rows);
  free(problem->query);
  free(problem->centre);
  for (sf_quantized_kind kind = 0; kind < SF_QUANTIZED_KINDS; kind++)
    free(problem->groups[kind]);
}

/* −cos, the squared distance or −dot; NaN of a row that is not finite. */
static long double exact_distance(const struct problem *problem, const float *row) {
  long double dot = 0;
  long double squared_norm = 0;
  long double squared_query = 0;
  long double squared_distance = 0;
  for (uint32_t i = 0; i < problem->dim; i++) {
    long double difference = (long double)problem->query[i] - (long double)row[i];
    dot += (long double)problem->query[i] * (long double)row[i];
    squared_norm += (long double)row[i] * (long double)row[i];
    squared_query += (long double)problem->query[i] * (long double)problem->query[i];
    squared_distance += difference * difference;
  }
  if (problem->metric == SF_METRIC_L2)
    return squared_distance;
  if (problem->metric == SF_METRIC_DOT_PRODUCT)
    return -dot;
  return squared_norm == 0 || squared_query == 0 ? 0 * squared_norm : -dot / sqrtl(squared_norm * squared_query);
}

static void find_bounds(const struct problem *problem, const sf_quantized_query *query, const sf_kernels *kernels,
                        sf_quantized_kind kind, float threshold, uint16_t *masks, float *bounds) {
  const sf_quantized_groups groups = {.first = problem->groups[kind],
                                      .count = num_groups(problem),
                                      .dim = problem->dim,
                                      .has_squared_norms = problem->metric == SF_METRIC_L2};
  kernels->find_near_quantized[kind](&query->comparisons[kind], &groups, threshold, masks, bounds);
}

static void for_every_supported_kernel(void (*act)(const sf_kernels *kernels)) {
  for (size_t i = 0; sf_kernels_all()[i] != NULL; i++)
    if (sf_kernels_all()[i]->supported())
      act(sf_kernels_all()[i]);
}

static void assert_bounds_hold(const struct problem *problem, const sf_kernels *kernels, sf_quantized_kind kind,
                               uint64_t *random) {
  size_t padded = num_groups(problem) * SF_QUANTIZED_GROUP_ROWS;
  float *bounds = exact_size(padded * sizeof(float));
  uint16_t *masks = exact_size(num_groups(problem) * sizeof(uint16_t));
  sf_quantized_query query = {.components = exact_size(sf_quantized_query_length(problem->dim))};
  if (sf_quantized_query_init(&query, problem->query, problem->dim, &problem->quantized)) {
    find_bounds(problem, &query, kernels, kind, INFINITY, masks, bounds);
    float threshold = bounds[random_below(random, padded)];
    for (size_t row = 0; row < problem->num_rows; row++) {
      assert_true(masks[row / SF_QUANTIZED_GROUP_ROWS] >> (row % SF_QUANTIZED_GROUP_ROWS) & 1);
      /* Not <=: nothing is known of rows that are not finite, on either side. */
      assert_false((long double)bounds[row] > exact_distance(problem, problem->rows + row * problem->dim));
    }
    find_bounds(problem, &query, kernels, kind, threshold, masks, NULL);
    for (size_t row = 0; row < padded; row++)
      assert_int_equal(masks[row / SF_QUANTIZED_GROUP_ROWS] >> (row % SF_QUANTIZED_GROUP_ROWS) & 1,
                       !(bounds[row] > threshold));
  }
  free(query.components);
  free(bounds);
  free(masks);
}

static void check_bounds(const sf_kernels *kernels) {
  uint64_t random = random_seed(1);
  for (size_t round = 0; round < 1500; round++) {
    struct problem problem;
    uint32_t dim = 1 + (uint32_t)random_below(&random, round % 50 == 0 ? 3000 : 150);
    make_problem(&problem, 1 + (size_t)random_below(&random, 60), dim, metrics[round % NUM_METRICS], &random);
    assert_bounds_hold(&problem, kernels, SF_QUANTIZED_2BIT, &random);
    assert_bounds_hold(&problem, kernels, SF_QUANTIZED_4BIT, &random);
    free_problem(&problem);
  }
}

static void no_row_is_nearer_than_its_bound(void **state) {
  (void)state;
  for_every_supported_kernel(check_bounds);
}

/* Of rows that are spread evenly: a bound that were always −infinity would hold as well. `part` is one of |q||x − centre|. */
static void check_tightness(const sf_kernels *kernels, sf_quantized_kind kind, double part) {
  enum { DIM = 96, NUM_ROWS = 64 };
  uint64_t random = random_seed(2);
  for (size_t i = 0; i < NUM_METRICS; i++) {
    struct problem problem = {.num_rows = NUM_ROWS, .dim = DIM, .metric = metrics[i]};
    problem.rows = exact_size(NUM_ROWS * DIM * sizeof(float));
    problem.query = exact_size(DIM * sizeof(float));
    for (size_t j = 0; j < NUM_ROWS * DIM; j++)
      problem.rows[j] = 3 + random_component(&random); /* the centre takes the 3 away */
    for (size_t j = 0; j < DIM; j++)
      problem.query[j] = 3 + random_component(&random);
    if (metrics[i] == SF_METRIC_COSINE)
      scale_query(&problem);
    make_quantized(&problem);
    float bounds[NUM_ROWS];
    uint16_t masks[NUM_ROWS / SF_QUANTIZED_GROUP_ROWS];
    int8_t components[DIM];
    sf_quantized_query query = {.components = components};
    assert_true(sf_quantized_query_init(&query, problem.query, DIM, &problem.quantized));
    find_bounds(&problem, &query, kernels, kind, INFINITY, masks, bounds);
    for (size_t row = 0; row < NUM_ROWS; row++) {
      double distance = (double)exact_distance(&problem, problem.rows + row * DIM);
      double norm_less_centre = 0;
      double query_norm = 0;
      for (size_t j = 0; j < DIM; j++) {
        double factor = metrics[i] == SF_METRIC_COSINE ? (double)sf_inverse_norm(problem.rows + row * DIM, DIM) : 1;
        double component = (double)problem.rows[row * DIM + j] * factor - (double)problem.centre[j];
        double of_query = (double)problem.query[j] - (metrics[i] == SF_METRIC_L2 ? (double)problem.centre[j] : 0);
        norm_less_centre += component * component;
        query_norm += of_query * of_query;
      }
      double span = sqrt(norm_less_centre * query_norm) * (metrics[i] == SF_METRIC_L2 ? 2 : 1);
      assert_true((double)bounds[row] > distance - part * span);
    }
    free_problem(&problem);
  }
}

static void check_tightness_of_2bit(const sf_kernels *kernels) {
  check_tightness(kernels, SF_QUANTIZED_2BIT, 0.6);
}

static void check_tightness_of_4bit(const sf_kernels *kernels) {
  check_tightness(kernels, SF_QUANTIZED_4BIT, 0.25);
}

static void a_bound_is_near_its_row(void **state) {
  (void)state;
  for_every_supported_kernel(check_tightness_of_2bit);
  for_every_supported_kernel(check_tightness_of_4bit);
}

static void check_rounding(const sf_kernels *kernels) {
  uint64_t random = random_seed(3);
  for (uint32_t dim = 1; dim < 140; dim++) {
    struct problem problem;
    make_problem(&problem, 1, dim, SF_METRIC_L2, &random);
    uint8_t expected[SF_QUANTIZED_KINDS][2048] = {{0}};
    uint8_t found[SF_QUANTIZED_KINDS][2048] = {{0}};
    uint8_t *const expected_blocks[SF_QUANTIZED_KINDS] = {expected[0], expected[1]};
    uint8_t *const found_blocks[SF_QUANTIZED_KINDS] = {found[0], found[1]};
    sf_quantized_row expected_row;
    sf_quantized_row found_row;
    size_t last = 0;
    while (sf_kernels_all()[last + 1] != NULL)
      last++;
    sf_kernels_all()[last]->quantize_row(problem.rows, problem.centre, dim, 1, expected_blocks, &expected_row);
    kernels->quantize_row(problem.rows, problem.centre, dim, 1, found_blocks, &found_row);
    assert_memory_equal(found, expected, sizeof(expected));
    assert_memory_equal(found_row.scales, expected_row.scales, sizeof(found_row.scales));
    assert_memory_equal(&found_row.squared_norm, &expected_row.squared_norm, sizeof(double));
    assert_memory_equal(found_row.squared_residues, expected_row.squared_residues, sizeof(found_row.squared_residues));
    free_problem(&problem);
  }
}

static void codes_are_the_same_with_every_kernel(void **state) {
  (void)state;
  for_every_supported_kernel(check_rounding);
}

static void a_query_that_float32_is_too_short_for_is_refused(void **state) {
  (void)state;
  uint64_t random = random_seed(4);
  struct problem problem;
  int8_t components[16];
  sf_quantized_query query = {.components = components};
  make_problem(&problem, 20, 3, SF_METRIC_DOT_PRODUCT, &random);
  const float huge[] = {1, FLT_MAX, 0};
  assert_false(sf_quantized_query_init(&query, huge, 3, &problem.quantized));
  const float ordinary[] = {1, 2, 0};
  assert_true(sf_quantized_query_init(&query, ordinary, 3, &problem.quantized));
  free_problem(&problem);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(no_row_is_nearer_than_its_bound),
      cmocka_unit_test(a_bound_is_near_its_row),
      cmocka_unit_test(codes_are_the_same_with_every_kernel),
      cmocka_unit_test(a_query_that_float32_is_too_short_for_is_refused),
  };
  return cmocka_run_group_tests_name("quantized", tests, NULL, NULL);
}
