/* Routing by a CEL expression, for the strategy cel and for snapshots whose keys alone are sharded by one. */
#ifndef SF_ROUTING_CEL_H
#define SF_ROUTING_CEL_H

#include "routing/strategy.h"

sf_code sf_route_cel_compile(const sf_routing_config *config, sf_cel_program **program, sf_error *error);

/* The shard that the expression's value names for a routing context (JSON object). */
sf_code sf_route_cel(const sf_router_params *params, const sf_cel_program *program, const char *routing_context,
                     uint32_t *shard_id, sf_error *error);

/* Takes a value, which lives as long as the call. */
typedef sf_code (*sf_cel_value_function)(const sf_cel_value *value, void *user_data, sf_error *error);

/* The value itself: an int, a uint above INT64_MAX, a string or bytes. */
sf_code sf_route_cel_value(const sf_routing_config *config, const sf_cel_program *program, const char *routing_context,
                           sf_cel_value_function take, void *user_data, sf_error *error);

#endif
