/*
 * What a worker returns of the one shard that it wrote, and what the manifest says of it. Plain values without pointers: a
 * result can come from another thread, process or machine.
 *
 * Each attempt to write a shard has a prefix of its own, so that one that fails, or two that run at once, leave the objects
 * of the others alone. The manifest names the attempt that counts.
 */
#ifndef SF_SNAPSHOT_SHARD_RESULT_H
#define SF_SNAPSHOT_SHARD_RESULT_H

#include "base/error.h"
#include "snapshot/run_id.h"

typedef struct sf_shard_result {
  uint32_t db_id;
  uint32_t attempt;
  uint64_t num_rows;                  /* 0: an empty shard, of which nothing is stored */
  uint64_t num_bytes;                 /* of all its objects */
  char checkpoint_id[SF_HEX_ID_SIZE]; /* random; "" for an empty shard */
} sf_shard_result;

/* Enough for any db_id and attempt. */
#define SF_SHARD_PREFIX_SIZE 40

/* "db=00003/attempt=00": an attempt's prefix below the run's, "shards/run_id=<run_id>". */
void sf_shard_prefix(uint32_t db_id, uint32_t attempt, char prefix[SF_SHARD_PREFIX_SIZE]);

/* "<s3_prefix>/shards/run_id=<run_id>/db=00003/attempt=00": the shard's db_url. To free; NULL when memory is out. */
char *sf_shard_url(const char *s3_prefix, const char *run_id, const sf_shard_result *shard);

#endif
