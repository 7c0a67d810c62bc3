/* What each format keeps for all shards of a reader. */
#ifndef SF_FORMATS_SHARD_RESOURCES_H
#define SF_FORMATS_SHARD_RESOURCES_H

#include "cache/cache_use.h"
#include "formats/shard.h"
#include "formats/sqlite_vec/connection_pool.h"

struct sf_shard_resources {
  sf_connection_pool *connections; /* of sqlite-vec shards */
  sf_cache_users *cache_users;     /* what of the local cache the open shards use */
};

#endif
