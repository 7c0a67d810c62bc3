/*
 * The strategy explicit: rows and queries name their shards. A snapshot without a strategy for vectors is read as one: then
 * a query that names no shard goes to all of them, or, by its routing context, to the one that holds such keys.
 */
#include "base/memory.h"
#include "routing/cel.h"

/* An expression that only a routing_context needs does not keep a snapshot from being opened: see route_by_key. */
static sf_code create(const sf_router_params *params, void **state, sf_error *error) {
  sf_cel_program *program = NULL;
  if (params->config->context_use != SF_CONTEXT_BY_KEY)
    return SF_OK;
  if (sf_route_cel_compile(params->config, &program, NULL) == SF_OUT_OF_MEMORY_ERROR)
    return sf_fail_memory(error, "cel_expr");
  *state = program;
  return SF_OK;
}

static void free_state(void *state) {
  sf_cel_program_free(state);
}

/* Compiles an expression that is wrong again, for its message. */
static sf_code route_by_key(const sf_router_params *params, const sf_cel_program *program, const char *routing_context,
                            uint32_t *shard_ids, size_t *count, sf_error *error) {
  if (params->config->context_use != SF_CONTEXT_BY_KEY)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR,
                   "routing_context: expected none, because the snapshot's keys are not sharded by cel, found one");
  *count = 1;
  if (program != NULL)
    return sf_route_cel(params, program, routing_context, shard_ids, error);
  sf_cel_program *compiled = NULL;
  sf_code code = sf_route_cel_compile(params->config, &compiled, error);
  if (code == SF_OK)
    code = sf_route_cel(params, compiled, routing_context, shard_ids, error);
  sf_cel_program_free(compiled);
  return code;
}

static sf_code route(const sf_router_params *params, const void *state, const sf_route_request *request, size_t limit,
                     uint32_t *shard_ids, size_t *count, sf_error *error) {
  (void)limit;
  if (request->routing_context != NULL && params->config->context_use != SF_CONTEXT_BY_STRATEGY)
    return route_by_key(params, state, request->routing_context, shard_ids, count, error);
  if (!params->config->searches_all_shards)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR,
                   "shard_ids: expected some, because the snapshot's sharding is explicit, found none");
  for (uint32_t id = 0; id < params->num_dbs; id++)
    shard_ids[id] = id;
  *count = params->num_dbs;
  return SF_OK;
}

const sf_routing_strategy sf_explicit_strategy = {
    .id = SF_SHARDING_EXPLICIT,
    .name = "explicit",
    .input = SF_ROUTE_BY_SHARD_ID,
    .create = create,
    .free = free_state,
    .route = route,
};
