/* Single objects below a root, for callers that keep some of their own there. */
#include "shardyfusion/objects.h"

#include "async/operation.h"
#include "base/memory.h"
#include "base/options.h"
#include "reader/options.h"
#include "storage/storage.h"

#include <string.h>

#define MAX_OBJECT_BYTES ((size_t)1 << 30)

static const sf_code invalid = SF_CONFIG_VALIDATION_ERROR;

void sf_object_request_init(sf_object_request *request) {
  *request = (sf_object_request)SF_OBJECT_REQUEST_INIT;
}

/* --------------------------------------------------------------------------------------------------------- Checking */

static bool is_folder_action(sf_object_action action) {
  return action == SF_OBJECT_LIST || action == SF_OBJECT_REMOVE_ALL;
}

/* Whether the key has an empty segment, "." or "..", but for the empty one that ends a folder's. */
static bool has_bad_segment(const char *key, bool is_folder) {
  for (const char *segment = key; *segment != '\0';) {
    size_t length = strcspn(segment, "/");
    if (length == 0 || (length <= 2 && strspn(segment, ".") >= length))
      return true;
    segment += length;
    if (*segment == '/' && *++segment == '\0')
      return !is_folder;
  }
  return is_folder && key[0] != '\0' && key[strlen(key) - 1] != '/';
}

static sf_code check_request(const sf_object_request *request, sf_error *error) {
  bool is_folder = is_folder_action(request->action);
  if (request->action > SF_OBJECT_ETAG)
    return sf_fail(error, invalid, "object request: expected an action from 0 to %d, found %d", SF_OBJECT_ETAG,
                   (int)request->action);
  if (request->key == NULL || (request->key[0] == '\0' && request->action != SF_OBJECT_LIST) ||
      has_bad_segment(request->key, is_folder))
    return sf_fail(error, invalid, "object request: expected a key%s below the root, found %s",
                   is_folder ? " that ends in '/'" : "", request->key == NULL ? "NULL" : request->key);
  if (request->length > 0 && request->bytes == NULL)
    return sf_fail(error, invalid, "object request: expected %zu bytes, found NULL", request->length);
  if (request->length > MAX_OBJECT_BYTES)
    return sf_fail(error, invalid, "object request: expected at most %zu bytes, found %zu", MAX_OBJECT_BYTES,
                   request->length);
  return SF_OK;
}

static sf_code read_request(const sf_object_request *given, sf_object_request *request, sf_error *error) {
  sf_object_request_init(request);
  SF_TRY(
      sf_options_read(given, SF_SIZE_WITH(sf_object_request, length), request, "object request: expected it", error));
  return check_request(request, error);
}

/* ---------------------------------------------------------------------------------------------------------- Actions */

static sf_code answer_bytes(bool found, const sf_buffer *contents, sf_object_answer **answer, sf_error *error) {
  sf_object_answer *made = sf_calloc(1, sizeof(*made) + contents->length);
  if (made == NULL)
    return sf_fail_memory(error, "object");
  *made = (sf_object_answer){.found = found, .bytes = made + 1, .length = contents->length};
  if (contents->length > 0)
    memcpy(made + 1, contents->data, contents->length);
  *answer = made;
  return SF_OK;
}

static sf_code read_object(sf_storage *storage, const char *key, const sf_cancellation *cancellation,
                           sf_object_answer **answer, sf_error *error) {
  sf_buffer contents = {0};
  bool found = false;
  sf_code code = sf_storage_get(storage, key, MAX_OBJECT_BYTES, cancellation, &found, &contents, error);
  if (code == SF_OK)
    code = answer_bytes(found, &contents, answer, error);
  sf_buffer_free(&contents);
  return code;
}

static sf_code find_etag(sf_storage *storage, const char *key, const sf_cancellation *cancellation,
                         sf_object_answer **answer, sf_error *error) {
  sf_object_info info = {0};
  bool found = false;
  SF_TRY(sf_storage_head(storage, key, cancellation, &found, &info, error));
  const sf_buffer etag = {.data = (uint8_t *)info.etag, .length = found ? strlen(info.etag) : 0};
  return answer_bytes(found, &etag, answer, error);
}

static sf_code answer_names(const sf_storage_names *names, sf_object_answer **answer, sf_error *error) {
  size_t size = sizeof(sf_object_answer) + names->count * sizeof(char *);
  for (size_t i = 0; i < names->count; i++)
    size += sf_block_text_size(names->names[i]);
  sf_object_answer *made = sf_calloc(1, size);
  if (made == NULL)
    return sf_fail_memory(error, "names of objects");
  const char **listed = (const char **)(void *)(made + 1);
  char *text = (char *)(listed + names->count);
  for (size_t i = 0; i < names->count; i++)
    listed[i] = sf_block_copy_text(&text, names->names[i]);
  *made = (sf_object_answer){.names = listed, .num_names = names->count};
  *answer = made;
  return SF_OK;
}

static sf_code list_objects(sf_storage *storage, const sf_object_request *request, const sf_cancellation *cancellation,
                            sf_object_answer **answer, sf_error *error) {
  sf_storage_names names = {0};
  SF_TRY(sf_storage_list_names(storage, request->key, cancellation, &names, error));
  sf_code code = answer_names(&names, answer, error);
  sf_storage_names_free(&names);
  if (code == SF_OK && request->action == SF_OBJECT_REMOVE_ALL)
    code = sf_storage_remove_all(storage, request->key, cancellation, error);
  if (code != SF_OK) {
    free(*answer);
    *answer = NULL;
  }
  return code;
}

static sf_code act(sf_storage *storage, const sf_object_request *request, const sf_cancellation *cancellation,
                   sf_object_answer **answer, sf_error *error) {
  const sf_buffer none = {0};
  switch (request->action) {
  case SF_OBJECT_READ:
    return read_object(storage, request->key, cancellation, answer, error);
  case SF_OBJECT_WRITE:
    SF_TRY(sf_storage_put(storage, request->key, request->bytes, request->length, NULL, cancellation, NULL, error));
    return answer_bytes(true, &none, answer, error);
  case SF_OBJECT_ETAG:
    return find_etag(storage, request->key, cancellation, answer, error);
  default:
    return list_objects(storage, request, cancellation, answer, error);
  }
}

static sf_code call_below(const char *root, const sf_reader_options *options, const sf_object_request *request,
                          const sf_cancellation *cancellation, sf_object_answer **answer, sf_error *error) {
  sf_storage *storage;
  *answer = NULL;
  SF_TRY(sf_reader_options_open_storage(options, root, &storage, error));
  sf_code code = act(storage, request, cancellation, answer, error);
  sf_storage_close(storage);
  return code;
}

sf_code sf_object_call(const char *root, const sf_s3_options *s3, const sf_object_request *given,
                       sf_object_answer **answer, sf_error *error) {
  const sf_reader_options options = {.size = sizeof(options), .s3 = s3};
  sf_object_request request;
  SF_TRY(read_request(given, &request, error));
  return call_below(root, &options, &request, NULL, answer, error);
}

/* --------------------------------------------------------------------------------------------------- Asynchronously */

typedef struct call_context {
  char *root;
  sf_reader_options options;
  sf_object_request request;
  char *key;
  void *bytes;
} call_context;

static void free_call(void *context) {
  call_context *call = context;
  free(call->root);
  free(call->key);
  free(call->bytes);
  sf_reader_options_copy_free(&call->options);
  free(call);
}

static const sf_outcome_kind object_answer = {.name = "object answer", .free = sf_outcome_free_block};

static sf_code run_call(void *context, const sf_cancellation *cancellation, sf_outcome *outcome, sf_error *error) {
  const call_context *call = context;
  sf_object_answer *answer = NULL;
  SF_TRY(call_below(call->root, &call->options, &call->request, cancellation, &answer, error));
  *outcome = (sf_outcome){.kind = &object_answer, .value = answer};
  return SF_OK;
}

sf_object_answer *sf_operation_take_object_answer(sf_operation *operation) {
  return sf_operation_take(operation, &object_answer, NULL);
}

/* A copy of what was given, which outlives the submitting call. */
static sf_code keep_call(call_context *call, const char *root, const sf_s3_options *s3, sf_error *error) {
  const sf_reader_options options = {.size = sizeof(options), .s3 = s3};
  SF_TRY(sf_reader_options_copy(&options, &call->options, error));
  call->root = sf_strdup(root);
  call->key = sf_strdup(call->request.key);
  call->bytes = call->request.length > 0 ? sf_calloc(1, call->request.length) : NULL;
  if ((root != NULL && call->root == NULL) || call->key == NULL || (call->request.length > 0 && call->bytes == NULL))
    return sf_fail_memory(error, "operation");
  if (call->bytes != NULL)
    memcpy(call->bytes, call->request.bytes, call->request.length);
  call->request.key = call->key;
  call->request.bytes = call->bytes;
  return SF_OK;
}

sf_code sf_object_call_submit(const char *root, const sf_s3_options *s3, const sf_object_request *given,
                              sf_executor *executor, sf_completion_queue *queue, void *user_data,
                              sf_operation **operation, sf_error *error) {
  static const sf_job_functions functions = {.run = run_call, .free_context = free_call};
  call_context *call = sf_calloc(1, sizeof(*call));
  if (call == NULL)
    return sf_fail_memory(error, "operation");
  sf_code code = read_request(given, &call->request, error);
  if (code == SF_OK)
    code = keep_call(call, root, s3, error);
  if (code != SF_OK) {
    free_call(call);
    return code;
  }
  return sf_job_submit(executor, queue, user_data, &functions, call, operation, error);
}
