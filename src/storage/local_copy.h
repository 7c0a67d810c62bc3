/*
 * The local copy of an object from a remote storage: `<path>`, and beside it `<path>.record`, which says of which object
 * it is, how long, and with which checksum it was written. Copies are written beside and renamed, so that a reader
 * opens all of one or none, and keeps the contents that it has open or mapped. A process that is killed leaves a copy,
 * no copy, or one that its record gives away.
 */
#ifndef SF_STORAGE_LOCAL_COPY_H
#define SF_STORAGE_LOCAL_COPY_H

#include "base/cancellation.h"
#include "base/folder.h"
#include "base/memory.h"

/* Takes the lock of the copy at `path`, among all threads and processes; its folder is made where it is missing. */
sf_code sf_local_copy_lock(const char *path, const sf_cancellation *cancellation, int *lock, sf_error *error);
void sf_local_copy_unlock(int lock);

/* Whether the file at `path` is the copy of the object `url`, whole and unchanged since it was written. Reads all of it. */
sf_code sf_local_copy_check(const char *path, const char *url, const sf_cancellation *cancellation, bool *holds,
                            sf_error *error);

/* A copy in the making. */
typedef struct sf_local_copy {
  const char *path; /* borrowed */
  sf_folder folder; /* that it lies in */
  sf_new_file file;
  uint64_t expected; /* bytes that are reserved */
  uint64_t hashed;   /* bytes from the front whose checksum is known */
  void *hash;
} sf_local_copy;

/* Also gets told what was hashed, in order. */
typedef void (*sf_local_copy_callback)(const uint8_t *bytes, size_t length, void *user_data);

/* Begins a copy, with the lock held, and removes what killed processes left of theirs. */
sf_code sf_local_copy_begin(sf_local_copy *copy, const char *path, sf_error *error);
/* So many bytes are to come: reserves the disk space for them, once. By one thread at a time. */
sf_code sf_local_copy_expect(sf_local_copy *copy, uint64_t size, sf_error *error);
/* From any thread, but each byte once. */
sf_code sf_local_copy_write(sf_local_copy *copy, uint64_t offset, const uint8_t *bytes, size_t length, sf_error *error);
/* Reads on up to `length` bytes, which must have been written, for the checksum. 0 begins anew. */
sf_code sf_local_copy_hash(sf_local_copy *copy, uint64_t length, sf_local_copy_callback callback, void *user_data,
                           const sf_cancellation *cancellation, sf_error *error);
/* Puts the copy in its place, `hashed` bytes long. */
sf_code sf_local_copy_publish(sf_local_copy *copy, const char *url, sf_error *error);
/* Frees; removes the copy where it was not published. */
void sf_local_copy_end(sf_local_copy *copy);

#endif
