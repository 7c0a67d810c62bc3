#include "cmocka_includes.h"
#include "query/row_filter.h"
#include "query/scan.h"
#include "scan_problem.h"

static int by_score_then_row(const void *left, const void *right) {
  const sf_scored_row *a = left;
  const sf_scored_row *b = right;
  if (a->score != b->score)
    return a->score < b->score ? -1 : 1;
  return a->row < b->row ? -1 : a->row > b->row;
}

/* Scores everything: what a scan must give. Returns how many there are before the cut to top_k. */
static size_t score_every_row(const sf_query_vector *query, const sf_vector_segment *segment, const uint8_t *filter,
                              size_t begin, size_t end, double score_threshold, sf_scored_row *scored) {
  size_t count = 0;
  for (size_t row = begin; row < end; row++) {
    bool excluded = segment->excluded != NULL && (segment->excluded[row / 8] & (1U << (row % 8))) != 0;
    uint64_t shard_row = segment->first_row + row;
    if (filter != NULL && (filter[shard_row / 8] & (1U << (shard_row % 8))) == 0)
      continue;
    const float *vector = segment->vectors + row * query->dim;
    if (!isfinite(sf_exact_squared_norm(vector, query->dim)))
      continue;
    double score = sf_exact_score(query, vector);
    assert_false(isnan(score));
    if (!excluded && score <= score_threshold)
      scored[count++] = (sf_scored_row){.score = score, .row = segment->first_row + row};
  }
  qsort(scored, count, sizeof(*scored), by_score_then_row);
  return count;
}

static sf_collector_params top_k_of(size_t top_k) {
  return (sf_collector_params){.kind = SF_COLLECT_TOP_K, .top_k = top_k};
}

/* Bits of all rows of a shard up to the segment's last, and exactly the padding that a filter must have. */
static uint8_t *empty_filter(const sf_vector_segment *segment, size_t *num_bytes) {
  *num_bytes = (size_t)(segment->first_row + segment->num_rows + 7) / 8 + SF_ROW_FILTER_PADDING;
  uint8_t *filter = exact_size(*num_bytes);
  memset(filter, 0, *num_bytes);
  return filter;
}

/* None, or one that few or many rows match, here and there or next to each other. The caller frees it. */
static uint8_t *random_filter(const sf_vector_segment *segment, uint64_t *random) {
  static const unsigned matching_in_1000[] = {0, 1, 10, 30, 100, 500, 900, 990, 999, 1000};
  size_t num_bytes;
  if (random_below(random, 3) == 0)
    return NULL;
  uint8_t *filter = empty_filter(segment, &num_bytes);
  uint64_t one_in = matching_in_1000[random_below(random, 10)];
  uint64_t run = random_below(random, 2) == 0 ? 1 : 1 + random_below(random, 200);
  uint64_t num_rows = segment->first_row + segment->num_rows;
  for (uint64_t row = 0; row < num_rows; row += run)
    if (random_below(random, 1000) < one_in)
      for (uint64_t i = row; i < row + run && i < num_rows; i++)
        filter[i / 8] |= (uint8_t)(1U << (i % 8));
  return filter;
}

static void assert_found(const sf_collector *found, const sf_scored_row *expected, size_t count) {
  assert_int_equal(found->count, count);
  for (size_t i = 0; i < count; i++) {
    assert_int_equal(found->rows[i].row, expected[i].row);
    assert_memory_equal(&found->rows[i].score, &expected[i].score, sizeof(double));
  }
}

/* Where not all rows are scanned, the score threshold must be infinite: all of a segment gives a search's threshold. */
static void assert_scan_finds(const sf_query_vector *query, const struct scan_problem *problem, const uint8_t *filter,
                              size_t begin, size_t end, size_t top_k, double score_threshold) {
  const sf_collector_params params = top_k_of(top_k);
  sf_collector found = {.params = &params};
  sf_pruning_threshold threshold;
  assert_true(sf_pruning_threshold_init(&threshold, &params));
  sf_pruning_threshold_lower(&threshold, score_threshold);
  sf_scored_row *expected = exact_size((end - begin) * sizeof(*expected));
  size_t num_expected = score_every_row(query, &problem->segment, filter, begin, end, score_threshold, expected);
  const sf_scan_task task = {.range = sf_row_range_of(&problem->segment), .begin = begin, .end = end};
  sf_error error;
  sf_scan_request request = {.query = query,
                             .collector = &found,
                             .threshold = isinf(score_threshold) ? NULL : &threshold,
                             .filter = filter,
                             .error = &error};
  sf_scan_task_run(&task, &request, 1);
  assert_int_equal(request.code, SF_OK);
  assert_found(&found, expected, num_expected < top_k ? num_expected : top_k);
  sf_pruning_threshold_free(&threshold);
  free(expected);
  sf_collector_free(&found);
}

/* All rows of the segment that score at most max_score, or the first top_k of them. */
static void assert_range_finds(const sf_query_vector *query, const struct scan_problem *problem, const uint8_t *filter,
                               sf_collector_kind kind, size_t top_k, double max_score) {
  const sf_collector_params params = {.kind = kind, .top_k = top_k, .has_max_score = true, .max_score = max_score};
  sf_collector found = {.params = &params};
  sf_pruning_threshold threshold;
  assert_true(sf_pruning_threshold_init(&threshold, &params));
  size_t num_rows = problem->num_rows;
  sf_scored_row *expected = exact_size(num_rows * sizeof(*expected));
  size_t num_expected = score_every_row(query, &problem->segment, filter, 0, num_rows, max_score, expected);
  const sf_scan_task task = {.range = sf_row_range_of(&problem->segment), .end = num_rows};
  sf_error error;
  sf_scan_request request = {
      .query = query, .collector = &found, .threshold = &threshold, .filter = filter, .error = &error};
  sf_scan_task_run(&task, &request, 1);
  assert_int_equal(request.code, SF_OK);
  if (kind == SF_COLLECT_RANGE)
    assert_int_equal(found.num_found, num_expected);
  if (kind == SF_COLLECT_TOP_K || num_expected <= top_k)
    assert_found(&found, expected, num_expected < top_k ? num_expected : top_k);
  else
    assert_int_equal(found.count, top_k);
  sf_pruning_threshold_free(&threshold);
  free(expected);
  sf_collector_free(&found);
}

/* None, one that some row's score equals, or one near the scores. */
static double random_threshold(const sf_query_vector *query, const struct scan_problem *problem, uint64_t *random) {
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

static void assert_scans_find(struct scan_problem *problem, const sf_kernels *kernels, uint64_t *random) {
  float *scaled = exact_size(problem->dim * sizeof(float));
  for (size_t i = 0; i < NUM_CONVENTIONS; i++) {
    sf_query_vector query;
    sf_query_vector_init(&query, problem->query, (uint32_t)problem->dim, conventions[i], scaled);
    query.kernels = kernels;
    if (problem->is_quantized)
      quantize_problem(problem, sf_scorings[conventions[i]].metric, random);
    size_t begin = random_below(random, 2) == 0 ? 0 : random_below(random, problem->num_rows);
    size_t end =
        random_below(random, 2) == 0 ? problem->num_rows : begin + random_below(random, problem->num_rows - begin);
    size_t most = random_below(random, 2) == 0 ? 12 : problem->num_rows + 5;
    size_t top_k = 1 + (size_t)random_below(random, most);
    uint8_t *filter = random_filter(&problem->segment, random);
    assert_scan_finds(&query, problem, filter, begin, end, top_k, INFINITY);
    assert_scan_finds(&query, problem, filter, 0, problem->num_rows, top_k, random_threshold(&query, problem, random));
    assert_range_finds(&query, problem, filter, random_below(random, 2) == 0 ? SF_COLLECT_RANGE : SF_COLLECT_TOP_K,
                       top_k, random_threshold(&query, problem, random));
    free(filter);
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
      struct scan_problem problem;
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
      struct scan_problem problem;
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
    struct scan_problem problem;
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
  struct scan_problem problem;
  float scaled[9];
  make_problem(&problem, uniform, 500, 9, &random);
  sf_lazy_norms_free(problem.segment.lazy_norms);
  problem.segment.lazy_norms = NULL;
  problem.segment.inverse_norms = NULL;
  sf_query_vector query;
  sf_query_vector_init(&query, problem.query, 9, SF_SCORE_COSINE, scaled);
  assert_scan_finds(&query, &problem, NULL, 0, 500, 10, INFINITY);
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
    assert_int_equal(score_every_row(&query, &segment, NULL, 0, NUM_ROWS, INFINITY, expected), NUM_ROWS);
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

enum { MAX_GROUP_DIM = 40, MAX_GROUP_TOP_K = 12 };

/* Searches that scan one problem together. */
struct group {
  size_t count;
  float queries[SF_MAX_SCAN_REQUESTS][MAX_GROUP_DIM];
  float scaled[SF_MAX_SCAN_REQUESTS][MAX_GROUP_DIM];
  sf_collector_params params[SF_MAX_SCAN_REQUESTS];
  sf_collector collectors[SF_MAX_SCAN_REQUESTS];
  sf_query_vector query_vectors[SF_MAX_SCAN_REQUESTS];
  sf_scan_request requests[SF_MAX_SCAN_REQUESTS];
  sf_pruning_threshold thresholds[SF_MAX_SCAN_REQUESTS];
  double first_thresholds[SF_MAX_SCAN_REQUESTS];
  uint8_t *filters[SF_MAX_SCAN_REQUESTS];
  sf_error errors[SF_MAX_SCAN_REQUESTS];
};

/* Queries of their own, the first of them the problem's. */
static void make_group(struct group *group, const struct scan_problem *problem, size_t count,
                       sf_score_convention convention, const sf_kernels *kernels, uint64_t *random) {
  *group = (struct group){.count = count};
  for (size_t i = 0; i < count; i++) {
    for (size_t j = 0; j < problem->dim; j++)
      group->queries[i][j] = i == 0 ? problem->query[j] : random_component(random);
    sf_query_vector_init(&group->query_vectors[i], group->queries[i], (uint32_t)problem->dim, convention,
                         group->scaled[i]);
    group->query_vectors[i].kernels = kernels;
    size_t top_k = 1 + (size_t)random_below(random, MAX_GROUP_TOP_K);
    group->first_thresholds[i] = random_threshold(&group->query_vectors[i], problem, random);
    group->params[i] = top_k_of(top_k);
    group->collectors[i].params = &group->params[i];
    assert_true(sf_pruning_threshold_init(&group->thresholds[i], &group->params[i]));
    sf_pruning_threshold_lower(&group->thresholds[i], group->first_thresholds[i]);
    group->requests[i] = (sf_scan_request){.query = &group->query_vectors[i],
                                           .collector = &group->collectors[i],
                                           .threshold = &group->thresholds[i],
                                           .filter = group->filters[i] = random_filter(&problem->segment, random),
                                           .error = &group->errors[i]};
  }
}

static void free_group(struct group *group) {
  for (size_t i = 0; i < group->count; i++) {
    sf_pruning_threshold_free(&group->thresholds[i]);
    sf_collector_free(&group->collectors[i]);
    free(group->filters[i]);
  }
}

static void assert_request_found_what_it_finds_alone(const struct group *group, size_t index,
                                                     const struct scan_problem *problem) {
  const sf_scan_request *request = &group->requests[index];
  const sf_collector *found = request->collector;
  size_t top_k = found->params->top_k;
  sf_scored_row *expected = exact_size(problem->num_rows * sizeof(*expected));
  size_t num_expected = score_every_row(request->query, &problem->segment, request->filter, 0, problem->num_rows,
                                        group->first_thresholds[index], expected);
  assert_int_equal(request->code, SF_OK);
  assert_found(found, expected, num_expected < top_k ? num_expected : top_k);
  free(expected);
}

static void scan_together(const sf_kernels *kernels) {
  uint64_t random = random_seed(12);
  for (size_t maker = 0; maker < NUM_MAKERS; maker++) {
    for (size_t count = 1; count <= SF_MAX_SCAN_REQUESTS; count++) {
      struct scan_problem problem;
      struct group group;
      size_t num_rows = 1 + (size_t)random_below(&random, 3000);
      make_problem(&problem, component_makers[maker], num_rows, 1 + (size_t)random_below(&random, MAX_GROUP_DIM),
                   &random);
      sf_score_convention convention = conventions[(maker + count) % NUM_CONVENTIONS];
      make_group(&group, &problem, count, convention, kernels, &random);
      if (problem.is_quantized)
        quantize_problem(&problem, sf_scorings[convention].metric, &random);
      const sf_scan_task task = {.range = sf_row_range_of(&problem.segment), .end = num_rows};
      sf_scan_task_run(&task, group.requests, count);
      for (size_t i = 0; i < count; i++)
        assert_request_found_what_it_finds_alone(&group, i, &problem);
      free_group(&group);
      free_problem(&problem);
    }
  }
}

static void searches_that_scan_together_find_what_each_finds_alone(void **state) {
  (void)state;
  for_every_supported_kernel(scan_together);
}

/* As a reader searches a segment: by tasks, each with the threshold that the ones before left. */
static void search_by_tasks(const struct scan_problem *problem, const sf_query_vector *query, size_t top_k,
                            uint64_t *random) {
  sf_scored_row *found = exact_size(problem->num_rows * sizeof(*found));
  sf_scored_row *expected = exact_size(problem->num_rows * sizeof(*expected));
  size_t num_found = 0;
  const sf_collector_params params = top_k_of(top_k);
  sf_collector in_task = {.params = &params};
  double first_threshold = random_threshold(query, problem, random);
  uint8_t *filter = random_filter(&problem->segment, random);
  size_t num_expected =
      score_every_row(query, &problem->segment, filter, 0, problem->num_rows, first_threshold, expected);
  sf_pruning_threshold threshold;
  assert_true(sf_pruning_threshold_init(&threshold, &params));
  sf_pruning_threshold_lower(&threshold, first_threshold);
  for (size_t begin = 0; begin < problem->num_rows;) {
    size_t end = begin + 1 + (size_t)random_below(random, problem->num_rows - begin);
    sf_error error;
    const sf_scan_task task = {.range = sf_row_range_of(&problem->segment), .begin = begin, .end = end};
    sf_scan_request request = {
        .query = query, .collector = &in_task, .threshold = &threshold, .filter = filter, .error = &error};
    sf_scan_task_run(&task, &request, 1);
    assert_int_equal(request.code, SF_OK);
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
  sf_pruning_threshold_free(&threshold);
  sf_collector_free(&in_task);
  free(filter);
  free(found);
  free(expected);
}

static void search_problems_by_tasks(const sf_kernels *kernels) {
  uint64_t random = random_seed(15);
  for (size_t round = 0; round < 8 * NUM_MAKERS; round++) {
    struct scan_problem problem;
    sf_query_vector query;
    float scaled[40];
    sf_score_convention convention = conventions[round % NUM_CONVENTIONS];
    make_problem(&problem, component_makers[round % NUM_MAKERS], 1 + (size_t)random_below(&random, 12000),
                 1 + (size_t)random_below(&random, 40), &random);
    sf_query_vector_init(&query, problem.query, (uint32_t)problem.dim, convention, scaled);
    query.kernels = kernels;
    quantize_problem(&problem, sf_scorings[convention].metric, &random);
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
  struct scan_problem problem;
  struct group group;
  sf_cancellation cancellation = {0};
  sf_cancellation_request(&cancellation);
  make_problem(&problem, uniform, 500, 4, &random);
  make_group(&group, &problem, 6, SF_SCORE_L2, sf_kernels_get(), &random);
  group.requests[0].cancellation = group.requests[3].cancellation = &cancellation;
  const sf_scan_task task = {.range = sf_row_range_of(&problem.segment), .end = 500};
  sf_scan_task_run(&task, group.requests, group.count);
  for (size_t i = 0; i < group.count; i++)
    if (i % 3 != 0)
      assert_request_found_what_it_finds_alone(&group, i, &problem);
    else
      assert_int_equal(group.requests[i].code, SF_CANCELLED_ERROR);
  free_group(&group);
  free_problem(&problem);
}

static void a_cancelled_scan_says_so(void **state) {
  (void)state;
  uint64_t random = random_seed(11);
  struct scan_problem problem;
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
