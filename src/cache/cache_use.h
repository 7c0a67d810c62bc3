/*
 * What of the local cache is in use, by any process, and since when it is not: what decides which folders go when the cache
 * is to shrink, and which files of a shard stay when another one takes its folder over.
 *
 * Names in the cache stand for bytes of one file, `<local_root>/cache.lock`: a folder `shard_<db_id>` for byte db_id, a
 * downloaded file for one that its hash chooses. Who uses something holds a shared lock of its byte; who removes it takes
 * that lock for himself, and never waits for it. So a reader has one descriptor for a thousand shards. The locks are those
 * of open file descriptions (F_OFD_SETLK): two readers of one process are two users, and closing some other descriptor of
 * the file gives nothing back, as it would with POSIX locks. Where there are no such locks, or the file can't be made,
 * nothing is held and nothing is evicted.
 *
 * When a folder was last used is the time of `shard.use` in it, noted when a shard is opened and closed.
 */
#ifndef SF_CACHE_CACHE_USE_H
#define SF_CACHE_CACHE_USE_H

#include "base/folder.h"

#include <stdint.h>
#include <time.h>

#define SF_CACHE_CLAIMS_NAME "cache.lock"

/* What one reader uses. From any thread. */
typedef struct sf_cache_users sf_cache_users;

sf_code sf_cache_users_create(sf_cache_users **users, sf_error *error);
void sf_cache_users_free(sf_cache_users *users); /* NULL is allowed; every use must have ended */

/* Something in use; zero-initialised: nothing. */
typedef struct sf_cache_use {
  sf_cache_users *users; /* NULL: nothing is held */
  char *path;
  bool is_folder;
} sf_cache_use;

/* Makes the folder at `path` where it is missing, and holds it. Where files can't be made or locked nothing is held, and
 * that is no failure. Waits for whoever evicts the folder, which is short. */
sf_code sf_cache_use_folder(sf_cache_users *users, const char *path, sf_cache_use *use, sf_error *error);
/* Holds a file, which may not be there yet: nobody removes it, nor those whose names begin with its own. */
sf_code sf_cache_use_file(sf_cache_users *users, const char *folder_path, const char *name, sf_cache_use *use,
                          sf_error *error);
void sf_cache_use_end(sf_cache_use *use);

/* When the folder was last used. False when there is no such folder. */
bool sf_cache_last_used(const sf_folder *root, const char *name, struct timespec *when);

/* For whoever removes something: opens the file of locks (*claims is -1 where that can't be done), claims a name in the
 * cache, which fails where it is in use, and gives it back. A name that nobody ever holds is always free. */
sf_code sf_cache_claims_open(const sf_folder *root, int *claims, sf_error *error);
bool sf_cache_claim(int claims, const char *name);
void sf_cache_unclaim(int claims, const char *name);

/* Removes a folder that nobody uses, with all in it; false when it is in use. Killed on the way it leaves a folder without
 * an identity, which the next one to open it makes his own. */
bool sf_cache_evict(const sf_folder *root, int claims, const char *name);

#endif
