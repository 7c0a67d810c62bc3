/* Reading `_CURRENT`, or a manifest by its reference, as bytes: for callers that choose manifests themselves and open them with
 * sf_reader_options.manifest. */
#include "async/operation.h"
#include "reader/options.h"
#include "snapshot/manifest.h"
#include "snapshot/pointer.h"
#include "snapshot/reference.h"
#include "storage/storage.h"

#include <string.h>

static sf_code read_key(sf_storage *storage, const char *key, const char *reference,
                        const sf_cancellation *cancellation, sf_buffer *contents, sf_error *error) {
  bool found = false;
  SF_TRY(sf_storage_get(storage, key, SF_MANIFEST_MAX_BYTES, cancellation, &found, contents, error));
  if (!found)
    return sf_fail(error, SF_MANIFEST_STORE_ERROR, "%s: expected an object at %s below %s, found none", reference, key,
                   storage->root);
  /* An empty object is a block, too: NULL bytes would mean that there is none. */
  return sf_buffer_reserve(contents, 1) ? SF_OK : sf_fail_memory(error, reference);
}

static sf_code read_below(const char *root, const sf_reader_options *options, const char *reference,
                          const sf_cancellation *cancellation, sf_buffer *contents, sf_error *error) {
  sf_storage *storage;
  char *key = NULL;
  if (reference == NULL)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "reference: expected one, found NULL");
  SF_TRY(sf_reader_options_open_storage(options, root, &storage, error));
  sf_code code;
  if (strcmp(reference, SF_POINTER_KEY) == 0) {
    key = sf_strdup(reference);
    code = key != NULL ? SF_OK : sf_fail_memory(error, "key");
  } else
    code = sf_reference_manifest_key(reference, storage->root, &key, error);
  if (code == SF_OK)
    code = read_key(storage, key, reference, cancellation, contents, error);
  if (code != SF_OK)
    sf_buffer_free(contents);
  free(key);
  sf_storage_close(storage);
  return code;
}

sf_code sf_snapshot_read_object(const char *root, const sf_reader_options *given, const char *reference, void **bytes,
                                size_t *length, sf_error *error) {
  sf_reader_options options;
  sf_buffer contents = {0};
  SF_TRY(sf_reader_options_read(given, &options, error));
  SF_TRY(read_below(root, &options, reference, NULL, &contents, error));
  *bytes = contents.data;
  *length = contents.length;
  return SF_OK;
}

typedef struct read_context {
  char *root;
  char *reference;
  sf_reader_options options;
} read_context;

static void free_read(void *context) {
  read_context *reading = context;
  free(reading->root);
  free(reading->reference);
  sf_reader_options_copy_free(&reading->options);
  free(reading);
}

static const sf_outcome_kind object = {.name = "object", .free = sf_outcome_free_block};

static sf_code run_read(void *context, const sf_cancellation *cancellation, sf_outcome *outcome, sf_error *error) {
  const read_context *reading = context;
  sf_buffer contents = {0};
  SF_TRY(read_below(reading->root, &reading->options, reading->reference, cancellation, &contents, error));
  *outcome = (sf_outcome){.kind = &object, .value = contents.data, .count = contents.length};
  return SF_OK;
}

void *sf_operation_take_object(sf_operation *operation, size_t *length) {
  return sf_operation_take(operation, &object, length);
}

sf_code sf_snapshot_read_object_submit(const char *root, const sf_reader_options *given, const char *reference,
                                       sf_executor *executor, sf_completion_queue *queue, void *user_data,
                                       sf_operation **operation, sf_error *error) {
  static const sf_job_functions functions = {.run = run_read, .free_context = free_read};
  read_context *reading = sf_calloc(1, sizeof(*reading));
  if (reading == NULL)
    return sf_fail_memory(error, "operation");
  sf_code code = sf_reader_options_copy(given, &reading->options, error);
  reading->root = sf_strdup(root);
  reading->reference = sf_strdup(reference);
  if (code == SF_OK && ((root != NULL && reading->root == NULL) || (reference != NULL && reading->reference == NULL)))
    code = sf_fail_memory(error, "operation");
  if (code != SF_OK) {
    free_read(reading);
    return code;
  }
  return sf_job_submit(executor, queue, user_data, &functions, reading, operation, error);
}
