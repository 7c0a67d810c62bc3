/*
 * A folder that is open, and the files in it. What is done in it is done to the folder that was opened, whatever its path
 * comes to name meanwhile, and no symbolic link in it is ever followed.
 *
 * Messages name what failed. Running out of descriptors is SF_POOL_EXHAUSTED_ERROR, never "there is no such file".
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

/* Opens the folder at `path`, whose last component may be a symbolic link only where `may_be_link` says so. *found is false,
 * and nothing open, where there is none. */
sf_code sf_folder_open(const char *path, bool may_be_link, bool *found, sf_folder *folder, sf_error *error);
/* The same of the folder `name` in another one. */
sf_code sf_folder_open_in(const sf_folder *parent, const char *name, bool *found, sf_folder *folder, sf_error *error);
void sf_folder_close(sf_folder *folder); /* one that is not open is left alone */

/* Makes the folder at `path` and those above it, where they are missing: for all to read, as far as the umask allows, and
 * for the owner alone to write. */
sf_code sf_folder_make(const char *path, sf_error *error);

/* Opens a file to read it. *descriptor is -1 where there is nothing that can be trusted: no file, a symbolic link, what is
 * not a regular file, or one that belongs neither to this process's user nor to root nor to the folder's owner. */
sf_code sf_folder_open_file(const sf_folder *folder, const char *name, int *descriptor, struct stat *status,
                            sf_error *error);

/* Opens a file that is only locked, and makes it where it is missing; a symbolic link in its place is removed. */
sf_code sf_folder_open_lock(const sf_folder *folder, const char *name, int *descriptor, sf_error *error);

/* Calls back for each entry but "." and "..", until it returns false. A folder that can't be listed has none. */
typedef bool (*sf_folder_callback)(const sf_folder *folder, const char *name, void *user_data);
sf_code sf_folder_list(const sf_folder *folder, sf_folder_callback callback, void *user_data, sf_error *error);

/* Removes a file or link (never what a link points to), or an empty folder, as far as that can be done. */
void sf_folder_remove(const sf_folder *folder, const char *name);

/* A file that is written beside its place and put there once it is whole. */
typedef struct sf_new_file {
  const sf_folder *folder; /* borrowed */
  char *name;
  char *temporary_name;
  char *path;     /* of the temporary file, for messages */
  int descriptor; /* -1: none */
} sf_new_file;

#define SF_NEW_FILE_NONE                                                                                               \
  { .descriptor = -1 }

/* Makes "<name>.tmp", after whatever a killed process left there is removed: the caller is the only one to write `name`. */
sf_code sf_new_file_make(const sf_folder *folder, const char *name, sf_new_file *file, sf_error *error);
/* The same under another temporary name. */
sf_code sf_new_file_make_as(const sf_folder *folder, const char *name, const char *temporary_name, sf_new_file *file,
                            sf_error *error);
/* Syncs the file and puts it in its place; the descriptor stays open. */
sf_code sf_new_file_publish(sf_new_file *file, sf_error *error);
/* Closes the file, and removes it where it was not published. */
void sf_new_file_end(sf_new_file *file);

/* Writes a whole file that is as short as a line. */
sf_code sf_folder_put_text(const sf_folder *folder, const char *name, const char *text, sf_error *error);

/* Reads at most size - 1 bytes of a file into `text`, with a NUL behind them. *found is false as for sf_folder_open_file,
 * or when it can't be read. */
sf_code sf_folder_get_text(const sf_folder *folder, const char *name, char *text, size_t size, size_t *length,
                           bool *found, sf_error *error);

#endif
