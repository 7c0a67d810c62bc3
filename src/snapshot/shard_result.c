#include "snapshot/shard_result.h"

#include "base/memory.h"

#include <stdio.h>

void sf_shard_prefix(uint32_t db_id, uint32_t attempt, char prefix[SF_SHARD_PREFIX_SIZE]) {
  snprintf(prefix, SF_SHARD_PREFIX_SIZE, "db=%05u/attempt=%02u", (unsigned)db_id, (unsigned)attempt);
}

char *sf_shard_url(const char *s3_prefix, const char *run_id, const sf_shard_result *shard) {
  char prefix[SF_SHARD_PREFIX_SIZE];
  sf_shard_prefix(shard->db_id, shard->attempt, prefix);
  return sf_format("%s/shards/run_id=%s/%s", s3_prefix, run_id, prefix);
}
