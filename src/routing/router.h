/* Which shards a query goes to: the same that the writer would have chosen. */
#ifndef SF_ROUTING_ROUTER_H
#define SF_ROUTING_ROUTER_H

#include "routing/strategy.h"

/* Immutable once made: any thread. */
typedef struct sf_router sf_router;

/* Compiles what the strategy needs. A routing expression that is wrong is SF_CONFIG_VALIDATION_ERROR. */
sf_code sf_router_create(const sf_router_params *params, sf_router **router, sf_error *error);
void sf_router_free(sf_router *router); /* NULL is allowed */

/* The shards in order, each once, into `shard_ids` (room for num_dbs). */
sf_code sf_router_route(const sf_router *router, const sf_route_request *request, uint32_t *shard_ids, size_t *count,
                        sf_error *error);

/* Sorts shards that were named into the order in which they are best searched; leaves them as they are where the strategy knows
 * none. The results are the same in any order. */
sf_code sf_router_order(const sf_router *router, const float *query, uint32_t *shard_ids, size_t count,
                        sf_error *error);

#endif
