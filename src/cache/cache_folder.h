/*
 * The local cache: `<local_root>`, and in it a folder for each shard, `shard_<db_id>`, shared by every process that uses the
 * root. What a shard's folder holds belongs to the shard that `shard.identity.json` names. Whoever writes holds the folder's
 * lock, writes beside, syncs and renames: a reader never sees a torn file, and a file that is mapped is never written again.
 *
 * What is not this user's own is not trusted. A folder of another user is refused where more than its owner may write to it,
 * and where it lies in one that anybody may write to, as /tmp: who knows whose it is then. Only `local_root` itself may be a
 * symbolic link; below it none is followed. Root is trusted as an owner, and is as strict as any other user about what it
 * opens itself.
 */
#ifndef SF_CACHE_CACHE_FOLDER_H
#define SF_CACHE_CACHE_FOLDER_H

#include "base/cancellation.h"
#include "base/folder.h"

/* Files of a folder that are no shard's: who writes holds the one, the time of the other says when it was last used. */
#define SF_CACHE_LOCK_NAME "shard.lock"
#define SF_CACHE_USE_NAME "shard.use"

/* Opens `local_root`; with `make`, makes it where it is missing. One that is refused is SF_CONFIG_VALIDATION_ERROR. */
sf_code sf_cache_root_open(const char *path, bool make, bool *found, sf_folder *root, sf_error *error);

/* Whether the root that the folder at `path` lies in is one that is opened; one that is missing is. */
sf_code sf_cache_check(const char *path, sf_error *error);

/* A shard's folder. */
typedef struct sf_cache_folder {
  sf_folder folder;
  int lock; /* file descriptor of shard.lock; -1: it is not held */
} sf_cache_folder;

/* Opens the folder at `path`, which is `<local_root>/<name>`; with `make`, makes both where they are missing. *found is
 * false, and nothing open, where there is none. */
sf_code sf_cache_folder_open(const char *path, bool make, bool *found, sf_cache_folder *folder, sf_error *error);
void sf_cache_folder_close(sf_cache_folder *folder); /* gives the lock back; one that is not open is left alone */

/* Takes the folder's lock, of this process's threads and of all processes, one at a time, and, where the identity is
 * another's, removes what that one left (but for files that are held) and writes the new identity. `checkpoint_id` may be
 * NULL. Close it soon: it holds up others. */
sf_code sf_cache_folder_lock(sf_cache_folder *folder, const char *db_url, const char *checkpoint_id,
                             const sf_cancellation *cancellation, sf_error *error);

/* Whether the folder's identity is the given one. Without the lock: what is found may be replaced at any time, but only as
 * a whole. */
sf_code sf_cache_folder_matches(const sf_cache_folder *folder, const char *db_url, const char *checkpoint_id,
                                bool *matches, sf_error *error);

/* Removes the folder `name` with the files in it, as far as that can be done; first what says whose it is. */
void sf_cache_folder_remove(const sf_folder *root, const char *name);

#endif
