/* Routing without a builder or a reader: expressions, the assignment of rows, probing and training. */
#include <cmocka_includes.h>
#include <shardyfusion.h>
#include <string.h>

enum { DIM = 2, NUM_DBS = 3, ROWS = 6 };

static const float centroids[NUM_DBS][DIM] = {{1, 0}, {0, 1}, {-1, 0}};
static const float vectors[ROWS][DIM] = {{2, 0}, {0, 3}, {-1, 0}, {1, 0.5F}, {0.5F, 2}, {-5, 1}};
static const uint32_t nearest[ROWS] = {0, 1, 2, 0, 1, 2};

static sf_build_options options_for(sf_sharding_strategy strategy) {
  sf_build_options options = SF_BUILD_OPTIONS_INIT;
  options.strategy = strategy;
  options.metric = SF_METRIC_L2;
  options.dim = DIM;
  options.num_dbs = NUM_DBS;
  if (strategy == SF_SHARDING_CLUSTER)
    options.centroids = centroids[0];
  return options;
}

static sf_row_router *create(const sf_build_options *options) {
  sf_row_router *router = NULL;
  assert_int_equal(sf_row_router_create(options, &router, NULL), SF_OK);
  return router;
}

static sf_row_batch batch_of(size_t count) {
  sf_row_batch batch = SF_ROW_BATCH_INIT;
  batch.count = count;
  batch.vectors = vectors;
  batch.dim = DIM;
  batch.vector_type = SF_FLOAT32;
  return batch;
}

static void assert_fails(sf_code code, const sf_error *error, const char *part) {
  assert_int_equal(code, SF_CONFIG_VALIDATION_ERROR);
  if (strstr(error->message, part) == NULL)
    fail_msg("expected \"%s\" in \"%s\"", part, error->message);
}

static void an_expression_gives_numbers_strings_and_bytes(void **state) {
  (void)state;
  const struct {
    const char *text;
    const char *value;
  } cases[] = {{"n + 1", "8"},
               {"uint(n) % 4u", "3"},
               {"18446744073709551615u", "18446744073709551615"},
               {"s + '\\\"'", "\"a\\\"\""},
               {"b'\\x00\\xff'", "{\"__bytes_hex__\": \"00ff\"}"}};
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    sf_expression *expression = NULL;
    char *value = NULL;
    assert_int_equal(sf_expression_compile(cases[i].text, "{\"n\": \"int\", \"s\": \"string\"}", &expression, NULL),
                     SF_OK);
    assert_int_equal(sf_expression_evaluate(expression, "{\"n\": 7, \"s\": \"a\", \"other\": []}", &value, NULL),
                     SF_OK);
    assert_string_equal(value, cases[i].value);
    sf_free(value);
    sf_expression_free(expression);
  }
  sf_expression_free(NULL);
}

static void an_expression_that_can_not_route_is_refused(void **state) {
  (void)state;
  sf_error error;
  sf_expression *expression = NULL;
  char *value = NULL;
  assert_fails(sf_expression_compile("n +", "{\"n\": \"int\"}", &expression, &error), &error, "cel_expr");
  assert_fails(sf_expression_compile("n", "{\"n\": \"text\"}", &expression, &error), &error, "n");
  assert_fails(sf_expression_compile(NULL, "{}", &expression, &error), &error, "cel_expr");
  assert_null(expression);
  assert_int_equal(sf_expression_compile("d", "{\"d\": \"double\"}", &expression, NULL), SF_OK);
  assert_fails(sf_expression_evaluate(expression, "{\"d\": 0.5}", &value, &error), &error, "found double");
  assert_fails(sf_expression_evaluate(expression, "{}", &value, &error), &error, "'d' has no value");
  assert_fails(sf_expression_evaluate(expression, "[]", &value, &error), &error, "routing_context");
  assert_fails(sf_expression_evaluate(expression, NULL, &value, &error), &error, "routing_context");
  assert_null(value);
  sf_expression_free(expression);
}

static void rows_are_assigned_as_queries_are_routed(void **state) {
  (void)state;
  const sf_build_options options = options_for(SF_SHARDING_CLUSTER);
  sf_row_router *router = create(&options);
  uint32_t assigned[ROWS];
  uint32_t routed[NUM_DBS];
  size_t count;
  sf_row_batch batch = batch_of(ROWS);
  assert_int_equal(sf_row_router_assign(router, &batch, assigned, NULL), SF_OK);
  assert_memory_equal(assigned, nearest, sizeof(nearest));
  for (size_t i = 0; i < ROWS; i++) {
    assert_int_equal(sf_row_router_route(router, vectors[i], NULL, 2, routed, &count, NULL), SF_OK);
    assert_int_equal(count, 2);
    assert_int_equal(routed[0], nearest[i]);
  }
  assert_int_equal(sf_row_router_num_dbs(router), NUM_DBS);
  assert_memory_equal(sf_row_router_vectors(router, &count), centroids, sizeof(centroids));
  assert_int_equal(count, NUM_DBS);
  sf_row_router_free(router);
  sf_row_router_free(NULL);
}

static void rows_of_other_types_are_converted(void **state) {
  (void)state;
  const sf_build_options options = options_for(SF_SHARDING_CLUSTER);
  sf_row_router *router = create(&options);
  double wide[ROWS][DIM];
  uint32_t assigned[ROWS];
  for (size_t row = 0; row < ROWS; row++)
    for (size_t i = 0; i < DIM; i++)
      wide[row][i] = (double)vectors[row][i];
  sf_row_batch batch = batch_of(ROWS);
  batch.vectors = wide;
  batch.vector_type = SF_FLOAT64;
  assert_int_equal(sf_row_router_assign(router, &batch, assigned, NULL), SF_OK);
  assert_memory_equal(assigned, nearest, sizeof(nearest));
  sf_row_router_free(router);
}

static void other_strategies_look_at_what_they_route_by(void **state) {
  (void)state;
  sf_build_options options = options_for(SF_SHARDING_EXPLICIT);
  uint32_t assigned[NUM_DBS];
  size_t count;
  sf_error error;
  const int64_t shard_ids[] = {2, 0, 1};
  sf_row_batch batch = SF_ROW_BATCH_INIT;
  batch.count = NUM_DBS;
  batch.shard_ids = shard_ids;
  sf_row_router *router = create(&options);
  assert_int_equal(sf_row_router_assign(router, &batch, assigned, NULL), SF_OK);
  assert_true(assigned[0] == 2 && assigned[1] == 0 && assigned[2] == 1);
  assert_fails(sf_row_router_route(router, vectors[0], NULL, 1, assigned, &count, &error), &error, "shard_ids");
  assert_null(sf_row_router_vectors(router, &count));
  sf_row_router_free(router);
  options = options_for(SF_SHARDING_CEL);
  options.cel_expr = "n";
  options.cel_columns = "{\"n\": \"int\"}";
  const char *const contexts[] = {"{\"n\": 1}", "{\"n\": 2}", "{\"n\": 3}"};
  batch.routing_contexts = contexts;
  batch.count = 2;
  router = create(&options);
  assert_int_equal(sf_row_router_assign(router, &batch, assigned, NULL), SF_OK);
  assert_true(assigned[0] == 1 && assigned[1] == 2);
  batch.count = 3;
  assert_fails(sf_row_router_assign(router, &batch, assigned, &error), &error, "row 2");
  assert_int_equal(sf_row_router_route(router, NULL, contexts[1], 1, assigned, &count, NULL), SF_OK);
  assert_true(count == 1 && assigned[0] == 2);
  sf_row_router_free(router);
}

static void what_is_missing_is_named(void **state) {
  (void)state;
  sf_error error;
  sf_row_router *router = NULL;
  sf_build_options options = options_for(SF_SHARDING_CLUSTER);
  uint32_t assigned[ROWS];
  size_t count;
  options.centroids = NULL;
  assert_fails(sf_row_router_create(&options, &router, &error), &error, "centroids");
  assert_fails(sf_row_router_create(NULL, &router, &error), &error, "build options");
  options = options_for(SF_SHARDING_LSH);
  options.dim = 0;
  assert_fails(sf_row_router_create(&options, &router, &error), &error, "dim");
  options = options_for(SF_SHARDING_LSH);
  router = create(&options);
  sf_row_batch batch = batch_of(ROWS);
  batch.vectors = NULL;
  assert_fails(sf_row_router_assign(router, &batch, assigned, &error), &error, "vectors");
  batch = batch_of(ROWS);
  batch.dim = 3;
  assert_fails(sf_row_router_assign(router, &batch, assigned, &error), &error, "expected 2 components, found 3");
  assert_fails(sf_row_router_route(router, NULL, NULL, 1, assigned, &count, &error), &error, "query");
  sf_row_router_free(router);
}

static void centroids_are_those_of_a_build_with_the_same_rows(void **state) {
  (void)state;
  sf_error error;
  sf_build_options options = options_for(SF_SHARDING_CLUSTER);
  float first[NUM_DBS][DIM];
  float second[NUM_DBS][DIM];
  sf_row_batch batch = batch_of(ROWS);
  options.centroids = NULL;
  assert_int_equal(sf_train_centroids(&options, &batch, first[0], NULL), SF_OK);
  options.num_threads = 1;
  assert_int_equal(sf_train_centroids(&options, &batch, second[0], NULL), SF_OK);
  assert_memory_equal(first, second, sizeof(first));
  batch.count = 2;
  assert_fails(sf_train_centroids(&options, &batch, first[0], &error), &error, "at least as many rows as num_dbs");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_expression_gives_numbers_strings_and_bytes),
      cmocka_unit_test(an_expression_that_can_not_route_is_refused),
      cmocka_unit_test(rows_are_assigned_as_queries_are_routed),
      cmocka_unit_test(rows_of_other_types_are_converted),
      cmocka_unit_test(other_strategies_look_at_what_they_route_by),
      cmocka_unit_test(what_is_missing_is_named),
      cmocka_unit_test(centroids_are_those_of_a_build_with_the_same_rows),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
