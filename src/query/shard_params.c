#include "query/shard_params.h"

#include "snapshot/reference.h"

#include <stdio.h>

sf_code sf_shard_key(const sf_storage *storage, const sf_manifest *manifest, uint32_t db_id, char **key,
                     sf_error *error) {
  char what[32];
  snprintf(what, sizeof(what), "shard %u", (unsigned)db_id);
  return sf_reference_key(manifest->shards[db_id].db_url, manifest->s3_prefix, storage->root, what, SF_DB_ADAPTER_ERROR,
                          key, error);
}

sf_shard_params sf_shard_params_of(sf_storage *storage, sf_shard_resources *resources, const sf_manifest *manifest,
                                   uint32_t db_id) {
  return (sf_shard_params){.storage = storage,
                           .resources = resources,
                           .db_id = db_id,
                           .db_url = manifest->shards[db_id].db_url,
                           .checkpoint_id = manifest->shards[db_id].checkpoint_id,
                           .dim = manifest->dim,
                           .metric = manifest->metric,
                           .manifest_format = manifest->shard_format,
                           .is_unified = manifest->is_unified};
}

sf_code sf_shard_cache_folder(const char *cache_dir, uint32_t db_id, char **folder, sf_error *error) {
  if (cache_dir[0] == '\0')
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR,
                   "cache_dir: expected one, because neither XDG_CACHE_HOME nor HOME names a folder");
  *folder = sf_format("%s/shard_%05u", cache_dir, (unsigned)db_id);
  return *folder != NULL ? SF_OK : sf_fail_memory(error, "path of the cache");
}
