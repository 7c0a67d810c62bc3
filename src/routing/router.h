/* Which shards a query goes to: the same that the writer would have chosen. */
#ifndef SF_ROUTING_ROUTER_H
#define SF_ROUTING_ROUTER_H

#include "routing/routing_config.h"

/* Immutable once made: any thread. */
typedef struct sf_router sf_router;

/* What a router is made from. All borrowed for as long as the router lives. */
typedef struct sf_router_params {
  const sf_routing_config *config;
  uint32_t num_dbs;
  uint32_t dim;
  sf_metric metric;
  const double *centroids;   /* cluster: num_dbs × dim */
  const double *hyperplanes; /* lsh: num_hash_bits × dim */
} sf_router_params;

/* Compiles what the strategy needs. A routing expression that is wrong is SF_CONFIG_VALIDATION_ERROR. */
sf_code sf_router_create(const sf_router_params *source, sf_router **router, sf_error *error);
void sf_router_free(sf_router *router); /* NULL is allowed */

/* What of a search routing looks at. */
typedef struct sf_route_request {
  const float *query; /* dim components, finite; only cluster and lsh look at it */
  bool has_shard_ids;
  const int64_t *shard_ids;
  size_t num_shard_ids;
  bool has_num_probes;
  int64_t num_probes;
  const char *routing_context; /* JSON object, or NULL */
} sf_route_request;

/* The shards in order, each once, into `shard_ids` (room for num_dbs). */
sf_code sf_router_route(const sf_router *router, const sf_route_request *request, uint32_t *shard_ids, size_t *count,
                        sf_error *error);

/* The strategies, one file each. `limit` is the most shards to choose, from 1 to num_dbs. */
sf_code sf_route_cluster(const sf_router_params *source, const double *centroid_norms, const float *query, size_t limit,
                         uint32_t *shard_ids, size_t *count, sf_error *error);
sf_code sf_route_lsh(const sf_router_params *source, const float *query, size_t limit, uint32_t *shard_ids,
                     size_t *count, sf_error *error);
sf_code sf_route_cel(const sf_router_params *source, const sf_cel_program *program, const char *routing_context,
                     uint32_t *shard_id, sf_error *error);

/* What cluster sorts by, least first, ties by id: the distance of the query from one centroid; and the norms it takes. */
double sf_route_centroid_distance(const sf_router_params *source, const double *centroid_norms, const float *query,
                                  uint32_t id);
double sf_route_centroid_norm(const double *centroid, size_t dim);

/* Σ aᵢbᵢ of float64 and float32, in a fixed order of operations. */
double sf_route_dot(const double *a, const float *b, size_t dim);

#endif
