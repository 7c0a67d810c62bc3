/* Routing without a reader or a builder: for programs that write the shards of a snapshot themselves. */
#ifndef SHARDYFUSION_ROUTING_H
#define SHARDYFUSION_ROUTING_H

#include "build.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------------------------ Expressions */

/* A compiled CEL expression over named columns, as the sharding strategy cel evaluates it. Immutable: any thread. */
typedef struct sf_expression sf_expression;

/* `columns` is {"name": "int|string|bytes|double|bool|uint"} as JSON. An expression that does not compile is
 * SF_CONFIG_VALIDATION_ERROR, whose message has the position. */
SF_API sf_code sf_expression_compile(const char *expression, const char *columns, sf_expression **compiled,
                                     sf_error *error);
SF_API void sf_expression_free(sf_expression *expression); /* NULL is allowed */

/* The expression's value for a routing context, a JSON object of the columns: as JSON, with bytes as {"__bytes_hex__": "…"}.
 * It is an int, a uint, a string or bytes; any other is SF_CONFIG_VALIDATION_ERROR. The caller frees *value with sf_free. */
SF_API sf_code sf_expression_evaluate(const sf_expression *expression, const char *routing_context, char **value,
                                      sf_error *error);

/* ------------------------------------------------------------------------------------------------------------- Rows */

/* Assigns rows to shards as a builder with the same options would, and as readers route queries. Immutable: any thread. */
typedef struct sf_row_router sf_row_router;

/* `options` as for a builder; `dim` is required for cluster and lsh, and so are centroids for cluster. */
SF_API sf_code sf_row_router_create(const sf_build_options *options, sf_row_router **router, sf_error *error);
SF_API void sf_row_router_free(sf_row_router *router); /* NULL is allowed */

SF_API uint32_t sf_row_router_num_dbs(const sf_row_router *router);

/* The vectors that it routes by: centroids, or hyperplanes (which it draws where none were given), *num_rows × dim. NULL where
 * the strategy has none. Valid as long as the router. */
SF_API const float *sf_row_router_vectors(const sf_row_router *router, size_t *num_rows);

/* The shard of each row, into `shard_ids` (rows->count). Of the batch, only what the strategy looks at needs to be there: vectors,
 * shard_ids or routing_contexts. A failure names the row. */
SF_API sf_code sf_row_router_assign(const sf_row_router *router, const sf_row_batch *rows, uint32_t *shard_ids,
                                    sf_error *error);

/* The shards that a search would be routed to, nearest first, into `shard_ids` (num_dbs): for a query of `dim` finite components
 * (cluster and lsh; else NULL), or for a routing context (cel; else NULL). At most num_probes, at least 1. */
SF_API sf_code sf_row_router_route(const sf_row_router *router, const float *query, const char *routing_context,
                                   uint32_t num_probes, uint32_t *shard_ids, size_t *count, sf_error *error);

/* Trains num_dbs × dim `centroids` from all rows of the batch, with the options' metric, num_dbs, training_iterations, seed and
 * num_threads. */
SF_API sf_code sf_train_centroids(const sf_build_options *options, const sf_row_batch *rows, float *centroids,
                                  sf_error *error);

#ifdef __cplusplus
}
#endif

#endif
