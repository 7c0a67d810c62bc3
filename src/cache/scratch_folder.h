/*
 * Temporary folders and files of one operation, beside the folders of the local cache. A folder is locked while it is
 * used (flock, on the folder itself): one that is not was left by a process that was killed, and is removed when the
 * next one is made.
 */
#ifndef SF_CACHE_SCRATCH_FOLDER_H
#define SF_CACHE_SCRATCH_FOLDER_H

#include "base/error.h"

/* Between the name of a cache's folder and random characters. */
#define SF_SCRATCH_INFIX ".scratch-"

typedef struct sf_scratch_folder {
  char *path; /* NULL: none */
  int lock;   /* file descriptor */
} sf_scratch_folder;

/* Makes a folder beside `cache_dir` (which need not exist), and removes those of dead processes. */
sf_code sf_scratch_folder_make(const char *cache_dir, sf_scratch_folder *folder, sf_error *error);
/* Removes the folder with the files in it. Does nothing where the path is NULL. */
void sf_scratch_folder_remove(sf_scratch_folder *folder);

/* Makes a file without a name beside `cache_dir`, and the folders above it. The caller closes it, which removes it. */
sf_code sf_scratch_file_open(const char *cache_dir, int *descriptor, sf_error *error);

/* Removes what dead processes left beside `cache_dir`. */
void sf_scratch_remove_leftovers(const char *cache_dir);

#endif
