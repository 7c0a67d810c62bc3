#include "kmeans/kmeans.h"

#include "cmocka_includes.h"
#include "random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const sf_metric metrics[] = {SF_METRIC_COSINE, SF_METRIC_L2, SF_METRIC_DOT_PRODUCT};
enum { NUM_METRICS = 3 };

static float *make_floats(size_t count) {
  float *floats = calloc(count, sizeof(float));
  assert_non_null(floats);
  return floats;
}

/* Rows around `num_groups` far places, in turns. */
static float *make_groups(size_t n, size_t dim, size_t num_groups, float spread, uint64_t seed) {
  uint64_t random = seed;
  float *places = make_floats(num_groups * dim);
  float *rows = make_floats(n * dim);
  for (size_t i = 0; i < num_groups * dim; i++)
    places[i] = 10 * random_component(&random);
  for (size_t i = 0; i < n * dim; i++)
    rows[i] = places[i / dim % num_groups * dim + i % dim] + spread * random_component(&random);
  free(places);
  return rows;
}

static sf_kmeans_report train(const sf_kmeans_options *options, const float *rows, size_t n, uint32_t dim,
                              float *centroids) {
  sf_kmeans_report report;
  sf_error error = {0};
  if (sf_kmeans_train(options, rows, n, dim, centroids, &report, NULL, &error) != SF_OK)
    fail_msg("%s", error.message);
  for (size_t i = 0; i < (size_t)options->num_clusters * dim; i++)
    assert_true(isfinite(centroids[i]));
  return report;
}

static void assert_refused(const sf_kmeans_options *options, const float *rows, size_t n, uint32_t dim,
                           const char *message) {
  float *centroids = make_floats((size_t)options->num_clusters * dim + 1);
  sf_error error = {0};
  assert_int_equal(sf_kmeans_train(options, rows, n, dim, centroids, NULL, NULL, &error), SF_CONFIG_VALIDATION_ERROR);
  assert_string_equal(error.message, message);
  free(centroids);
}

/* ----------------------------------------------------------------------- A plain k-means in float64, to compare with */

static double dot(const float *a, const float *b, size_t dim) {
  double sum = 0;
  for (size_t i = 0; i < dim; i++)
    sum += (double)a[i] * (double)b[i];
  return sum;
}

static double plain_distance(sf_metric metric, const float *row, const float *centroid, size_t dim) {
  double product = dot(row, centroid, dim);
  if (metric == SF_METRIC_DOT_PRODUCT)
    return -product;
  double squared = dot(row, row, dim);
  if (metric == SF_METRIC_L2)
    return squared - 2 * product + dot(centroid, centroid, dim);
  return squared > 0 ? 1 - product / sqrt(squared * dot(centroid, centroid, dim)) : 1;
}

static size_t plain_nearest(sf_metric metric, const float *row, const float *centroids, size_t k, size_t dim,
                            double *distance) {
  size_t best = 0;
  *distance = INFINITY;
  for (size_t id = 0; id < k; id++) {
    double found = plain_distance(metric, row, centroids + id * dim, dim);
    if (found < *distance) {
      *distance = found;
      best = id;
    }
  }
  return best;
}

/* The centroids after one iteration from `before`; the objective of their clusters is at most the sum returned. */
static double plain_iteration(sf_metric metric, const float *rows, size_t n, size_t dim, const float *before,
                              float *after, size_t k) {
  double *sums = calloc(k * dim, sizeof(double));
  double *weights = calloc(k, sizeof(double));
  assert_true(sums != NULL && weights != NULL);
  double total = 0;
  for (size_t row = 0; row < n; row++) {
    const float *x = rows + row * dim;
    double distance;
    size_t id = plain_nearest(metric, x, before, k, dim, &distance);
    double norm = sqrt(dot(x, x, dim));
    double weight = metric == SF_METRIC_COSINE ? (norm > 0 ? 1 / norm : 0) : 1;
    for (size_t i = 0; i < dim; i++)
      sums[id * dim + i] += weight * (double)x[i];
    weights[id]++;
    total += distance;
  }
  for (size_t id = 0; id < k; id++) {
    double length = 0;
    for (size_t i = 0; i < dim; i++)
      length += sums[id * dim + i] * sums[id * dim + i];
    length = metric == SF_METRIC_L2 ? weights[id] : sqrt(length);
    for (size_t i = 0; i < dim; i++)
      after[id * dim + i] = length > 0 ? (float)(sums[id * dim + i] / length) : before[id * dim + i];
  }
  free(sums);
  free(weights);
  return total;
}

static void assert_near(const float *found, const float *expected, size_t count) {
  for (size_t i = 0; i < count; i++)
    assert_true(fabsf(found[i] - expected[i]) <= 1e-5F * fmaxf(1, fabsf(expected[i])));
}

/* --------------------------------------------------------------------------------------------------------------- Tests */

/* Each iteration starts where the one before it ended, so that every prefix can be compared, whatever is left out. */
static void every_iteration_is_one_of_lloyd(void **state) {
  (void)state;
  enum { N = 3000, DIM = 19, K = 17, ITERATIONS = 12 };
  float before[K * DIM];
  float after[K * DIM];
  float expected[K * DIM];
  for (size_t i = 0; i < NUM_METRICS; i++) {
    float *rows = make_groups(N, DIM, 40, 6, i);
    sf_kmeans_options options = {.num_clusters = K, .metric = metrics[i], .iterations = 1, .seed = i};
    train(&options, rows, N, DIM, before);
    double least = INFINITY;
    for (options.iterations = 2; options.iterations <= ITERATIONS; options.iterations++) {
      sf_kmeans_report report = train(&options, rows, N, DIM, after);
      double bound = plain_iteration(metrics[i], rows, N, DIM, before, expected, K);
      assert_near(after, expected, K * DIM);
      double slack = 1e-6 * fabs(bound);
      assert_true(report.objective <= bound + slack && report.objective <= least + slack);
      least = report.objective;
      memcpy(before, after, sizeof(before));
    }
    free(rows);
  }
}

static void groups_that_lie_apart_are_found(void **state) {
  (void)state;
  enum { N = 1200, DIM = 24, K = 12 };
  float centroids[K * DIM];
  for (size_t i = 0; i < NUM_METRICS; i++) {
    float *rows = make_groups(N, DIM, K, 0.1F, 7 + i);
    sf_kmeans_options options = {.num_clusters = K, .metric = metrics[i], .iterations = 50, .seed = 3};
    sf_kmeans_report report = train(&options, rows, N, DIM, centroids);
    assert_true(report.iterations < 50);
    size_t found[K] = {0};
    double distance;
    for (size_t row = 0; row < N; row++) {
      size_t id = plain_nearest(metrics[i], rows + row * DIM, centroids, K, DIM, &distance);
      if (row < K)
        found[row] = id;
      assert_int_equal(id, found[row % K]);
    }
    for (size_t a = 0; a < K; a++)
      for (size_t b = 0; b < a; b++)
        assert_int_not_equal(found[a], found[b]);
    free(rows);
  }
}

static void a_second_look_is_spared_where_it_could_not_change_anything(void **state) {
  (void)state;
  enum { N = 4000, DIM = 24, K = 12 };
  float centroids[K * DIM];
  float *rows = make_groups(N, DIM, K + 3, 0.3F, 5);
  sf_kmeans_options options = {.num_clusters = K, .metric = SF_METRIC_L2, .iterations = 20, .seed = 3};
  sf_kmeans_report report = train(&options, rows, N, DIM, centroids);
  assert_true(report.iterations > 1);
  assert_true(report.num_distances >= (uint64_t)N * K && report.num_distances < (uint64_t)N * K * report.iterations);
  free(rows);
}

static void the_number_of_threads_changes_no_bit(void **state) {
  (void)state;
  enum { N = 5003, DIM = 37, K = 21 };
  float one[K * DIM];
  float more[K * DIM];
  static const uint32_t num_threads[] = {2, 3, 5, 0};
  for (size_t i = 0; i < NUM_METRICS; i++) {
    float *rows = make_groups(N, DIM, 33, 8, 11 + i);
    sf_kmeans_options options = {
        .num_clusters = K, .metric = metrics[i], .iterations = 15, .seed = 99, .num_threads = 1};
    sf_kmeans_report of_one = train(&options, rows, N, DIM, one);
    for (size_t j = 0; j < sizeof(num_threads) / sizeof(num_threads[0]); j++) {
      options.num_threads = num_threads[j];
      sf_kmeans_report of_more = train(&options, rows, N, DIM, more);
      assert_memory_equal(one, more, sizeof(one));
      assert_true(of_one.objective == of_more.objective && of_one.iterations == of_more.iterations);
      assert_true(of_one.num_distances == of_more.num_distances);
    }
    free(rows);
  }
}

static void another_seed_begins_elsewhere(void **state) {
  (void)state;
  enum { N = 500, DIM = 5, K = 9 };
  float first[K * DIM];
  float second[K * DIM];
  float *rows = make_groups(N, DIM, 1, 5, 1);
  sf_kmeans_options options = {.num_clusters = K, .metric = SF_METRIC_L2, .iterations = 1, .seed = 1};
  train(&options, rows, N, DIM, first);
  options.seed = 2;
  train(&options, rows, N, DIM, second);
  assert_memory_not_equal(first, second, sizeof(first));
  free(rows);
}

/* Rows of which each is in a cluster of its own: drawn seeds are rows of stretches of the sample, and iterations move none. */
static void seeds_can_be_drawn_from_stretches_of_the_sample(void **state) {
  (void)state;
  enum { N = 40, DIM = 3 };
  float *rows = make_floats(N * DIM);
  float *centroids = make_floats(N * DIM);
  for (size_t i = 0; i < N * DIM; i++)
    rows[i] = (float)(i / DIM * 1000 + i % DIM);
  sf_kmeans_options options = {
      .num_clusters = N, .metric = SF_METRIC_L2, .iterations = 3, .seed = 9, .num_threads = 2, .draws_seeds = true};
  train(&options, rows, N, DIM, centroids);
  assert_memory_equal(centroids, rows, N * DIM * sizeof(float));
  options.num_clusters = N / 4;
  options.iterations = 1;
  train(&options, rows, N, DIM, centroids);
  for (size_t id = 1; id < N / 4; id++) /* in the order of the stretches */
    assert_true(centroids[id * DIM] > centroids[(id - 1) * DIM]);
  free(rows);
  free(centroids);
}

static void one_cluster_is_the_middle_of_all_rows(void **state) {
  (void)state;
  enum { N = 700, DIM = 11 };
  float centroid[DIM];
  float expected[DIM];
  for (size_t i = 0; i < NUM_METRICS; i++) {
    float *rows = make_groups(N, DIM, 3, 1, 21 + i);
    sf_kmeans_options options = {.num_clusters = 1, .metric = metrics[i], .iterations = 10};
    sf_kmeans_report report = train(&options, rows, N, DIM, centroid);
    plain_iteration(metrics[i], rows, N, DIM, rows, expected, 1);
    assert_near(centroid, expected, DIM);
    assert_int_equal(report.iterations, 2);
    free(rows);
  }
}

static void as_many_clusters_as_rows_leave_no_distance(void **state) {
  (void)state;
  enum { N = 40, DIM = 6 };
  float centroids[N * DIM];
  float *rows = make_groups(N, DIM, N, 1, 31);
  sf_kmeans_options options = {.num_clusters = N, .metric = SF_METRIC_L2, .iterations = 10};
  sf_kmeans_report report = train(&options, rows, N, DIM, centroids);
  assert_true(fabs(report.objective) < 1e-6);
  options.num_clusters = N + 1;
  assert_refused(&options, rows, N, DIM, "training sample: expected at least a row for each of 41 clusters, found 40");
  free(rows);
}

static void rows_that_are_all_equal_give_centroids_beside_them(void **state) {
  (void)state;
  enum { N = 300, DIM = 8, K = 5 };
  float centroids[K * DIM];
  for (size_t i = 0; i < 2 * NUM_METRICS; i++) {
    float *rows = make_floats((size_t)N * DIM);
    for (size_t j = 0; i < NUM_METRICS && j < (size_t)N * DIM; j++)
      rows[j] = (float)(j % DIM);
    sf_kmeans_options options = {.num_clusters = K, .metric = metrics[i % NUM_METRICS], .iterations = 20};
    train(&options, rows, N, DIM, centroids);
    double distance;
    plain_nearest(SF_METRIC_COSINE, rows, centroids, K, DIM, &distance);
    assert_true(i >= NUM_METRICS || distance < 1e-5);
    free(rows);
  }
}

/* Three places for eight clusters: most begin where others are, and have no rows. */
static void clusters_that_are_empty_leave_those_that_they_double(void **state) {
  (void)state;
  enum { N = 900, DIM = 6, K = 8 };
  float centroids[K * DIM];
  for (size_t i = 0; i < NUM_METRICS; i++) {
    float *rows = make_groups(N, DIM, 3, 0, 41);
    sf_kmeans_options options = {.num_clusters = K, .metric = metrics[i], .iterations = 15};
    train(&options, rows, N, DIM, centroids);
    for (size_t a = 0; a < K; a++)
      for (size_t b = 0; b < a; b++)
        assert_memory_not_equal(centroids + a * DIM, centroids + b * DIM, DIM * sizeof(float));
    double distance;
    for (size_t row = 0; row < 3; row++) {
      plain_nearest(SF_METRIC_COSINE, rows + row * DIM, centroids, K, DIM, &distance);
      assert_true(distance < 1e-5);
    }
    free(rows);
  }
}

static void zero_rows_move_no_direction(void **state) {
  (void)state;
  enum { N = 200, DIM = 6, K = 3 };
  float centroids[K * DIM];
  float *rows = make_groups(N, DIM, K, 0.01F, 51);
  memset(rows + 50 * DIM, 0, 20 * DIM * sizeof(float));
  sf_kmeans_options options = {.num_clusters = K, .metric = SF_METRIC_COSINE, .iterations = 20};
  sf_kmeans_report report = train(&options, rows, N, DIM, centroids);
  assert_true(report.objective > 20 - 1e-6 && report.objective < 20.1);
  for (size_t id = 0; id < K; id++)
    assert_true(fabs(dot(centroids + id * DIM, centroids + id * DIM, DIM) - 1) < 1e-5);
  free(rows);
}

static void rows_of_any_length_are_trained_with(void **state) {
  (void)state;
  enum { N = 400, DIM = 9, K = 6 };
  static const float scales[] = {1e-44F, 1e-30F, 1e-15F, 1e15F, 1e25F, 3e37F};
  float one[K * DIM];
  float more[K * DIM];
  for (size_t i = 0; i < sizeof(scales) / sizeof(scales[0]) * NUM_METRICS; i++) {
    float *rows = make_groups(N, DIM, K, 1, 61);
    for (size_t j = 0; j < (size_t)N * DIM; j++)
      rows[j] *= scales[i / NUM_METRICS];
    sf_kmeans_options options = {.num_clusters = K, .metric = metrics[i % NUM_METRICS], .iterations = 20};
    options.num_threads = 1;
    train(&options, rows, N, DIM, one);
    options.num_threads = 3;
    train(&options, rows, N, DIM, more);
    assert_memory_equal(one, more, sizeof(one));
    free(rows);
  }
}

static void what_can_not_be_trained_is_refused_by_name(void **state) {
  (void)state;
  enum { N = 5000, DIM = 7 };
  float *rows = make_groups(N, DIM, 3, 1, 71);
  sf_kmeans_options options = {.num_clusters = 3, .metric = SF_METRIC_COSINE, .iterations = 5};
  rows[4500 * DIM + 2] = INFINITY;
  rows[1717 * DIM + 6] = NAN;
  rows[1800 * DIM + 1] = -INFINITY;
  assert_refused(&options, rows, N, DIM, "training sample: row 1717: component 6: expected a finite number, found nan");
  options.num_threads = 4;
  assert_refused(&options, rows, N, DIM, "training sample: row 1717: component 6: expected a finite number, found nan");
  assert_refused(&options, rows, N, 0, "training sample: expected at least 1 component, found 0");
  options.iterations = 0;
  assert_refused(&options, rows, N, DIM, "iterations: expected at least 1, found 0");
  options.num_clusters = 0;
  assert_refused(&options, rows, N, DIM, "num_clusters: expected at least 1, found 0");
  free(rows);
}

static void training_can_be_cancelled(void **state) {
  (void)state;
  enum { N = 500, DIM = 4, K = 3 };
  float centroids[K * DIM];
  float *rows = make_groups(N, DIM, K, 1, 81);
  sf_kmeans_options options = {.num_clusters = K, .metric = SF_METRIC_L2, .iterations = 5, .num_threads = 2};
  sf_cancellation cancellation = {0};
  sf_cancellation_request(&cancellation);
  sf_error error = {0};
  assert_int_equal(sf_kmeans_train(&options, rows, N, DIM, centroids, NULL, &cancellation, &error), SF_CANCELLED_ERROR);
  free(rows);
}

static bool count_down(void *context) {
  return --*(int *)context > 0;
}

static void who_trains_may_stop_after_an_iteration(void **state) {
  (void)state;
  enum { N = 500, DIM = 4, K = 9 };
  float centroids[K * DIM];
  float *rows = make_groups(N, DIM, 1, 1, 91);
  int left = 3;
  sf_kmeans_options options = {.num_clusters = K,
                               .metric = SF_METRIC_L2,
                               .iterations = 10,
                               .num_threads = 2,
                               .goes_on = count_down,
                               .goes_on_context = &left};
  sf_error error = {0};
  assert_int_equal(sf_kmeans_train(&options, rows, N, DIM, centroids, NULL, NULL, &error), SF_CANCELLED_ERROR);
  assert_int_equal(left, 0);
  free(rows);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_iteration_is_one_of_lloyd),
      cmocka_unit_test(groups_that_lie_apart_are_found),
      cmocka_unit_test(a_second_look_is_spared_where_it_could_not_change_anything),
      cmocka_unit_test(the_number_of_threads_changes_no_bit),
      cmocka_unit_test(another_seed_begins_elsewhere),
      cmocka_unit_test(seeds_can_be_drawn_from_stretches_of_the_sample),
      cmocka_unit_test(one_cluster_is_the_middle_of_all_rows),
      cmocka_unit_test(as_many_clusters_as_rows_leave_no_distance),
      cmocka_unit_test(rows_that_are_all_equal_give_centroids_beside_them),
      cmocka_unit_test(clusters_that_are_empty_leave_those_that_they_double),
      cmocka_unit_test(zero_rows_move_no_direction),
      cmocka_unit_test(rows_of_any_length_are_trained_with),
      cmocka_unit_test(what_can_not_be_trained_is_refused_by_name),
      cmocka_unit_test(training_can_be_cancelled),
      cmocka_unit_test(who_trains_may_stop_after_an_iteration),
  };
  return cmocka_run_group_tests_name("kmeans", tests, NULL, NULL);
}
