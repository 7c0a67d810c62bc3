#include "storage/s3/upload.h"

#include "base/files.h"
#include "base/time.h"
#include "storage/s3/call.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_PLACES (SF_S3_UPLOAD_MEMORY / SF_S3_UPLOAD_PART_SIZE)
#define MAX_ANSWER ((size_t)64 << 10)
/* A cancelled upload waits no longer than this to be aborted at the store. A builder removes uploads that are left. */
#define ABORT_NANOSECONDS ((uint64_t)1500000000)
#define MD5_SIZE 16

/* A place for a part under way. */
typedef struct place {
  sf_s3_request request;
  sf_s3_call call;
  sf_sigv4_pair parameters[2];
  char number[24];
  uint8_t *bytes;
  size_t index; /* of the part */
  bool is_used;
} place;

typedef struct uploading {
  sf_s3_client *client;
  const char *key;
  const char *path;
  const sf_cancellation *cancellation;
  int descriptor;
  uint64_t size;
  uint64_t part_size;
  size_t num_parts;
  char *upload_id;
  char **etags; /* of the parts that are there */
  place places[MAX_PLACES];
  size_t num_places;
} uploading;

uint64_t sf_s3_upload_part_size(uint64_t size) {
  uint64_t part_size = SF_S3_UPLOAD_PART_SIZE;
  while (part_size <= SF_S3_UPLOAD_MAX_PART_SIZE && (size + part_size - 1) / part_size > SF_S3_UPLOAD_MAX_PARTS)
    part_size *= 2;
  return part_size <= SF_S3_UPLOAD_MAX_PART_SIZE ? part_size : 0;
}

static sf_code read_part(const uploading *state, uint64_t offset, uint8_t *bytes, size_t length, sf_error *error) {
  for (size_t done = 0; done < length;) {
    ssize_t got = pread(state->descriptor, bytes + done, length - done, (off_t)(offset + done));
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return sf_fail_errno(error, "read", state->path, errno);
    if (got == 0)
      return sf_fail(error, SF_ERROR, "can't upload %s: expected %" PRIu64 " bytes, found %" PRIu64, state->path,
                     state->size, offset + done);
    done += (size_t)got;
  }
  return SF_OK;
}

/* What the store answers when what is to be written has no place: the bucket, or the upload, is gone. */
static sf_code fail_not_found(const uploading *state, sf_error *error) {
  return sf_fail(error, SF_ERROR, "s3://%s/%s: the store does not find what is to be written", state->client->bucket,
                 state->key);
}

static sf_code put_in_one(const uploading *state, sf_error *error) {
  size_t length = (size_t)state->size;
  uint8_t *bytes = sf_calloc(length + 1, 1);
  if (bytes == NULL)
    return sf_fail_memory(error, state->path);
  const sf_s3_request request = {
      .method = "PUT", .key = state->key, .body = bytes, .body_length = length, .max_body = MAX_ANSWER};
  sf_s3_call call = {.is_over = true};
  sf_code code = read_part(state, 0, bytes, length, error);
  if (code == SF_OK)
    code = sf_s3_call_run(&call, state->client, &request, state->cancellation, error);
  if (code == SF_OK && call.verdict != SF_S3_SUCCESS)
    code = fail_not_found(state, error);
  sf_s3_call_clear(&call);
  free(bytes);
  return code;
}

/* --------------------------------------------------------------------------------------------------- Begin and abort */

static sf_code create_upload(uploading *state, sf_error *error) {
  const sf_sigv4_pair parameters[] = {{"uploads", ""}};
  const sf_s3_request request = {.method = "POST",
                                 .key = state->key,
                                 .parameters = parameters,
                                 .num_parameters = 1,
                                 .body = "",
                                 .max_body = MAX_ANSWER};
  sf_s3_call call;
  sf_code code = sf_s3_call_run(&call, state->client, &request, state->cancellation, error);
  if (code == SF_OK && call.verdict != SF_S3_SUCCESS)
    code = fail_not_found(state, error);
  if (code == SF_OK) {
    state->upload_id = sf_s3_parse_upload_id(call.body.data, call.body.length);
    if (state->upload_id == NULL)
      code = sf_fail(error, sf_errno_code(errno, SF_ERROR),
                     "s3://%s/%s: expected the id of an upload, found another document", state->client->bucket,
                     state->key);
  }
  sf_s3_call_clear(&call);
  return code;
}

/* Also of what was cancelled, hence with a time limit of its own; and when it fails, the reason of before counts. */
static void abort_upload(const uploading *state) {
  const sf_sigv4_pair parameters[] = {{"uploadId", state->upload_id}};
  const sf_s3_request request = {
      .method = "DELETE", .key = state->key, .parameters = parameters, .num_parameters = 1, .max_body = MAX_ANSWER};
  uint64_t deadline = sf_monotonic_nanoseconds() + ABORT_NANOSECONDS;
  sf_waiter waiter;
  if (sf_waiter_init(&waiter, NULL, NULL) != SF_OK)
    return;
  sf_s3_call call;
  sf_s3_call_init(&call, state->client, &request, &waiter);
  uint64_t wake_at = deadline;
  while (!sf_s3_call_step(&call, &wake_at) && sf_monotonic_nanoseconds() < deadline) {
    sf_waiter_wait(&waiter, wake_at);
    wake_at = deadline;
  }
  if (!call.is_over || call.code != SF_OK)
    sf_log_message(&state->client->log, SF_LOG_WARNING, "s3://%s/%s: the upload %s could not be aborted",
                   state->client->bucket, state->key, state->upload_id);
  sf_s3_call_clear(&call);
  sf_waiter_destroy(&waiter);
}

/* ---------------------------------------------------------------------------------------------------------- The parts */

static uint64_t length_of_part(const uploading *state, size_t index) {
  uint64_t left = state->size - index * state->part_size;
  return left < state->part_size ? left : state->part_size;
}

static sf_code start_part(uploading *state, place *used, size_t index, sf_waiter *waiter, sf_error *error) {
  size_t length = (size_t)length_of_part(state, index);
  if (used->bytes == NULL && (used->bytes = malloc((size_t)state->part_size)) == NULL)
    return sf_fail_memory(error, "part of an upload");
  SF_TRY(read_part(state, index * state->part_size, used->bytes, length, error));
  snprintf(used->number, sizeof(used->number), "%zu", index + 1);
  used->parameters[0] = (sf_sigv4_pair){"partNumber", used->number};
  used->parameters[1] = (sf_sigv4_pair){"uploadId", state->upload_id};
  used->request = (sf_s3_request){.method = "PUT",
                                  .key = state->key,
                                  .parameters = used->parameters,
                                  .num_parameters = 2,
                                  .body = used->bytes,
                                  .body_length = length,
                                  .max_body = MAX_ANSWER,
                                  .is_bulk = true};
  used->index = index;
  used->is_used = true;
  sf_s3_call_init(&used->call, state->client, &used->request, waiter);
  return SF_OK;
}

static sf_code finish_part(uploading *state, place *used, sf_error *error) {
  sf_s3_call *call = &used->call;
  if (call->code != SF_OK)
    return sf_fail(error, call->code, "%s", call->error.message);
  if (call->verdict != SF_S3_SUCCESS)
    return fail_not_found(state, error);
  if (call->etag == NULL)
    return sf_fail(error, SF_ERROR, "s3://%s/%s: the store does not name the part that it took", state->client->bucket,
                   state->key);
  state->etags[used->index] = call->etag;
  call->etag = NULL;
  sf_s3_call_clear(call);
  used->is_used = false;
  return SF_OK;
}

static sf_code step_parts(uploading *state, size_t *num_started, size_t *num_done, sf_waiter *waiter, uint64_t *wake_at,
                          sf_error *error) {
  for (size_t i = 0; i < state->num_places; i++) {
    place *used = &state->places[i];
    if (!used->is_used && *num_started < state->num_parts)
      SF_TRY(start_part(state, used, (*num_started)++, waiter, error));
    if (!used->is_used || !sf_s3_call_step(&used->call, wake_at))
      continue;
    SF_TRY(finish_part(state, used, error));
    (*num_done)++;
    *wake_at = 0; /* the place is free: at once again */
  }
  return SF_OK;
}

static sf_code upload_parts(uploading *state, sf_error *error) {
  sf_waiter waiter;
  size_t num_started = 0;
  size_t num_done = 0;
  SF_TRY(sf_waiter_init(&waiter, state->cancellation, error));
  sf_code code = SF_OK;
  while (code == SF_OK && num_done < state->num_parts) {
    uint64_t wake_at = UINT64_MAX;
    code = sf_cancellation_check(state->cancellation, error);
    if (code == SF_OK)
      code = step_parts(state, &num_started, &num_done, &waiter, &wake_at, error);
    if (code == SF_OK && num_done < state->num_parts && wake_at > 0)
      sf_waiter_wait_or_cancelled(&waiter, wake_at);
  }
  for (size_t i = 0; i < state->num_places; i++) {
    if (state->places[i].is_used)
      sf_s3_call_clear(&state->places[i].call); /* it knows the waiter */
    free(state->places[i].bytes);
    state->places[i] = (place){0};
  }
  sf_waiter_destroy(&waiter);
  return code;
}

/* --------------------------------------------------------------------------------------------------------- Completion */

static bool decode_md5(const char *etag, uint8_t md5[MD5_SIZE]) {
  if (strlen(etag) != 2 * MD5_SIZE + 2 || etag[0] != '"' ||
      strspn(etag + 1, "0123456789abcdef") != 2 * (size_t)MD5_SIZE)
    return false;
  for (size_t i = 0; i < MD5_SIZE; i++) {
    const char digits[3] = {etag[1 + 2 * i], etag[2 + 2 * i], '\0'};
    md5[i] = (uint8_t)strtoul(digits, NULL, 16);
  }
  return true;
}

bool sf_s3_multipart_etag(char *const *etags, size_t count, char etag[64]) {
  uint8_t md5[EVP_MAX_MD_SIZE];
  EVP_MD_CTX *digest = EVP_MD_CTX_new();
  bool made = digest != NULL && EVP_DigestInit_ex(digest, EVP_md5(), NULL) == 1;
  for (size_t i = 0; i < count && made; i++)
    made = decode_md5(etags[i], md5) && EVP_DigestUpdate(digest, md5, MD5_SIZE) == 1;
  made = made && EVP_DigestFinal_ex(digest, md5, NULL) == 1;
  EVP_MD_CTX_free(digest);
  int length = 0;
  etag[length++] = '"';
  for (size_t i = 0; i < MD5_SIZE && made; i++)
    length += snprintf(etag + length, 64 - (size_t)length, "%02x", md5[i]);
  snprintf(etag + length, 64 - (size_t)length, "-%zu\"", count);
  return made;
}

/* ETags are quoted in XML as in headers; what else they hold is of the store's making. */
static bool append_escaped(sf_buffer *document, const char *text) {
  bool appended = true;
  for (; *text != '\0' && appended; text++) {
    const char *escape = *text == '&' ? "&amp;" : *text == '<' ? "&lt;" : *text == '"' ? "&quot;" : NULL;
    appended = escape != NULL ? sf_buffer_append_text(document, escape) : sf_buffer_append(document, text, 1);
  }
  return appended;
}

static bool write_part_list(const uploading *state, sf_buffer *document) {
  bool written = sf_buffer_append_text(document, "<CompleteMultipartUpload>");
  for (size_t i = 0; i < state->num_parts && written; i++)
    written = sf_buffer_append_format(document, "<Part><PartNumber>%zu</PartNumber><ETag>", i + 1) &&
              append_escaped(document, state->etags[i]) && sf_buffer_append_text(document, "</ETag></Part>");
  return written && sf_buffer_append_text(document, "</CompleteMultipartUpload>");
}

/* The upload is not known any more. When an answer was lost before, the object may be what we made it. */
static sf_code find_what_was_completed(const uploading *state, sf_error *error) {
  char etag[64];
  const sf_s3_request request = {.method = "HEAD", .key = state->key};
  sf_s3_call call;
  sf_code code = sf_s3_call_run(&call, state->client, &request, state->cancellation, error);
  if (code == SF_OK) {
    bool is_ours = call.verdict == SF_S3_SUCCESS && call.has_object_size && call.object_size == state->size &&
                   call.etag != NULL && sf_s3_multipart_etag(state->etags, state->num_parts, etag) &&
                   strcmp(etag, call.etag) == 0;
    if (!is_ours)
      code = sf_fail(error, SF_S3_TRANSIENT_ERROR, "s3://%s/%s: the store forgot the upload before it was completed",
                     state->client->bucket, state->key);
  }
  sf_s3_call_clear(&call);
  return code;
}

static sf_code complete_upload(const uploading *state, sf_error *error) {
  sf_buffer document = {0};
  if (!write_part_list(state, &document)) {
    sf_buffer_free(&document);
    return sf_fail_memory(error, "parts of an upload");
  }
  const sf_sigv4_pair parameters[] = {{"uploadId", state->upload_id}};
  const sf_s3_request request = {.method = "POST",
                                 .key = state->key,
                                 .parameters = parameters,
                                 .num_parameters = 1,
                                 .body = document.data,
                                 .body_length = document.length,
                                 .may_fail_with_success = true,
                                 .max_body = MAX_ANSWER};
  sf_s3_call call;
  sf_code code = sf_s3_call_run(&call, state->client, &request, state->cancellation, error);
  if (code == SF_OK && call.verdict != SF_S3_SUCCESS)
    code = call.times_sent > 1 ? find_what_was_completed(state, error) : fail_not_found(state, error);
  sf_s3_call_clear(&call);
  sf_buffer_free(&document);
  return code;
}

/* ---------------------------------------------------------------------------------------------------------- The upload */

static sf_code put_in_parts(uploading *state, sf_error *error) {
  state->part_size = sf_s3_upload_part_size(state->size);
  if (state->part_size == 0)
    return sf_fail(error, SF_ERROR, "can't upload %s: %" PRIu64 " bytes are more than %d parts hold", state->path,
                   state->size, SF_S3_UPLOAD_MAX_PARTS);
  state->num_parts = (size_t)((state->size + state->part_size - 1) / state->part_size);
  state->num_places = (size_t)(SF_S3_UPLOAD_MEMORY / state->part_size);
  state->etags = sf_calloc(state->num_parts, sizeof(*state->etags));
  if (state->etags == NULL)
    return sf_fail_memory(error, "parts of an upload");
  sf_code code = create_upload(state, error);
  if (code != SF_OK)
    return code;
  code = upload_parts(state, error);
  if (code == SF_OK)
    code = complete_upload(state, error);
  if (code != SF_OK)
    abort_upload(state);
  return code;
}

static sf_code upload_opened(uploading *state, sf_error *error) {
  struct stat status;
  if (fstat(state->descriptor, &status) != 0)
    return sf_fail_errno(error, "look at", state->path, errno);
  if (!S_ISREG(status.st_mode))
    return sf_fail(error, SF_ERROR, "can't upload %s: it is not a regular file", state->path);
  state->size = (uint64_t)status.st_size;
  return state->size <= SF_S3_UPLOAD_PART_SIZE ? put_in_one(state, error) : put_in_parts(state, error);
}

sf_code sf_s3_upload(sf_s3_client *client, const char *key, const char *path, const sf_cancellation *cancellation,
                     sf_error *error) {
  uploading *state = sf_calloc(1, sizeof(*state));
  if (state == NULL)
    return sf_fail_memory(error, "upload");
  *state = (uploading){.client = client, .key = key, .path = path, .cancellation = cancellation};
  state->descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  sf_code code = state->descriptor < 0 ? sf_fail_errno(error, "open", path, errno) : upload_opened(state, error);
  if (state->descriptor >= 0)
    close(state->descriptor);
  for (size_t i = 0; i < state->num_parts && state->etags != NULL; i++)
    free(state->etags[i]);
  free(state->etags);
  free(state->upload_id);
  free(state);
  return code;
}
