#include "storage/storage.h"

#include <string.h>

/* Every kind of storage. The first one also takes roots that name no scheme. */
static const sf_storage_vtable *const storages[] = {&sf_file_storage, &sf_s3_storage};

static size_t scheme_length(const char *root) {
  const char *separator = strstr(root, "://");
  return separator == NULL ? 0 : (size_t)(separator - root);
}

sf_code sf_storage_open(const char *root, const sf_storage_options *options, sf_storage **storage, sf_error *error) {
  if (root == NULL || root[0] == '\0')
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "snapshot root: expected a path or a URL, found nothing");
  size_t length = scheme_length(root);
  if (length == 0)
    return storages[0]->open(root, options, storage, error);
  for (size_t i = 0; i < sizeof(storages) / sizeof(storages[0]); i++)
    if (strlen(storages[i]->scheme) == length && strncmp(storages[i]->scheme, root, length) == 0)
      return storages[i]->open(root, options, storage, error);
  return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "snapshot root %s: no storage for the scheme '%.*s'", root,
                 (int)length, root);
}

void sf_storage_close(sf_storage *storage) {
  if (storage != NULL)
    storage->vtable->close(storage);
}

sf_code sf_storage_get(sf_storage *storage, const char *key, size_t max_bytes, const sf_cancellation *cancellation,
                       bool *found, sf_buffer *contents, sf_error *error) {
  return storage->vtable->get(storage, key, max_bytes, cancellation, found, contents, error);
}

sf_code sf_storage_get_range(sf_storage *storage, const char *key, uint64_t offset, size_t length,
                             const sf_cancellation *cancellation, bool *found, void *bytes, sf_error *error) {
  return storage->vtable->get_range(storage, key, offset, length, cancellation, found, bytes, error);
}

sf_code sf_storage_head(sf_storage *storage, const char *key, const sf_cancellation *cancellation, bool *found,
                        sf_object_info *info, sf_error *error) {
  return storage->vtable->head(storage, key, cancellation, found, info, error);
}

sf_code sf_storage_list(sf_storage *storage, const char *prefix, const sf_cancellation *cancellation,
                        sf_storage_list_callback callback, void *user_data, sf_error *error) {
  return storage->vtable->list(storage, prefix, cancellation, callback, user_data, error);
}

sf_code sf_storage_local_file(sf_storage *storage, const char *key, const char *download_path,
                              const sf_cancellation *cancellation, bool *found, char **path, sf_error *error) {
  return storage->vtable->local_file(storage, key, download_path, cancellation, found, path, error);
}
