#include "reader/shard_source.h"

#include "snapshot/reference.h"

#include <stdio.h>

sf_code sf_shard_key(const sf_storage *storage, const sf_manifest *manifest, uint32_t db_id, char **key,
                     sf_error *error) {
  char what[32];
  snprintf(what, sizeof(what), "shard %u", (unsigned)db_id);
  return sf_reference_key(manifest->shards[db_id].db_url, manifest->s3_prefix, storage->root, what, SF_DB_ADAPTER_ERROR,
                          key, error);
}

sf_shard_source sf_shard_source_of(sf_storage *storage, sf_shard_resources *resources, const sf_manifest *manifest,
                                   uint32_t db_id) {
  return (sf_shard_source){.storage = storage,
                           .resources = resources,
                           .db_id = db_id,
                           .db_url = manifest->shards[db_id].db_url,
                           .checkpoint_id = manifest->shards[db_id].checkpoint_id,
                           .dim = manifest->dim,
                           .metric = manifest->metric,
                           .is_unified = manifest->is_unified};
}
