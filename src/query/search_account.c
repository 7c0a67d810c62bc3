#include "query/search_account.h"

#include "base/memory.h"

sf_route_account sf_route_account_of(const sf_snapshot *snapshot, const sf_route_request *request) {
  const sf_routing_config *config = &snapshot->manifest.routing;
  sf_route_input input = sf_routing_strategy_of(config->strategy)->input;
  if (request->has_shard_ids)
    return (sf_route_account){.reason = SF_ROUTED_BY_REQUEST};
  if (input == SF_ROUTE_BY_VECTOR)
    return (sf_route_account){.reason = SF_ROUTED_BY_PROBES,
                              .num_probes = request->has_num_probes ? request->num_probes : config->num_probes};
  bool has_context = input == SF_ROUTE_BY_CONTEXT || request->routing_context != NULL;
  return (sf_route_account){.reason = has_context ? SF_ROUTED_BY_CONTEXT : SF_ROUTED_TO_ALL};
}

sf_search_account *sf_search_account_finish(const sf_search_account *account) {
  sf_search_account *finished = sf_calloc(1, sizeof(*finished));
  uint32_t *ids = sf_calloc(account->num_shards, sizeof(*ids));
  if (finished == NULL || ids == NULL) {
    free(finished);
    free(ids);
    return NULL;
  }
  *finished = *account;
  finished->shard_ids = ids;
  if (finished->filter != NULL)
    sf_filter_retain(finished->filter);
  return finished;
}

void sf_search_account_free(sf_search_account *account) {
  if (account == NULL)
    return;
  sf_filter_release(account->filter);
  free(account->shard_ids);
  free(account->shards);
  free(account);
}
