/*
 * Snapshots that a test writes: sqlite-vec shards of random vectors with explicit sharding, and the results of an exact
 * search, which come from scoring every row.
 */
#ifndef SF_TESTS_BUILT_SNAPSHOT_H
#define SF_TESTS_BUILT_SNAPSHOT_H

#include "shardyfusion/search.h"

typedef struct snapshot_plan {
  const char *run_id;
  const char *timestamp; /* of publication: "2026-01-02T03:04:05.000006Z" */
  uint32_t num_shards;
  uint32_t dim;
  size_t num_rows; /* of each shard */
  uint64_t seed;   /* of the vectors */
  int64_t first_id;
  sf_metric metric; /* cosine or l2 */
} snapshot_plan;

typedef struct built_snapshot {
  snapshot_plan plan;
  char *root;
  float **vectors; /* num_rows × dim for each shard */
} built_snapshot;

/* The snapshot of a plan, the same on every run; writes nothing. Row r of shard s has the id
 * first_id + s × num_rows + r (a string where it is divisible by 3), and the payload {"id":…} unless divisible by 5. */
built_snapshot *snapshot_describe(const char *root, const snapshot_plan *plan);
void snapshot_free(built_snapshot *snapshot);

/* Writes the shards and the manifest below the root, which other snapshots may share. */
void snapshot_write(const built_snapshot *snapshot);
/* Points `_CURRENT` to it. */
void snapshot_publish(const built_snapshot *snapshot);

/* The path of a shard's file, for the caller to free. */
char *snapshot_shard_path(const built_snapshot *snapshot, uint32_t db_id);

/* Whether the response has, bit for bit, the results of an exact search of these shards. */
bool snapshot_answers(const built_snapshot *snapshot, const float *query, size_t top_k, const int64_t *shard_ids,
                      size_t num_shard_ids, const sf_search_response *response);

/* Whether the result is the row with that id, bit for bit: its shard, its payload, and its vector if it has one. */
bool snapshot_has_row(const built_snapshot *snapshot, int64_t id, const sf_search_result *result);

#endif
