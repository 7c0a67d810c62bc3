/*
 * The local cache (docs/cache-format.md): `<local_root>`, and in it a folder for each shard, `shard_<db_id>`, shared by
 * every process that uses the root. The files of a shard's folder belong to the shard that `shard.identity.json` names.
 * A writer holds the folder's lock, writes to a temporary name, syncs and renames: a reader never sees a torn file, and
 * a file that is mapped is never written again.
 *
 * Only folders of this user or of root are trusted. A folder of another user is refused if its group or others may
 * write to it, or if anybody may write to the folder above it, as in /tmp. Only `local_root` itself may be a symbolic
 * link; below it none is followed. A process of root is as strict as any other about folders that it opens.
 */
#ifndef SF_CACHE_CACHE_FOLDER_H
#define SF_CACHE_CACHE_FOLDER_H

#include "base/cancellation.h"
#include "base/folder.h"

/* Files of a folder that belong to no shard: a writer holds the lock of the first; the time of the second says when the
 * folder was last used. */
#define SF_CACHE_LOCK_NAME "shard.lock"
#define SF_CACHE_USE_NAME "shard.use"

/* Opens `local_root`; with `make`, makes it where it is missing. One that is refused is SF_CONFIG_VALIDATION_ERROR. */
sf_code sf_cache_root_open(const char *path, bool make, bool *found, sf_folder *root, sf_error *error);

/* Fails where the root of the folder at `path` would be refused; a root that is missing is not. */
sf_code sf_cache_check(const char *path, sf_error *error);

/* A shard's folder. */
typedef struct sf_cache_folder {
  sf_folder folder;
  int lock; /* file descriptor of shard.lock; -1: it is not held */
} sf_cache_folder;

/* Opens the folder at `path`, which is `<local_root>/<name>`; with `make`, makes both where they are missing. *found is
 * false, and nothing is open, where the folder is missing. */
sf_code sf_cache_folder_open(const char *path, bool make, bool *found, sf_cache_folder *folder, sf_error *error);
void sf_cache_folder_close(sf_cache_folder *folder); /* releases the lock; does nothing to a folder that is not open */

/* Takes the folder's lock, which one thread of one process has at a time. Where the identity is another shard's,
 * removes that one's files (except those in use) and writes the new identity. `checkpoint_id` may be NULL. Close the
 * folder soon: others wait. */
sf_code sf_cache_folder_lock(sf_cache_folder *folder, const char *db_url, const char *checkpoint_id,
                             const sf_cancellation *cancellation, sf_error *error);

/* Whether the folder's identity is the given one. Without the lock, the identity may be replaced at any time, but only
 * as a whole. */
sf_code sf_cache_folder_matches(const sf_cache_folder *folder, const char *db_url, const char *checkpoint_id,
                                bool *matches, sf_error *error);

/* Removes the folder `name` with the files in it, as far as that can be done, its identity first. */
void sf_cache_folder_remove(const sf_folder *root, const char *name);

#endif
