/* Which shard a row goes to: the one that a reader asks first for the row's vector or routing context. */
#ifndef SF_WRITER_ASSIGN_H
#define SF_WRITER_ASSIGN_H

#include "writer/plan.h"

/* Immutable once made: any thread. */
typedef struct sf_assigner sf_assigner;

/* From a plan that lacks nothing (dimension, centroids, hyperplanes) and outlives the assigner. */
sf_code sf_assigner_create(const sf_build_plan *plan, sf_assigner **assigner, sf_error *error);
void sf_assigner_free(sf_assigner *assigner); /* NULL is allowed */

/* Whether rows are assigned many at a time, by their vectors: cluster. Otherwise one by one. */
bool sf_assigner_takes_many(const sf_assigner *assigner);

/* `num_rows` contiguous rows. Fails only for want of memory. */
sf_code sf_assigner_assign_many(const sf_assigner *assigner, const float *vectors, size_t num_rows, uint32_t *shard_ids,
                                sf_error *error);

/* What of a row decides: the vector (lsh), the shard that was named (explicit) or the context (cel). */
typedef struct sf_assign_row {
  const float *vector;
  int64_t shard_id;
  const char *routing_context;
} sf_assign_row;

/* `scratch` has room for num_dbs. */
sf_code sf_assigner_assign(const sf_assigner *assigner, const sf_assign_row *row, uint32_t *scratch, uint32_t *shard_id,
                           sf_error *error);

#endif
