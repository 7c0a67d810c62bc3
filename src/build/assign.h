/* Which shard a row goes to: the one that a reader asks first for the row's vector or routing context. */
#ifndef SF_BUILD_ASSIGN_H
#define SF_BUILD_ASSIGN_H

#include "build/plan.h"

/* Immutable once made: any thread, with a scratch of its own. */
typedef struct sf_assigner sf_assigner;

/* From a plan that lacks nothing (dimension, centroids, hyperplanes) and outlives the assigner. */
sf_code sf_assigner_create(const sf_build_plan *plan, sf_assigner **assigner, sf_error *error);
void sf_assigner_free(sf_assigner *assigner); /* NULL is allowed */

typedef struct sf_assign_scratch {
  float *results;      /* num_dbs */
  uint32_t *shard_ids; /* num_dbs */
} sf_assign_scratch;

sf_code sf_assign_scratch_make(const sf_assigner *assigner, sf_assign_scratch *scratch, sf_error *error);
void sf_assign_scratch_free(sf_assign_scratch *scratch);

/* What of a row decides: the vector (cluster, lsh), the shard that was named (explicit) or the context (cel). */
typedef struct sf_assign_row {
  const float *vector;
  int64_t shard_id;
  const char *routing_context;
} sf_assign_row;

sf_code sf_assigner_assign(const sf_assigner *assigner, const sf_assign_row *row, sf_assign_scratch *scratch,
                           uint32_t *shard_id, sf_error *error);

#endif
