#include "snapshot/publish.h"

#include "snapshot/manifest_writer.h"
#include "snapshot/pointer.h"

#include <string.h>
#include <unistd.h>

/* More than so many writers at once are not to be expected. */
#define MAX_TRIES 100

/* Whether the bytes of a pointer name that manifest. */
static sf_code names_manifest(const sf_buffer *bytes, const char *manifest_ref, bool *names, sf_error *error) {
  sf_pointer pointer = {0};
  SF_TRY(sf_pointer_parse((const char *)bytes->data, bytes->length, &pointer, error));
  *names = strcmp(pointer.manifest_ref, manifest_ref) == 0;
  sf_pointer_free(&pointer);
  return SF_OK;
}

/* What is written, and instead of what. */
typedef struct replacement {
  sf_storage *storage;
  const char *present_ref; /* NULL: of any, or none */
  const char *manifest_ref;
  const char *run_id;
} replacement;

/* Replaces the present pointer, by its ETag: a concurrent writer is not overwritten unseen. *is_due is false where it points
 * elsewhere. */
static sf_code replace_pointer(const replacement *by, const sf_buffer *pointer, const sf_cancellation *cancellation,
                               bool *stored, bool *is_due, sf_error *error) {
  sf_buffer present = {0};
  sf_object_info info = {0};
  bool found = false;
  SF_TRY(sf_storage_get_with_info(by->storage, SF_POINTER_KEY, SF_POINTER_MAX_BYTES, cancellation, &found, &present,
                                  &info, error));
  sf_code code = SF_OK;
  if (by->present_ref != NULL)
    *is_due = found;
  if (by->present_ref != NULL && found)
    code = names_manifest(&present, by->present_ref, is_due, error);
  sf_buffer_free(&present);
  if (code != SF_OK || !*is_due)
    return code;
  const sf_put_condition condition = {.if_none_match = !found,
                                      .if_match = found && info.etag[0] != '\0' ? info.etag : NULL};
  return sf_storage_put(by->storage, SF_POINTER_KEY, pointer->data, pointer->length, &condition, cancellation, stored,
                        error);
}

static sf_code publish(const replacement *by, const sf_cancellation *cancellation, bool *replaced, sf_error *error) {
  bool stored = false;
  bool is_due = true;
  for (int i = 0; i < MAX_TRIES && !stored && is_due; i++) {
    char now[SF_TIMESTAMP_SIZE];
    sf_buffer pointer = {0};
    sf_timestamp_now(now);
    sf_code code = sf_pointer_write(by->manifest_ref, by->run_id, now, &pointer, error);
    if (code == SF_OK)
      code = replace_pointer(by, &pointer, cancellation, &stored, &is_due, error);
    sf_buffer_free(&pointer);
    if (code != SF_OK)
      return code;
  }
  *replaced = stored;
  return stored || !is_due
             ? SF_OK
             : sf_fail(error, SF_ERROR, "%s: expected to replace %s, found it changed by others each of %d times",
                       by->storage->root, SF_POINTER_KEY, MAX_TRIES);
}

sf_code sf_publish_pointer(sf_storage *storage, const char *manifest_ref, const char *run_id,
                           const sf_cancellation *cancellation, sf_error *error) {
  bool replaced;
  const replacement by = {.storage = storage, .manifest_ref = manifest_ref, .run_id = run_id};
  return publish(&by, cancellation, &replaced, error);
}

sf_code sf_publish_pointer_instead_of(sf_storage *storage, const char *present_ref, const char *manifest_ref,
                                      const char *run_id, const sf_cancellation *cancellation, bool *replaced,
                                      sf_error *error) {
  const replacement by = {
      .storage = storage, .present_ref = present_ref, .manifest_ref = manifest_ref, .run_id = run_id};
  return publish(&by, cancellation, replaced, error);
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
