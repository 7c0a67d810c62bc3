#include "support/remote_storage.h"

#include <stdatomic.h>
#include <stdio.h>

typedef struct remote_storage {
  sf_storage base;
  sf_storage *directory;
  atomic_size_t requests;
} remote_storage;

static remote_storage *remote_of(sf_storage *storage) {
  return (remote_storage *)storage;
}

static sf_storage *count_request(sf_storage *storage) {
  remote_storage *remote = remote_of(storage);
  atomic_fetch_add(&remote->requests, 1);
  return remote->directory;
}

static void remote_close(sf_storage *storage) {
  sf_storage_close(remote_of(storage)->directory);
  free(storage);
}

static sf_code remote_get(sf_storage *storage, const char *key, size_t max_bytes, const sf_cancellation *cancellation,
                          bool *found, sf_buffer *contents, sf_object_info *info, sf_error *error) {
  return sf_storage_get_with_info(count_request(storage), key, max_bytes, cancellation, found, contents, info, error);
}

static sf_code remote_get_range(sf_storage *storage, const char *key, uint64_t offset, size_t length,
                                const sf_cancellation *cancellation, bool *found, void *bytes, sf_error *error) {
  return sf_storage_get_range(count_request(storage), key, offset, length, cancellation, found, bytes, error);
}

static sf_code remote_head(sf_storage *storage, const char *key, const sf_cancellation *cancellation, bool *found,
                           sf_object_info *info, sf_error *error) {
  sf_code code = sf_storage_head(count_request(storage), key, cancellation, found, info, error);
  if (code == SF_OK && *found)
    snprintf(info->etag, sizeof(info->etag), "\"%llu\"", (unsigned long long)info->size);
  return code;
}

static sf_code remote_list(sf_storage *storage, const char *prefix, const char *after,
                           const sf_cancellation *cancellation, sf_storage_list_callback callback, void *user_data,
                           sf_error *error) {
  return sf_storage_list_after(count_request(storage), prefix, after, cancellation, callback, user_data, error);
}

static sf_code remote_local_file(sf_storage *storage, const char *key, const char *download_path,
                                 const sf_cancellation *cancellation, bool *found, char **path, sf_error *error) {
  (void)storage, (void)download_path, (void)cancellation;
  *found = false;
  *path = NULL;
  return sf_fail(error, SF_ERROR, "%s is not on this machine", key);
}

static sf_code remote_put_file(sf_storage *storage, const char *key, const char *path,
                               const sf_cancellation *cancellation, sf_error *error) {
  return sf_storage_put_file(count_request(storage), key, path, cancellation, error);
}

static const sf_storage_vtable remote_vtable = {
    .scheme = "remote",
    .is_remote = true,
    .close = remote_close,
    .get = remote_get,
    .get_range = remote_get_range,
    .head = remote_head,
    .list = remote_list,
    .local_file = remote_local_file,
    .put_file = remote_put_file,
};

sf_code remote_storage_open(const char *root, sf_storage **storage, sf_error *error) {
  remote_storage *remote = sf_calloc(1, sizeof(*remote));
  if (remote == NULL)
    return sf_fail_memory(error, "storage");
  sf_code code = sf_storage_open(root, NULL, &remote->directory, error);
  if (code != SF_OK) {
    free(remote);
    return code;
  }
  remote->base = (sf_storage){.vtable = &remote_vtable, .root = remote->directory->root};
  atomic_init(&remote->requests, 0);
  *storage = &remote->base;
  return SF_OK;
}

size_t remote_storage_requests(const sf_storage *storage) {
  return atomic_load(&((const remote_storage *)storage)->requests);
}
