/* The part of a manifest that is about vectors: custom["vector"]. */
#include "base/json.h"
#include "base/json_text.h"
#include "base/memory.h"
#include "snapshot/manifest.h"
#include "vectors/metrics.h"

#include <string.h>

static const sf_code malformed = SF_MANIFEST_PARSE_ERROR;

#define MAX_HASH_BITS 4096

static sf_code read_metric(const json_t *vector, const char *what, sf_metric *metric, sf_error *error) {
  const char *name;
  SF_TRY(sf_json_string(vector, "metric", true, what, malformed, &name, error));
  if (sf_metric_find(name, metric))
    return SF_OK;
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
  const sf_routing_strategy *strategy = sf_routing_strategy_named(name);
  if (strategy == NULL)
    return sf_fail(error, malformed, "%s: expected sharding_strategy cluster, lsh, explicit or cel, found %s", what,
                   name);
  manifest->routing.strategy = strategy->id;
  return SF_OK;
}

static sf_code copy_string(const json_t *vector, const char *name, const char *what, char **copy, sf_error *error) {
  const char *text = NULL;
  SF_TRY(sf_json_string(vector, name, false, what, malformed, &text, error));
  *copy = sf_strdup(text);
  return *copy != NULL || text == NULL ? SF_OK : sf_fail_memory(error, what);
}

static sf_code read_artifact_refs(const json_t *vector, const char *what, sf_manifest *manifest, sf_error *error) {
  for (sf_sharding_strategy id = 0; id < SF_NUM_STRATEGIES; id++) {
    const sf_routing_artifact *artifact = sf_routing_strategy_of(id)->artifact;
    if (artifact != NULL)
      SF_TRY(copy_string(vector, artifact->ref_member, what, &manifest->artifact_refs[id], error));
  }
  return SF_OK;
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
  SF_TRY(read_artifact_refs(vector, what, manifest, error));
  SF_TRY(sf_manifest_lists_parse(sf_json_member(vector, "lists"), manifest->num_dbs, what, &manifest->lists, error));
  manifest->has_vectors = true;
  const sf_routing_strategy *strategy = sf_routing_strategy_of(manifest->routing.strategy);
  const sf_routing_members members = {.object = vector, .text = text, .what = what, .num_dbs = manifest->num_dbs};
  return strategy->parse != NULL ? strategy->parse(&members, &manifest->routing, error) : SF_OK;
}

sf_code sf_manifest_parse_key_sharding(const json_t *sharding, const char *text, const char *strategy, const char *what,
                                       sf_manifest *manifest, sf_error *error) {
  if (!manifest->has_vectors || manifest->has_strategy)
    return SF_OK;
  bool is_cel = strcmp(strategy, sf_cel_strategy.name) == 0;
  manifest->routing.context_use = is_cel ? SF_CONTEXT_BY_KEY : SF_CONTEXT_REFUSED;
  const sf_routing_members members = {
      .object = sharding, .text = {.data = text, .length = strlen(text)}, .what = what, .num_dbs = manifest->num_dbs};
  return is_cel ? sf_cel_strategy.parse(&members, &manifest->routing, error) : SF_OK;
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
