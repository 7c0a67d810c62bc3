/*
 * The history of a root: its published manifests, newest first, from a listing of their names. No manifest is read, but
 * `_CURRENT` is, to mark the live one; without it, or with a malformed one, none is live.
 */
#include "async/operation.h"
#include "base/memory.h"
#include "reader/options.h"
#include "snapshot/reference.h"
#include "snapshot/snapshot.h"

#include <stdio.h>
#include <string.h>

/* The prefix of the references: the one that `_CURRENT` has its manifest below, or the root. */
typedef struct published_below {
  const char *prefix;
  size_t prefix_length;
  const char *live_key; /* NULL: none is live */
} published_below;

static published_below find_prefix(const sf_storage *storage, const sf_pointer *pointer, const char *live_key) {
  published_below found = {.prefix = storage->root, .prefix_length = strlen(storage->root), .live_key = live_key};
  if (live_key == NULL)
    return found;
  size_t ref_length = strlen(pointer->manifest_ref);
  size_t key_length = strlen(live_key);
  if (ref_length > key_length + 1 && strcmp(pointer->manifest_ref + ref_length - key_length, live_key) == 0) {
    found.prefix = pointer->manifest_ref;
    found.prefix_length = ref_length - key_length - 1;
  }
  return found;
}

static size_t text_size(const published_below *below, const char *name) {
  /* "prefix/manifests/name/manifest", and the timestamp and the run id, which together are shorter than the name. */
  return below->prefix_length + sizeof("/manifests//manifest") + 2 * strlen(name) + 2;
}

static void describe(const published_below *below, const char *name, char **text, sf_published_manifest *manifest) {
  sf_manifest_name parsed;
  if (!sf_manifest_name_parse(name, &parsed))
    return;
  char *ref = *text;
  *text += sprintf(ref, "%.*s/manifests/%s/manifest", (int)below->prefix_length, below->prefix, name) + 1;
  char *published_at = *text;
  *text += sprintf(published_at, "%.*s", (int)parsed.published_at_length, parsed.published_at) + 1;
  *manifest = (sf_published_manifest){.ref = ref,
                                      .published_at = published_at,
                                      .run_id = sf_block_copy_text(text, parsed.run_id),
                                      .is_live = below->live_key != NULL &&
                                                 strcmp(ref + below->prefix_length + 1, below->live_key) == 0};
}

static sf_code describe_all(const published_below *below, const sf_name_list *list, size_t count,
                            sf_published_manifest **manifests, sf_error *error) {
  size_t size = count * sizeof(**manifests);
  for (size_t i = 0; i < count; i++)
    size += text_size(below, list->names[i]);
  sf_published_manifest *made = sf_calloc(1, size);
  if (made == NULL)
    return sf_fail_memory(error, "history");
  char *text = (char *)(made + count);
  for (size_t i = 0; i < count; i++)
    describe(below, list->names[i], &text, &made[i]);
  *manifests = made;
  return SF_OK;
}

/* Names sort by the time of publishing. Where the live manifest and newer ones are enough for the limit, only they are
 * listed: one page, in general. */
static sf_code list_newest(sf_storage *storage, const char *live_key, size_t limit, const sf_cancellation *cancellation,
                           sf_name_list *list, sf_error *error) {
  static const char folder[] = "manifests/";
  if (limit > 0 && live_key != NULL && strncmp(live_key, folder, sizeof(folder) - 1) == 0) {
    const char *name = live_key + sizeof(folder) - 1;
    char *after = sf_memdup_string(name, strcspn(name, "/")); /* without the slash: sorts before the live one */
    if (after == NULL)
      return sf_fail_memory(error, "history");
    sf_code code = sf_snapshot_list_manifests(storage, after, cancellation, list, error);
    free(after);
    if (code != SF_OK || list->count >= limit)
      return code;
    sf_name_list_free(list);
  }
  return sf_snapshot_list_manifests(storage, "", cancellation, list, error);
}

static sf_code read_history(sf_storage *storage, size_t limit, const sf_cancellation *cancellation,
                            sf_published_manifest **manifests, size_t *count, sf_error *error) {
  sf_pointer pointer = {0};
  char *live_key = NULL;
  sf_name_list list = {0};
  sf_error failure;
  sf_code code = sf_snapshot_read_pointer(storage, cancellation, &pointer, &failure);
  if (code == SF_OK)
    code = sf_reference_manifest_key(pointer.manifest_ref, storage->root, &live_key, &failure);
  /* Without a pointer, or with a malformed one, the history is what helps to repair it. */
  if (code == SF_READER_STATE_ERROR || code == SF_MANIFEST_PARSE_ERROR)
    code = SF_OK;
  else if (code != SF_OK && error != NULL)
    *error = failure;
  if (code == SF_OK)
    code = list_newest(storage, live_key, limit, cancellation, &list, error);
  if (code == SF_OK && live_key == NULL && list.count == 0)
    code =
        sf_fail(error, SF_READER_STATE_ERROR, "no snapshot at %s: expected manifests there, found none", storage->root);
  if (code == SF_OK) {
    published_below below = find_prefix(storage, &pointer, live_key);
    *count = limit > 0 && limit < list.count ? limit : list.count;
    code = describe_all(&below, &list, *count, manifests, error);
  }
  sf_name_list_free(&list);
  sf_pointer_free(&pointer);
  free(live_key);
  return code;
}

static sf_code history_of_root(const char *root, const sf_reader_options *options, size_t limit,
                               const sf_cancellation *cancellation, sf_published_manifest **manifests, size_t *count,
                               sf_error *error) {
  sf_storage *storage;
  SF_TRY(sf_reader_options_open_storage(options, root, &storage, error));
  sf_code code = read_history(storage, limit, cancellation, manifests, count, error);
  sf_storage_close(storage);
  return code;
}

sf_code sf_snapshot_history(const char *root, const sf_reader_options *given, size_t limit,
                            sf_published_manifest **manifests, size_t *count, sf_error *error) {
  sf_reader_options options;
  SF_TRY(sf_reader_options_read(given, &options, error));
  return history_of_root(root, &options, limit, NULL, manifests, count, error);
}

typedef struct history_context {
  char *root;
  sf_reader_options options;
  size_t limit;
} history_context;

static void free_history(void *context) {
  history_context *reading = context;
  sf_reader_options_copy_free(&reading->options);
  free(reading->root);
  free(reading);
}

static const sf_outcome_kind history = {.name = "history", .free = sf_outcome_free_block};

static sf_code run_history(void *context, const sf_cancellation *cancellation, sf_outcome *outcome, sf_error *error) {
  const history_context *reading = context;
  sf_published_manifest *manifests = NULL;
  size_t count = 0;
  SF_TRY(history_of_root(reading->root, &reading->options, reading->limit, cancellation, &manifests, &count, error));
  *outcome = (sf_outcome){.kind = &history, .value = manifests, .count = count};
  return SF_OK;
}

sf_published_manifest *sf_operation_take_history(sf_operation *operation, size_t *count) {
  return sf_operation_take(operation, &history, count);
}

sf_code sf_snapshot_history_submit(const char *root, const sf_reader_options *given, size_t limit,
                                   sf_executor *executor, sf_completion_queue *queue, void *user_data,
                                   sf_operation **operation, sf_error *error) {
  static const sf_job_functions functions = {.run = run_history, .free_context = free_history};
  history_context *reading = sf_calloc(1, sizeof(*reading));
  if (reading == NULL)
    return sf_fail_memory(error, "operation");
  sf_code code = sf_reader_options_copy(given, &reading->options, error);
  if (code == SF_OK && root != NULL && (reading->root = sf_strdup(root)) == NULL)
    code = sf_fail_memory(error, "operation");
  if (code != SF_OK) {
    free_history(reading);
    return code;
  }
  reading->limit = limit;
  return sf_job_submit(executor, queue, user_data, &functions, reading, operation, error);
}

const sf_published_manifest *sf_published_manifest_at(const sf_published_manifest *manifests, size_t index) {
  return &manifests[index];
}
