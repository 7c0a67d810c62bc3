/*
 * An open folder and the files in it, for folders that other processes may change: all calls are relative to the folder's
 * descriptor (openat(2)), whatever its path names meanwhile, and no symbolic link in it is followed.
 *
 * Running out of descriptors is SF_POOL_EXHAUSTED_ERROR, never a missing file.
 */
#ifndef SF_BASE_FOLDER_H
#define SF_BASE_FOLDER_H

#include "base/error.h"

#include <sys/stat.h>

typedef struct sf_folder {
  char *path;     /* as it was opened */
  int descriptor; /* -1: none is open */
  uid_t owner;
  bool is_link; /* the last component of its path was one */
} sf_folder;

#define SF_FOLDER_NONE                                                                                                 \
  { .descriptor = -1 }

/* Opens the folder at `path`; its last component may be a symbolic link only where `may_be_link` is true. *found is false, and
 * nothing open, where there is no folder. */
sf_code sf_folder_open(const char *path, bool may_be_link, bool *found, sf_folder *folder, sf_error *error);
/* The same for the folder `name` in another one. */
sf_code sf_folder_open_in(const sf_folder *parent, const char *name, bool *found, sf_folder *folder, sf_error *error);
void sf_folder_close(sf_folder *folder); /* does nothing where it is not open */

/* Makes the folder at `path` and its missing parents: all may read them, as far as the umask allows, and only the owner may
 * write. */
sf_code sf_folder_make(const char *path, sf_error *error);

/* Opens a file for reading. *descriptor is -1 where there is no trusted file: none, a symbolic link, no regular file, or one
 * that is owned neither by this process's user nor by root nor by the folder's owner. */
sf_code sf_folder_open_file(const sf_folder *folder, const char *name, int *descriptor, struct stat *status,
                            sf_error *error);

/* Opens a file for locking, and makes it where it is missing; removes a symbolic link in its place. */
sf_code sf_folder_open_lock(const sf_folder *folder, const char *name, int *descriptor, sf_error *error);

/* Calls back for each entry but "." and "..", until the callback returns false. A folder that can't be listed has none. */
typedef bool (*sf_folder_callback)(const sf_folder *folder, const char *name, void *user_data);
sf_code sf_folder_list(const sf_folder *folder, sf_folder_callback callback, void *user_data, sf_error *error);

/* Tries to remove a file, a link (not its target) or an empty folder. */
void sf_folder_remove(const sf_folder *folder, const char *name);

/* A file that is written under a temporary name, and renamed once it is whole. */
typedef struct sf_new_file {
  const sf_folder *folder; /* borrowed */
  char *name;
  char *temporary_name;
  char *path;     /* of the temporary file, for messages */
  int descriptor; /* -1: none */
} sf_new_file;

#define SF_NEW_FILE_NONE                                                                                               \
  { .descriptor = -1 }

/* Makes "<name>.tmp", and removes what a killed process left there: the caller must be the only one to write `name`. */
sf_code sf_new_file_make(const sf_folder *folder, const char *name, sf_new_file *file, sf_error *error);
/* The same under another temporary name. */
sf_code sf_new_file_make_as(const sf_folder *folder, const char *name, const char *temporary_name, sf_new_file *file,
                            sf_error *error);
/* Syncs the file and renames it; the descriptor stays open. */
sf_code sf_new_file_publish(sf_new_file *file, sf_error *error);
/* Closes the file; removes it where it was not published. */
void sf_new_file_end(sf_new_file *file);

/* Writes and publishes a short file. */
sf_code sf_folder_put_text(const sf_folder *folder, const char *name, const char *text, sf_error *error);

/* Reads at most size - 1 bytes of a file into `text`, with a NUL after them. *found is false where sf_folder_open_file finds
 * no file, or reading fails. */
sf_code sf_folder_get_text(const sf_folder *folder, const char *name, char *text, size_t size, size_t *length,
                           bool *found, sf_error *error);

#endif
