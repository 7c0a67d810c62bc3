/* From a manifest to what a shard is opened with. */
#ifndef SF_QUERY_SHARD_PARAMS_H
#define SF_QUERY_SHARD_PARAMS_H

#include "formats/shard.h"
#include "snapshot/manifest.h"

/* The key (to free) of a shard that the manifest names. */
sf_code sf_shard_key(const sf_storage *storage, const sf_manifest *manifest, uint32_t db_id, char **key,
                     sf_error *error);

/* All but `key`, `cache_dir` and `verify_only`, which are the caller's to set. */
sf_shard_params sf_shard_params_of(sf_storage *storage, sf_shard_resources *resources, const sf_manifest *manifest,
                                   uint32_t db_id);

/* The shard's folder (to free) in the local cache. Fails where the cache has no place: cache_dir is "". */
sf_code sf_shard_cache_folder(const char *cache_dir, uint32_t db_id, char **folder, sf_error *error);

#endif
