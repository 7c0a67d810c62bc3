/*
 * Which folders and downloads of the local cache are in use, by any process, and when a folder was last used. It
 * decides which folders are evicted when the cache has to shrink, and which files stay when another shard takes a
 * folder over.
 *
 * A use is a shared lock on the byte of `cache.lock` that the name stands for (cache_claims.h).
 *
 * A folder was last used at the time of modification of its `shard.use`, which is set when a shard is opened and
 * closed.
 */
#ifndef SF_CACHE_CACHE_USE_H
#define SF_CACHE_CACHE_USE_H

#include "base/folder.h"

#include <stdint.h>
#include <time.h>

/* The uses of one reader. Any thread. */
typedef struct sf_cache_users sf_cache_users;

sf_code sf_cache_users_create(sf_cache_users **users, sf_error *error);
void sf_cache_users_free(sf_cache_users *users); /* NULL is allowed; every use must have ended */

/* Something in use; zero-initialised: nothing. */
typedef struct sf_cache_use {
  sf_cache_users *users; /* NULL: nothing is held */
  char *path;
  bool is_folder;
} sf_cache_use;

/* Makes the folder at `path` where it is missing, and holds it. Where files can't be made or locked nothing is held,
 * and that is no failure. Waits for a process that is evicting the folder, which is short. */
sf_code sf_cache_use_folder(sf_cache_users *users, const char *path, sf_cache_use *use, sf_error *error);
/* Holds a file, which may not be there yet: no process removes it, or a file whose name begins with its name. */
sf_code sf_cache_use_file(sf_cache_users *users, const char *folder_path, const char *name, sf_cache_use *use,
                          sf_error *error);
void sf_cache_use_end(sf_cache_use *use);

/* When the folder was last used. False when there is no such folder. */
bool sf_cache_last_used(const sf_folder *root, const char *name, struct timespec *when);

/* Removes a folder that is not in use, with all in it; false when it is in use. A process that is killed meanwhile
 * leaves a folder without an identity, which the next shard that opens it claims. */
bool sf_cache_evict(const sf_folder *root, int claims, const char *name);

#endif
