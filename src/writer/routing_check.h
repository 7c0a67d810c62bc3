/*
 * Before a snapshot is published, a reader's router is made from what was written, and asked about some of the rows: it
 * has to answer with the shards that they went to.
 */
#ifndef SF_WRITER_ROUTING_CHECK_H
#define SF_WRITER_ROUTING_CHECK_H

#include "base/random.h"
#include "storage/storage.h"
#include "writer/plan.h"

enum { SF_ROUTING_CHECK_ROWS = 256 };

/* A random sample of the rows (Vitter, Random Sampling with a Reservoir, 1985, algorithm R). Zero-initialise. */
typedef struct sf_routing_check {
  sf_random random;
  uint64_t seen;
  float *vectors;                        /* SF_ROUTING_CHECK_ROWS × dim */
  char *contexts[SF_ROUTING_CHECK_ROWS]; /* NULL: none */
  uint32_t shard_ids[SF_ROUTING_CHECK_ROWS];
} sf_routing_check;

sf_code sf_routing_check_see(sf_routing_check *check, const sf_build_plan *plan, const float *vector,
                             const char *routing_context, uint32_t shard_id, sf_error *error);

/* Parses the manifest as a reader would, loads what it refers to from the storage, and routes the sample. */
sf_code sf_routing_check_run(const sf_routing_check *check, const sf_build_plan *plan, const sf_buffer *manifest,
                             const char *manifest_ref, sf_storage *storage, const sf_cancellation *cancellation,
                             sf_error *error);
void sf_routing_check_free(sf_routing_check *check);

#endif
