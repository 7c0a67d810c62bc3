/* Files that are made whole or not at all, and the folders that they lie in. */
#ifndef SF_BASE_FILES_H
#define SF_BASE_FILES_H

#include "base/error.h"

/* "can't <action> <path>: <what the system says>", as an SF_ERROR; or, where memory or file descriptors are out, with the code
 * of sf_errno_code. */
sf_code sf_fail_errno(sf_error *error, const char *action, const char *path, int error_number);

/* A path as the shell has it: "~" and "~/..." begin with $HOME, all others stay as they are. For the caller to free; an
 * SF_CONFIG_VALIDATION_ERROR where HOME names no folder. `what` says what the path is of. */
sf_code sf_expand_home(const char *what, const char *path, char **expanded, sf_error *error);

/* Opens a file that a user named, "~" being the home folder, to read it: a descriptor, or -1 with errno set. */
int sf_open_named_file(const char *path);

/* Whether an errno says that memory or file descriptors are out: where a file is looked for, that is not to be taken for its
 * absence. */
bool sf_errno_is_exhaustion(int error_number);

/* The folder that `path` lies in, for the caller to free; NULL when memory is out. */
char *sf_folder_of(const char *path);

/* Makes a folder and those above it, where they are missing. */
sf_code sf_make_folders(const char *path, sf_error *error);
/* The same with another mode than 0777; the umask takes away from either. */
sf_code sf_make_folders_as(const char *path, unsigned mode, sf_error *error);

/* Takes a lock of flock's, and waits for it. False where that can't be done. */
bool sf_lock_file(int descriptor, int operation);

/* "can't write <path>: …", with how much the file needs, as far as that is known, and how much is left where the disk is full. */
sf_code sf_fail_to_write(sf_error *error, int descriptor, const char *path, uint64_t needed, int error_number);

/* Writes all of `bytes` at `offset`. */
sf_code sf_write_at(int descriptor, const char *path, const void *bytes, size_t length, uint64_t offset,
                    sf_error *error);

/* Has the system begin to write what a file has in memory, so that a sync at the end has less to wait for; where there is
 * no such call, it does nothing. */
void sf_begin_writeback(int descriptor);

/* Makes a file, "<prefix>XXXXXX" with other letters, and takes its name away: it goes when the descriptor is closed. */
sf_code sf_open_nameless(const char *prefix, int *descriptor, sf_error *error);

/* Reserves disk space for bytes [offset, offset + length) of a file whose parts take `needed` bytes in all, so that a full
 * disk shows before anything is written. Where the file system can't, it does nothing: writing will fail. */
sf_code sf_reserve(int descriptor, const char *path, uint64_t offset, uint64_t length, uint64_t needed,
                   sf_error *error);

/* Makes an empty file `length` bytes long, and takes all the disk space for it: it can be mapped and written to without
 * SIGBUS when the disk is full. */
sf_code sf_allocate_file(int descriptor, const char *path, uint64_t length, sf_error *error);

/* Says that mapped bytes of a file are to be scanned from one end to the other, again and again: where the system can, it
 * reads what isn't in memory yet in large pieces, and maps them as large pages. Else it does nothing. */
void sf_advise_scan(const void *bytes, size_t length);

/* A rename is on disk only once its folder is. Where folders can't be synced, the file system sees to it. */
void sf_sync_folder(const char *path);

/* Syncs a file that was written at temporary_path and renames it to `path`; removes it where that fails. */
sf_code sf_publish_file(int descriptor, const char *temporary_path, const char *path, sf_error *error);

#endif
