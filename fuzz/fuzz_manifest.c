#include "routing/router.h"
#include "snapshot/manifest.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Invariants of a parsed manifest that callers rely on. */
static void check_parsed(const sf_manifest *manifest) {
  if (manifest->num_dbs < 1 || manifest->num_dbs > SF_MANIFEST_MAX_SHARDS || manifest->shards == NULL ||
      manifest->run_id == NULL || manifest->s3_prefix == NULL)
    abort();
  for (uint32_t i = 0; i < manifest->num_dbs; i++)
    if (manifest->shards[i].row_count < 0)
      abort();
  if (manifest->has_vectors && (manifest->dim < 1 || manifest->dim > SF_MAX_DIM || manifest->routing.num_probes < 1))
    abort();
}

/* By the sharding of the keys, which a manifest carries beside that of the vectors. */
static void route_by_key(const sf_manifest *manifest) {
  enum { MAX_DBS = 64 };
  const sf_router_params source = {
      .config = &manifest->routing, .num_dbs = manifest->num_dbs, .dim = manifest->dim, .metric = manifest->metric};
  const sf_route_request request = {.routing_context = "{\"k\": 7, \"s\": \"text\"}"};
  uint32_t shard_ids[MAX_DBS];
  size_t count;
  sf_router *router;
  sf_error error;
  if (manifest->num_dbs > MAX_DBS || sf_router_create(&source, &router, &error) != SF_OK)
    return;
  if (sf_router_route(router, &request, shard_ids, &count, &error) == SF_OK &&
      (count != 1 || shard_ids[0] >= manifest->num_dbs))
    abort();
  sf_router_free(router);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  sf_manifest manifest = {0};
  sf_error error;
  sf_code code = sf_manifest_parse(data, size, "fuzzed", &manifest, &error);
  if (code == SF_OK)
    check_parsed(&manifest);
  else if (code != SF_MANIFEST_PARSE_ERROR || strncmp(error.message, "fuzzed", 6) != 0)
    abort();
  if (code == SF_OK && manifest.has_vectors && manifest.routing.context_use == SF_CONTEXT_BY_KEY)
    route_by_key(&manifest);
  sf_manifest_free(&manifest);
  return 0;
}
