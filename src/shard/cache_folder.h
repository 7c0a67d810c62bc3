/*
 * A shard's folder in the local cache: `<local_root>/shard_<db_id>/`, shared by every process that uses the root. What it
 * holds belongs to the shard that `shard.identity.json` names. Whoever writes holds the lock, writes beside, syncs and
 * renames: a reader never sees a torn file, and a file that is mapped is never written again.
 */
#ifndef SF_SHARD_CACHE_FOLDER_H
#define SF_SHARD_CACHE_FOLDER_H

#include "base/cancellation.h"
#include "base/files.h"

/* Files of a folder that are no shard's: who writes holds the one, who reads the other (see cache_use.h). */
#define SF_CACHE_LOCK_NAME "shard.lock"
#define SF_CACHE_USE_NAME "shard.use"

/* A folder with its lock held: of this process's threads and of all processes, one at a time. */
typedef struct sf_cache_folder {
  char *path;
  int lock; /* file descriptor */
} sf_cache_folder;

/* Makes the folder where it is missing, takes its lock (waiting for it), and, where the identity is another's, removes
 * what that one left (but for files that are held) and writes the new identity. `checkpoint_id` may be NULL. Close it soon: it holds up others. */
sf_code sf_cache_folder_open(const char *path, const char *db_url, const char *checkpoint_id,
                             const sf_cancellation *cancellation, sf_cache_folder *folder, sf_error *error);
void sf_cache_folder_close(sf_cache_folder *folder);

/* Whether the folder is there and its identity is the given one. Without the lock: what is found may be replaced at any
 * time, but only as a whole. */
bool sf_cache_folder_matches(const char *path, const char *db_url, const char *checkpoint_id);

/* Opens a file of the folder and holds it: while the descriptor is open, nobody removes the file from the folder. *held is
 * false when it is already gone. */
sf_code sf_cache_file_hold(const char *path, int *descriptor, bool *held, sf_error *error);

/* Removes a folder and the files in it, as far as that can be done; first what says whose it is. */
void sf_remove_folder(const char *path);

#endif
