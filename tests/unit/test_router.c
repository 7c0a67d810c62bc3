/* The formulas are computed again, straightforwardly, and compared. */
#include "routing/router.h"

#include "base/memory.h"
#include "cmocka_includes.h"
#include "random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DIM 7
#define MAX_DBS 64

static sf_router *router_of(const sf_router_params *source) {
  sf_router *router = NULL;
  sf_error error = {0};
  if (sf_router_create(source, &router, &error) != SF_OK)
    fail_msg("%s", error.message);
  return router;
}

static size_t route(const sf_router *router, const sf_route_request *request, uint32_t *shard_ids) {
  size_t count = 0;
  sf_error error = {0};
  if (sf_router_route(router, request, shard_ids, &count, &error) != SF_OK)
    fail_msg("%s", error.message);
  return count;
}

static void assert_route_fails(const sf_router *router, const sf_route_request *request, sf_code expected,
                               const char *message_part) {
  uint32_t shard_ids[MAX_DBS];
  size_t count = 0;
  sf_error error = {0};
  sf_code code = sf_router_route(router, request, shard_ids, &count, &error);
  if (code != expected || strstr(error.message, message_part) == NULL)
    fail_msg("expected %s with '%s', found %s '%s'", sf_code_name(expected), message_part, sf_code_name(code),
             error.message);
}

/* With more digits, so that only what is nearly a tie could differ. */
static long double expected_distance(sf_metric metric, const double *centroid, const float *query) {
  long double dot = 0;
  long double squared = 0;
  long double centroid_norm = 0;
  long double query_norm = 0;
  for (size_t i = 0; i < DIM; i++) {
    long double q = query[i];
    long double c = centroid[i];
    dot += q * c;
    squared += (q - c) * (q - c);
    centroid_norm += c * c;
    query_norm += q * q;
  }
  if (metric == SF_METRIC_L2)
    return squared;
  if (metric == SF_METRIC_DOT_PRODUCT)
    return -dot;
  return query_norm > 0 ? 1 - dot / (sqrtl(centroid_norm) * sqrtl(query_norm) + 1e-10L) : 1;
}

static void clusters_are_probed_by_ascending_distance(void **state) {
  (void)state;
  uint64_t seed = random_seed(1);
  for (int trial = 0; trial < 300; trial++) {
    double centroids[MAX_DBS * DIM];
    float query[DIM];
    uint32_t num_dbs = 1 + (uint32_t)random_below(&seed, MAX_DBS);
    for (size_t i = 0; i < (size_t)num_dbs * DIM; i++)
      centroids[i] = random_component(&seed);
    for (size_t i = 0; i < DIM; i++)
      query[i] = random_component(&seed);
    sf_metric metric = (sf_metric)(trial % 3);
    const sf_routing_config config = {.strategy = SF_SHARDING_CLUSTER, .num_probes = 1};
    const sf_router_params source = {
        .config = &config, .num_dbs = num_dbs, .dim = DIM, .metric = metric, .artifact = centroids};
    sf_router *router = router_of(&source);
    uint32_t shard_ids[MAX_DBS];
    const sf_route_request request = {.query = query, .has_num_probes = true, .num_probes = 1 + trial % 70};
    size_t count = route(router, &request, shard_ids);
    assert_int_equal(count, request.num_probes < num_dbs ? request.num_probes : num_dbs);
    for (uint32_t id = 0; id < num_dbs; id++) { /* nobody that was left out is nearer than the last */
      bool chosen = false;
      for (size_t i = 0; i < count; i++)
        chosen = chosen || shard_ids[i] == id;
      long double last = expected_distance(metric, centroids + shard_ids[count - 1] * DIM, query);
      assert_true(chosen || expected_distance(metric, centroids + id * DIM, query) >= last - 1e-12L);
    }
    for (size_t i = 1; i < count; i++)
      assert_true(expected_distance(metric, centroids + shard_ids[i - 1] * DIM, query) <=
                  expected_distance(metric, centroids + shard_ids[i] * DIM, query) + 1e-12L);
    sf_router_free(router);
  }
}

static void assert_order(sf_metric metric, const double *centroids, const float *query, const uint32_t *expected) {
  const sf_routing_config config = {.strategy = SF_SHARDING_CLUSTER, .num_probes = 100};
  const sf_router_params source = {.config = &config, .num_dbs = 4, .dim = 2, .metric = metric, .artifact = centroids};
  sf_router *router = router_of(&source);
  uint32_t shard_ids[4];
  const sf_route_request request = {.query = query};
  assert_int_equal(route(router, &request, shard_ids), 4);
  assert_memory_equal(shard_ids, expected, sizeof(shard_ids));
  /* Shards that are named are put into the same order, all of them or some. */
  uint32_t named[] = {2, 0, 3, 1};
  assert_int_equal(sf_router_order(router, query, named, 4, NULL), SF_OK);
  assert_memory_equal(named, expected, sizeof(named));
  uint32_t some[] = {expected[3], expected[1]};
  assert_int_equal(sf_router_order(router, query, some, 2, NULL), SF_OK);
  assert_int_equal(some[0], expected[1]);
  assert_int_equal(some[1], expected[3]);
  sf_router_free(router);
}

static void equal_distances_are_ordered_by_id(void **state) {
  (void)state;
  const double centroids[] = {3, 3, 1, 0, 0, 1, 1, 0};
  assert_order(SF_METRIC_L2, centroids, (const float[]){0, 0}, (const uint32_t[]){1, 2, 3, 0});
  assert_order(SF_METRIC_DOT_PRODUCT, centroids, (const float[]){0, 0}, (const uint32_t[]){0, 1, 2, 3});
}

static void a_zero_query_is_equally_far_from_all_by_cosine(void **state) {
  (void)state;
  const double centroids[] = {-1, 0, 0, 0, 1e-200, 0, 1, 0};
  assert_order(SF_METRIC_COSINE, centroids, (const float[]){0, 0}, (const uint32_t[]){0, 1, 2, 3});
  /* a zero centroid is at distance 1, and so, by the format's 1e-10, is one that is tiny */
  assert_order(SF_METRIC_COSINE, centroids, (const float[]){1, 0}, (const uint32_t[]){3, 1, 2, 0});
}

static void centroids_that_are_not_numbers_come_last(void **state) {
  (void)state;
  const double centroids[] = {NAN, 0, 5, 0, NAN, NAN, 1, 0};
  assert_order(SF_METRIC_L2, centroids, (const float[]){0, 0}, (const uint32_t[]){3, 1, 0, 2});
  assert_order(SF_METRIC_COSINE, centroids, (const float[]){1, 0}, (const uint32_t[]){1, 3, 0, 2});
}

/* The code as a number of any length: its remainder, bit by bit from the most significant one. */
static uint32_t remainder_of(const bool *bits, uint32_t num_bits, uint32_t flipped, uint32_t modulus) {
  uint64_t remainder = 0;
  for (uint32_t i = num_bits; i-- > 0;)
    remainder = (remainder * 2 + (bits[i] != (i == flipped))) % modulus;
  return (uint32_t)remainder;
}

static size_t expected_probes(const bool *bits, uint32_t num_bits, uint32_t num_dbs, size_t limit,
                              uint32_t *shard_ids) {
  size_t count = 0;
  shard_ids[count++] = remainder_of(bits, num_bits, UINT32_MAX, num_dbs);
  for (uint32_t bit = 0; bit < num_bits && count < limit; bit++) {
    uint32_t shard = remainder_of(bits, num_bits, bit, num_dbs);
    bool chosen = false;
    for (size_t i = 0; i < count; i++)
      chosen = chosen || shard_ids[i] == shard;
    if (!chosen)
      shard_ids[count++] = shard;
  }
  return count;
}

static void hash_codes_of_any_length_choose_shards(void **state) {
  (void)state;
  enum { MAX_BITS = 200 };
  static double hyperplanes[MAX_BITS * DIM];
  uint64_t seed = random_seed(2);
  for (int trial = 0; trial < 300; trial++) {
    uint32_t num_bits = 1 + (uint32_t)random_below(&seed, MAX_BITS);
    uint32_t num_dbs = 1 + (uint32_t)random_below(&seed, MAX_DBS);
    float query[DIM];
    bool bits[MAX_BITS];
    for (size_t i = 0; i < (size_t)num_bits * DIM; i++)
      hyperplanes[i] = random_component(&seed);
    for (size_t i = 0; i < DIM; i++)
      query[i] = trial == 0 ? 0 : random_component(&seed); /* a projection of 0 is not positive */
    for (uint32_t bit = 0; bit < num_bits; bit++) {
      long double dot = 0;
      for (size_t i = 0; i < DIM; i++)
        dot += (long double)hyperplanes[bit * DIM + i] * query[i];
      bits[bit] = dot > 0;
    }
    const sf_routing_config config = {.strategy = SF_SHARDING_LSH, .num_hash_bits = num_bits, .num_probes = 1};
    const sf_router_params source = {
        .config = &config, .num_dbs = num_dbs, .dim = DIM, .metric = SF_METRIC_L2, .artifact = hyperplanes};
    sf_router *router = router_of(&source);
    const sf_route_request request = {.query = query, .has_num_probes = true, .num_probes = 1 + trial % 80};
    size_t limit = request.num_probes < num_dbs ? (size_t)request.num_probes : num_dbs;
    uint32_t found[MAX_DBS];
    uint32_t expected[MAX_DBS];
    size_t count = route(router, &request, found);
    assert_int_equal(count, expected_probes(bits, num_bits, num_dbs, limit, expected));
    assert_memory_equal(found, expected, count * sizeof(found[0]));
    sf_router_free(router);
  }
}

static void probes_that_flip_to_a_shard_again_are_skipped(void **state) {
  (void)state;
  const double hyperplanes[] = {1, 1, 1}; /* three bits, all set: 7; flipped 6, 5, 3 */
  const sf_routing_config config = {.strategy = SF_SHARDING_LSH, .num_hash_bits = 3, .num_probes = 3};
  const sf_router_params source = {.config = &config, .num_dbs = 2, .dim = 1, .artifact = hyperplanes};
  sf_router *router = router_of(&source);
  const sf_route_request request = {.query = (const float[]){1}};
  uint32_t shard_ids[2];
  assert_int_equal(route(router, &request, shard_ids), 2);
  assert_int_equal(shard_ids[0], 1);
  assert_int_equal(shard_ids[1], 0);
  sf_router_free(router);
}

static void named_shards_replace_routing(void **state) {
  (void)state;
  const sf_routing_config config = {.strategy = SF_SHARDING_EXPLICIT, .num_probes = 1};
  const sf_router_params source = {.config = &config, .num_dbs = 3, .dim = 1};
  sf_router *router = router_of(&source);
  const int64_t named[] = {2, -1, 3, 0, 2, INT64_MIN, INT64_MAX, (int64_t)1 << 32};
  uint32_t shard_ids[3];
  sf_route_request request = {.has_shard_ids = true, .shard_ids = named, .num_shard_ids = 8};
  assert_int_equal(route(router, &request, shard_ids), 2);
  assert_int_equal(shard_ids[0], 2);
  assert_int_equal(shard_ids[1], 0);
  assert_int_equal(sf_router_order(router, NULL, shard_ids, 2, NULL), SF_OK); /* this strategy knows no better order */
  assert_int_equal(shard_ids[0], 2);
  assert_int_equal(shard_ids[1], 0);
  request.num_shard_ids = 0;
  assert_int_equal(route(router, &request, shard_ids), 0);
  request.has_shard_ids = false;
  assert_route_fails(router, &request, SF_CONFIG_VALIDATION_ERROR, "shard_ids: expected some");
  request.has_num_probes = true;
  for (int64_t probes = -1; probes < 1; probes++) {
    request.num_probes = probes;
    assert_route_fails(router, &request, SF_CONFIG_VALIDATION_ERROR, "num_probes: expected at least 1");
  }
  sf_router_free(router);
}

static void without_a_strategy_all_shards_of_a_unified_snapshot_are_searched(void **state) {
  (void)state;
  const sf_routing_config config = {.strategy = SF_SHARDING_EXPLICIT, .searches_all_shards = true, .num_probes = 1};
  const sf_router_params source = {.config = &config, .num_dbs = 3, .dim = 1};
  sf_router *router = router_of(&source);
  uint32_t shard_ids[3];
  sf_route_request request = {0};
  assert_int_equal(route(router, &request, shard_ids), 3);
  const uint32_t expected[] = {0, 1, 2};
  assert_memory_equal(shard_ids, expected, sizeof(expected));
  const int64_t named = 1;
  request = (sf_route_request){.has_shard_ids = true, .shard_ids = &named, .num_shard_ids = 1};
  assert_int_equal(route(router, &request, shard_ids), 1);
  sf_router_free(router);
}

/* A router by the expression, with a column of each type, and three shards. */
typedef struct cel_case {
  sf_routing_config config;
  sf_router_params source;
  sf_router *router;
} cel_case;

static void make_cel(cel_case *made, const char *expression, const char *values) {
  static const char columns[] = "{\"an_int\": \"int\", \"a_uint\": \"uint\", \"a_double\": \"double\","
                                " \"a_bool\": \"bool\", \"a_string\": \"string\", \"some_bytes\": \"bytes\"}";
  sf_json parsed;
  made->config = (sf_routing_config){.strategy = SF_SHARDING_CEL, .num_probes = 1};
  made->config.cel_expression = sf_strdup(expression);
  assert_int_equal(sf_json_parse_object(columns, strlen(columns), SF_JSON_STRICT, "columns", SF_ERROR, &parsed, NULL),
                   SF_OK);
  assert_int_equal(sf_routing_config_read_columns(parsed.root, "columns", &made->config, NULL), SF_OK);
  sf_json_free(&parsed);
  if (values != NULL) {
    assert_int_equal(sf_json_parse(values, strlen(values), SF_JSON_STRICT, "values", SF_ERROR, &parsed, NULL), SF_OK);
    assert_int_equal(sf_routing_config_read_values(parsed.root, (sf_json_text){values, strlen(values)}, "values",
                                                   &made->config, NULL),
                     SF_OK);
    sf_json_free(&parsed);
  }
  made->source = (sf_router_params){.config = &made->config, .num_dbs = 3, .dim = 1};
  made->router = router_of(&made->source);
}

static void free_cel(cel_case *made) {
  sf_router_free(made->router);
  sf_routing_config_free(&made->config);
}

static void assert_cel_routes(const char *expression, const char *values, const char *context, uint32_t expected) {
  cel_case made;
  make_cel(&made, expression, values);
  uint32_t shard_ids[3];
  const sf_route_request request = {.routing_context = context};
  assert_int_equal(route(made.router, &request, shard_ids), 1);
  assert_int_equal(shard_ids[0], expected);
  free_cel(&made);
}

static void assert_cel_fails(const char *expression, const char *values, const char *context, sf_code code,
                             const char *message_part) {
  cel_case made;
  make_cel(&made, expression, values);
  const sf_route_request request = {.routing_context = context};
  assert_route_fails(made.router, &request, code, message_part);
  free_cel(&made);
}

static void values_of_an_expression_are_shards_or_tokens(void **state) {
  (void)state;
  assert_cel_routes("an_int", NULL, "{\"an_int\": 2}", 2);
  assert_cel_routes("an_int", "[10, -20, 30]", "{\"an_int\": -20}", 1);
  assert_cel_routes("a_string", "[\"\", \"a\\u0000b\", 7]", "{\"a_string\": \"a\\u0000b\"}", 1);
  assert_cel_routes("a_string", "[\"\", \"a\", 7]", "{\"a_string\": \"\"}", 0);
  assert_cel_routes("some_bytes", "[\"a\", {\"__bytes_hex__\": \"61\"}, 7]",
                    "{\"some_bytes\": {\"__bytes_hex__\": \"61\"}}", 1);
  assert_cel_routes("some_bytes", "[\"\", {\"__bytes_hex__\": \"\"}, 7]", "{\"some_bytes\": {\"__bytes_hex__\": \"\"}}",
                    1);
  assert_cel_routes("a_string", "[\"a\", \"a\", 7]", "{\"a_string\": \"a\"}", 0);
}

static void a_uint_is_the_shard_or_the_token_that_the_int_of_its_value_is(void **state) {
  (void)state;
  assert_cel_routes("an_int < 5 ? 0u : 1u", NULL, "{\"an_int\": 7}", 1);
  assert_cel_routes("a_uint % 3u", NULL, "{\"a_uint\": 18446744073709551615}", 0);
  assert_cel_routes("2u", "[7, \"2\", 2]", "{}", 2);
  assert_cel_routes("9223372036854775807u", "[0, 9223372036854775807, 2]", "{}", 1);
  assert_cel_routes("a_uint", "[0, 9223372036854775808, 18446744073709551615]", "{\"a_uint\": 18446744073709551615}",
                    2);
  assert_cel_fails("3u", NULL, "{}", SF_CONFIG_VALIDATION_ERROR, "expected a shard id from 0 to 2, found 3");
  assert_cel_fails("18446744073709551615u", NULL, "{}", SF_CONFIG_VALIDATION_ERROR, "found 18446744073709551615");
  assert_cel_fails("18446744073709551615u", "[-1, 0, 1]", "{}", SF_UNKNOWN_ROUTING_TOKEN_ERROR,
                   "found 18446744073709551615");
  assert_cel_fails("1u", "[\"1\", 0, 2]", "{}", SF_UNKNOWN_ROUTING_TOKEN_ERROR, "found 1");
}

static void decimal_strings_and_bytes_are_shards_as_pythons_int_reads_them(void **state) {
  (void)state;
  static const struct {
    const char *expression;
    uint32_t shard_id;
  } cases[] = {
      {"'2'", 2},           {"b'2'", 2},
      {"'02'", 2},          {"b'0000000000000000000000000000002'", 2},
      {"'+1'", 1},          {"b'+01'", 1},
      {"'-0'", 0},          {"' 2'", 2},
      {"b'\\t2\\r\\n'", 2}, {"'\\u00a0\\u30002\\u2003\\u0085'", 2},
      {"'0_2'", 2},         {"string(shard_hash('a') % 1u + 2u)", 2},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
    assert_cel_routes(cases[i].expression, NULL, "{}", cases[i].shard_id);
}

static void strings_and_bytes_that_are_no_shards_number_are_refused(void **state) {
  (void)state;
  static const char *const not_decimal[] = {
      "''",         "' '",        "'+'",        "'-'",  "'+-1'",  "'+ 1'",          "'1 1'",
      "'1.0'",      "'1e0'",      "'0x1'",      "'1_'", "'_1'",   "'1__1'",         "'1u'",
      "'1\\u0000'", "'\\u200b1'", "'\\u001c1'", "b''",  "b'one'", "b'\\xc2\\xa01'", "b'\\xff'",
  };
  static const char *const out_of_range[] = {
      "'3'",
      "b'3'",
      "'-1'",
      "b'-1'",
      "'9223372036854775808'",
      "'18446744073709551617'",
      "b'-18446744073709551615'",
      "'340282366920938463463374607431768211457'",
  };
  for (size_t i = 0; i < sizeof(not_decimal) / sizeof(not_decimal[0]); i++)
    assert_cel_fails(not_decimal[i], NULL, "{}", SF_CONFIG_VALIDATION_ERROR, "shard id from 0 to 2 in decimal, found ");
  for (size_t i = 0; i < sizeof(out_of_range) / sizeof(out_of_range[0]); i++)
    assert_cel_fails(out_of_range[i], NULL, "{}", SF_CONFIG_VALIDATION_ERROR, "a shard id from 0 to 2, found ");
  /* With routing_values a string is a token, never a number. */
  assert_cel_fails("'1'", "[0, 1, 2]", "{}", SF_UNKNOWN_ROUTING_TOKEN_ERROR, "found \"1\"");
  assert_cel_fails("'01'", "[\"0\", \"1\", \"2\"]", "{}", SF_UNKNOWN_ROUTING_TOKEN_ERROR, "found \"01\"");
}

/* Three shards of vectors without a strategy, whose keys are sharded by the expression (NULL: otherwise). */
static void make_by_key(cel_case *made, const char *expression) {
  make_cel(made, "0", NULL);
  sf_router_free(made->router);
  free(made->config.cel_expression);
  made->config.cel_expression = sf_strdup(expression);
  made->config.strategy = SF_SHARDING_EXPLICIT;
  made->config.searches_all_shards = true;
  made->config.context_use = expression != NULL ? SF_CONTEXT_BY_KEY : SF_CONTEXT_REFUSED;
  made->router = router_of(&made->source);
}

static void the_sharding_of_keys_routes_by_a_context_and_else_all_shards_are_searched(void **state) {
  (void)state;
  cel_case made;
  uint32_t shard_ids[3];
  make_by_key(&made, "a_uint % 3u");
  assert_int_equal(route(made.router, &(sf_route_request){0}, shard_ids), 3);
  assert_int_equal(route(made.router, &(sf_route_request){.routing_context = "{\"a_uint\": 5}"}, shard_ids), 1);
  assert_int_equal(shard_ids[0], 2);
  const int64_t named[] = {1, 0};
  const sf_route_request both = {
      .has_shard_ids = true, .shard_ids = named, .num_shard_ids = 2, .routing_context = "{\"a_uint\": 5}"};
  assert_int_equal(route(made.router, &both, shard_ids), 2);
  assert_int_equal(shard_ids[0], 1);
  assert_route_fails(made.router, &(sf_route_request){.routing_context = "{}"}, SF_CONFIG_VALIDATION_ERROR, "a_uint");
  free_cel(&made);
}

static void a_context_is_refused_where_keys_are_sharded_by_hash(void **state) {
  (void)state;
  cel_case made;
  uint32_t shard_ids[3];
  make_by_key(&made, NULL);
  assert_int_equal(route(made.router, &(sf_route_request){0}, shard_ids), 3);
  assert_route_fails(made.router, &(sf_route_request){.routing_context = "{}"}, SF_CONFIG_VALIDATION_ERROR,
                     "routing_context: expected none");
  free_cel(&made);
}

static void a_wrong_expression_for_keys_fails_only_where_it_is_asked_for(void **state) {
  (void)state;
  cel_case made;
  uint32_t shard_ids[3];
  make_by_key(&made, "a_uint %");
  assert_int_equal(route(made.router, &(sf_route_request){0}, shard_ids), 3);
  assert_route_fails(made.router, &(sf_route_request){.routing_context = "{}"}, SF_CONFIG_VALIDATION_ERROR, "CEL: 1:9");
  free_cel(&made);
}

static void variables_are_converted_by_their_declared_types(void **state) {
  (void)state;
  assert_cel_routes("an_int == -9223372036854775807 - 1 ? 1 : 0", NULL, "{\"an_int\": -9223372036854775808}", 1);
  assert_cel_routes("a_uint == 18446744073709551615u ? 1 : 0", NULL, "{\"a_uint\": 18446744073709551615}", 1);
  assert_cel_routes("a_double == 2.0 ? 1 : 0", NULL, "{\"a_double\": 2}", 1);
  assert_cel_routes("a_double == 2.5 ? 1 : 0", NULL, "{\"a_double\": 2.5}", 1);
  assert_cel_routes("a_bool ? 1 : 0", NULL, "{\"a_bool\": true}", 1);
  assert_cel_routes("size(a_string)", NULL, "{\"a_string\": \"\\u00e9\\ud83d\\ude00\"}", 2);
  assert_cel_routes("size(some_bytes)", NULL, "{\"some_bytes\": {\"__bytes_hex__\": \"00fF\"}}", 2);
  assert_cel_routes("1", NULL, "{\"undeclared\": [1, {}], \"a_bool\": true}", 1);
}

static void variables_of_another_type_are_refused_by_name(void **state) {
  (void)state;
  static const struct {
    const char *context;
    const char *message_part;
  } cases[] = {
      {"{\"an_int\": 1.0}", "expected an_int to be int, found 1.0"},
      {"{\"an_int\": true}", "expected an_int to be int, found true"},
      {"{\"an_int\": \"1\"}", "expected an_int to be int, found \"1\""},
      {"{\"an_int\": null}", "expected an_int to be int, found null"},
      {"{\"an_int\": 9223372036854775808}", "expected an_int to be int"},
      {"{\"an_int\": -9223372036854775809}", "expected an_int to be int"},
      {"{\"a_uint\": -1}", "expected a_uint to be uint, found -1"},
      {"{\"a_uint\": 18446744073709551616}", "expected a_uint to be uint"},
      {"{\"a_uint\": 1.5}", "expected a_uint to be uint"},
      {"{\"a_double\": \"2\"}", "expected a_double to be double"},
      {"{\"a_double\": false}", "expected a_double to be double"},
      {"{\"a_bool\": 1}", "expected a_bool to be bool, found 1"},
      {"{\"a_string\": 1}", "expected a_string to be string, found 1"},
      {"{\"a_string\": {\"__bytes_hex__\": \"00\"}}", "expected a_string to be string"},
      {"{\"some_bytes\": \"00\"}", "expected some_bytes to be bytes"},
      {"{\"some_bytes\": {\"__bytes_hex__\": \"0\"}}", "expected some_bytes to be bytes"},
      {"{\"some_bytes\": {\"__bytes_hex__\": \"0x\"}}", "expected some_bytes to be bytes"},
      {"{\"some_bytes\": {\"__bytes_hex__\": 0}}", "expected some_bytes to be bytes"},
      {"{\"some_bytes\": {\"__bytes_hex__\": \"00\", \"more\": 1}}", "expected some_bytes to be bytes"},
      {"", "routing_context: expected JSON"},
      {"{", "routing_context: expected JSON"},
      {"[]", "routing_context: expected a JSON object, found array"},
      {"null", "routing_context: expected a JSON object, found null"},
      {NULL, "routing_context: expected one, because the snapshot's sharding is cel"},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
    assert_cel_fails("1", NULL, cases[i].context, SF_CONFIG_VALIDATION_ERROR, cases[i].message_part);
}

static void values_that_name_no_shard_are_refused(void **state) {
  (void)state;
  const sf_code config = SF_CONFIG_VALIDATION_ERROR;
  const sf_code unknown = SF_UNKNOWN_ROUTING_TOKEN_ERROR;
  assert_cel_fails("3", NULL, "{}", config, "expected a shard id from 0 to 2, found 3");
  assert_cel_fails("-1", NULL, "{}", config, "found -1");
  assert_cel_fails("'a'", NULL, "{}", config, "expected a shard id from 0 to 2 in decimal, found \"a\"");
  assert_cel_fails("b'a'", NULL, "{}", config, "expected a shard id from 0 to 2 in decimal, found b\"a\"");
  assert_cel_fails("b'\\xff'", NULL, "{}", config, "found 1 bytes");
  assert_cel_fails("true", NULL, "{}", config, "expected an int, a uint, a string or bytes, found bool");
  assert_cel_fails("1.0", NULL, "{}", config, "found double");
  assert_cel_fails("[1]", NULL, "{}", config, "found list");
  assert_cel_fails("null", NULL, "{}", config, "found null");
  assert_cel_fails("an_int", NULL, "{}", config, "an_int");
  assert_cel_fails("1 / an_int", NULL, "{\"an_int\": 0}", config, "");
  assert_cel_fails("2", "[0, 1, \"2\"]", "{}", unknown, "expected one of 3 routing_values, found 2");
  assert_cel_fails("'a'", "[0, 1, {\"__bytes_hex__\": \"61\"}]", "{}", unknown, "found \"a\"");
  assert_cel_fails("b''", "[0, 1, \"\"]", "{}", unknown, "found b\"\"");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(clusters_are_probed_by_ascending_distance),
      cmocka_unit_test(equal_distances_are_ordered_by_id),
      cmocka_unit_test(a_zero_query_is_equally_far_from_all_by_cosine),
      cmocka_unit_test(centroids_that_are_not_numbers_come_last),
      cmocka_unit_test(hash_codes_of_any_length_choose_shards),
      cmocka_unit_test(probes_that_flip_to_a_shard_again_are_skipped),
      cmocka_unit_test(named_shards_replace_routing),
      cmocka_unit_test(without_a_strategy_all_shards_of_a_unified_snapshot_are_searched),
      cmocka_unit_test(values_of_an_expression_are_shards_or_tokens),
      cmocka_unit_test(a_uint_is_the_shard_or_the_token_that_the_int_of_its_value_is),
      cmocka_unit_test(decimal_strings_and_bytes_are_shards_as_pythons_int_reads_them),
      cmocka_unit_test(strings_and_bytes_that_are_no_shards_number_are_refused),
      cmocka_unit_test(the_sharding_of_keys_routes_by_a_context_and_else_all_shards_are_searched),
      cmocka_unit_test(a_context_is_refused_where_keys_are_sharded_by_hash),
      cmocka_unit_test(a_wrong_expression_for_keys_fails_only_where_it_is_asked_for),
      cmocka_unit_test(variables_are_converted_by_their_declared_types),
      cmocka_unit_test(variables_of_another_type_are_refused_by_name),
      cmocka_unit_test(values_that_name_no_shard_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
