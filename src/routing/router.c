#include "routing/router.h"

#include "base/memory.h"

#include <math.h>
#include <string.h>

struct sf_router {
  sf_router_params source;
  double *centroid_norms;  /* cluster: |c| of each */
  sf_cel_program *program; /* cel; where only keys are sharded by it, NULL if it is wrong */
};

double sf_route_dot(const double *a, const float *b, size_t dim) {
  double lanes[4] = {0};
  size_t i = 0;
  for (; i + 4 <= dim; i += 4)
    for (size_t lane = 0; lane < 4; lane++)
      lanes[lane] += a[i + lane] * (double)b[i + lane];
  for (size_t lane = 0; i < dim; i++, lane++)
    lanes[lane] += a[i] * (double)b[i];
  return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
}

static sf_code compute_centroid_norms(sf_router *router, sf_error *error) {
  const sf_router_params *source = &router->source;
  router->centroid_norms = sf_calloc(source->num_dbs, sizeof(double));
  if (router->centroid_norms == NULL)
    return sf_fail_memory(error, "norms of centroids");
  for (size_t i = 0; i < source->num_dbs; i++)
    router->centroid_norms[i] = sf_route_centroid_norm(source->centroids + i * source->dim, source->dim);
  return SF_OK;
}

static sf_code compile_expression(const sf_routing_config *config, sf_cel_program **program, sf_error *error) {
  return sf_cel_compile(config->cel_expression, strlen(config->cel_expression), config->cel_columns,
                        config->num_cel_columns, NULL, program, error);
}

sf_code sf_router_create(const sf_router_params *source, sf_router **created, sf_error *error) {
  sf_router *router = sf_calloc(1, sizeof(*router));
  if (router == NULL)
    return sf_fail_memory(error, "router");
  router->source = *source;
  const sf_routing_config *config = source->config;
  sf_code code = SF_OK;
  if (config->strategy == SF_SHARDING_CLUSTER)
    code = compute_centroid_norms(router, error);
  else if (config->strategy == SF_SHARDING_CEL)
    code = compile_expression(config, &router->program, error);
  /* An expression that only a routing_context needs does not keep a snapshot from being opened: see route_by_key. */
  else if (config->context_use == SF_CONTEXT_BY_KEY)
    code = compile_expression(config, &router->program, NULL) == SF_OUT_OF_MEMORY_ERROR
               ? sf_fail_memory(error, "cel_expr")
               : SF_OK;
  if (code != SF_OK)
    sf_router_free(router);
  else
    *created = router;
  return code;
}

void sf_router_free(sf_router *router) {
  if (router == NULL)
    return;
  sf_cel_program_free(router->program);
  free(router->centroid_norms);
  free(router);
}

/* The ids that a caller names: those that exist, each once, in the caller's order. */
static sf_code take_named_shards(const sf_router *router, const sf_route_request *request, uint32_t *shard_ids,
                                 size_t *count, sf_error *error) {
  uint32_t num_dbs = router->source.num_dbs;
  bool *taken = sf_calloc(num_dbs, sizeof(bool));
  if (taken == NULL)
    return sf_fail_memory(error, "shard ids");
  *count = 0;
  for (size_t i = 0; i < request->num_shard_ids; i++) {
    int64_t id = request->shard_ids[i];
    if (id < 0 || id >= num_dbs || taken[id])
      continue;
    taken[id] = true;
    shard_ids[(*count)++] = (uint32_t)id;
  }
  free(taken);
  return SF_OK;
}

static void take_all_shards(uint32_t num_dbs, uint32_t *shard_ids, size_t *count) {
  for (uint32_t id = 0; id < num_dbs; id++)
    shard_ids[id] = id;
  *count = num_dbs;
}

/* A snapshot without a strategy for vectors, whose keys are sharded. */
static sf_code route_by_key(const sf_router *router, const char *routing_context, uint32_t *shard_ids, size_t *count,
                            sf_error *error) {
  const sf_routing_config *config = router->source.config;
  if (config->context_use != SF_CONTEXT_BY_KEY)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR,
                   "routing_context: expected none, because the snapshot's keys are not sharded by cel, found one");
  *count = 1;
  if (router->program != NULL)
    return sf_route_cel(&router->source, router->program, routing_context, shard_ids, error);
  sf_cel_program *program = NULL;
  sf_code code = compile_expression(config, &program, error);
  if (code == SF_OK)
    code = sf_route_cel(&router->source, program, routing_context, shard_ids, error);
  sf_cel_program_free(program);
  return code;
}

sf_code sf_router_route(const sf_router *router, const sf_route_request *request, uint32_t *shard_ids, size_t *count,
                        sf_error *error) {
  const sf_router_params *source = &router->source;
  int64_t probes = request->has_num_probes ? request->num_probes : source->config->num_probes;
  if (probes < 1)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "num_probes: expected at least 1, found %lld", (long long)probes);
  if (request->has_shard_ids)
    return take_named_shards(router, request, shard_ids, count, error);
  size_t limit = probes < source->num_dbs ? (size_t)probes : source->num_dbs;
  switch (source->config->strategy) {
  case SF_SHARDING_CLUSTER:
    return sf_route_cluster(source, router->centroid_norms, request->query, limit, shard_ids, count, error);
  case SF_SHARDING_LSH:
    return sf_route_lsh(source, request->query, limit, shard_ids, count, error);
  case SF_SHARDING_CEL:
    *count = 1;
    return sf_route_cel(source, router->program, request->routing_context, shard_ids, error);
  case SF_SHARDING_EXPLICIT:
    break;
  }
  if (request->routing_context != NULL && source->config->context_use != SF_CONTEXT_BY_STRATEGY)
    return route_by_key(router, request->routing_context, shard_ids, count, error);
  if (!source->config->searches_all_shards)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR,
                   "shard_ids: expected some, because the snapshot's sharding is explicit, found none");
  take_all_shards(source->num_dbs, shard_ids, count);
  return SF_OK;
}
