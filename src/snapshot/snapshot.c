#include "snapshot/snapshot.h"

#include "base/memory.h"

#include "snapshot/reference.h"

#include <string.h>

sf_code sf_snapshot_read_pointer(sf_storage *storage, const sf_cancellation *cancellation, sf_pointer *pointer,
                                 sf_error *error) {
  sf_buffer contents = {0};
  bool found = false;
  sf_code code = sf_storage_get(storage, SF_POINTER_KEY, SF_POINTER_MAX_BYTES, cancellation, &found, &contents, error);
  if (code == SF_OK && !found)
    code = sf_fail(error, SF_READER_STATE_ERROR, "no snapshot at %s: expected %s there, found none", storage->root,
                   SF_POINTER_KEY);
  if (code == SF_OK)
    code = sf_pointer_parse((const char *)contents.data, contents.length, pointer, error);
  sf_buffer_free(&contents);
  return code;
}

sf_code sf_snapshot_read_manifest(sf_storage *storage, const char *key, const char *ref,
                                  const sf_cancellation *cancellation, sf_manifest *manifest, sf_error *error) {
  char *what = sf_format("manifest %s", ref);
  if (what == NULL)
    return sf_fail_memory(error, "manifest");
  sf_buffer contents = {0};
  bool found = false;
  sf_code code = sf_storage_get(storage, key, SF_MANIFEST_MAX_BYTES, cancellation, &found, &contents, error);
  if (code == SF_OK && !found)
    code = sf_fail(error, SF_MANIFEST_STORE_ERROR, "%s: expected an object at %s below %s, found none", what, key,
                   storage->root);
  if (code == SF_OK)
    code = sf_manifest_parse(contents.data, contents.length, what, manifest, error);
  sf_buffer_free(&contents);
  free(what);
  return code;
}

/* Checks, after the fact, that a failure to read an artifact is told as the format wants it: storage that can be tried
 * again stays what it is, all else is the reader's state. */
static sf_code artifact_failure(sf_error *error, sf_code code) {
  if (code == SF_OK || sf_code_retryable(code) || code == SF_CANCELLED_ERROR || code == SF_OUT_OF_MEMORY_ERROR)
    return code;
  return sf_error_recode(error, SF_READER_STATE_ERROR);
}

static sf_code parse_artifact(const sf_buffer *contents, const char *what, size_t num_rows, size_t dim, sf_npy *array,
                              sf_error *error) {
  SF_TRY(sf_npy_parse(contents->data, contents->length, what, array, error));
  if (array->num_dimensions == 2 && array->num_rows == num_rows && array->num_columns == dim)
    return SF_OK;
  sf_fail(error, SF_READER_STATE_ERROR, "%s: expected an array of %zu × %zu, found %zu × %zu", what, num_rows, dim,
          array->num_rows, array->num_columns);
  sf_npy_free(array);
  return SF_READER_STATE_ERROR;
}

sf_code sf_snapshot_read_artifact(sf_storage *storage, const sf_manifest *manifest, const char *reference,
                                  const char *what, size_t num_rows, const sf_cancellation *cancellation, sf_npy *array,
                                  sf_error *error) {
  if (reference == NULL)
    return sf_fail(error, SF_READER_STATE_ERROR, "%s: expected a reference in the manifest, found none", what);
  char *named = sf_format("%s %s", what, reference);
  if (named == NULL)
    return sf_fail_memory(error, what);
  char *key = NULL;
  sf_buffer contents = {0};
  bool found = false;
  /* As float64, and room for a header. */
  size_t max_bytes;
  if (!sf_multiply_size(num_rows, manifest->dim * sizeof(double), &max_bytes) ||
      !sf_add_size(max_bytes, (size_t)1 << 20, &max_bytes))
    max_bytes = SIZE_MAX;
  sf_code code =
      sf_reference_key(reference, manifest->s3_prefix, storage->root, what, SF_READER_STATE_ERROR, &key, error);
  if (code == SF_OK)
    code = sf_storage_get(storage, key, max_bytes, cancellation, &found, &contents, error);
  if (code == SF_OK && !found)
    code = sf_fail(error, SF_READER_STATE_ERROR, "%s: expected an object at %s below %s, found none", named, key,
                   storage->root);
  if (code == SF_OK)
    code = parse_artifact(&contents, named, num_rows, manifest->dim, array, error);
  sf_buffer_free(&contents);
  free(key);
  free(named);
  return artifact_failure(error, code);
}

sf_code sf_snapshot_load_routing(sf_storage *storage, const sf_cancellation *cancellation, sf_snapshot *snapshot,
                                 sf_error *error) {
  const sf_manifest *manifest = &snapshot->manifest;
  const sf_routing_strategy *strategy = sf_routing_strategy_of(manifest->routing.strategy);
  const sf_routing_artifact *artifact = strategy->artifact;
  if (artifact != NULL) {
    size_t num_rows = artifact->num_rows(&manifest->routing, manifest->num_dbs);
    if (num_rows == 0)
      return sf_fail(error, SF_READER_STATE_ERROR, "manifest %s: expected %s beside the strategy %s",
                     snapshot->manifest_ref, artifact->size_member, strategy->name);
    SF_TRY(sf_snapshot_read_artifact(storage, manifest, manifest->artifact_refs[strategy->id], artifact->name, num_rows,
                                     cancellation, &snapshot->artifact, error));
  }
  const sf_router_params params = {.config = &manifest->routing,
                                   .num_dbs = manifest->num_dbs,
                                   .dim = manifest->dim,
                                   .metric = manifest->metric,
                                   .artifact = snapshot->artifact.values};
  return sf_router_create(&params, &snapshot->router, error);
}

static bool add_name(const char *name, void *user_data) {
  sf_name_list *list = user_data;
  sf_manifest_name parsed;
  size_t length = strlen(name);
  /* A folder without a run id ends in "=/", which would pass for one. */
  if (length < 2 || name[length - 1] != '/' || name[length - 2] == '=' || !sf_manifest_name_parse(name, &parsed))
    return true;
  bool has_room = sf_array_make_room(&list->names, list->count, &list->capacity, sizeof(*list->names));
  char *copy = has_room ? sf_memdup_string(name, length - 1) : NULL;
  list->out_of_memory = copy == NULL;
  if (copy != NULL)
    list->names[list->count++] = copy;
  return copy != NULL;
}

/* Newest first: the timestamps are all of one width, so that their text orders as they do; equal ones by run id. */
static int compare_newest_first(const void *left, const void *right) {
  return -strcmp(*(char *const *)left, *(char *const *)right);
}

sf_code sf_snapshot_list_manifests(sf_storage *storage, const char *after, const sf_cancellation *cancellation,
                                   sf_name_list *list, sf_error *error) {
  *list = (sf_name_list){0};
  sf_code code = sf_storage_list_after(storage, "manifests/", after, cancellation, add_name, list, error);
  if (code == SF_OK && list->out_of_memory)
    code = sf_fail_memory(error, "names of manifests");
  if (code != SF_OK)
    sf_name_list_free(list);
  else if (list->count > 1)
    qsort(list->names, list->count, sizeof(*list->names), compare_newest_first);
  return code;
}

void sf_name_list_free(sf_name_list *list) {
  for (size_t i = 0; i < list->count; i++)
    free(list->names[i]);
  free(list->names);
  *list = (sf_name_list){0};
}

/* Tries one older manifest. *served says whether it is the one; a malformed one is passed over (and logged). */
static sf_code try_older_manifest(sf_storage *storage, const char *name, const char *key,
                                  const sf_snapshot_load_options *options, const sf_cancellation *cancellation,
                                  sf_snapshot *snapshot, bool *tried, bool *served, sf_error *error) {
  sf_manifest_name parsed;
  sf_error failure;
  sf_error_clear(&failure);
  sf_code code = sf_snapshot_read_manifest(storage, key, key, cancellation, &snapshot->manifest, &failure);
  /* A folder without a manifest is a run that was never published. */
  *tried = code != SF_MANIFEST_STORE_ERROR;
  *served = code == SF_OK;
  if (code == SF_MANIFEST_PARSE_ERROR || code == SF_MANIFEST_STORE_ERROR) {
    sf_log_message(options->log, SF_LOG_WARNING, "fallback: %s", failure.message);
    return SF_OK;
  }
  if (code != SF_OK) {
    if (error != NULL)
      *error = failure;
    return code;
  }
  if (sf_manifest_name_parse(name, &parsed))
    snapshot->published_seconds = parsed.published_seconds;
  snapshot->manifest_ref = sf_format("%s/%s", snapshot->manifest.s3_prefix, key);
  if (snapshot->manifest_ref == NULL)
    return sf_fail_memory(error, "reference of a manifest");
  sf_log_message(options->log, SF_LOG_WARNING, "serving the older manifest %s", snapshot->manifest_ref);
  return SF_OK;
}

/* Tries older manifests, newest first, when the live one (at failed_key) is malformed. Where none will do, the first
 * failure is what the caller gets. */
static sf_code fall_back(sf_storage *storage, const char *failed_ref, const char *failed_key,
                         const sf_snapshot_load_options *options, const sf_cancellation *cancellation,
                         sf_snapshot *snapshot, const sf_error *first_failure, sf_error *error) {
  if (options->max_fallback_attempts == 0)
    return SF_MANIFEST_PARSE_ERROR;
  sf_log_message(options->log, SF_LOG_WARNING, "falling back: %s", first_failure->message);
  sf_event_emit(options->events, (sf_event){.type = SF_EVENT_FALLBACK,
                                            .code = first_failure->code,
                                            .message = first_failure->message,
                                            .manifest_ref = failed_ref});
  sf_name_list list;
  sf_code listed = sf_snapshot_list_manifests(storage, "", cancellation, &list, error);
  if (listed != SF_OK && listed != SF_CANCELLED_ERROR && listed != SF_OUT_OF_MEMORY_ERROR)
    sf_error_prefix(error, "looking for older manifests, because the live one is malformed (%.200s)",
                    first_failure->message);
  SF_TRY(listed);
  sf_code code = SF_OK;
  bool served = false;
  uint32_t attempts = 0;
  for (size_t i = 0; i < list.count && code == SF_OK && !served && attempts < options->max_fallback_attempts; i++) {
    char *key = sf_format("manifests/%s/manifest", list.names[i]);
    bool tried = false;
    if (key == NULL)
      code = sf_fail_memory(error, "key of a manifest");
    else if (strcmp(key, failed_key) != 0)
      code = try_older_manifest(storage, list.names[i], key, options, cancellation, snapshot, &tried, &served, error);
    attempts += tried;
    free(key);
  }
  sf_name_list_free(&list);
  if (code == SF_OK && !served) {
    if (error != NULL)
      *error = *first_failure;
    return first_failure->code;
  }
  return code;
}

static sf_code load_manifest(sf_storage *storage, const sf_pointer *pointer, const sf_snapshot_load_options *options,
                             const sf_cancellation *cancellation, sf_snapshot *snapshot, sf_error *error) {
  char *key;
  sf_error failure;
  sf_error_clear(&failure);
  SF_TRY(sf_reference_manifest_key(pointer->manifest_ref, storage->root, &key, error));
  sf_code code =
      sf_snapshot_read_manifest(storage, key, pointer->manifest_ref, cancellation, &snapshot->manifest, &failure);
  if (code == SF_OK) {
    snapshot->published_seconds = pointer->updated_seconds;
    snapshot->manifest_ref = sf_strdup(pointer->manifest_ref);
    if (snapshot->manifest_ref == NULL)
      code = sf_fail_memory(error, "reference of a manifest");
  } else {
    if (error != NULL)
      *error = failure;
    if (code == SF_MANIFEST_PARSE_ERROR)
      code = fall_back(storage, pointer->manifest_ref, key, options, cancellation, snapshot, &failure, error);
  }
  free(key);
  return code;
}

static sf_code parse_given(const sf_manifest_source *given, sf_snapshot *snapshot, sf_error *error) {
  char *what = sf_format("manifest %s", given->ref);
  snapshot->manifest_ref = sf_strdup(given->ref);
  snapshot->published_seconds = given->published_seconds;
  sf_code code = what == NULL || snapshot->manifest_ref == NULL
                     ? sf_fail_memory(error, "reference of a manifest")
                     : sf_manifest_parse(given->bytes, given->length, what, &snapshot->manifest, error);
  free(what);
  return code;
}

/* `pointer` is NULL where a manifest is given. */
static sf_code load_pointed_to(sf_storage *storage, const sf_pointer *pointer, const sf_snapshot_load_options *options,
                               const sf_cancellation *cancellation, sf_snapshot *snapshot, sf_error *error) {
  if (options->given != NULL)
    SF_TRY(parse_given(options->given, snapshot, error));
  else
    SF_TRY(load_manifest(storage, pointer, options, cancellation, snapshot, error));
  if (!snapshot->manifest.has_vectors)
    return sf_fail(error, SF_READER_STATE_ERROR, "manifest %s: expected vector metadata in custom, found none",
                   snapshot->manifest_ref);
  return sf_snapshot_load_routing(storage, cancellation, snapshot, error);
}

sf_code sf_snapshot_load(sf_storage *storage, const sf_snapshot_load_options *options,
                         const sf_cancellation *cancellation, sf_snapshot **loaded, sf_error *error) {
  sf_pointer pointer = {0};
  if (options->given == NULL)
    SF_TRY(sf_snapshot_read_pointer(storage, cancellation, &pointer, error));
  const char *live_ref = options->given != NULL ? options->given->ref : pointer.manifest_ref;
  sf_code code = SF_OK;
  sf_snapshot *snapshot = NULL;
  if (options->known_ref == NULL || strcmp(options->known_ref, live_ref) != 0) {
    snapshot = sf_calloc(1, sizeof(*snapshot));
    code = snapshot == NULL ? sf_fail_memory(error, "snapshot")
                            : load_pointed_to(storage, &pointer, options, cancellation, snapshot, error);
  }
  sf_pointer_free(&pointer);
  if (code != SF_OK)
    sf_snapshot_free(snapshot);
  else
    *loaded = snapshot;
  return code;
}

void sf_snapshot_free(sf_snapshot *snapshot) {
  if (snapshot == NULL)
    return;
  sf_router_free(snapshot->router);
  sf_npy_free(&snapshot->artifact);
  sf_manifest_free(&snapshot->manifest);
  free(snapshot->manifest_ref);
  free(snapshot);
}
