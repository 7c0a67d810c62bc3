/* The shards that a request names: of those that read no query, and are not routed. */
#ifndef SF_READER_CHOSEN_SHARDS_H
#define SF_READER_CHOSEN_SHARDS_H

#include "query/search_account.h"
#include "query/served_snapshot.h"

/* The shards to look in, ascending: those named that the manifest has, each once; all where none are named. The caller frees
 * them. */
sf_code sf_choose_shards(const sf_served_snapshot *served, bool has_shard_ids, const int64_t *shard_ids,
                         size_t num_shard_ids, uint32_t **chosen, size_t *count, sf_error *error);

/* Why these. */
static inline sf_route_account sf_chosen_shards_route(bool has_shard_ids) {
  return (sf_route_account){.reason = has_shard_ids ? SF_ROUTED_BY_REQUEST : SF_ROUTED_TO_ALL};
}

#endif
