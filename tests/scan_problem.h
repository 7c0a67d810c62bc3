/*
 * Segments and queries for tests of scans: each kind of rows is one way in which a search could go wrong. A header alone, as
 * random.h: the tests on arm64 are compiled without libraries of ours.
 */
#ifndef SF_TESTS_SCAN_PROBLEM_H
#define SF_TESTS_SCAN_PROBLEM_H

#include "base/files.h"
#include "cmocka_includes.h"
#include "random.h"
#include "temporary_folder.h"
#include "vectors/query_vector.h"
#include "vectors/segment.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const sf_score_convention conventions[] = {SF_SCORE_COSINE, SF_SCORE_L2, SF_SCORE_SQUARED_L2,
                                                  SF_SCORE_ONE_MINUS_DOT};
enum { NUM_CONVENTIONS = sizeof(conventions) / sizeof(conventions[0]) };

/* A segment and a query, every buffer of exactly its size. */
struct scan_problem {
  size_t num_rows;
  size_t dim;
  float *query;
  float *vectors;
  float *inverse_norms;
  uint8_t *excluded; /* NULL in some */
  bool is_quantized;
  float *centre;
  uint8_t *groups[SF_QUANTIZED_KINDS];
  sf_vector_segment segment;
};

/* One component of row `row`: each kind of data is one way in which a search could go wrong. */
typedef float (*component_maker)(uint64_t *random, const float *query, size_t row, size_t i);

static inline float uniform(uint64_t *random, const float *query, size_t row, size_t i) {
  (void)query, (void)row, (void)i;
  return random_component(random);
}

static inline float clustered(uint64_t *random, const float *query, size_t row, size_t i) {
  (void)query;
  uint64_t centre = 1000 * (row % 5) + i;
  return random_component(&centre) + 0.01F * random_component(random);
}

static inline float duplicated(uint64_t *random, const float *query, size_t row, size_t i) {
  (void)random, (void)query;
  uint64_t original = 1000 * (row % 7) + i;
  return random_component(&original);
}

static inline float all_equal(uint64_t *random, const float *query, size_t row, size_t i) {
  (void)random, (void)query, (void)row;
  return 0.1F * (float)(i + 1);
}

static inline float all_zero(uint64_t *random, const float *query, size_t row, size_t i) {
  (void)random, (void)query, (void)row, (void)i;
  return 0;
}

static inline float equal_to_the_query(uint64_t *random, const float *query, size_t row, size_t i) {
  (void)random, (void)row;
  return query[i];
}

/* Float32 can't tell these from one another. */
static inline float nearly_the_query(uint64_t *random, const float *query, size_t row, size_t i) {
  (void)row;
  return query[i] * (1 + 1e-7F * (float)random_below(random, 4));
}

static inline float nearly_tied(uint64_t *random, const float *query, size_t row, size_t i) {
  (void)query, (void)row;
  return (1 + 1e-7F * (float)random_below(random, 3)) * (float)(i % 3);
}

/* Multiples of the query: at cosine distance 0 but for roundings. */
static inline float parallel(uint64_t *random, const float *query, size_t row, size_t i) {
  (void)random;
  return query[i] * (float)(row + 1);
}

static inline float huge(uint64_t *random, const float *query, size_t row, size_t i) {
  (void)query, (void)row, (void)i;
  return FLT_MAX * random_component(random);
}

static inline float tiny(uint64_t *random, const float *query, size_t row, size_t i) {
  (void)query, (void)row, (void)i;
  return 1e-42F * random_component(random);
}

static inline float of_any_size(uint64_t *random, const float *query, size_t row, size_t i) {
  (void)query, (void)i;
  return ldexpf(random_component(random), (int)(row * 7 % 250) - 125);
}

static inline float some_zero(uint64_t *random, const float *query, size_t row, size_t i) {
  (void)query, (void)i;
  return row % 3 == 0 ? 0 : random_component(random);
}

/* Each row is nearer than those before it: none can be ruled out early. */
static inline float ever_nearer(uint64_t *random, const float *query, size_t row, size_t i) {
  return query[i] + random_component(random) / (float)(row + 1);
}

static const component_maker component_makers[] = {
    uniform,     clustered, duplicated, all_equal, all_zero,  equal_to_the_query, nearly_the_query,
    nearly_tied, parallel,  huge,       tiny,      some_zero, of_any_size,        ever_nearer,
};
enum { NUM_MAKERS = sizeof(component_makers) / sizeof(component_makers[0]) };

static inline void *exact_size(size_t bytes) {
  void *memory = malloc(bytes > 0 ? bytes : 1);
  assert_non_null(memory);
  return memory;
}

static inline void describe_segment(struct scan_problem *problem, uint64_t first_row) {
  double max_norm = 0;
  for (size_t row = 0; row < problem->num_rows; row++) {
    const float *vector = problem->vectors + row * problem->dim;
    problem->inverse_norms[row] = sf_inverse_norm(vector, problem->dim);
    max_norm = fmax(max_norm, sqrt(sf_exact_squared_norm(vector, problem->dim)));
  }
  problem->segment = (sf_vector_segment){.vectors = problem->vectors,
                                         .inverse_norms = problem->inverse_norms,
                                         .excluded = problem->excluded,
                                         .first_row = first_row,
                                         .num_rows = problem->num_rows,
                                         .max_norm = max_norm};
}

/* Norms that scans compute, and rows that turn out not to be finite. */
static inline void make_lazy(struct scan_problem *problem, uint64_t *random) {
  static const float not_finite[] = {NAN, INFINITY, -INFINITY};
  size_t one_in = 2 + (size_t)random_below(random, 200);
  for (size_t row = 0; row < problem->num_rows; row++)
    if (random_below(random, one_in) == 0)
      problem->vectors[row * problem->dim + random_below(random, problem->dim)] = not_finite[random_below(random, 3)];
  problem->segment.inverse_norms = NULL;
  problem->segment.max_norm = INFINITY;
  problem->segment.lazy_norms = sf_lazy_norms_create(problem->vectors, problem->num_rows, problem->dim, true, NULL);
  assert_non_null(problem->segment.lazy_norms);
}

static inline void free_groups(struct scan_problem *problem) {
  for (sf_quantized_kind kind = 0; kind < SF_QUANTIZED_KINDS; kind++)
    free(problem->groups[kind]);
}

/* Quantized vectors of the rows, after those of some others. */
static inline void add_quantized(struct scan_problem *problem, sf_metric metric, uint64_t *random) {
  sf_vector_segment *segment = &problem->segment;
  uint32_t dim = (uint32_t)problem->dim;
  free(problem->centre);
  free_groups(problem);
  segment->first_quantized = (size_t)random_below(random, 40);
  size_t num_quantized = segment->first_quantized + problem->num_rows;
  size_t num_groups = (size_t)sf_quantized_num_groups(num_quantized);
  float *all = exact_size(num_quantized * dim * sizeof(float));
  for (size_t i = 0; i < segment->first_quantized * dim; i++)
    all[i] = random_component(random);
  memcpy(all + segment->first_quantized * dim, problem->vectors, problem->num_rows * dim * sizeof(float));
  problem->centre = exact_size(dim * sizeof(float));
  segment->quantized = (sf_quantized){.metric = metric, .centre = problem->centre};
  for (sf_quantized_kind kind = 0; kind < SF_QUANTIZED_KINDS; kind++)
    segment->quantized.groups[kind] = problem->groups[kind] =
        exact_size(num_groups * (size_t)sf_quantized_group_size(kind, dim, metric));
  sf_quantized_choose_centre(all, num_quantized, dim, metric, problem->centre);
  sf_quantized_make_groups(all, num_quantized, dim, metric, problem->centre, problem->groups);
  free(all);
}

/* Quantized vectors that scans make, of none, some, or all of the rows. */
static inline void add_lazy_quantized(struct scan_problem *problem, sf_metric metric, uint64_t *random) {
  char path[PATH_SIZE];
  sf_vector_segment *segment = &problem->segment;
  sf_lazy_quantized_free(segment->lazy_quantized);
  segment->quantized = (sf_quantized){0};
  segment->first_quantized = 0;
  segment->lazy_quantized = sf_lazy_quantized_create(problem->vectors, problem->num_rows, (uint32_t)problem->dim,
                                                     metric, NULL, sf_open_nameless, path_of(path, "quantized-"));
  assert_non_null(segment->lazy_quantized);
  size_t rows = sf_rows_per_chunk(problem->dim);
  for (size_t row = 0; row < problem->num_rows; row += rows)
    for (uint64_t visits = random_below(random, 4); visits > 0; visits--)
      sf_lazy_quantized_visit(segment->lazy_quantized, row / rows);
}

/* One or the other kind. */
static inline void quantize_problem(struct scan_problem *problem, sf_metric metric, uint64_t *random) {
  if (random_below(random, 2) == 0) {
    add_lazy_quantized(problem, metric, random);
    return;
  }
  sf_lazy_quantized_free(problem->segment.lazy_quantized);
  problem->segment.lazy_quantized = NULL;
  add_quantized(problem, metric, random);
}

static inline void make_problem(struct scan_problem *problem, component_maker maker, size_t num_rows, size_t dim,
                                uint64_t *random) {
  static const float query_scales[] = {1, 1, 1, 0, 1e-40F, 1e-20F, 1e18F, FLT_MAX};
  *problem = (struct scan_problem){.num_rows = num_rows, .dim = dim};
  problem->query = exact_size(dim * sizeof(float));
  problem->vectors = exact_size(num_rows * dim * sizeof(float));
  problem->inverse_norms = exact_size(num_rows * sizeof(float));
  float scale = query_scales[random_below(random, sizeof(query_scales) / sizeof(query_scales[0]))];
  for (size_t i = 0; i < dim; i++)
    problem->query[i] = scale * random_component(random);
  for (size_t row = 0; row < num_rows; row++) {
    for (size_t i = 0; i < dim; i++) {
      float component = maker(random, problem->query, row, i);
      problem->vectors[row * dim + i] = isfinite(component) ? component : FLT_MAX;
    }
  }
  if (random_below(random, 2) == 0) {
    size_t num_bytes = (num_rows + 7) / 8;
    problem->excluded = exact_size(num_bytes);
    for (size_t i = 0; i < num_bytes; i++)
      problem->excluded[i] = (uint8_t)(random_bits(random) & random_bits(random));
  }
  describe_segment(problem, random_below(random, 1000));
  if (random_below(random, 2) == 0)
    make_lazy(problem, random);
  problem->is_quantized = random_below(random, 2) == 0;
}

static inline void free_problem(struct scan_problem *problem) {
  free(problem->centre);
  free_groups(problem);
  free(problem->query);
  free(problem->vectors);
  free(problem->inverse_norms);
  free(problem->excluded);
  sf_lazy_norms_free(problem->segment.lazy_norms);
  sf_lazy_quantized_free(problem->segment.lazy_quantized);
}

#endif
