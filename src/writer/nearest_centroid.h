/*
 * Which shard the rows of a snapshot with cluster sharding go to: for each the one that sf_router_route gives first, by the
 * same arithmetic wherever that matters, at the speed of the float32 kernels.
 */
#ifndef SF_WRITER_NEAREST_CENTROID_H
#define SF_WRITER_NEAREST_CENTROID_H

#include "routing/cluster.h"

/* Immutable once made: any thread. */
typedef struct sf_nearest_centroid sf_nearest_centroid;

/* Of num_dbs, dim, metric and centroids (finite) of `params`; these are borrowed for as long as it lives, the struct itself
 * is not. */
sf_code sf_nearest_centroid_create(const sf_router_params *params, sf_nearest_centroid **nearest, sf_error *error);
void sf_nearest_centroid_free(sf_nearest_centroid *nearest); /* NULL is allowed */

/* The shards of `num_rows` contiguous rows of dim finite components. Some hundred rows a call, or more, are best. Fails
 * only for want of memory: some 1 MiB for the length of the call, or 24 bytes for each centroid. */
sf_code sf_nearest_centroid_assign(const sf_nearest_centroid *nearest, const float *rows, size_t num_rows,
                                   uint32_t *shard_ids, sf_error *error);

#endif
