/*
 * Where a snapshot's objects lie. An sf_storage is opened on a root and reads objects by their key below it
 * ("_CURRENT", "manifests/…/manifest"). A storage is one file with one vtable, and one line in the table of storage.c.
 *
 * All calls block and may be made from any thread at once; they look at `cancellation` (which may be NULL) while they
 * wait. A missing object is not an error at this level: `*found` says so, and the caller knows what it means.
 */
#ifndef SF_STORAGE_STORAGE_H
#define SF_STORAGE_STORAGE_H

#include "base/cancellation.h"
#include "base/memory.h"

typedef struct sf_storage sf_storage;

/* What some storages need to be opened. All borrowed until the open returns. */
typedef struct sf_storage_options {
  const sf_s3_options *s3; /* NULL: all from the environment */
  sf_log_callback log;     /* NULL: silent */
  void *log_user_data;
  sf_download_callback download; /* NULL: nobody listens */
  void *download_user_data;
} sf_storage_options;

typedef struct sf_object_info {
  uint64_t size; /* bytes */
} sf_object_info;

/* Called for each key that a listing finds, in ascending order of bytes; false stops the listing. */
typedef bool (*sf_storage_list_callback)(const char *key, void *user_data);

typedef struct sf_storage_vtable {
  const char *scheme; /* "file" */
  bool is_remote;     /* local_file downloads */
  /* `root` is a path, or a URL of that scheme; `options` may be NULL. */
  sf_code (*open)(const char *root, const sf_storage_options *options, sf_storage **storage, sf_error *error);
  void (*close)(sf_storage *storage);
  /* The whole object, appended to `contents`. More than `max_bytes` is an error. */
  sf_code (*get)(sf_storage *storage, const char *key, size_t max_bytes, const sf_cancellation *cancellation,
                 bool *found, sf_buffer *contents, sf_error *error);
  /* Exactly `length` bytes from `offset` into `bytes`; fewer is an error. */
  sf_code (*get_range)(sf_storage *storage, const char *key, uint64_t offset, size_t length,
                       const sf_cancellation *cancellation, bool *found, void *bytes, sf_error *error);
  sf_code (*head)(sf_storage *storage, const char *key, const sf_cancellation *cancellation, bool *found,
                  sf_object_info *info, sf_error *error);
  /* The names directly below the folder `prefix` ("manifests/"), without the prefix; folders end in '/'. */
  sf_code (*list)(sf_storage *storage, const char *prefix, const sf_cancellation *cancellation,
                  sf_storage_list_callback callback, void *user_data, sf_error *error);
  /* The path of a local file with the object's bytes, for the caller to free: the object itself where it lies on this
   * machine, else a download, made at `download_path` by way of a temporary file beside it. */
  sf_code (*local_file)(sf_storage *storage, const char *key, const char *download_path,
                        const sf_cancellation *cancellation, bool *found, char **path, sf_error *error);
} sf_storage_vtable;

/* What every storage begins with. */
struct sf_storage {
  const sf_storage_vtable *vtable;
  char *root; /* as it is shown in messages; no trailing slash */
};

/* Opens the storage that `root`'s scheme names; a root without a scheme is a path. Options may be NULL. */
sf_code sf_storage_open(const char *root, const sf_storage_options *options, sf_storage **storage, sf_error *error);
void sf_storage_close(sf_storage *storage); /* NULL is allowed */

sf_code sf_storage_get(sf_storage *storage, const char *key, size_t max_bytes, const sf_cancellation *cancellation,
                       bool *found, sf_buffer *contents, sf_error *error);
sf_code sf_storage_get_range(sf_storage *storage, const char *key, uint64_t offset, size_t length,
                             const sf_cancellation *cancellation, bool *found, void *bytes, sf_error *error);
sf_code sf_storage_head(sf_storage *storage, const char *key, const sf_cancellation *cancellation, bool *found,
                        sf_object_info *info, sf_error *error);
sf_code sf_storage_list(sf_storage *storage, const char *prefix, const sf_cancellation *cancellation,
                        sf_storage_list_callback callback, void *user_data, sf_error *error);
sf_code sf_storage_local_file(sf_storage *storage, const char *key, const char *download_path,
                              const sf_cancellation *cancellation, bool *found, char **path, sf_error *error);

extern const sf_storage_vtable sf_file_storage;
extern const sf_storage_vtable sf_s3_storage;

#endif
