/* Lists that are stored beside a shard, as an object that the manifest names (docs/lists-format.md). */
#ifndef SF_QUERY_STORED_LISTS_H
#define SF_QUERY_STORED_LISTS_H

#include "cache/cached_block.h"
#include "formats/shard.h"
#include "lists/lists.h"
#include "snapshot/manifest.h"

typedef struct sf_stored_lists_params {
  sf_storage *storage;
  const sf_manifest *manifest;
  uint32_t db_id; /* a shard whose lists the manifest names */
} sf_stored_lists_params;

/* Maps them from the shard's folder of the local cache, or fetches and keeps them there. A failure of the object's own is
 * SF_DB_ADAPTER_ERROR and names it. */
sf_code sf_stored_lists_open(const sf_stored_lists_params *params, const sf_cache_place *place,
                             const sf_cancellation *cancellation, sf_cached_block *block, sf_lists *lists,
                             sf_error *error);

/* Keeps bytes that were just made, of lists that the manifest is going to name, and maps them. Takes them over, also on failure. */
sf_code sf_stored_lists_keep(const sf_stored_lists_params *params, const sf_cache_place *place, void *bytes,
                             size_t length, const sf_cancellation *cancellation, sf_cached_block *block,
                             sf_lists *lists, sf_error *error);

/* Fetches them, for the caller to free(). */
sf_code sf_stored_lists_fetch(const sf_stored_lists_params *params, const sf_cancellation *cancellation, void **bytes,
                              size_t *length, sf_lists *lists, sf_error *error);

/* Whether the shard, which is open, has a vector for each row of the lists, and the lists are for its vectors. */
sf_code sf_lists_check_shard(const sf_lists *lists, const sf_shard *shard, sf_metric metric, sf_error *error);

#endif
