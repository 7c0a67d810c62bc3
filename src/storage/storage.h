/*
 * Where a snapshot's objects lie. An sf_storage is opened on a root and reads and writes objects by their key below it
 * ("_CURRENT", "manifests/…/manifest"). A storage is one file with one vtable, and one line in the table of storage.c.
 *
 * All calls block and may be made from any thread at once; they look at `cancellation` (which may be NULL) while they
 * wait. A missing object is not an error at this level: `*found` says so, and the caller knows what it means.
 */
#ifndef SF_STORAGE_STORAGE_H
#define SF_STORAGE_STORAGE_H

#include "base/cancellation.h"
#include "base/memory.h"
#include "shardyfusion/storage.h"

typedef struct sf_storage sf_storage;

/* What some storages need to be opened. All borrowed until the open returns. */
typedef struct sf_storage_options {
  const sf_s3_options *s3; /* NULL: all from the environment */
  sf_log_callback log;     /* NULL: silent */
  void *log_user_data;
  sf_download_callback download; /* NULL: no callback */
  void *download_user_data;
} sf_storage_options;

#define SF_ETAG_SIZE 128

typedef struct sf_object_info {
  uint64_t size; /* bytes */
  /* Names this version of the object, for sf_put_condition; quotes included. "" where the storage has none for it, and of a
   * head where finding it would mean to read the object (as in a directory). */
  char etag[SF_ETAG_SIZE];
} sf_object_info;

/* What must hold for an object to be written. */
typedef struct sf_put_condition {
  bool if_none_match;   /* there is no such object yet */
  const char *if_match; /* it is there, and this is its ETag; NULL: whichever it is */
} sf_put_condition;

/* Called for each key that a listing finds, in ascending order of bytes; false stops the listing. */
typedef bool (*sf_storage_list_callback)(const char *key, void *user_data);

/* What was fetched since the storage was opened. */
typedef struct sf_storage_traffic {
  uint64_t num_requests; /* repeated ones as well */
  uint64_t num_bytes;    /* of objects and listings */
} sf_storage_traffic;

typedef struct sf_storage_vtable {
  const char *scheme; /* "file" */
  bool is_remote;     /* local_file downloads */
  /* `root` is a path, or a URL of that scheme; `options` may be NULL. */
  sf_code (*open)(const char *root, const sf_storage_options *options, sf_storage **storage, sf_error *error);
  void (*close)(sf_storage *storage);
  /* The whole object, appended to `contents`. More than `max_bytes` is an error. `info` may be NULL. */
  sf_code (*get)(sf_storage *storage, const char *key, size_t max_bytes, const sf_cancellation *cancellation,
                 bool *found, sf_buffer *contents, sf_object_info *info, sf_error *error);
  /* Exactly `length` bytes from `offset` into `bytes`; fewer is an error. */
  sf_code (*get_range)(sf_storage *storage, const char *key, uint64_t offset, size_t length,
                       const sf_cancellation *cancellation, bool *found, void *bytes, sf_error *error);
  sf_code (*head)(sf_storage *storage, const char *key, const sf_cancellation *cancellation, bool *found,
                  sf_object_info *info, sf_error *error);
  /* The names directly below the folder `prefix` ("manifests/"), without the prefix; folders end in '/'. Names up to and
   * with `after` are left out: of a large folder, only its end is asked for. "": none are. */
  sf_code (*list)(sf_storage *storage, const char *prefix, const char *after, const sf_cancellation *cancellation,
                  sf_storage_list_callback callback, void *user_data, sf_error *error);
  /* The path of a local file with the object's bytes, for the caller to free: the object itself where it lies on this
   * machine, else a download, made at `download_path` by way of a temporary file beside it. */
  sf_code (*local_file)(sf_storage *storage, const char *key, const char *download_path,
                        const sf_cancellation *cancellation, bool *found, char **path, sf_error *error);
  /* Writes an object, whole or not at all; on disk, or with the store, when it returns. `condition` may be NULL; where it
   * does not hold, nothing is written and *stored is false. Of several writers with one condition, one stores; a storage
   * that is not on this machine may tell those apart by what they write alone, so that it should name its writer. */
  sf_code (*put)(sf_storage *storage, const char *key, const void *bytes, size_t length,
                 const sf_put_condition *condition, const sf_cancellation *cancellation, bool *stored, sf_error *error);
  /* Writes an object from a local file, which must not change meanwhile, with a bounded amount of memory. What failed or was
   * cancelled leaves no object, and nothing else that it could remove. */
  sf_code (*put_file)(sf_storage *storage, const char *key, const char *path, const sf_cancellation *cancellation,
                      sf_error *error);
  /* Removes an object. One that is not there is no failure. A key that ends in '/' is a folder as listings show it: removed
   * where it is a thing of its own and empty, else left. */
  sf_code (*remove)(sf_storage *storage, const char *key, const sf_cancellation *cancellation, sf_error *error);
  /* Counts writes below the folder `prefix` that were begun and never ended, as killed writers leave them, and with `abort`
   * gives them up. They are no objects, and no listing has them. NULL: the storage knows no such thing. */
  sf_code (*unfinished_writes)(sf_storage *storage, const char *prefix, bool abort, const sf_cancellation *cancellation,
                               uint64_t *count, sf_error *error);
  /* NULL: the storage makes no requests. */
  sf_storage_traffic (*traffic)(const sf_storage *storage);
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
/* As get, with what names the version that was read. */
sf_code sf_storage_get_with_info(sf_storage *storage, const char *key, size_t max_bytes,
                                 const sf_cancellation *cancellation, bool *found, sf_buffer *contents,
                                 sf_object_info *info, sf_error *error);
sf_code sf_storage_get_range(sf_storage *storage, const char *key, uint64_t offset, size_t length,
                             const sf_cancellation *cancellation, bool *found, void *bytes, sf_error *error);
sf_code sf_storage_head(sf_storage *storage, const char *key, const sf_cancellation *cancellation, bool *found,
                        sf_object_info *info, sf_error *error);
sf_code sf_storage_list(sf_storage *storage, const char *prefix, const sf_cancellation *cancellation,
                        sf_storage_list_callback callback, void *user_data, sf_error *error);
sf_code sf_storage_list_after(sf_storage *storage, const char *prefix, const char *after,
                              const sf_cancellation *cancellation, sf_storage_list_callback callback, void *user_data,
                              sf_error *error);
sf_code sf_storage_local_file(sf_storage *storage, const char *key, const char *download_path,
                              const sf_cancellation *cancellation, bool *found, char **path, sf_error *error);

/* `condition` and `stored` may be NULL: then the object is written in any case. */
sf_code sf_storage_put(sf_storage *storage, const char *key, const void *bytes, size_t length,
                       const sf_put_condition *condition, const sf_cancellation *cancellation, bool *stored,
                       sf_error *error);
sf_code sf_storage_put_file(sf_storage *storage, const char *key, const char *path, const sf_cancellation *cancellation,
                            sf_error *error);
sf_code sf_storage_remove(sf_storage *storage, const char *key, const sf_cancellation *cancellation, sf_error *error);
/* Removes everything below the folder `prefix` ("shards/run_id=…/"), and the folder. Links to folders are removed, not
 * followed. Objects that are written meanwhile may stay. Each that is removed is progress to a cancellation with a time limit. */
sf_code sf_storage_remove_all(sf_storage *storage, const char *prefix, const sf_cancellation *cancellation,
                              sf_error *error);

/* None where the storage knows no such thing. */
sf_code sf_storage_unfinished_writes(sf_storage *storage, const char *prefix, bool abort,
                                     const sf_cancellation *cancellation, uint64_t *count, sf_error *error);

/* Whether the storage makes requests; *traffic says how many there were. */
bool sf_storage_get_traffic(const sf_storage *storage, sf_storage_traffic *traffic);

/* What a listing finds, collected before anything is done with it. */
typedef struct sf_storage_names {
  char **names; /* as the listing has them: folders end in '/' */
  size_t count;
  size_t capacity;
} sf_storage_names;

/* `names` is the caller's to free; after a failure there is nothing to free. */
sf_code sf_storage_list_names(sf_storage *storage, const char *prefix, const sf_cancellation *cancellation,
                              sf_storage_names *names, sf_error *error);
void sf_storage_names_free(sf_storage_names *names);

extern const sf_storage_vtable sf_file_storage;
extern const sf_storage_vtable sf_s3_storage;

#endif
