/* The part of a manifest that is about vectors: custom["vector"]. */
#include "base/json.h"
#include "base/json_text.h"
#include "base/memory.h"
#include "snapshot/manifest.h"

#include <string.h>

static const sf_code malformed = SF_MANIFEST_PARSE_ERROR;

#define MAX_HASH_BITS 4096

static sf_code read_metric(const json_t *vector, const char *what, sf_metric *metric, sf_error *error) {
  const char *name;
  SF_TRY(sf_json_string(vector, "metric", true, what, malformed, &name, error));
  for (sf_metric candidate = SF_METRIC_COSINE; candidate <= SF_METRIC_DOT_PRODUCT; candidate++)
    if (strcmp(name, sf_metric_name(candidate)) == 0) {
      *metric = candidate;
      return SF_OK;
    }
  return sf_fail(error, malformed, "%s: expected metric cosine, l2 or dot_product, found %s", what, name);
}

static sf_code read_strategy(const json_t *vector, const char *what, sf_manifest *manifest, sf_error *error) {
  const char *name = NULL;
  SF_TRY(sf_json_string(vector, "sharding_strategy", false, what, malformed, &name, error));
  manifest->has_strategy = name != NULL;
  if (name == NULL) {
    manifest->routing.strategy = SF_SHARDING_EXPLICIT;
    manifest->routing.searches_all_shards = manifest->is_unified;
    return SF_OK;
  }
  for (sf_sharding_strategy candidate = SF_SHARDING_CLUSTER; candidate <= SF_SHARDING_CEL; candidate++)
    if (strcmp(name, sf_sharding_strategy_name(candidate)) == 0) {
      manifest->routing.strategy = candidate;
      return SF_OK;
    }
  return sf_fail(error, malformed, "%s: expected sharding_strategy cluster, lsh, explicit or cel, found %s", what,
                 name);
}

static sf_code copy_string(const json_t *vector, const char *name, const char *what, char **copy, sf_error *error) {
  const char *text = NULL;
  SF_TRY(sf_json_string(vector, name, false, what, malformed, &text, error));
  *copy = sf_strdup(text);
  return *copy != NULL || text == NULL ? SF_OK : sf_fail_memory(error, what);
}

static sf_code read_routing_values(const json_t *vector, sf_json_text text, const char *what, sf_manifest *manifest,
                                   sf_error *error) {
  const json_t *values = sf_json_member(vector, "routing_values");
  if (values == NULL)
    return SF_OK;
  if (!json_is_array(values))
    return sf_fail(error, malformed, "%s: expected routing_values to be a list, found %s", what,
                   sf_json_show(values).text);
  size_t count = json_array_size(values);
  if ((count == 0 ? 1 : count) != manifest->num_dbs)
    return sf_fail(error, malformed, "%s: expected %u routing_values, as many as num_dbs, found %zu", what,
                   (unsigned)manifest->num_dbs, count);
  /* An empty list stands for the one shard there is: the expression's value is its id. */
  sf_json_text values_text;
  if (count == 0 || !sf_json_find_member(text.data, text.length, "routing_values", &values_text))
    return SF_OK;
  return sf_routing_config_read_values(values, values_text, what, &manifest->routing, error);
}

static sf_code read_cel(const json_t *vector, sf_json_text text, const char *what, sf_manifest *manifest,
                        sf_error *error) {
  SF_TRY(copy_string(vector, "cel_expr", what, &manifest->routing.cel_expression, error));
  if (manifest->routing.cel_expression == NULL)
    return sf_fail(error, malformed, "%s: expected cel_expr beside the strategy cel, found none", what);
  const json_t *columns = sf_json_member(vector, "cel_columns");
  if (!json_is_object(columns))
    return sf_fail(error, malformed, "%s: expected cel_columns beside the strategy cel, found none", what);
  SF_TRY(sf_routing_config_read_columns(columns, what, &manifest->routing, error));
  return read_routing_values(vector, text, what, manifest, error);
}

static sf_code read_unified(const json_t *vector, const char *what, bool *is_unified, sf_error *error) {
  const json_t *member = sf_json_member(vector, "unified");
  if (member != NULL && !json_is_boolean(member))
    return sf_fail(error, malformed, "%s: expected unified to be true or false, found %s", what,
                   sf_json_show(member).text);
  *is_unified = json_is_true(member);
  return SF_OK;
}

/* The names that the format has for backends, and those of our shard formats. */
static sf_code read_backend(const json_t *vector, const char *what, const char **shard_format, sf_error *error) {
  const char *name = NULL;
  SF_TRY(sf_json_string(vector, "backend", false, what, malformed, &name, error));
  if (name == NULL)
    return SF_OK;
  bool is_lance = strcmp(name, "lancedb") == 0;
  if (!is_lance && strcmp(name, "sqlite-vec") != 0)
    return sf_fail(error, malformed, "%s: expected backend sqlite-vec or lancedb, found %s", what, name);
  *shard_format = is_lance ? "lance" : "sqlite-vec";
  return SF_OK;
}

/* An addition of this library's writer. Types that are not known here say nothing. */
static sf_code read_id_type(const json_t *vector, const char *what, sf_manifest *manifest, sf_error *error) {
  const char *type = NULL;
  SF_TRY(sf_json_string(vector, "id_type", false, what, malformed, &type, error));
  manifest->has_integer_ids = type != NULL && strcmp(type, "int") == 0;
  return SF_OK;
}

static sf_code read_vector(const json_t *vector, sf_json_text text, const char *what, sf_manifest *manifest,
                           sf_error *error) {
  int64_t dim = 0;
  int64_t hash_bits = 0;
  manifest->routing.num_probes = 1;
  for (uint32_t i = 0; i < manifest->num_dbs; i++) {
    int64_t rows = manifest->shards[i].row_count;
    manifest->total_vectors = rows > INT64_MAX - manifest->total_vectors ? INT64_MAX : manifest->total_vectors + rows;
  }
  SF_TRY(sf_json_integer(vector, "dim", true, 1, SF_MAX_DIM, what, malformed, &dim, error));
  SF_TRY(
      sf_json_integer(vector, "total_vectors", false, 0, INT64_MAX, what, malformed, &manifest->total_vectors, error));
  SF_TRY(sf_json_integer(vector, "num_probes", false, 1, INT64_MAX, what, malformed, &manifest->routing.num_probes,
                         error));
  SF_TRY(sf_json_integer(vector, "num_hash_bits", false, 1, MAX_HASH_BITS, what, malformed, &hash_bits, error));
  manifest->dim = (uint32_t)dim;
  manifest->routing.num_hash_bits = (uint32_t)hash_bits;
  SF_TRY(read_metric(vector, what, &manifest->metric, error));
  SF_TRY(read_id_type(vector, what, manifest, error));
  SF_TRY(read_unified(vector, what, &manifest->is_unified, error));
  SF_TRY(read_backend(vector, what, &manifest->shard_format, error));
  SF_TRY(read_strategy(vector, what, manifest, error));
  SF_TRY(copy_string(vector, "centroids_ref", what, &manifest->centroids_ref, error));
  SF_TRY(copy_string(vector, "hyperplanes_ref", what, &manifest->hyperplanes_ref, error));
  manifest->has_vectors = true;
  return manifest->routing.strategy == SF_SHARDING_CEL ? read_cel(vector, text, what, manifest, error) : SF_OK;
}

sf_code sf_manifest_parse_key_sharding(const json_t *sharding, const char *text, const char *strategy, const char *what,
                                       sf_manifest *manifest, sf_error *error) {
  if (!manifest->has_vectors || manifest->has_strategy)
    return SF_OK;
  bool is_cel = strcmp(strategy, "cel") == 0;
  manifest->routing.context_use = is_cel ? SF_CONTEXT_BY_KEY : SF_CONTEXT_REFUSED;
  sf_json_text as_text = {.data = text, .length = strlen(text)};
  return is_cel ? read_cel(sharding, as_text, what, manifest, error) : SF_OK;
}

sf_code sf_manifest_parse_custom(const char *custom, size_t length, const char *what, sf_manifest *manifest,
                                 sf_error *error) {
  sf_json custom_json = {0};
  sf_json_text text;
  char *named = sf_format("%s: custom", what);
  if (named == NULL)
    return sf_fail_memory(error, what);
  sf_code code = sf_json_parse_object(custom, length, SF_JSON_WITH_NAN, named, malformed, &custom_json, error);
  if (code == SF_OK) {
    const json_t *vector = sf_json_member(custom_json.root, "vector");
    if (vector != NULL && !json_is_object(vector))
      code = sf_fail(error, malformed, "%s: expected \"vector\" to be an object, found %s", named,
                     sf_json_show(vector).text);
    else if (json_object_size(vector) > 0 && sf_json_find_member(custom, length, "vector", &text))
      code = read_vector(vector, text, named, manifest, error);
  }
  sf_json_free(&custom_json);
  free(named);
  return code;
}
