/*
 * Files by their paths: errors of system calls, folders, writing (write.c) with disk space reserved ahead, and publishing a
 * file whole or not at all. Files in a folder that others may change meanwhile are in folder.h.
 */
#ifndef SF_BASE_FILES_H
#define SF_BASE_FILES_H

#include "base/error.h"

/* "can't <action> <path>: <the system's message>", as an SF_ERROR; with the code of sf_errno_code where memory or file
 * descriptors are out. */
sf_code sf_fail_errno(sf_error *error, const char *action, const char *path, int error_number);

/* Expands a leading "~" or "~/" to $HOME; other paths are copied. The caller frees the result; an SF_CONFIG_VALIDATION_ERROR
 * where HOME is not an absolute path. `what` is the path's purpose, for the message. */
sf_code sf_expand_home(const char *what, const char *path, char **expanded, sf_error *error);

/* Opens a file that a user named for reading, with "~" expanded: a descriptor, or -1 with errno set. */
int sf_open_named_file(const char *path);

/* Whether an errno says that memory or file descriptors are out. A lookup must not mistake that for a missing file. */
bool sf_errno_is_exhaustion(int error_number);

/* The parent folder of `path`, for the caller to free; NULL when memory is out. */
char *sf_folder_of(const char *path);

/* Makes a folder and its missing parents. */
sf_code sf_make_folders(const char *path, sf_error *error);
/* The same with another mode than 0777; the umask applies to either. */
sf_code sf_make_folders_as(const char *path, unsigned mode, sf_error *error);

/* Takes a flock(2) lock, and waits for it unless `operation` has LOCK_NB. False when that fails. */
bool sf_lock_file(int descriptor, int operation);

/* "can't write <path>: …"; on a full disk with the bytes that the file needs at least (`needed`), and those that are left. */
sf_code sf_fail_to_write(sf_error *error, int descriptor, const char *path, uint64_t needed, int error_number);

/* Writes `length` bytes at `offset`. */
sf_code sf_write_at(int descriptor, const char *path, const void *bytes, size_t length, uint64_t offset,
                    sf_error *error);

/* Begins to write a file's dirty pages to disk, so that a later sync waits for less. Linux; elsewhere it does nothing. */
void sf_begin_writeback(int descriptor);

/* Makes a temporary file, "<prefix>XXXXXX" with random letters, and unlinks it: it exists until the descriptor is closed. */
sf_code sf_open_nameless(const char *prefix, int *descriptor, sf_error *error);

/* Reserves disk space for bytes [offset, offset + length) of a file that needs `needed` bytes in all, so that a full disk is
 * found before anything is written. Where the file system can't reserve, it does nothing. */
sf_code sf_reserve(int descriptor, const char *path, uint64_t offset, uint64_t length, uint64_t needed,
                   sf_error *error);

/* Extends an empty file to `length` bytes and allocates all of its disk space: it can be mapped and written to without a
 * SIGBUS for a full disk. */
sf_code sf_allocate_file(int descriptor, const char *path, uint64_t length, sf_error *error);

/* Advises the system that mapped bytes will be scanned repeatedly: it may map them as large pages, which also reads them in
 * larger pieces. A hint. */
void sf_advise_scan(const void *bytes, size_t length);

/* Syncs a folder, without which a rename in it may not survive a crash. Does nothing where folders can't be synced. */
void sf_sync_folder(const char *path);

/* Syncs the file at temporary_path and renames it to `path`; removes it where either fails. */
sf_code sf_publish_file(int descriptor, const char *temporary_path, const char *path, sf_error *error);

#endif
