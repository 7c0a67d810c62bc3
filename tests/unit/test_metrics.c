#include "cmocka_includes.h"
#include "vectors/query_vector.h"

#include <string.h>

static void every_row_has_what_its_kind_of_distance_needs(void **state) {
  (void)state;
  for (size_t i = 0; i < SF_SCORE_CONVENTIONS; i++) {
    const sf_scoring *scoring = &sf_scorings[i];
    assert_non_null(scoring->exact_score);
    assert_true(sf_metric_is_known(scoring->metric));
    assert_string_equal(scoring->metric_name, sf_metric_name(scoring->metric));
    assert_int_equal(scoring->distances_of_dots == NULL, scoring->is_of_differences);
    assert_int_equal(scoring->error_bound == NULL, scoring->is_of_differences);
    assert_false(scoring->is_of_differences && scoring->is_normalised);
    assert_false(scoring->is_root && !scoring->is_of_differences);
  }
}

/* So that what depends on the metric alone may ask any of them. */
static void rows_of_one_metric_differ_only_in_how_scores_are_stated(void **state) {
  (void)state;
  for (size_t i = 0; i < SF_SCORE_CONVENTIONS; i++) {
    const sf_scoring *first = sf_scoring_of_metric(sf_scorings[i].metric);
    assert_int_equal(first->metric, sf_scorings[i].metric);
    assert_int_equal(first->is_of_differences, sf_scorings[i].is_of_differences);
    assert_int_equal(first->is_normalised, sf_scorings[i].is_normalised);
  }
}

static void a_metric_is_found_by_its_name(void **state) {
  (void)state;
  for (sf_metric metric = SF_METRIC_COSINE; metric <= SF_METRIC_DOT_PRODUCT; metric++) {
    sf_metric found = (sf_metric)-1;
    assert_true(sf_metric_find(sf_metric_name(metric), &found));
    assert_int_equal(found, metric);
  }
  sf_metric untouched = SF_METRIC_L2;
  assert_false(sf_metric_find("l1", &untouched));
  assert_false(sf_metric_find("unknown", &untouched));
  assert_int_equal(untouched, SF_METRIC_L2);
  assert_false(sf_metric_is_known((sf_metric)3));
  assert_string_equal(sf_metric_name((sf_metric)3), "unknown");
}

static void an_engine_states_a_metric_in_the_convention_that_it_has_for_it(void **state) {
  (void)state;
  const unsigned roots = 1 << SF_SCORE_COSINE | 1 << SF_SCORE_L2;
  const unsigned squares = 1 << SF_SCORE_SQUARED_L2 | 1 << SF_SCORE_ONE_MINUS_DOT;
  sf_score_convention convention = SF_SCORE_CONVENTIONS;
  assert_true(sf_score_convention_of(SF_METRIC_L2, roots, &convention));
  assert_int_equal(convention, SF_SCORE_L2);
  assert_true(sf_score_convention_of(SF_METRIC_L2, squares, &convention));
  assert_int_equal(convention, SF_SCORE_SQUARED_L2);
  assert_true(sf_score_convention_of(SF_METRIC_DOT_PRODUCT, squares, &convention));
  assert_int_equal(convention, SF_SCORE_ONE_MINUS_DOT);
  assert_false(sf_score_convention_of(SF_METRIC_DOT_PRODUCT, roots, &convention));
  assert_false(sf_score_convention_of(SF_METRIC_COSINE, squares, &convention));
}

static void scores_of_a_small_case_are_exact(void **state) {
  (void)state;
  const float query[] = {3, 4};
  const float row[] = {0, 8};
  const double expected[SF_SCORE_CONVENTIONS] = {
      [SF_SCORE_COSINE] = 1 - 0.8, [SF_SCORE_L2] = 5, [SF_SCORE_SQUARED_L2] = 25, [SF_SCORE_ONE_MINUS_DOT] = -31};
  for (int i = 0; i < SF_SCORE_CONVENTIONS; i++) {
    float scaled[2];
    sf_query_vector query_vector;
    sf_query_vector_init(&query_vector, query, 2, (sf_score_convention)i, scaled);
    assert_true(sf_exact_score(&query_vector, row) == expected[i]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_row_has_what_its_kind_of_distance_needs),
      cmocka_unit_test(rows_of_one_metric_differ_only_in_how_scores_are_stated),
      cmocka_unit_test(a_metric_is_found_by_its_name),
      cmocka_unit_test(an_engine_states_a_metric_in_the_convention_that_it_has_for_it),
      cmocka_unit_test(scores_of_a_small_case_are_exact),
  };
  return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
