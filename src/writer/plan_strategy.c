/* What a build needs of each routing strategy: the options that belong to it, and its artifact where that is not given. */
#include "writer/plan.h"

#include "base/memory.h"
#include "base/random.h"
#include "snapshot/manifest.h"

#include <math.h>
#include <string.h>

#define DEFAULT_HASH_BITS 8
#define MAX_HASH_BITS 4096

static const sf_code invalid = SF_CONFIG_VALIDATION_ERROR;

static sf_code require_num_dbs(const sf_build_plan *plan, sf_error *error) {
  if (plan->num_dbs > 0)
    return SF_OK;
  return sf_fail(error, invalid, "num_dbs: expected at least 1 for strategy %s, found 0",
                 sf_sharding_strategy_name(plan->routing.strategy));
}

/* A copy of an artifact's numbers, which must be finite. */
static sf_code copy_array(const float *values, size_t num_rows, size_t dim, const char *what, float **copy,
                          sf_error *error) {
  float *copied = sf_calloc(num_rows, dim * sizeof(float));
  if (copied == NULL)
    return sf_fail_memory(error, what);
  for (size_t i = 0; i < num_rows * dim; i++) {
    if (!isfinite(values[i])) {
      free(copied);
      return sf_fail(error, invalid, "%s: row %zu: component %zu: expected a finite number, found %g", what, i / dim,
                     i % dim, (double)values[i]);
    }
    copied[i] = values[i];
  }
  *copy = copied;
  return SF_OK;
}

static sf_code plan_cluster(const sf_build_options *options, sf_build_plan *plan, sf_error *error) {
  SF_TRY(require_num_dbs(plan, error));
  if (options->centroids == NULL)
    return SF_OK;
  if (options->dim == 0)
    return sf_fail(error, invalid, "dim: expected it beside centroids, found 0");
  return copy_array(options->centroids, plan->num_dbs, plan->dim, "centroids", &plan->artifact, error);
}

/* Enough bits for a code to reach every shard. */
static uint32_t default_hash_bits(uint32_t num_dbs) {
  uint32_t bits = DEFAULT_HASH_BITS;
  while (((uint64_t)1 << bits) < num_dbs)
    bits++;
  return bits;
}

static sf_code plan_lsh(const sf_build_options *options, sf_build_plan *plan, sf_error *error) {
  SF_TRY(require_num_dbs(plan, error));
  if (options->num_hash_bits > MAX_HASH_BITS)
    return sf_fail(error, invalid, "num_hash_bits: expected 1 to %d, found %u", MAX_HASH_BITS,
                   (unsigned)options->num_hash_bits);
  if (options->hyperplanes != NULL && (options->dim == 0 || options->num_hash_bits == 0))
    return sf_fail(error, invalid, "dim and num_hash_bits: expected both beside hyperplanes, found %u and %u",
                   (unsigned)options->dim, (unsigned)options->num_hash_bits);
  plan->routing.num_hash_bits = options->num_hash_bits != 0 ? options->num_hash_bits : default_hash_bits(plan->num_dbs);
  if (options->hyperplanes == NULL)
    return SF_OK;
  return copy_array(options->hyperplanes, plan->routing.num_hash_bits, plan->dim, "hyperplanes", &plan->artifact,
                    error);
}

/* What a manifest's reader calls malformed is, of options, invalid. */
static sf_code as_option(sf_code code, sf_error *error) {
  return code == SF_MANIFEST_PARSE_ERROR ? sf_error_recode(error, invalid) : code;
}

static sf_code read_routing_values(const json_t *values, const char *text, sf_build_plan *plan, sf_error *error) {
  if (!json_is_array(values))
    return sf_fail(error, invalid, "routing_values: expected a JSON array, found %s", sf_json_show(values).text);
  size_t count = json_array_size(values);
  if (count == 0 || count > SF_MANIFEST_MAX_SHARDS)
    return sf_fail(error, invalid, "routing_values: expected 1 to %d, found %zu", SF_MANIFEST_MAX_SHARDS, count);
  if (plan->num_dbs != 0 && plan->num_dbs != count)
    return sf_fail(error, invalid, "routing_values: expected as many as num_dbs, %u, found %zu",
                   (unsigned)plan->num_dbs, count);
  plan->num_dbs = (uint32_t)count;
  const sf_json_text as_text = {.data = text, .length = strlen(text)};
  return as_option(sf_routing_config_read_values(values, as_text, "routing_values", &plan->routing, error), error);
}

/* A copy of text that was read, for the manifest. */
static sf_code keep_text(const char *text, const char *what, char **kept, sf_error *error) {
  *kept = sf_strdup(text);
  return *kept != NULL ? SF_OK : sf_fail_memory(error, what);
}

static sf_code plan_routing_values(const char *text, sf_build_plan *plan, sf_error *error) {
  sf_json json;
  SF_TRY(sf_json_parse(text, strlen(text), SF_JSON_STRICT, "routing_values", invalid, &json, error));
  sf_code code = read_routing_values(json.root, text, plan, error);
  sf_json_free(&json);
  return code == SF_OK ? keep_text(text, "routing_values", &plan->routing.routing_values_text, error) : code;
}

static sf_code plan_columns(const char *text, sf_build_plan *plan, sf_error *error) {
  sf_json json;
  SF_TRY(sf_json_parse_object(text, strlen(text), SF_JSON_EXACT, "cel_columns", invalid, &json, error));
  sf_code code = as_option(sf_routing_config_read_columns(json.root, "cel_columns", &plan->routing, error), error);
  sf_json_free(&json);
  return code == SF_OK ? keep_text(text, "cel_columns", &plan->routing.cel_columns_text, error) : code;
}

/* Now rather than at the first row. */
static sf_code check_expression(const sf_build_plan *plan, sf_error *error) {
  const sf_router_params params = {.config = &plan->routing, .num_dbs = plan->num_dbs, .metric = plan->metric};
  sf_router *router;
  sf_error failure;
  sf_code code = sf_router_create(&params, &router, &failure);
  if (code == SF_OK) {
    sf_router_free(router);
    return SF_OK;
  }
  sf_error_prefix(&failure, "cel_expr");
  if (error != NULL)
    *error = failure;
  return code;
}

static sf_code plan_cel(const sf_build_options *options, sf_build_plan *plan, sf_error *error) {
  if (options->cel_expr == NULL || options->cel_columns == NULL)
    return sf_fail(error, invalid, "%s: expected one for strategy cel, found none",
                   options->cel_expr == NULL ? "cel_expr" : "cel_columns");
  SF_TRY(plan_columns(options->cel_columns, plan, error));
  if (options->routing_values != NULL)
    SF_TRY(plan_routing_values(options->routing_values, plan, error));
  plan->routing.cel_expression = sf_strdup(options->cel_expr);
  if (plan->routing.cel_expression == NULL)
    return sf_fail_memory(error, "cel_expr");
  SF_TRY(require_num_dbs(plan, error));
  return check_expression(plan, error);
}

static sf_code plan_explicit(const sf_build_options *options, sf_build_plan *plan, sf_error *error) {
  (void)options;
  return require_num_dbs(plan, error);
}

/* Reads the options of a strategy. */
typedef sf_code (*plan_function)(const sf_build_options *options, sf_build_plan *plan, sf_error *error);

static const plan_function plan_functions[SF_NUM_STRATEGIES] = {
    [SF_SHARDING_CLUSTER] = plan_cluster,
    [SF_SHARDING_LSH] = plan_lsh,
    [SF_SHARDING_EXPLICIT] = plan_explicit,
    [SF_SHARDING_CEL] = plan_cel,
};

/* What belongs to another strategy is more likely a mistake than meant. */
static sf_code refuse_strays(const sf_build_options *options, sf_error *error) {
  const struct {
    const char *name;
    bool is_given;
    sf_sharding_strategy strategy;
  } strays[] = {
      {"centroids", options->centroids != NULL, SF_SHARDING_CLUSTER},
      {"num_hash_bits", options->num_hash_bits != 0, SF_SHARDING_LSH},
      {"hyperplanes", options->hyperplanes != NULL, SF_SHARDING_LSH},
      {"cel_expr", options->cel_expr != NULL, SF_SHARDING_CEL},
      {"cel_columns", options->cel_columns != NULL, SF_SHARDING_CEL},
      {"routing_values", options->routing_values != NULL, SF_SHARDING_CEL},
  };
  for (size_t i = 0; i < sizeof(strays) / sizeof(strays[0]); i++)
    if (strays[i].is_given && strays[i].strategy != options->strategy)
      return sf_fail(error, invalid, "%s: expected none beside strategy %s, found one", strays[i].name,
                     sf_sharding_strategy_name(options->strategy));
  return SF_OK;
}

sf_code sf_build_plan_strategy(const sf_build_options *options, sf_build_plan *plan, sf_error *error) {
  if (options->strategy >= SF_NUM_STRATEGIES)
    return sf_fail(error, invalid, "strategy: expected cluster, lsh, explicit or cel, found %d",
                   (int)options->strategy);
  SF_TRY(refuse_strays(options, error));
  return plan_functions[options->strategy](options, plan, error);
}

/* Normally distributed, so that their directions are uniform (Box and Muller, A Note on the Generation of Random Normal
 * Deviates, 1958). */
sf_code sf_build_plan_draw(sf_build_plan *plan, sf_error *error) {
  if (plan->routing.strategy != SF_SHARDING_LSH || plan->artifact != NULL)
    return SF_OK;
  size_t count = (size_t)plan->routing.num_hash_bits * plan->dim;
  const double two_pi = 6.283185307179586;
  plan->artifact = sf_calloc(count, sizeof(float));
  if (plan->artifact == NULL)
    return sf_fail_memory(error, "hyperplanes");
  sf_random random = {.state = plan->seed};
  for (size_t i = 0; i < count; i++) {
    double radius = sqrt(-2 * log(sf_random_unit(&random)));
    plan->artifact[i] = (float)(radius * cos(two_pi * sf_random_unit(&random)));
  }
  return SF_OK;
}
