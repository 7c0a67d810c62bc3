#include "storage/storage.h"

#include "base/memory.h"
#include "storage/s3/shown.h"

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
  char shown[256];
  sf_s3_show(shown, sizeof(shown), root, strlen(root)); /* a URL can hold passwords and signatures */
  return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "snapshot root %s: no storage for the scheme '%.*s'", shown,
                 (int)(length < 32 ? length : 32), root);
}

void sf_storage_close(sf_storage *storage) {
  if (storage != NULL)
    storage->vtable->close(storage);
}

sf_code sf_storage_get(sf_storage *storage, const char *key, size_t max_bytes, const sf_cancellation *cancellation,
                       bool *found, sf_buffer *contents, sf_error *error) {
  return storage->vtable->get(storage, key, max_bytes, cancellation, found, contents, NULL, error);
}

sf_code sf_storage_get_with_info(sf_storage *storage, const char *key, size_t max_bytes,
                                 const sf_cancellation *cancellation, bool *found, sf_buffer *contents,
                                 sf_object_info *info, sf_error *error) {
  return storage->vtable->get(storage, key, max_bytes, cancellation, found, contents, info, error);
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
  return storage->vtable->list(storage, prefix, "", cancellation, callback, user_data, error);
}

sf_code sf_storage_list_after(sf_storage *storage, const char *prefix, const char *after,
                              const sf_cancellation *cancellation, sf_storage_list_callback callback, void *user_data,
                              sf_error *error) {
  return storage->vtable->list(storage, prefix, after, cancellation, callback, user_data, error);
}

sf_code sf_storage_local_file(sf_storage *storage, const char *key, const char *download_path,
                              const sf_cancellation *cancellation, bool *found, char **path, sf_error *error) {
  return storage->vtable->local_file(storage, key, download_path, cancellation, found, path, error);
}

sf_code sf_storage_put(sf_storage *storage, const char *key, const void *bytes, size_t length,
                       const sf_put_condition *condition, const sf_cancellation *cancellation, bool *stored,
                       sf_error *error) {
  bool was_stored = false;
  sf_code code = storage->vtable->put(storage, key, bytes, length, condition, cancellation, &was_stored, error);
  if (code == SF_OK && stored != NULL)
    *stored = was_stored;
  return code;
}

sf_code sf_storage_put_file(sf_storage *storage, const char *key, const char *path, const sf_cancellation *cancellation,
                            sf_error *error) {
  return storage->vtable->put_file(storage, key, path, cancellation, error);
}

sf_code sf_storage_remove(sf_storage *storage, const char *key, const sf_cancellation *cancellation, sf_error *error) {
  return storage->vtable->remove(storage, key, cancellation, error);
}

sf_code sf_storage_unfinished_writes(sf_storage *storage, const char *prefix, bool abort,
                                     const sf_cancellation *cancellation, uint64_t *count, sf_error *error) {
  *count = 0;
  if (storage->vtable->unfinished_writes == NULL)
    return SF_OK;
  return storage->vtable->unfinished_writes(storage, prefix, abort, cancellation, count, error);
}

bool sf_storage_get_traffic(const sf_storage *storage, sf_storage_traffic *traffic) {
  bool is_known = storage->vtable->traffic != NULL;
  *traffic = is_known ? storage->vtable->traffic(storage) : (sf_storage_traffic){0};
  return is_known;
}

/* -------------------------------------------------------------------------------------------------------------- Names */

typedef struct collecting {
  sf_storage_names *names;
  bool is_out_of_memory;
} collecting;

static bool add_name(const char *name, void *user_data) {
  collecting *to = user_data;
  sf_storage_names *names = to->names;
  bool has_room = sf_array_make_room(&names->names, names->count, &names->capacity, sizeof(*names->names));
  char *copy = has_room ? sf_strdup(name) : NULL;
  to->is_out_of_memory = copy == NULL;
  if (copy != NULL)
    names->names[names->count++] = copy;
  return copy != NULL;
}

void sf_storage_names_free(sf_storage_names *names) {
  for (size_t i = 0; i < names->count; i++)
    free(names->names[i]);
  free(names->names);
  *names = (sf_storage_names){0};
}

sf_code sf_storage_list_names(sf_storage *storage, const char *prefix, const sf_cancellation *cancellation,
                              sf_storage_names *names, sf_error *error) {
  *names = (sf_storage_names){0};
  collecting to = {.names = names};
  sf_code code = sf_storage_list(storage, prefix, cancellation, add_name, &to, error);
  if (code == SF_OK && to.is_out_of_memory)
    code = sf_fail_memory(error, "listing");
  if (code != SF_OK)
    sf_storage_names_free(names);
  return code;
}

/* ------------------------------------------------------------------------------------------------- Removing a folder */

/* Folders of snapshots are a few levels deep. */
#define MAX_DEPTH 64

static sf_code remove_folder(sf_storage *storage, const char *prefix, unsigned depth,
                             const sf_cancellation *cancellation, sf_error *error);

static sf_code remove_listed(sf_storage *storage, const char *prefix, const char *name, unsigned depth,
                             const sf_cancellation *cancellation, sf_error *error) {
  char *key = sf_format("%s%s", prefix, name);
  if (key == NULL)
    return sf_fail_memory(error, "key of an object");
  bool is_folder = key[strlen(key) - 1] == '/';
  sf_code code = SF_OK;
  /* On this machine a folder can be a link to one elsewhere: then this removes the link, and there is nothing to list. */
  if (!is_folder || !storage->vtable->is_remote)
    code = sf_storage_remove(storage, key, cancellation, error);
  sf_cancellation_progress(cancellation);
  if (code == SF_OK && is_folder)
    code = remove_folder(storage, key, depth + 1, cancellation, error);
  free(key);
  return code;
}

static sf_code remove_folder(sf_storage *storage, const char *prefix, unsigned depth,
                             const sf_cancellation *cancellation, sf_error *error) {
  if (depth > MAX_DEPTH)
    return sf_fail(error, SF_ERROR, "%s: folders more than %d deep are not removed", storage->root, MAX_DEPTH);
  sf_storage_names listed;
  SF_TRY(sf_storage_list_names(storage, prefix, cancellation, &listed, error));
  sf_cancellation_progress(cancellation);
  sf_code code = SF_OK;
  for (size_t i = 0; i < listed.count && code == SF_OK; i++)
    code = remove_listed(storage, prefix, listed.names[i], depth, cancellation, error);
  sf_storage_names_free(&listed);
  return code == SF_OK && prefix[0] != '\0' ? sf_storage_remove(storage, prefix, cancellation, error) : code;
}

sf_code sf_storage_remove_all(sf_storage *storage, const char *prefix, const sf_cancellation *cancellation,
                              sf_error *error) {
  size_t length = strlen(prefix);
  if (length > 0 && prefix[length - 1] != '/')
    return sf_fail(error, SF_ERROR, "%s: expected a folder that ends in '/', found '%s'", storage->root, prefix);
  return remove_folder(storage, prefix, 0, cancellation, error);
}
