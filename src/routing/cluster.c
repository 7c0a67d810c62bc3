/*
 * The strategy cluster: the shards whose centroids are nearest, by the snapshot's metric (the coarse quantizer of an inverted
 * file: Jégou, Douze, Schmid, Product Quantization for Nearest Neighbor Search, 2011, section 4). Every centroid is scored
 * in float64, as the format defines it.
 */
#include "routing/cluster.h"

#include "base/memory.h"
#include "vectors/metrics.h"

#include <math.h>

typedef struct candidate {
  double distance;
  uint32_t id;
} candidate;

static double squared_l2(const double *centroid, const float *query, size_t dim) {
  double sum = 0;
  for (size_t i = 0; i < dim; i++) {
    double difference = centroid[i] - (double)query[i];
    sum += difference * difference;
  }
  return sum;
}

/* The format's own formula; its 1e-10 keeps a zero query or centroid from dividing by zero. */
static double cosine(const double *centroid, double centroid_norm, const float *query, double query_norm, size_t dim) {
  return 1 - sf_route_dot(centroid, query, dim) / (centroid_norm * query_norm + 1e-10);
}

static double norm(const float *query, size_t dim) {
  double sum = 0;
  for (size_t i = 0; i < dim; i++)
    sum += (double)query[i] * (double)query[i];
  return sqrt(sum);
}

static double distance(const sf_router_params *params, const double *centroid_norms, const float *query,
                       double query_norm, uint32_t id) {
  const double *centroid = params->artifact + (size_t)id * params->dim;
  const sf_scoring *scoring = sf_scoring_of_metric(params->metric);
  if (scoring->is_of_differences)
    return squared_l2(centroid, query, params->dim);
  if (scoring->is_normalised)
    return query_norm > 0 ? cosine(centroid, centroid_norms[id], query, query_norm, params->dim) : 1;
  return -sf_route_dot(centroid, query, params->dim);
}

double sf_route_centroid_norm(const double *centroid, size_t dim) {
  double sum = 0;
  for (size_t i = 0; i < dim; i++)
    sum += centroid[i] * centroid[i];
  return sqrt(sum);
}

double sf_route_centroid_distance(const sf_router_params *params, const double *centroid_norms, const float *query,
                                  uint32_t id) {
  double query_norm = sf_scoring_of_metric(params->metric)->is_normalised ? norm(query, params->dim) : 0;
  return distance(params, centroid_norms, query, query_norm, id);
}

/* Ascending by distance, ties by id: a total order, so that any sort is as good as a stable one. Centroids that are not
 * finite can give NaN, which comes last, as NumPy sorts it. */
static int compare_candidates(const void *left, const void *right) {
  const candidate *a = left;
  const candidate *b = right;
  if (isnan(a->distance) != isnan(b->distance))
    return isnan(a->distance) ? 1 : -1;
  if (a->distance < b->distance || a->distance > b->distance)
    return a->distance < b->distance ? -1 : 1;
  return a->id < b->id ? -1 : a->id > b->id;
}

/* |c| of each centroid. */
static sf_code create(const sf_router_params *params, void **state, sf_error *error) {
  double *norms = sf_calloc(params->num_dbs, sizeof(*norms));
  if (norms == NULL)
    return sf_fail_memory(error, "norms of centroids");
  for (size_t i = 0; i < params->num_dbs; i++)
    norms[i] = sf_route_centroid_norm(params->artifact + i * params->dim, params->dim);
  *state = norms;
  return SF_OK;
}

/* Sorts `count` shards by their centroids' distances: those in `from`, or with NULL all. The nearest `limit` go to `shard_ids`. */
static sf_code sort_shards(const sf_router_params *params, const double *centroid_norms, const float *query,
                           const uint32_t *from, size_t count, size_t limit, uint32_t *shard_ids, sf_error *error) {
  candidate *candidates = sf_calloc(count, sizeof(*candidates));
  if (candidates == NULL)
    return sf_fail_memory(error, "distances to centroids");
  double query_norm = sf_scoring_of_metric(params->metric)->is_normalised ? norm(query, params->dim) : 0;
  for (size_t i = 0; i < count; i++) {
    uint32_t id = from == NULL ? (uint32_t)i : from[i];
    candidates[i] = (candidate){distance(params, centroid_norms, query, query_norm, id), id};
  }
  qsort(candidates, count, sizeof(*candidates), compare_candidates);
  for (size_t i = 0; i < limit; i++)
    shard_ids[i] = candidates[i].id;
  free(candidates);
  return SF_OK;
}

static sf_code route(const sf_router_params *params, const void *state, const sf_route_request *request, size_t limit,
                     uint32_t *shard_ids, size_t *count, sf_error *error) {
  *count = limit;
  return sort_shards(params, state, request->query, NULL, params->num_dbs, limit, shard_ids, error);
}

static sf_code order(const sf_router_params *params, const void *state, const float *query, uint32_t *shard_ids,
                     size_t count, sf_error *error) {
  return sort_shards(params, state, query, shard_ids, count, count, shard_ids, error);
}

static size_t num_centroids(const sf_routing_config *config, uint32_t num_dbs) {
  (void)config;
  return num_dbs;
}

static const sf_routing_artifact centroids = {
    .name = "centroids", .file = "centroids.npy", .ref_member = "centroids_ref", .num_rows = num_centroids};

const sf_routing_strategy sf_cluster_strategy = {
    .id = SF_SHARDING_CLUSTER,
    .name = "cluster",
    .input = SF_ROUTE_BY_VECTOR,
    .artifact = &centroids,
    .create = create,
    .free = free,
    .route = route,
    .order = order,
};
