#include "base/files.h"
#include "cmocka_includes.h"
#include "query/quantized_pass.h"
#include "query/scan.h"
#include "random.h"
#include "temporary_folder.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const sf_score_convention conventions[] = {SF_SCORE_COSINE, SF_SCORE_L2, SF_SCORE_SQUARED_L2,
                                                  SF_SCORE_ONE_MINUS_DOT};
enum { NUM_CONVENTIONS = sizeof(conventions) / sizeof(conventions[0]) };

/* A segment and a query, every buffer of exactly its size. */
struct problem {
  size_t num_rows;
  size_t dim;
  float *query;
  float *vectors;
  float *inverse_norms;
  uint8_t *excluded; /* NULL in some */
  bool is_coded;
  float *centre;
  uint8_t *groups[SF_QUANTIZED_KINDS];
  sf_vector_segment segment;
};

/* One component of row `row`: each kind of data is one way in which a search could go wrong. */
typedef float (*component_maker)(uint64_t *random, const float *query, size_t row, size_t i);

static float uniform(uint64_t *random, const float *query, size_t row, size_t i) {
  (void)query, (void)row, (void)i;
  return random_component(random);
}

static float clustered(uint64_t *random, const float *query, size_t row, size_t i) {
  (void)query;
  uint64_t centre = 1000 * (row % 5) + i;
  return random_component(&centre) + 0.01F * random_component(random);
}

static float duplicated(uint64_t *random, const float *query, size_t row, size_t i) {
  (void)random, (void)query;
  uint64_t original = 1000 * (row % 7) + i;
  return random_component(&original);
}

static float all_equal(uint64_t *random, const float *query, size_t row, size_t i) {
  (void)random, (void)query, (void)row;
  return 0.1F * (float)(i + 1);
}

static float all_zero(uint64_t *random, const float *query, size_t row, size_t i) {
  (void)random, (void)query, (void)row, (void)i;
  return 0;
}

static float equal_to_the_query(uint64_t *random, const float *query, size_t row, size_t i) {
  (void)random, (void)row;
  return query[i];
}

/* Float32 can't tell these from one another. */
static float nearly_the_query(uint64_t *random, const float *query, size_t row, size_t i) {
  (void)row;
  return query[i] * (1 + 1e-7F * (float)random_below(random, 4));
}

static float nearly_tied(uint64_t *random, const float *query, size_t row, size_t i) {
  (void)query, (void)row;
  return (1 + 1e-7F * (float)random_below(random, 3)) * (float)(i % 3);
}

/* Multiples of the query: at cosine distance 0 but for roundings. */
static float parallel(uint64_t *random, const float *query, size_t row, size_t i) {
  (void)random;
  return query[i] * (float)(row + 1);
}

static float huge(uint64_t *random, const float *query, size_t row, size_t i) {
  (void)query, (void)row, (void)i;
  return FLT_MAX * random_component(random);
}

static float tiny(uint64_t *random, const float *query, size_t row, size_t i) {
  (void)query, (void)row, (void)i;
  return 1e-42F * random_component(random);
}

static float of_any_size(uint64_t *random, const float *query, size_t row, size_t i) {
  (void)query, (void)i;
  return ldexpf(random_component(random), (int)(row * 7 % 250) - 125);
}

static float some_zero(uint64_t *random, const float *query, size_t row, size_t i) {
  (void)query, (void)i;
  return row % 3 == 0 ? 0 : random_component(random);
}

/* Each row is nearer than those before it: none can be turned away early. */
static float ever_nearer(uint64_t *random, const float *query, size_t row, size_t i) {
  return query[i] + random_component(random) / (float)(row + 1);
}

static const component_maker component_makers[] = {
    uniform,     clustered, duplicated, all_equal, all_zero,  equal_to_the_query, nearly_the_query,
    nearly_tied, parallel,  huge,       tiny,      some_zero, of_any_size,        ever_nearer,
};
enum { NUM_MAKERS = sizeof(component_makers) / sizeof(component_makers[0]) };

static void *exact_size(size_t bytes) {
  void *memory = malloc(bytes > 0 ? bytes : 1);
  assert_non_null(memory);
  return memory;
}

static void describe_segment(struct problem *problem, uint64_t first_row) {
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

/* Norms that are found out by scanning, and rows that turn out not to be finite. */
static void make_lazy(struct problem *problem, uint64_t *random) {
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

static void free_groups(struct problem *problem) {
  for (sf_quantized_kind kind = 0; kind < SF_QUANTIZED_KINDS; kind++)
    free(problem->groups[kind]);
}

/* Codes of the rows, behind those of some others. */
static void add_codes(struct problem *problem, sf_metric metric, uint64_t *random) {
  sf_vector_segment *segment = &problem->segment;
  uint32_t dim = (uint32_t)problem->dim;
  free(problem->centre);
  free_groups(problem);
  segment->first_quantized = (size_t)random_below(random, 40);
  size_t num_codes = segment->first_quantized + problem->num_rows;
  size_t num_groups = (size_t)sf_quantized_num_groups(num_codes);
  float *coded = exact_size(num_codes * dim * sizeof(float));
  for (size_t i = 0; i < segment->first_quantized * dim; i++)
    coded[i] = random_component(random);
  memcpy(coded + segment->first_quantized * dim, problem->vectors, problem->num_rows * dim * sizeof(float));
  problem->centre = exact_size(dim * sizeof(float));
  segment->quantized = (sf_quantized){.metric = metric, .centre = problem->centre};
  for (sf_quantized_kind kind = 0; kind < SF_QUANTIZED_KINDS; kind++)
    segment->quantized.groups[kind] = problem->groups[kind] =
        exact_size(num_groups * (size_t)sf_quantized_group_size(kind, dim, metric));
  sf_quantized_choose_centre(coded, num_codes, dim, metric, problem->centre);
  sf_quantized_make_groups(coded, num_codes, dim, metric, problem->centre, problem->groups);
  free(coded);
}

/* Codes that scans make, of none, some, or all of the rows. */
static void add_lazy_quantized(struct problem *problem, sf_metric metric, uint64_t *random) {
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
static void code_problem(struct problem *problem, sf_metric metric, uint64_t *random) {
  if (random_below(random, 2) == 0) {
    add_lazy_quantized(problem, metric, random);
    return;
  }
  sf_lazy_quantized_free(problem->segment.lazy_quantized);
  problem->segment.lazy_quantized = NULL;
  add_codes(problem, metric, random);
}

static void make_problem(struct problem *problem, component_maker maker, size_t num_rows, size_t dim,
                         uint64_t *random) {
  static const float query_scales[] = {1, 1, 1, 0, 1e-40F, 1e-20F, 1e18F, FLT_MAX};
  *problem = (struct problem){.num_rows = num_rows, .dim = dim};
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
  problem->is_coded = random_below(random, 2) == 0;
}

static void free_problem(struct problem *problem) {
  free(problem->centre);
  free_groups(problem);
  free(problem->query);
  free(problem->vectors);
  free(problem->inverse_norms);
  free(problem->excluded);
  sf_lazy_norms_free(problem->segment.lazy_norms);
  sf_lazy_quantized_free(problem->segment.lazy_quantized);
}

static int by_score_then_row(const void *left, const void *right) {
  const sf_scored_row *a = left;
  const sf_scored_row *b = right;
  if (a->score != b->score)
    return a->score < b->score ? -1 : 1;
  return a->row < b->row ? -1 : a->row > b->row;
}

/* Scores everything: what a scan must give. Returns how many there are before the cut to top_k. */
static size_t score_every_row(const sf_query_vector *query, const sf_vector_segment *segment, size_t begin, size_t end,
                              double score_threshold, sf_scored_row *neighbours) {
  size_t count = 0;
  for (size_t row = begin; row < end; row++) {
    bool excluded = segment->excluded != NULL && (segment->excluded[row / 8] & (1U << (row % 8))) != 0;
    const float *vector = segment->vectors + row * query->dim;
    if (!isfinite(sf_exact_squared_norm(vector, query->dim)))
      continue;
    double score = sf_exact_score(query, vector);
    assert_false(isnan(score));
    if (!excluded && score <= score_threshold)
      neighbours[count++] = (sf_scored_row){.score = score, .row = segment->first_row + row};
  }
  qsort(neighbours, count, sizeof(*neighbours), by_score_then_row);
  return count;
}

static sf_collector_params top_k_of(size_t top_k) {
  return (sf_collector_params){.kind = SF_COLLECT_TOP_K, .top_k = top_k};
}

/* Where not all rows are scanned, the score limit must be infinite: all of a segment gives a search's limit. */
static void assert_scan_finds(const sf_query_vector *query, const struct problem *problem, size_t begin, size_t end,
                              size_t top_k, double score_threshold) {
  const sf_collector_params params = top_k_of(top_k);
  sf_collector found = {.params = &params};
  sf_pruning_threshold limit;
  assert_true(sf_pruning_threshold_init(&limit, &params));
  sf_pruning_threshold_lower(&limit, score_threshold);
  sf_scored_row *expected = exact_size((end - begin) * sizeof(*expected));
  size_t num_expected = score_every_row(query, &problem->segment, begin, end, score_threshold, expected);
  sf_error error;
  assert_int_equal(sf_scan_segment(query, &problem->segment, begin, end, &found, isinf(score_threshold) ? NULL : &limit,
                                   NULL, &error),
                   SF_OK);
  assert_int_equal(found.count, num_expected < top_k ? num_expected : top_k);
  for (size_t i = 0; i < found.count; i++) {
    assert_int_equal(found.rows[i].row, expected[i].row);
    assert_memory_equal(&found.rows[i].score, &expected[i].score, sizeof(double));
  }
  sf_pruning_threshold_free(&limit);
  free(expected);
  sf_collector_free(&found);
}

/* None, one that some row's score equals, or one near the scores. */
static double random_limit(const sf_query_vector *query, const struct problem *problem, uint64_t *random) {
  const float *row = problem->vectors + random_below(random, problem->num_rows) * problem->dim;
  switch (isfinite(sf_exact_squared_norm(row, problem->dim)) ? random_below(random, 4) : 2) {
  case 0:
    return sf_exact_score(query, row);
  case 1:
    return nextafter(sf_exact_score(query, row), random_below(random, 2) == 0 ? -INFINITY : INFINITY);
  case 2:
    return 2 * (double)random_component(random);
  default:
    return INFINITY;
  }
}

static void assert_scans_find(struct problem *problem, const sf_kernels *kernels, uint64_t *random) {
  float *scaled = exact_size(problem->dim * sizeof(float));
  for (size_t i = 0; i < NUM_CONVENTIONS; i++) {
    sf_query_vector query;
    sf_query_vector_init(&query, problem->query, (uint32_t)problem->dim, conventions[i], scaled);
    query.kernels = kernels;
    if (problem->is_coded)
      code_problem(problem, sf_scorings[conventions[i]].metric, random);
    size_t begin = random_below(random, 2) == 0 ? 0 : random_below(random, problem->num_rows);
    size_t end =
        random_below(random, 2) == 0 ? problem->num_rows : begin + random_below(random, problem->num_rows - begin);
    size_t most = random_below(random, 2) == 0 ? 12 : problem->num_rows + 5;
    size_t top_k = 1 + (size_t)random_below(random, most);
    assert_scan_finds(&query, problem, begin, end, top_k, INFINITY);
    assert_scan_finds(&query, problem, 0, problem->num_rows, top_k, random_limit(&query, problem, random));
  }
  free(scaled);
}

static void for_every_supported_kernel(void (*act)(const sf_kernels *kernels)) {
  for (size_t i = 0; sf_kernels_all()[i] != NULL; i++) {
    if (sf_kernels_all()[i]->supported())
      act(sf_kernels_all()[i]);
  }
}

static void scan_small_problems(const sf_kernels *kernels) {
  uint64_t random = random_seed(5);
  for (size_t maker = 0; maker < NUM_MAKERS; maker++) {
    for (size_t round = 0; round < 60; round++) {
      struct problem problem;
      size_t num_rows = 1 + (size_t)random_below(&random, 100);
      make_problem(&problem, component_makers[maker], num_rows, 1 + (size_t)random_below(&random, 40), &random);
      assert_scans_find(&problem, kernels, &random);
      free_problem(&problem);
    }
  }
}

static void a_scan_is_what_scoring_every_row_gives(void **state) {
  (void)state;
  for_every_supported_kernel(scan_small_problems);
}

/* Many times the candidates that are kept at once, and several blocks. */
static void scan_large_problems(const sf_kernels *kernels) {
  uint64_t random = random_seed(6);
  for (size_t maker = 0; maker < NUM_MAKERS; maker++) {
    for (size_t round = 0; round < 3; round++) {
      struct problem problem;
      size_t num_rows = 2000 + (size_t)random_below(&random, 2000);
      make_problem(&problem, component_makers[maker], num_rows, 1 + (size_t)random_below(&random, 20), &random);
      assert_scans_find(&problem, kernels, &random);
      free_problem(&problem);
    }
  }
}

static void a_scan_of_many_candidates_is_what_scoring_every_row_gives(void **state) {
  (void)state;
  for_every_supported_kernel(scan_large_problems);
}

static void scan_long_vectors(const sf_kernels *kernels) {
  uint64_t random = random_seed(7);
  for (size_t maker = 0; maker < NUM_MAKERS; maker++) {
    struct problem problem;
    make_problem(&problem, component_makers[maker], 300, 1000 + (size_t)random_below(&random, 3097), &random);
    assert_scans_find(&problem, kernels, &random);
    free_problem(&problem);
  }
}

static void a_scan_of_long_vectors_is_what_scoring_every_row_gives(void **state) {
  (void)state;
  for_every_supported_kernel(scan_long_vectors);
}

static void cosine_without_inverse_norms_scores_every_row(void **state) {
  (void)state;
  uint64_t random = random_seed(8);
  struct problem problem;
  float scaled[9];
  make_problem(&problem, uniform, 500, 9, &random);
  sf_lazy_norms_free(problem.segment.lazy_norms);
  problem.segment.lazy_norms = NULL;
  problem.segment.inverse_norms = NULL;
  sf_query_vector query;
  sf_query_vector_init(&query, problem.query, 9, SF_SCORE_COSINE, scaled);
  assert_scan_finds(&query, &problem, 0, 500, 10, INFINITY);
  free_problem(&problem);
}

/* Next to 1, float32 can't tell them apart, and their bound is far below what that would round away. */
static void dot_products_far_below_one_are_told_apart(void **state) {
  (void)state;
  enum { NUM_ROWS = 200, DIM = 3 };
  uint64_t random = random_seed(14);
  float vectors[NUM_ROWS * DIM];
  float scaled[DIM];
  sf_scored_row expected[NUM_ROWS];
  float scale = 1;
  for (int step = 0; step < 15; step++, scale /= 7) {
    sf_query_vector query;
    float query_vector[DIM];
    for (size_t i = 0; i < DIM; i++)
      query_vector[i] = random_component(&random);
    for (size_t i = 0; i < NUM_ROWS * DIM; i++)
      vectors[i] = scale * random_component(&random);
    sf_vector_segment segment = {.vectors = vectors, .num_rows = NUM_ROWS, .max_norm = 2 * (double)scale};
    sf_query_vector_init(&query, query_vector, DIM, SF_SCORE_ONE_MINUS_DOT, scaled);
    assert_int_equal(score_every_row(&query, &segment, 0, NUM_ROWS, INFINITY, expected), NUM_ROWS);
    for (size_t top_k = 1; top_k < 30; top_k++) {
      const sf_collector_params params = top_k_of(top_k);
      sf_collector found = {.params = &params};
      assert_int_equal(sf_scan_segment(&query, &segment, 0, NUM_ROWS, &found, NULL, NULL, NULL), SF_OK);
      assert_int_equal(found.count, top_k);
      for (size_t i = 0; i < top_k; i++)
        assert_int_equal(found.rows[i].row, expected[i].row);
      sf_collector_free(&found);
    }
  }
}

static void excluded_rows_may_hold_anything(void **state) {
  (void)state;
  uint64_t random = random_seed(9);
  for (size_t i = 0; i < NUM_CONVENTIONS; i++) {
    float vectors[] = {NAN, NAN, 1, 0, INFINITY, 0, 0.5F, 0.5F, -INFINITY, NAN};
    float inverse_norms[] = {NAN, 1, NAN, 1.4142135F, NAN};
    const uint8_t excluded[] = {0x15};
    sf_vector_segment segment = {.vectors = vectors,
                                 .inverse_norms = inverse_norms,
                                 .excluded = excluded,
                                 .first_row = 100,
                                 .num_rows = 5,
                                 .max_norm = 1};
    float query_vector[] = {1, random_component(&random) * 0.1F};
    float scaled[2];
    sf_query_vector query;
    sf_query_vector_init(&query, query_vector, 2, conventions[i], scaled);
    const sf_collector_params params = top_k_of(5);
    sf_collector found = {.params = &params};
    assert_int_equal(sf_scan_segment(&query, &segment, 0, 5, &found, NULL, NULL, NULL), SF_OK);
    assert_int_equal(found.count, 2);
    assert_int_equal(found.rows[0].row, 101);
    assert_int_equal(found.rows[1].row, 103);
    sf_collector_free(&found);
  }
}

static void a_zero_vector_is_at_cosine_distance_one(void **state) {
  (void)state;
  const float zero[3] = {0, -0.0F, 0};
  const float other[3] = {1, 2, 3};
  float scaled[3];
  sf_query_vector query;
  sf_query_vector_init(&query, zero, 3, SF_SCORE_COSINE, scaled);
  assert_true(sf_exact_score(&query, other) == 1);
  assert_true(sf_exact_score(&query, zero) == 1);
  sf_query_vector_init(&query, other, 3, SF_SCORE_COSINE, scaled);
  assert_true(sf_exact_score(&query, zero) == 1);
}

static void a_vector_is_at_distance_zero_from_itself_whatever_its_size(void **state) {
  (void)state;
  uint64_t random = random_seed(10);
  for (int exponent = -148; exponent <= 127; exponent++) {
    float vector[33];
    float scaled[33];
    for (size_t i = 0; i < 33; i++)
      vector[i] = i == 0 ? ldexpf(1, exponent) : ldexpf(random_component(&random), exponent);
    for (size_t i = 0; i < NUM_CONVENTIONS; i++) {
      sf_query_vector query;
      sf_query_vector_init(&query, vector, 33, conventions[i], scaled);
      if (conventions[i] != SF_SCORE_ONE_MINUS_DOT)
        assert_true(sf_exact_score(&query, vector) == 0);
    }
  }
}

static void scores_follow_the_shards_convention(void **state) {
  (void)state;
  const float query_vector[2] = {3, 0};
  const float row[2] = {0, 4};
  const double expected[NUM_CONVENTIONS] = {1, 5, 25, 1};
  for (size_t i = 0; i < NUM_CONVENTIONS; i++) {
    float scaled[2];
    sf_query_vector query;
    sf_query_vector_init(&query, query_vector, 2, conventions[i], scaled);
    assert_true(sf_exact_score(&query, row) == expected[i]);
  }
}

enum { MAX_PARTY_DIM = 40, MAX_PARTY_TOP_K = 12 };

/* Searches that scan one problem together. */
struct party {
  size_t count;
  float queries[SF_MAX_SCAN_REQUESTS][MAX_PARTY_DIM];
  float scaled[SF_MAX_SCAN_REQUESTS][MAX_PARTY_DIM];
  sf_collector_params params[SF_MAX_SCAN_REQUESTS];
  sf_collector collectors[SF_MAX_SCAN_REQUESTS];
  sf_query_vector query_vectors[SF_MAX_SCAN_REQUESTS];
  sf_scan_request requests[SF_MAX_SCAN_REQUESTS];
  sf_pruning_threshold limits[SF_MAX_SCAN_REQUESTS];
  double first_limits[SF_MAX_SCAN_REQUESTS];
  sf_error errors[SF_MAX_SCAN_REQUESTS];
};

/* Queries of their own, the first of them the problem's. */
static void make_party(struct party *party, const struct problem *problem, size_t count, sf_score_convention convention,
                       const sf_kernels *kernels, uint64_t *random) {
  *party = (struct party){.count = count};
  for (size_t i = 0; i < count; i++) {
    for (size_t j = 0; j < problem->dim; j++)
      party->queries[i][j] = i == 0 ? problem->query[j] : random_component(random);
    sf_query_vector_init(&party->query_vectors[i], party->queries[i], (uint32_t)problem->dim, convention,
                         party->scaled[i]);
    party->query_vectors[i].kernels = kernels;
    size_t top_k = 1 + (size_t)random_below(random, MAX_PARTY_TOP_K);
    party->first_limits[i] = random_limit(&party->query_vectors[i], problem, random);
    party->params[i] = top_k_of(top_k);
    party->collectors[i].params = &party->params[i];
    assert_true(sf_pruning_threshold_init(&party->limits[i], &party->params[i]));
    sf_pruning_threshold_lower(&party->limits[i], party->first_limits[i]);
    party->requests[i] = (sf_scan_request){.query = &party->query_vectors[i],
                                           .collector = &party->collectors[i],
                                           .threshold = &party->limits[i],
                                           .error = &party->errors[i]};
  }
}

static void free_party(struct party *party) {
  for (size_t i = 0; i < party->count; i++) {
    sf_pruning_threshold_free(&party->limits[i]);
    sf_collector_free(&party->collectors[i]);
  }
}

static void assert_request_found_what_it_finds_alone(const struct party *party, size_t index,
                                                     const struct problem *problem) {
  const sf_scan_request *request = &party->requests[index];
  const sf_collector *found = request->collector;
  size_t top_k = found->params->top_k;
  sf_scored_row *expected = exact_size(problem->num_rows * sizeof(*expected));
  size_t num_expected =
      score_every_row(request->query, &problem->segment, 0, problem->num_rows, party->first_limits[index], expected);
  assert_int_equal(request->code, SF_OK);
  assert_int_equal(found->count, num_expected < top_k ? num_expected : top_k);
  for (size_t i = 0; i < found->count; i++) {
    assert_int_equal(found->rows[i].row, expected[i].row);
    assert_memory_equal(&found->rows[i].score, &expected[i].score, sizeof(double));
  }
  free(expected);
}

static void scan_together(const sf_kernels *kernels) {
  uint64_t random = random_seed(12);
  for (size_t maker = 0; maker < NUM_MAKERS; maker++) {
    for (size_t count = 1; count <= SF_MAX_SCAN_REQUESTS; count++) {
      struct problem problem;
      struct party party;
      size_t num_rows = 1 + (size_t)random_below(&random, 3000);
      make_problem(&problem, component_makers[maker], num_rows, 1 + (size_t)random_below(&random, MAX_PARTY_DIM),
                   &random);
      sf_score_convention convention = conventions[(maker + count) % NUM_CONVENTIONS];
      make_party(&party, &problem, count, convention, kernels, &random);
      if (problem.is_coded)
        code_problem(&problem, sf_scorings[convention].metric, &random);
      const sf_scan_task task = {.range = sf_row_range_of(&problem.segment), .end = num_rows};
      sf_scan_task_run(&task, party.requests, count);
      for (size_t i = 0; i < count; i++)
        assert_request_found_what_it_finds_alone(&party, i, &problem);
      free_party(&party);
      free_problem(&problem);
    }
  }
}

static void searches_that_scan_together_find_what_each_finds_alone(void **state) {
  (void)state;
  for_every_supported_kernel(scan_together);
}

/* As a reader searches a segment: by tasks, each with the threshold that the ones before left. */
static void search_by_tasks(const struct problem *problem, const sf_query_vector *query, size_t top_k,
                            uint64_t *random) {
  sf_scored_row *found = exact_size(problem->num_rows * sizeof(*found));
  sf_scored_row *expected = exact_size(problem->num_rows * sizeof(*expected));
  size_t num_found = 0;
  const sf_collector_params params = top_k_of(top_k);
  sf_collector in_task = {.params = &params};
  double first_limit = random_limit(query, problem, random);
  size_t num_expected = score_every_row(query, &problem->segment, 0, problem->num_rows, first_limit, expected);
  sf_pruning_threshold limit;
  assert_true(sf_pruning_threshold_init(&limit, &params));
  sf_pruning_threshold_lower(&limit, first_limit);
  for (size_t begin = 0; begin < problem->num_rows;) {
    size_t end = begin + 1 + (size_t)random_below(random, problem->num_rows - begin);
    sf_error error;
    assert_int_equal(sf_scan_segment(query, &problem->segment, begin, end, &in_task, &limit, NULL, &error), SF_OK);
    for (size_t i = 0; i < in_task.count; i++)
      found[num_found++] = in_task.rows[i];
    begin = end;
  }
  qsort(found, num_found, sizeof(*found), by_score_then_row);
  assert_true(num_found >= (num_expected < top_k ? num_expected : top_k));
  for (size_t i = 0; i < top_k && i < num_expected; i++) {
    assert_int_equal(found[i].row, expected[i].row);
    assert_memory_equal(&found[i].score, &expected[i].score, sizeof(double));
  }
  sf_pruning_threshold_free(&limit);
  sf_collector_free(&in_task);
  free(found);
  free(expected);
}

static void search_problems_by_tasks(const sf_kernels *kernels) {
  uint64_t random = random_seed(15);
  for (size_t round = 0; round < 8 * NUM_MAKERS; round++) {
    struct problem problem;
    sf_query_vector query;
    float scaled[40];
    sf_score_convention convention = conventions[round % NUM_CONVENTIONS];
    make_problem(&problem, component_makers[round % NUM_MAKERS], 1 + (size_t)random_below(&random, 12000),
                 1 + (size_t)random_below(&random, 40), &random);
    sf_query_vector_init(&query, problem.query, (uint32_t)problem.dim, convention, scaled);
    query.kernels = kernels;
    code_problem(&problem, sf_scorings[convention].metric, &random);
    search_by_tasks(&problem, &query, 1 + (size_t)random_below(&random, 30), &random);
    search_by_tasks(&problem, &query, 1 + (size_t)random_below(&random, problem.num_rows), &random);
    free_problem(&problem);
  }
}

static void a_segment_that_is_searched_by_tasks_gives_its_best(void **state) {
  (void)state;
  for_every_supported_kernel(search_problems_by_tasks);
}

static void a_request_that_is_cancelled_leaves_the_others_to_go_on(void **state) {
  (void)state;
  uint64_t random = random_seed(13);
  struct problem problem;
  struct party party;
  sf_cancellation cancellation = {0};
  sf_cancellation_request(&cancellation);
  make_problem(&problem, uniform, 500, 4, &random);
  make_party(&party, &problem, 6, SF_SCORE_L2, sf_kernels_get(), &random);
  party.requests[0].cancellation = party.requests[3].cancellation = &cancellation;
  const sf_scan_task task = {.range = sf_row_range_of(&problem.segment), .end = 500};
  sf_scan_task_run(&task, party.requests, party.count);
  for (size_t i = 0; i < party.count; i++)
    if (i % 3 != 0)
      assert_request_found_what_it_finds_alone(&party, i, &problem);
    else
      assert_int_equal(party.requests[i].code, SF_CANCELLED_ERROR);
  free_party(&party);
  free_problem(&problem);
}

static void a_cancelled_scan_says_so(void **state) {
  (void)state;
  uint64_t random = random_seed(11);
  struct problem problem;
  float scaled[4];
  make_problem(&problem, uniform, 50, 4, &random);
  sf_query_vector query;
  sf_query_vector_init(&query, problem.query, 4, SF_SCORE_L2, scaled);
  sf_cancellation cancellation = {0};
  sf_cancellation_request(&cancellation);
  const sf_collector_params params = top_k_of(3);
  sf_collector found = {.params = &params};
  sf_error error;
  assert_int_equal(sf_scan_segment(&query, &problem.segment, 0, 50, &found, NULL, &cancellation, &error),
                   SF_CANCELLED_ERROR);
  free_problem(&problem);
}

static void no_rows_give_no_results(void **state) {
  (void)state;
  const float query_vector[1] = {1};
  float scaled[1];
  sf_query_vector query;
  sf_query_vector_init(&query, query_vector, 1, SF_SCORE_L2, scaled);
  sf_vector_segment segment = {0};
  const sf_collector_params params = top_k_of(1);
  sf_collector found = {.params = &params, .count = 7};
  assert_int_equal(sf_scan_segment(&query, &segment, 0, 0, &found, NULL, NULL, NULL), SF_OK);
  assert_int_equal(found.count, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_scan_is_what_scoring_every_row_gives),
      cmocka_unit_test(a_scan_of_many_candidates_is_what_scoring_every_row_gives),
      cmocka_unit_test(a_scan_of_long_vectors_is_what_scoring_every_row_gives),
      cmocka_unit_test(cosine_without_inverse_norms_scores_every_row),
      cmocka_unit_test(dot_products_far_below_one_are_told_apart),
      cmocka_unit_test(excluded_rows_may_hold_anything),
      cmocka_unit_test(a_zero_vector_is_at_cosine_distance_one),
      cmocka_unit_test(a_vector_is_at_distance_zero_from_itself_whatever_its_size),
      cmocka_unit_test(scores_follow_the_shards_convention),
      cmocka_unit_test(searches_that_scan_together_find_what_each_finds_alone),
      cmocka_unit_test(a_segment_that_is_searched_by_tasks_gives_its_best),
      cmocka_unit_test(a_request_that_is_cancelled_leaves_the_others_to_go_on),
      cmocka_unit_test(a_cancelled_scan_says_so),
      cmocka_unit_test(no_rows_give_no_results),
  };
  return cmocka_run_group_tests_name("scan", tests, NULL, NULL);
}
