#include "vectors/approximate_distance.h"

#include "scan_problem.h"

static void assert_bounds_hold(const struct scan_problem *problem, sf_score_convention convention) {
  size_t dim = problem->dim;
  float *scaled = exact_size(dim * sizeof(float));
  float *found = exact_size(problem->num_rows * sizeof(float));
  sf_query_vector query;
  sf_query_vector_init(&query, problem->query, (uint32_t)dim, convention, scaled);
  const sf_query_vector *queries[] = {&query};
  double max_norm = 0;
  for (size_t row = 0; row < problem->num_rows; row++)
    max_norm = fmax(max_norm, sqrt(sf_exact_squared_norm(problem->vectors + row * dim, dim)));
  sf_distance_bounds bounds = sf_distance_bounds_of(&query, max_norm);
  sf_approximate_distances(queries, 1, problem->vectors, problem->num_rows, problem->inverse_norms, &found);
  for (size_t row = 0; row < problem->num_rows; row++) {
    double score = sf_exact_score(&query, problem->vectors + row * dim);
    if (isnan(found[row]))
      continue;
    assert_true(score <= sf_highest_score_of_distance(&bounds, found[row]));
    assert_true(found[row] <= sf_highest_distance_of_score(&bounds, score));
  }
  free(found);
  free(scaled);
}

static void no_score_is_beyond_what_its_distance_allows(void **state) {
  (void)state;
  uint64_t random = random_seed(31);
  for (size_t round = 0; round < 20 * NUM_MAKERS; round++) {
    struct scan_problem problem;
    make_problem(&problem, component_makers[round % NUM_MAKERS], 1 + (size_t)random_below(&random, 200),
                 1 + (size_t)random_below(&random, 100), &random);
    if (problem.segment.lazy_norms == NULL)
      for (size_t i = 0; i < NUM_CONVENTIONS; i++)
        assert_bounds_hold(&problem, conventions[i]);
    free_problem(&problem);
  }
}

static void thresholds_only_loosen_on_the_way_to_scores_and_back(void **state) {
  (void)state;
  uint64_t random = random_seed(32);
  float query_vector[16];
  float scaled[16];
  for (size_t round = 0; round < 2000; round++) {
    sf_query_vector query;
    for (size_t i = 0; i < 16; i++)
      query_vector[i] = random_component(&random);
    sf_query_vector_init(&query, query_vector, 16, conventions[round % NUM_CONVENTIONS], scaled);
    sf_distance_bounds bounds = sf_distance_bounds_of(&query, 4);
    float distance = random_component(&random);
    if (sf_query_is_of_differences(&query))
      distance = fabsf(distance);
    assert_true(sf_highest_distance_of_score(&bounds, sf_highest_score_of_distance(&bounds, distance)) >= distance);
  }
}

static void the_distances_of_a_query_do_not_depend_on_the_other_queries(void **state) {
  (void)state;
  enum { NUM_QUERIES = 5, DIM = 37, NUM_ROWS = 70 };
  uint64_t random = random_seed(33);
  struct scan_problem problem;
  float query_vectors[NUM_QUERIES][DIM];
  float scaled[NUM_QUERIES][DIM];
  sf_query_vector queries[NUM_QUERIES];
  const sf_query_vector *all[NUM_QUERIES];
  float together[NUM_QUERIES][NUM_ROWS];
  float *places[NUM_QUERIES];
  make_problem(&problem, uniform, NUM_ROWS, DIM, &random);
  for (size_t convention = 0; convention < NUM_CONVENTIONS; convention++) {
    for (size_t i = 0; i < NUM_QUERIES; i++) {
      for (size_t j = 0; j < DIM; j++)
        query_vectors[i][j] = random_component(&random);
      sf_query_vector_init(&queries[i], query_vectors[i], DIM, conventions[convention], scaled[i]);
      all[i] = &queries[i];
      places[i] = together[i];
    }
    sf_approximate_distances(all, NUM_QUERIES, problem.vectors, NUM_ROWS, problem.inverse_norms, places);
    for (size_t i = 0; i < NUM_QUERIES; i++) {
      float alone[NUM_ROWS];
      float *place = alone;
      sf_approximate_distances(&all[i], 1, problem.vectors, NUM_ROWS, problem.inverse_norms, &place);
      assert_memory_equal(alone, together[i], sizeof(alone));
    }
  }
  free_problem(&problem);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(no_score_is_beyond_what_its_distance_allows),
      cmocka_unit_test(thresholds_only_loosen_on_the_way_to_scores_and_back),
      cmocka_unit_test(the_distances_of_a_query_do_not_depend_on_the_other_queries),
  };
  return cmocka_run_group_tests_name("approximate distance", tests, NULL, NULL);
}
