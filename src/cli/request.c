#include "cli/request.h"

sf_search_request sf_cli_request(const sf_cli_arguments *arguments, const sf_cli_query *query) {
  sf_search_request request;
  sf_search_request_init(&request);
  request.query = query->values;
  request.query_type = SF_FLOAT64;
  request.dim = query->dim;
  if (arguments->top_k.is_set)
    request.top_k = arguments->top_k.value;
  request.has_num_probes = arguments->num_probes.is_set;
  request.num_probes = arguments->num_probes.value;
  request.has_shard_ids = arguments->shard_ids.is_set;
  request.shard_ids = arguments->shard_ids.values;
  request.num_shard_ids = arguments->shard_ids.count;
  request.routing_context = arguments->routing_context;
  return request;
}
