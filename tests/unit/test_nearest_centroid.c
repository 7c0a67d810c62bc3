/* Whatever float32 makes of it, a row goes where the router sends it. */
#include "routing/router.h"
#include "writer/nearest_centroid.h"

#include "cmocka_includes.h"
#include "random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const sf_metric metrics[] = {SF_METRIC_COSINE, SF_METRIC_L2, SF_METRIC_DOT_PRODUCT};
enum { NUM_METRICS = 3 };

typedef struct data {
  sf_router_params source;
  sf_routing_config config;
  double *centroids;
  float *rows;
  size_t num_rows;
} data;

static data make_data(sf_metric metric, uint32_t num_dbs, uint32_t dim, size_t num_rows) {
  data made = {.centroids = calloc((size_t)num_dbs * dim, sizeof(double)),
               .rows = calloc(num_rows * dim + 1, sizeof(float)),
               .num_rows = num_rows};
  assert_true(made.centroids != NULL && made.rows != NULL);
  made.config = (sf_routing_config){.strategy = SF_SHARDING_CLUSTER, .num_probes = 1};
  made.source = (sf_router_params){.num_dbs = num_dbs, .dim = dim, .metric = metric, .artifact = made.centroids};
  return made;
}

static void free_data(data *made) {
  free(made->centroids);
  free(made->rows);
}

static void assert_as_the_router(data *made) {
  made->source.config = &made->config;
  size_t dim = made->source.dim;
  sf_error error = {0};
  sf_router *router = NULL;
  sf_nearest_centroid *nearest = NULL;
  uint32_t *assigned = calloc(made->num_rows + 1, sizeof(uint32_t));
  uint32_t *route = calloc(made->source.num_dbs, sizeof(uint32_t));
  assert_true(assigned != NULL && route != NULL);
  assert_int_equal(sf_router_create(&made->source, &router, &error), SF_OK);
  assert_int_equal(sf_nearest_centroid_create(&made->source, &nearest, &error), SF_OK);
  assert_int_equal(sf_nearest_centroid_assign(nearest, made->rows, made->num_rows, assigned, &error), SF_OK);
  for (size_t row = 0; row < made->num_rows; row++) {
    sf_route_request request = {.query = made->rows + row * dim};
    size_t count = 0;
    assert_int_equal(sf_router_route(router, &request, route, &count, &error), SF_OK);
    if (route[0] != assigned[row])
      fail_msg("row %zu of dim %zu, %u centroids: the router says %u, found %u", row, dim, made->source.num_dbs,
               route[0], assigned[row]);
  }
  sf_nearest_centroid_free(nearest);
  sf_router_free(router);
  free(assigned);
  free(route);
}

static void fill_randomly(data *made, double centroid_scale, float row_scale, uint64_t *random) {
  for (size_t i = 0; i < (size_t)made->source.num_dbs * made->source.dim; i++)
    made->centroids[i] = centroid_scale * (double)random_component(random);
  for (size_t i = 0; i < made->num_rows * made->source.dim; i++)
    made->rows[i] = row_scale * random_component(random);
}

static void random_rows_go_where_the_router_sends_them(void **state) {
  (void)state;
  uint64_t random = random_seed(1);
  for (size_t round = 0; round < 60; round++) {
    uint32_t num_dbs = 1 + (uint32_t)random_below(&random, 200);
    uint32_t dim = 1 + (uint32_t)random_below(&random, round % 10 == 0 ? 800 : 40);
    data made = make_data(metrics[round % NUM_METRICS], num_dbs, dim, random_below(&random, 300));
    fill_randomly(&made, 1, 1, &random);
    assert_as_the_router(&made);
    free_data(&made);
  }
}

/* Half way between two centroids, but for what float32 can hardly hold. */
static void rows_between_two_centroids_go_where_the_router_sends_them(void **state) {
  (void)state;
  uint64_t random = random_seed(2);
  for (size_t round = 0; round < 60; round++) {
    data made = make_data(metrics[round % NUM_METRICS], 2 + (uint32_t)random_below(&random, 40),
                          1 + (uint32_t)random_below(&random, 100), 200);
    fill_randomly(&made, 1, 1, &random);
    size_t dim = made.source.dim;
    for (size_t row = 0; row < made.num_rows; row++) {
      const double *a = made.centroids + random_below(&random, made.source.num_dbs) * dim;
      const double *b = made.centroids + random_below(&random, made.source.num_dbs) * dim;
      for (size_t i = 0; i < dim; i++)
        made.rows[row * dim + i] = (float)((a[i] + b[i]) / 2) + 1e-8F * random_component(&random);
    }
    assert_as_the_router(&made);
    free_data(&made);
  }
}

static void ties_go_to_the_lowest_id(void **state) {
  (void)state;
  uint64_t random = random_seed(3);
  for (size_t i = 0; i < NUM_METRICS; i++) {
    data made = make_data(metrics[i], 40, 24, 100);
    fill_randomly(&made, 1, 1, &random);
    memcpy(made.centroids + 20 * 24, made.centroids, 20 * 24 * sizeof(double));
    assert_as_the_router(&made);
    free_data(&made);
  }
}

/* Where float32 overflows, underflows, or rounds away all that tells centroids apart; the format's own 1e-10 counts for
 * short centroids. */
static void rows_and_centroids_of_any_length_go_where_the_router_sends_them(void **state) {
  (void)state;
  static const float scales[] = {0, 1e-44F, 1e-30F, 1e-20F, 1e-9F, 1e-4F, 1, 1e5F, 1e12F, 1e19F, 1e30F, 3e38F};
  enum { NUM_SCALES = sizeof(scales) / sizeof(scales[0]) };
  uint64_t random = random_seed(4);
  for (size_t i = 0; i < NUM_SCALES; i++) {
    for (size_t j = 0; j < NUM_SCALES; j++) {
      for (size_t metric = 0; metric < NUM_METRICS; metric++) {
        data made = make_data(metrics[metric], 19, 33, 40);
        fill_randomly(&made, (double)scales[i], scales[j], &random);
        assert_as_the_router(&made);
        free_data(&made);
      }
    }
  }
}

/* Centroids that differ by less than a float32 shows, as `.npy` files of float64 may hold them; some are zero. */
static void centroids_of_float64_count_with_all_their_digits(void **state) {
  (void)state;
  uint64_t random = random_seed(5);
  for (size_t i = 0; i < NUM_METRICS; i++) {
    data made = make_data(metrics[i], 30, 17, 200);
    fill_randomly(&made, 1, 1, &random);
    for (size_t id = 1; id < 20; id++)
      for (size_t j = 0; j < 17; j++)
        made.centroids[id * 17 + j] = made.centroids[j] * (1 + 1e-12 * (double)random_component(&random));
    memset(made.centroids + 25 * 17, 0, 2 * 17 * sizeof(double));
    memset(made.rows, 0, 3 * 17 * sizeof(float));
    assert_as_the_router(&made);
    free_data(&made);
  }
}

/* More than are scored together: a few rows at a time. */
static void many_centroids_are_no_different(void **state) {
  (void)state;
  uint64_t random = random_seed(6);
  data made = make_data(SF_METRIC_L2, 50000, 3, 50);
  fill_randomly(&made, 1, 1, &random);
  assert_as_the_router(&made);
  free_data(&made);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_rows_go_where_the_router_sends_them),
      cmocka_unit_test(rows_between_two_centroids_go_where_the_router_sends_them),
      cmocka_unit_test(ties_go_to_the_lowest_id),
      cmocka_unit_test(rows_and_centroids_of_any_length_go_where_the_router_sends_them),
      cmocka_unit_test(centroids_of_float64_count_with_all_their_digits),
      cmocka_unit_test(many_centroids_are_no_different),
  };
  return cmocka_run_group_tests_name("nearest_centroid", tests, NULL, NULL);
}
