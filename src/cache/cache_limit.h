/* How much the local cache may hold. */
#ifndef SF_CACHE_CACHE_LIMIT_H
#define SF_CACHE_CACHE_LIMIT_H

#include "base/error.h"

#include <stdint.h>

/* Evicts the least recently used folders of shards below `local_root` until all of them together take at most
 * `max_bytes` of the disk (holes of sparse files don't count), or the others are in use. One process at a time evicts;
 * others wait for it and then find less to do. A folder that can't be removed stays. */
sf_code sf_cache_limit_enforce(const char *local_root, uint64_t max_bytes, sf_error *error);

/* Before `bytes` are written to the shard's folder `cache_dir`: evicts others, so that the new ones have room below
 * `max_bytes` (0: no bound). A cache that stays too large is no failure. */
void sf_cache_make_room(const char *cache_dir, uint64_t max_bytes, uint64_t bytes);

#endif
