#include "base/memory.h"
#include "routing/router.h"
#include "snapshot/manifest.h"

#include <stdint.h>
#include <stdlib.h>

#define NUM_DBS 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A routing expression that a manifest carries is compiled and evaluated as a reader would. */
static void route(const sf_manifest *manifest) {
  const sf_router_params source = {
      .config = &manifest->routing, .num_dbs = manifest->num_dbs, .dim = manifest->dim, .metric = manifest->metric};
  sf_router *router;
  sf_error error;
  if (sf_router_create(&source, &router, &error) != SF_OK)
    return;
  const sf_route_request request = {.routing_context =
                                        "{\"k\": 7, \"s\": \"text\", \"b\": {\"__bytes_hex__\": \"00ff\"}}"};
  uint32_t shard_ids[NUM_DBS];
  size_t count;
  if (sf_router_route(router, &request, shard_ids, &count, &error) == SF_OK && (count != 1 || shard_ids[0] >= NUM_DBS))
    abort();
  sf_router_free(router);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text = sf_memdup_string(data, size);
  sf_manifest manifest = {.num_dbs = NUM_DBS, .shards = sf_calloc(NUM_DBS, sizeof(*manifest.shards))};
  if (text == NULL || manifest.shards == NULL)
    abort();
  sf_error error;
  sf_code code = sf_manifest_parse_custom(text, size, "fuzzed", &manifest, &error);
  if (code != SF_OK && code != SF_MANIFEST_PARSE_ERROR)
    abort();
  if (code == SF_OK && manifest.has_vectors && manifest.routing.strategy == SF_SHARDING_CEL)
    route(&manifest);
  sf_manifest_free(&manifest);
  free(text);
  return 0;
}
