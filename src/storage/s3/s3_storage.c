/* Snapshots below s3://bucket/prefix. */
#include "storage/s3/download.h"
#include "storage/s3/fetch.h"
#include "storage/s3/listing.h"
#include "storage/s3/upload.h"
#include "storage/s3/uploads.h"
#include "storage/storage.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* What is read with one request, in memory and hedged; more comes in parts. */
#define SMALL_RANGE ((size_t)1 << 20)

typedef struct s3_storage {
  sf_storage storage; /* first: the storage is its s3_storage */
  sf_s3_client *client;
  char *prefix; /* no slash at either end; may be empty */
  sf_s3_download_listener listener;
} s3_storage;

static s3_storage *of(sf_storage *storage) {
  return (s3_storage *)storage;
}

/* ---------------------------------------------------------------------------------------------------- Open and close */

static void s3_close(sf_storage *storage) {
  s3_storage *closed = of(storage);
  sf_s3_client_free(closed->client);
  free(closed->prefix);
  free(storage->root);
  free(closed);
}

static sf_code s3_open(const char *root, const sf_storage_options *options, sf_storage **storage, sf_error *error) {
  char *bucket = NULL;
  s3_storage *opened = sf_calloc(1, sizeof(*opened));
  if (opened == NULL)
    return sf_fail_memory(error, "storage");
  opened->storage.vtable = &sf_s3_storage;
  const sf_storage_options none = {.s3 = NULL};
  if (options == NULL)
    options = &none;
  const sf_log log = {.callback = options->log, .user_data = options->log_user_data};
  opened->listener = (sf_s3_download_listener){.report = options->download, .user_data = options->download_user_data};
  sf_code code = sf_s3_root_parse(root, &bucket, &opened->prefix, error);
  if (code == SF_OK)
    code = sf_s3_client_create(options->s3, bucket, &log, &opened->client, error);
  if (code == SF_OK) {
    opened->storage.root = sf_format("s3://%s%s%s", bucket, opened->prefix[0] != '\0' ? "/" : "", opened->prefix);
    if (opened->storage.root == NULL)
      code = sf_fail_memory(error, "storage");
  }
  free(bucket);
  if (code != SF_OK) {
    s3_close(&opened->storage);
    return code;
  }
  *storage = &opened->storage;
  return SF_OK;
}

/* The key in the bucket of a key below the root. */
static sf_code full_key(const s3_storage *storage, const char *key, char **full, sf_error *error) {
  *full = storage->prefix[0] != '\0' ? sf_format("%s/%s", storage->prefix, key) : sf_strdup(key);
  if (*full == NULL)
    return sf_fail_memory(error, "S3 key");
  if ((*full)[0] != '\0')
    return SF_OK;
  free(*full);
  return sf_fail(error, SF_ERROR, "%s: the key of an object is empty", storage->storage.root);
}

/* ------------------------------------------------------------------------------------------------------------ Reading */

static void describe(sf_object_info *info, uint64_t size, const char *etag) {
  *info = (sf_object_info){.size = size};
  if (etag != NULL && strlen(etag) < sizeof(info->etag))
    memcpy(info->etag, etag, strlen(etag) + 1);
}

static sf_code s3_get(sf_storage *storage, const char *key, size_t max_bytes, const sf_cancellation *cancellation,
                      bool *found, sf_buffer *contents, sf_object_info *info, sf_error *error) {
  char *full;
  SF_TRY(full_key(of(storage), key, &full, error));
  const sf_s3_request request = {
      .method = "GET", .key = full, .wants_checksum = true, .max_body = max_bytes, .may_hedge = true};
  sf_s3_call call;
  sf_code code = sf_s3_call_run(&call, of(storage)->client, &request, cancellation, error);
  *found = code == SF_OK && call.verdict == SF_S3_SUCCESS;
  if (*found && info != NULL)
    describe(info, call.body.length, call.etag);
  if (*found && contents->data == NULL) {
    *contents = call.body;
    call.body = (sf_buffer){0};
  } else if (*found && !sf_buffer_append(contents, call.body.data, call.body.length)) {
    code = sf_fail_memory(error, full);
  }
  sf_s3_call_clear(&call);
  free(full);
  return code;
}

static sf_code s3_head(sf_storage *storage, const char *key, const sf_cancellation *cancellation, bool *found,
                       sf_object_info *info, sf_error *error) {
  char *full;
  SF_TRY(full_key(of(storage), key, &full, error));
  const sf_s3_request request = {.method = "HEAD", .key = full, .may_hedge = true};
  sf_s3_call call;
  sf_code code = sf_s3_call_run(&call, of(storage)->client, &request, cancellation, error);
  *found = code == SF_OK && call.verdict == SF_S3_SUCCESS;
  if (*found && call.has_object_size)
    describe(info, call.object_size, call.etag);
  else if (*found)
    code = sf_fail(error, SF_ERROR, "s3://%s/%s: the store does not say how large it is", of(storage)->client->bucket,
                   full);
  sf_s3_call_clear(&call);
  free(full);
  return code;
}

static sf_code get_small_range(const s3_storage *storage, const char *key, uint64_t offset, size_t length,
                               const sf_cancellation *cancellation, bool *found, void *bytes, sf_error *error) {
  const sf_s3_request request = {.method = "GET",
                                 .key = key,
                                 .range_first = offset,
                                 .range_length = length,
                                 .max_body = length,
                                 .may_hedge = true};
  sf_s3_call call;
  sf_code code = sf_s3_call_run(&call, storage->client, &request, cancellation, error);
  *found = code == SF_OK && call.verdict != SF_S3_NOT_FOUND;
  bool is_short = *found && (call.verdict != SF_S3_SUCCESS || call.body.length != length);
  if (is_short)
    code = sf_fail(error, SF_ERROR, "s3://%s/%s: expected %zu bytes at offset %" PRIu64 ", found %zu",
                   storage->client->bucket, key, length, offset, call.body.length);
  else if (*found)
    memcpy(bytes, call.body.data, length);
  sf_s3_call_clear(&call);
  return code;
}

typedef struct memory_fetch {
  sf_s3_fetch fetch; /* first */
  uint8_t *bytes;
} memory_fetch;

static bool write_to_memory(sf_s3_fetch *fetch, uint64_t offset, const uint8_t *bytes, size_t length, sf_error *error) {
  (void)error;
  memcpy(((memory_fetch *)fetch)->bytes + offset, bytes, length);
  return true;
}

static sf_code s3_get_range(sf_storage *storage, const char *key, uint64_t offset, size_t length,
                            const sf_cancellation *cancellation, bool *found, void *bytes, sf_error *error) {
  sf_object_info info;
  if (length == 0)
    return s3_head(storage, key, cancellation, found, &info, error);
  uint64_t end;
  if (__builtin_add_overflow(offset, length, &end))
    return sf_fail(error, SF_ERROR, "%s/%s: a range beyond all objects", storage->root, key);
  char *full;
  SF_TRY(full_key(of(storage), key, &full, error));
  sf_code code;
  if (length <= SMALL_RANGE) {
    code = get_small_range(of(storage), full, offset, length, cancellation, found, bytes, error);
  } else {
    memory_fetch large = {.fetch = {.key = full, .first = offset, .length = length, .write = write_to_memory},
                          .bytes = bytes};
    code = sf_s3_fetch_run(of(storage)->client, &large.fetch, cancellation, error);
    *found = large.fetch.found;
  }
  free(full);
  return code;
}

static sf_code s3_local_file(sf_storage *storage, const char *key, const char *download_path,
                             const sf_cancellation *cancellation, bool *found, char **path, sf_error *error) {
  char *full;
  SF_TRY(full_key(of(storage), key, &full, error));
  sf_code code =
      sf_s3_download(of(storage)->client, full, download_path, &of(storage)->listener, cancellation, found, error);
  free(full);
  if (code != SF_OK || !*found)
    return code;
  *path = sf_strdup(download_path);
  return *path != NULL ? SF_OK : sf_fail_memory(error, download_path);
}

/* ------------------------------------------------------------------------------------------------------------ Writing */

/* A try whose answer was lost may have stored the object, and its repetition then found the condition broken by ourselves.
 * What is there now says which: the bytes that we put are the bytes that we put. */
static sf_code find_what_was_put(sf_storage *storage, const char *key, const void *bytes, size_t length,
                                 const sf_cancellation *cancellation, bool *stored, sf_error *error) {
  sf_object_info info;
  sf_buffer contents = {0};
  bool found = false;
  SF_TRY(s3_head(storage, key, cancellation, &found, &info, error));
  if (!found || info.size != length)
    return SF_OK;
  sf_code code = s3_get(storage, key, length, cancellation, &found, &contents, NULL, error);
  *stored =
      code == SF_OK && found && contents.length == length && (length == 0 || memcmp(contents.data, bytes, length) == 0);
  sf_buffer_free(&contents);
  return code;
}

static sf_code s3_put(sf_storage *storage, const char *key, const void *bytes, size_t length,
                      const sf_put_condition *condition, const sf_cancellation *cancellation, bool *stored,
                      sf_error *error) {
  char *full;
  SF_TRY(full_key(of(storage), key, &full, error));
  const sf_s3_request request = {
      .method = "PUT",
      .key = full,
      .body = bytes != NULL ? bytes : "",
      .body_length = length,
      .if_match = condition != NULL ? condition->if_match : NULL,
      .if_none_match = condition != NULL && condition->if_none_match ? "*" : NULL,
      .max_body = (size_t)64 << 10,
  };
  sf_s3_call call;
  sf_code code = sf_s3_call_run(&call, of(storage)->client, &request, cancellation, error);
  *stored = code == SF_OK && call.verdict == SF_S3_SUCCESS;
  if (code == SF_OK && call.verdict == SF_S3_PRECONDITION && call.times_sent > 1)
    code = find_what_was_put(storage, key, request.body, length, cancellation, stored, error);
  else if (code == SF_OK && call.verdict == SF_S3_NOT_FOUND && request.if_match == NULL)
    code = sf_fail(error, SF_ERROR, "PUT s3://%s/%s: the store does not find what is to be written",
                   of(storage)->client->bucket, full);
  sf_s3_call_clear(&call);
  free(full);
  return code;
}

static sf_code s3_put_file(sf_storage *storage, const char *key, const char *path, const sf_cancellation *cancellation,
                           sf_error *error) {
  char *full;
  SF_TRY(full_key(of(storage), key, &full, error));
  sf_code code = sf_s3_upload(of(storage)->client, full, path, cancellation, error);
  free(full);
  return code;
}

static sf_code s3_remove(sf_storage *storage, const char *key, const sf_cancellation *cancellation, sf_error *error) {
  char *full;
  SF_TRY(full_key(of(storage), key, &full, error));
  const sf_s3_request request = {.method = "DELETE", .key = full, .max_body = (size_t)64 << 10};
  sf_s3_call call;
  sf_code code = sf_s3_call_run(&call, of(storage)->client, &request, cancellation, error);
  sf_s3_call_clear(&call);
  free(full);
  return code;
}

static sf_code s3_unfinished_writes(sf_storage *storage, const char *prefix, bool abort,
                                    const sf_cancellation *cancellation, uint64_t *count, sf_error *error) {
  char *full;
  SF_TRY(full_key(of(storage), prefix, &full, error));
  sf_code code = sf_s3_unfinished_uploads(of(storage)->client, full, abort, cancellation, count, error);
  free(full);
  return code;
}

static sf_code s3_list(sf_storage *storage, const char *prefix, const char *after, const sf_cancellation *cancellation,
                       sf_storage_list_callback callback, void *user_data, sf_error *error) {
  const s3_storage *listed = of(storage);
  char *full = listed->prefix[0] != '\0' ? sf_format("%s/%s", listed->prefix, prefix) : sf_strdup(prefix);
  if (full == NULL)
    return sf_fail_memory(error, "S3 prefix");
  sf_code code = sf_s3_list(listed->client, full, after, cancellation, callback, user_data, error);
  free(full);
  return code;
}

static sf_storage_traffic s3_traffic(const sf_storage *storage) {
  const sf_s3_client *client = ((const s3_storage *)storage)->client;
  return (sf_storage_traffic){
      .num_requests = atomic_load_explicit(&client->num_requests, memory_order_relaxed),
      .num_bytes = atomic_load_explicit(&client->num_bytes, memory_order_relaxed),
  };
}

const sf_storage_vtable sf_s3_storage = {
    .scheme = "s3",
    .is_remote = true,
    .open = s3_open,
    .close = s3_close,
    .get = s3_get,
    .get_range = s3_get_range,
    .head = s3_head,
    .list = s3_list,
    .local_file = s3_local_file,
    .put = s3_put,
    .put_file = s3_put_file,
    .remove = s3_remove,
    .unfinished_writes = s3_unfinished_writes,
    .traffic = s3_traffic,
};
