/* Snapshots of a few rows, so that a sweep of every allocation is short. */
#ifndef SF_TESTS_SMALL_ROOT_H
#define SF_TESTS_SMALL_ROOT_H

#include "shardyfusion/types.h"

enum { SMALL_ROWS = 24, SMALL_DIM = 8, SMALL_DBS = 2 };

typedef struct small_plan {
  const char *backend;
  sf_sharding_strategy strategy;
  const char *run_id;
  int64_t first_id;
  bool is_asynchronous; /* finishes through a queue */
  bool is_by_cosine;    /* else by L2 */
} small_plan;

/* Builds and publishes a run at `root`. Row i has the id first_id + i (as text where it is odd) and, where it is even, a
 * payload; its vector depends on the id. */
sf_code small_root_build(const char *root, const small_plan *plan, sf_error *error);

/* A root below $FAULTS_STORE that nothing was written to yet, for the caller to free. */
char *small_root_in_store(void);

/* A vector to ask for. */
const float *small_query(void);
/* Context that a CEL snapshot is asked with. */
#define SMALL_CONTEXT "{\"shard\": 1, \"name\": \"a\"}"

#endif
