#include "snapshot/publish.h"

#include "snapshot/manifest_writer.h"
#include "snapshot/pointer.h"

#include <string.h>
#include <unistd.h>

/* More than so many writers at once are not to be expected. */
#define MAX_TRIES 100

/* Replaces the present pointer, by its ETag: a concurrent writer is not overwritten unseen. */
static sf_code replace_pointer(sf_storage *storage, const sf_buffer *pointer, const sf_cancellation *cancellation,
                               bool *stored, sf_error *error) {
  sf_buffer present = {0};
  sf_object_info info = {0};
  bool found = false;
  SF_TRY(sf_storage_get_with_info(storage, SF_POINTER_KEY, SF_POINTER_MAX_BYTES, cancellation, &found, &present, &info,
                                  error));
  sf_buffer_free(&present);
  const sf_put_condition condition = {.if_none_match = !found,
                                      .if_match = found && info.etag[0] != '\0' ? info.etag : NULL};
  return sf_storage_put(storage, SF_POINTER_KEY, pointer->data, pointer->length, &condition, cancellation, stored,
                        error);
}

sf_code sf_publish_pointer(sf_storage *storage, const char *manifest_ref, const char *run_id,
                           const sf_cancellation *cancellation, sf_error *error) {
  bool stored = false;
  for (int i = 0; i < MAX_TRIES && !stored; i++) {
    char now[SF_TIMESTAMP_SIZE];
    sf_buffer pointer = {0};
    sf_timestamp_now(now);
    sf_code code = sf_pointer_write(manifest_ref, run_id, now, &pointer, error);
    if (code == SF_OK)
      code = replace_pointer(storage, &pointer, cancellation, &stored, error);
    sf_buffer_free(&pointer);
    if (code != SF_OK)
      return code;
  }
  return stored ? SF_OK
                : sf_fail(error, SF_ERROR, "%s: expected to replace %s, found it changed by others each of %d times",
                          storage->root, SF_POINTER_KEY, MAX_TRIES);
}

/* RFC 3986, section 2.3, and what paths may have besides. */
static bool needs_no_escape(char character) {
  return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') ||
         (character >= '0' && character <= '9') || (character != '\0' && strchr("-._~/=:@+,", character) != NULL);
}

/* A path made absolute, links and all; a root that is yet to be made has none. */
static char *absolute_path(const char *path) {
  if (path[0] == '/')
    return sf_strdup(path);
  char *folder = getcwd(NULL, 0);
  char *absolute = folder == NULL ? NULL : sf_format("%s/%s", folder, path);
  free(folder);
  return absolute;
}

char *sf_root_url(const sf_storage *storage) {
  if (storage->vtable->is_remote)
    return sf_strdup(storage->root);
  sf_buffer url = {0};
  char *path = absolute_path(storage->root);
  bool made = path != NULL && sf_buffer_append_text(&url, "file://");
  for (const char *next = path; made && *next != '\0'; next++)
    made = needs_no_escape(*next) ? sf_buffer_append(&url, next, 1)
                                  : sf_buffer_append_format(&url, "%%%02X", (unsigned char)*next);
  free(path);
  if (!made)
    sf_buffer_free(&url);
  return (char *)url.data;
}
