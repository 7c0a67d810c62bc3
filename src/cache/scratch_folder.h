/*
 * A folder beside those of the local cache, or a file, for what only one operation needs. A folder is locked while it is
 * used (flock, on the folder itself), so that what a killed process left is known for what it is, and goes when the next
 * one is made.
 */
#ifndef SF_CACHE_SCRATCH_FOLDER_H
#define SF_CACHE_SCRATCH_FOLDER_H

#include "base/error.h"

/* What stands between the name of a cache's folder and a random end. */
#define SF_SCRATCH_INFIX ".scratch-"

typedef struct sf_scratch_folder {
  char *path; /* NULL: there is none */
  int lock;   /* file descriptor */
} sf_scratch_folder;

/* Makes a folder beside `cache_dir` (which need not exist), and removes those of dead processes. */
sf_code sf_scratch_folder_make(const char *cache_dir, sf_scratch_folder *folder, sf_error *error);
/* Removes the folder with the files in it. One whose path is NULL is left alone. */
void sf_scratch_folder_remove(sf_scratch_folder *folder);

/* Makes a file without a name beside `cache_dir`, for the caller to close, which removes it; and the folders above it. */
sf_code sf_scratch_file_open(const char *cache_dir, int *descriptor, sf_error *error);

/* Removes what dead processes left beside `cache_dir`. */
void sf_scratch_remove_rests(const char *cache_dir);

#endif
