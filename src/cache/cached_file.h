/*
 * Files of a shard's folder that are made from the shard and then mapped: opened where they are usable, else made.
 *
 * First the file is mapped without any lock. Where that fails, the caller takes the folder's lock, looks again (another
 * process may have made it meanwhile), makes the file and maps what it made. Making is writing to a temporary name,
 * syncing and renaming, so that a reader sees all of a file or none; what a file holds, and how it is found to be
 * whole, is its format's own affair: two callbacks.
 */
#ifndef SF_CACHE_CACHED_FILE_H
#define SF_CACHE_CACHED_FILE_H

#include "base/cancellation.h"
#include "base/folder.h"

/* A shard's folder, and which shard it must belong to. All borrowed. */
typedef struct sf_cache_place {
  const char *cache_dir; /* `<local_root>/shard_<db_id>`; may not exist yet */
  const char *db_url;
  const char *checkpoint_id; /* NULL: none */
  uint64_t max_cache_bytes;  /* that the whole cache may take; 0: no bound */
} sf_cache_place;

typedef struct sf_cached_file {
  sf_cache_place place;
  const char *name; /* in the folder */
  const char
      *suffix; /* before the file is made, the oldest files of the folder with names that end in this are removed, */
  size_t max_files;   /* until there are fewer than so many; 0: none are */
  uint64_t num_bytes; /* that making the file takes: room is made for them first. 0: `make` sees to it */
  void *context;
  /* Maps the file where it is whole and the one that is wanted. With or without the folder's lock. */
  sf_code (*map)(void *context, const sf_folder *folder, bool *usable, sf_error *error);
  /* Makes and publishes the file. The folder's lock is held. */
  sf_code (*make)(void *context, const sf_folder *folder, const sf_cancellation *cancellation, sf_error *error);
} sf_cached_file;

/* Maps the file if it is there; takes no lock, and makes nothing. */
sf_code sf_cached_file_map(const sf_cached_file *file, bool *usable, sf_error *error);

/* Under the folder's lock: makes the file unless it is usable by now, and maps it. */
sf_code sf_cached_file_make(const sf_cached_file *file, const sf_cancellation *cancellation, sf_error *error);

/* The one, and where that finds no usable file, the other. */
sf_code sf_cached_file_open(const sf_cached_file *file, const sf_cancellation *cancellation, sf_error *error);

#endif
