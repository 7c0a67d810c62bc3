#include "routing/router.h"

#include "base/memory.h"

struct sf_router {
  sf_router_params params;
  const sf_routing_strategy *strategy;
  void *state; /* the strategy's */
};

sf_code sf_router_create(const sf_router_params *params, sf_router **created, sf_error *error) {
  sf_router *router = sf_calloc(1, sizeof(*router));
  if (router == NULL)
    return sf_fail_memory(error, "router");
  router->params = *params;
  router->strategy = sf_routing_strategy_of(params->config->strategy);
  sf_code code = router->strategy->create != NULL ? router->strategy->create(params, &router->state, error) : SF_OK;
  if (code != SF_OK)
    sf_router_free(router);
  else
    *created = router;
  return code;
}

void sf_router_free(sf_router *router) {
  if (router == NULL)
    return;
  if (router->state != NULL)
    router->strategy->free(router->state);
  free(router);
}

/* The ids that a caller names: those that exist, each once, in the caller's order. */
static sf_code take_named_shards(uint32_t num_dbs, const sf_route_request *request, uint32_t *shard_ids, size_t *count,
                                 sf_error *error) {
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

sf_code sf_router_route(const sf_router *router, const sf_route_request *request, uint32_t *shard_ids, size_t *count,
                        sf_error *error) {
  const sf_router_params *params = &router->params;
  int64_t probes = request->has_num_probes ? request->num_probes : params->config->num_probes;
  if (probes < 1)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "num_probes: expected at least 1, found %lld", (long long)probes);
  if (request->has_shard_ids)
    return take_named_shards(params->num_dbs, request, shard_ids, count, error);
  size_t limit = probes < params->num_dbs ? (size_t)probes : params->num_dbs;
  return router->strategy->route(params, router->state, request, limit, shard_ids, count, error);
}

sf_code sf_router_order(const sf_router *router, const float *query, uint32_t *shard_ids, size_t count,
                        sf_error *error) {
  const sf_routing_strategy *strategy = router->strategy;
  if (strategy->order == NULL || count < 2)
    return SF_OK;
  return strategy->order(&router->params, router->state, query, shard_ids, count, error);
}
