/*
 * Locks on names of the local cache, between processes.
 *
 * Each name in the cache stands for a byte of one file, `<local_root>/cache.lock`: a folder `shard_<db_id>` for byte
 * db_id, a downloaded file for a byte that its hash chooses. A user holds a shared lock on the byte; a process that
 * removes the name takes an exclusive one, and never waits for it. So a reader needs one descriptor for a thousand
 * shards. The locks belong to open file descriptions (F_OFD_SETLK): two readers of one process are two users, and
 * closing another descriptor of the file releases nothing, unlike POSIX record locks. A lock file for each shard was
 * used before: it took a descriptor for each. Without such locks, or where the file can't be made, nothing is held and
 * nothing is evicted.
 */
#ifndef SF_CACHE_CACHE_CLAIMS_H
#define SF_CACHE_CACHE_CLAIMS_H

#include "base/folder.h"

#include <stdint.h>

#define SF_CACHE_CLAIMS_NAME "cache.lock"

/* Opens the file of locks of a root; *descriptor is -1 where it can neither be made nor read. */
sf_code sf_cache_claims_open(const sf_folder *root, int *descriptor, sf_error *error);

/* The byte that a name stands for, and a lock on it: F_RDLCK, F_WRLCK or F_UNLCK. Returns 0, or an errno. */
uint64_t sf_cache_claims_byte(const char *name);
int sf_cache_claims_lock(int descriptor, uint64_t byte, short type, bool waits);

/* To remove something: claims a name of the cache, which fails where it is in use; releases it. A name of a kind that is
 * never held is always free. `claims` may be -1: nothing can be claimed but such names. */
bool sf_cache_claim(int claims, const char *name);
void sf_cache_unclaim(int claims, const char *name);

#endif
