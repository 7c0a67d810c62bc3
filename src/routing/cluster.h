/* What cluster sorts shards by, for a writer that finds the first one of many rows. */
#ifndef SF_ROUTING_CLUSTER_H
#define SF_ROUTING_CLUSTER_H

#include "routing/strategy.h"

/* The distance of the query from one centroid: least first, ties by id. `centroid_norms` are only read for cosine. */
double sf_route_centroid_distance(const sf_router_params *params, const double *centroid_norms, const float *query,
                                  uint32_t id);
double sf_route_centroid_norm(const double *centroid, size_t dim);

#endif
