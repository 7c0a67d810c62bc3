/*
 * Which folders of the local cache are in use, by any process, and since when they are not: what decides which goes when
 * the cache is to shrink.
 *
 * Whoever opens a shard holds a shared lock of `shard.use` in its folder until it is closed. That file's time says when the
 * shard was last opened or closed. Who evicts takes the lock for himself, and never waits for it.
 */
#ifndef SF_SHARD_CACHE_USE_H
#define SF_SHARD_CACHE_USE_H

#include "base/error.h"

#include <time.h>

/* A folder in use; zero-initialised: none. */
typedef struct sf_cache_use {
  bool is_held;
  int descriptor;
} sf_cache_use;

/* Makes the folder where it is missing, and holds it. Where files can't be made or locked nothing is held, and that is no
 * failure: nobody evicts there either. Waits for whoever evicts the folder, which is short. */
sf_code sf_cache_use_begin(const char *path, sf_cache_use *use, sf_error *error);
void sf_cache_use_end(sf_cache_use *use);

/* When the folder was last used. False when there is no folder. */
bool sf_cache_last_used(const char *path, struct timespec *when);

/* Removes a folder that nobody uses, with all in it; false when it is in use. Killed on the way it leaves a folder without
 * an identity, which the next one to open it makes his own. */
bool sf_cache_evict(const char *path);

#endif
