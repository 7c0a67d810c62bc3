#include "reader/chosen_shards.h"

#include "base/memory.h"

static void mark_named(const int64_t *shard_ids, size_t num_shard_ids, uint32_t num_dbs, bool *is_chosen) {
  for (size_t i = 0; i < num_shard_ids; i++)
    if (shard_ids[i] >= 0 && shard_ids[i] < num_dbs)
      is_chosen[shard_ids[i]] = true;
}

sf_code sf_choose_shards(const sf_served_snapshot *served, bool has_shard_ids, const int64_t *shard_ids,
                         size_t num_shard_ids, uint32_t **chosen, size_t *count, sf_error *error) {
  uint32_t num_dbs = sf_served_snapshot_metadata(served)->manifest.num_dbs;
  uint32_t *ids = sf_calloc(num_dbs, sizeof(*ids));
  bool *is_chosen = sf_calloc(num_dbs, sizeof(*is_chosen));
  if (ids == NULL || is_chosen == NULL) {
    free(ids);
    free(is_chosen);
    return sf_fail_memory(error, "shard ids");
  }
  if (has_shard_ids)
    mark_named(shard_ids, num_shard_ids, num_dbs, is_chosen);
  *count = 0;
  for (uint32_t id = 0; id < num_dbs; id++)
    if (!has_shard_ids || is_chosen[id])
      ids[(*count)++] = id;
  free(is_chosen);
  *chosen = ids;
  return SF_OK;
}
