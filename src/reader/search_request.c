#include "reader/search_request.h"

#include "base/options.h"
#include "base/time.h"

#include <math.h>

enum { DEFAULT_MAX_RESULTS = 10000 };

void sf_search_request_init(sf_search_request *request) {
  *request = (sf_search_request)SF_SEARCH_REQUEST_INIT;
}

sf_code sf_search_request_read(const sf_search_request *given, sf_search_request *request, sf_error *error) {
  sf_search_request_init(request);
  return sf_options_read(given, SF_SIZE_WITH(sf_search_request, routing_context), request,
                         "search request: expected it", error);
}

/* Reads an element of the caller's array, whose stride is the size of its requests: the caller may have been compiled
 * against a header with more members. */
sf_code sf_search_request_read_at(const sf_search_request *requests, size_t index, sf_search_request *request,
                                  sf_error *error) {
  const void *element = (const char *)requests + (index == 0 ? 0 : index * requests->size);
  const sf_search_request *given = element;
  SF_TRY(sf_search_request_read(given, request, error));
  if (given->size == requests->size)
    return SF_OK;
  return sf_fail(error, SF_CONFIG_VALIDATION_ERROR,
                 "search request %zu: expected the size of the first, %zu, found %zu", index, requests->size,
                 given->size);
}

/* One component at the precision of the stored vectors. */
static float component(const sf_search_request *request, size_t index) {
  if (request->query_type == SF_FLOAT32)
    return ((const float *)request->query)[index];
  return (float)((const double *)request->query)[index];
}

/* The query as `dim` finite float32, for the caller to free. */
static sf_code convert_query(const sf_search_request *request, uint32_t dim, float **converted, sf_error *error) {
  if (request->query == NULL)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "query: expected %u components, found none", (unsigned)dim);
  if (request->dim != dim)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "query: expected %u components, found %zu", (unsigned)dim,
                   request->dim);
  if (request->query_type != SF_FLOAT32 && request->query_type != SF_FLOAT64)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "query_type: expected float32 or float64, found %d",
                   (int)request->query_type);
  float *query = sf_calloc(dim, sizeof(*query));
  if (query == NULL)
    return sf_fail_memory(error, "query");
  for (size_t i = 0; i < dim; i++) {
    query[i] = component(request, i);
    if (!isfinite(query[i])) {
      sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "query: expected finite float32 components, found %g at position %zu",
              request->query_type == SF_FLOAT32 ? (double)query[i] : ((const double *)request->query)[i], i);
      free(query);
      return SF_CONFIG_VALIDATION_ERROR;
    }
  }
  *converted = query;
  return SF_OK;
}

static sf_route_request route_request(const sf_search_request *request, const float *query) {
  return (sf_route_request){.query = query,
                            .has_shard_ids = request->has_shard_ids,
                            .shard_ids = request->shard_ids,
                            .num_shard_ids = request->num_shard_ids,
                            .has_num_probes = request->has_num_probes,
                            .num_probes = request->num_probes,
                            .routing_context = request->routing_context};
}

sf_code sf_search_request_route(const sf_served_snapshot *served, const sf_search_request *request, float **query,
                                uint32_t **shard_ids, size_t *count, sf_route_account *why, sf_error *error) {
  const sf_snapshot *snapshot = sf_served_snapshot_metadata(served);
  SF_TRY(convert_query(request, snapshot->manifest.dim, query, error));
  uint32_t *ids = sf_calloc(snapshot->manifest.num_dbs, sizeof(*ids));
  sf_code code;
  if (ids == NULL)
    code = sf_fail_memory(error, "shard ids");
  else {
    sf_route_request routed = route_request(request, *query);
    code = sf_router_route(snapshot->router, &routed, ids, count, error);
    if (why != NULL)
      *why = sf_route_account_of(snapshot, &routed);
  }
  if (code == SF_OK)
    *shard_ids = ids;
  else {
    free(ids);
    free(*query);
  }
  return code;
}

/* Fails unless the numbers are in their ranges. */
static sf_code check_numbers(const sf_search_request *request, sf_error *error) {
  if (request->all_in_range && !request->has_max_score)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR,
                   "top_k: expected a number, because there is no max_score, found none");
  if (!request->all_in_range && request->top_k < 1)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "top_k: expected at least 1, found %lld",
                   (long long)request->top_k);
  if (request->has_max_score && isnan(request->max_score))
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "max_score: expected a number, found NaN");
  if (request->has_recall && !(request->recall > 0 && request->recall <= 1))
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "recall: expected a number above 0 and up to 1, found %g",
                   request->recall);
  if (request->max_results < 0)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "max_results: expected at least 1, found %lld",
                   (long long)request->max_results);
  if (request->offset < 0)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "offset: expected at least 0, found %lld",
                   (long long)request->offset);
  return SF_OK;
}

/* What a search with these numbers, which were checked, collects. More rows than an address space has are all rows. */
static sf_collector_params collector_params(const sf_search_request *request) {
  int64_t wanted = request->all_in_range ? request->max_results : request->top_k;
  if (request->all_in_range && wanted == 0)
    wanted = DEFAULT_MAX_RESULTS;
  uint64_t kept = (uint64_t)wanted + (uint64_t)request->offset;
  return (sf_collector_params){.kind = request->all_in_range ? SF_COLLECT_RANGE : SF_COLLECT_TOP_K,
                               .top_k = kept < SIZE_MAX ? (size_t)kept : SIZE_MAX,
                               .has_max_score = request->has_max_score,
                               .max_score = request->max_score};
}

/* Whether the recall is of the whole snapshot: nothing else says which shards are searched. */
static bool is_of_snapshot(const sf_search_request *request) {
  return request->has_recall && !request->has_num_probes && !request->has_shard_ids && request->routing_context == NULL;
}

/* Routes the request to all shards; nearest first, where vectors route. */
static sf_code route_to_all(const sf_served_snapshot *served, const sf_search_request *request, float **query,
                            uint32_t **shard_ids, size_t *count, sf_route_account *why, sf_error *error) {
  const sf_manifest *manifest = &sf_served_snapshot_metadata(served)->manifest;
  sf_search_request to_all = *request;
  int64_t *all = NULL;
  to_all.has_num_probes = sf_routing_strategy_of(manifest->routing.strategy)->input == SF_ROUTE_BY_VECTOR;
  to_all.num_probes = manifest->num_dbs;
  if (!to_all.has_num_probes) {
    all = sf_calloc(manifest->num_dbs, sizeof(*all));
    if (all == NULL)
      return sf_fail_memory(error, "shard ids");
    for (uint32_t i = 0; i < manifest->num_dbs; i++)
      all[i] = i;
    to_all.has_shard_ids = true;
    to_all.shard_ids = all;
    to_all.num_shard_ids = manifest->num_dbs;
  }
  sf_code code = sf_search_request_route(served, &to_all, query, shard_ids, count, why, error);
  free(all);
  *why = (sf_route_account){.reason = SF_ROUTED_TO_ALL};
  return code;
}

sf_code sf_search_request_start(sf_reader *reader, sf_served_snapshot *served, const sf_search_request *request,
                                sf_search **search, sf_error *error) {
  uint64_t started = sf_monotonic_nanoseconds();
  float *query = NULL;
  uint32_t *shard_ids = NULL;
  size_t num_shards = 0;
  SF_TRY(check_numbers(request, error));
  sf_route_account why;
  bool is_of_all = is_of_snapshot(request);
  SF_TRY((is_of_all ? route_to_all : sf_search_request_route)(served, request, &query, &shard_ids, &num_shards, &why,
                                                              error));
  sf_code code = SF_OK;
  sf_filter *filter = NULL;
  if (request->has_shard_ids)
    code = sf_router_order(sf_served_snapshot_metadata(served)->router, query, shard_ids, num_shards, error);
  if (code == SF_OK && request->filter != NULL)
    code = sf_filter_cache_get(reader->filters, request->filter, &filter, error);
  const sf_search_params params = {.served = served,
                                   .executor = reader->executor,
                                   .query = query,
                                   .collector = collector_params(request),
                                   .offset = (size_t)request->offset,
                                   .wants_vectors = request->include_vectors,
                                   .omits_payloads = request->omit_payloads,
                                   .filter = filter,
                                   .recall = is_of_all ? request->recall : 0,
                                   .shard_ids = shard_ids,
                                   .num_shards = num_shards,
                                   .max_concurrency = reader->max_concurrency,
                                   .started = started,
                                   .route = why,
                                   .explains_shards = request->explain,
                                   .events = &reader->events};
  if (code == SF_OK)
    code = sf_search_create(&params, search, error);
  sf_filter_release(filter);
  free(query);
  free(shard_ids);
  return code;
}
