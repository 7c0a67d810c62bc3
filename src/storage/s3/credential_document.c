/* Documents with credentials: the JSON form of them, and how they are asked for over HTTP. */
#include "base/json.h"
#include "base/time.h"
#include "storage/s3/credentials.h"
#include "storage/s3/responses.h"
#include "storage/s3/retry.h"

#include <string.h>

#define MAX_DOCUMENT ((size_t)256 << 10)
#define MAX_FETCH_ATTEMPTS 4

static bool read_text(const json_t *document, const char *name, bool required, const char **text) {
  return sf_json_string(document, name, required, name, SF_ERROR, text, NULL) == SF_OK;
}

static sf_code read_expiration(const json_t *document, const char *what, int64_t *expires_at, sf_error *error) {
  const char *text = NULL;
  double seconds = 0;
  if (!read_text(document, "Expiration", false, &text) ||
      (text != NULL && !sf_parse_timestamp(text, strlen(text), &seconds)))
    return sf_fail(error, SF_ERROR, "%s: expected Expiration to be an ISO 8601 time", what);
  /* 0 means never: a document that has expired long ago must not. */
  *expires_at = text == NULL ? 0 : seconds < 1 ? 1 : (int64_t)seconds;
  return SF_OK;
}

static sf_code read_document(const json_t *document, const char *what, sf_s3_credentials **credentials,
                             sf_error *error) {
  const char *id = NULL;
  const char *secret = NULL;
  const char *token = NULL;
  int64_t expires_at = 0;
  if (!read_text(document, "AccessKeyId", true, &id) || !read_text(document, "SecretAccessKey", true, &secret) ||
      !read_text(document, "SessionToken", false, &token) || !read_text(document, "Token", false, &token))
    return sf_fail(error, SF_ERROR, "%s: expected the strings AccessKeyId and SecretAccessKey, and perhaps a token",
                   what);
  SF_TRY(read_expiration(document, what, &expires_at, error));
  return sf_s3_credentials_create(id, secret, token, expires_at, what, credentials, error);
}

sf_code sf_s3_parse_credential_document(const char *text, size_t length, const char *what,
                                        sf_s3_credentials **credentials, sf_error *error) {
  sf_json document;
  /* Messages of the parser and the members' readers can show what they met, which is secret. */
  sf_code parsed = sf_json_parse_object(text, length, SF_JSON_STRICT, what, SF_ERROR, &document, NULL);
  if (parsed == SF_OUT_OF_MEMORY_ERROR)
    return sf_fail_memory(error, what);
  if (parsed != SF_OK)
    return sf_fail(error, SF_ERROR, "%s: expected a JSON object with credentials", what);
  sf_code code = read_document(document.root, what, credentials, error);
  sf_json_free(&document);
  return code;
}

/* ---------------------------------------------------------------------------------------------------------- Fetching */

static sf_code fail_response(sf_error *error, const char *what, const sf_http_response *response) {
  if (response->result != SF_HTTP_COMPLETE)
    return sf_fail(error, SF_ERROR, "%s: %s", what, response->message);
  sf_s3_error_document document;
  sf_s3_parse_error(response->body.data, response->body.length, &document);
  return sf_fail(error, SF_ERROR, "%s: status %d%s%s%s%s", what, response->status, document.code[0] != '\0' ? " " : "",
                 document.code, document.message[0] != '\0' ? ": " : "", document.message);
}

static sf_s3_verdict judge(const sf_http_response *response) {
  sf_s3_error_document document;
  sf_s3_parse_error(response->body.data, response->body.length, &document);
  return sf_s3_judge(response->result, response->status, document.code);
}

static sf_code sleep_before_retry(uint32_t retry, const sf_cancellation *cancellation, sf_error *error) {
  sf_waiter waiter;
  SF_TRY(sf_waiter_init(&waiter, cancellation, error));
  uint64_t delay = sf_s3_retry_delay_ms(retry, sf_s3_random(), 0);
  sf_waiter_wait_or_cancelled(&waiter, sf_monotonic_nanoseconds() + delay * 1000000);
  sf_waiter_destroy(&waiter);
  return sf_cancellation_check(cancellation, error);
}

static sf_code fetch_once(const sf_s3_provider_context *context, const sf_http_request *request, const char *what,
                          sf_buffer *document, sf_s3_verdict *verdict, sf_error *error) {
  sf_http_transfer *transfer = NULL;
  SF_TRY(sf_http_perform(context->http, request, context->cancellation, &transfer, error));
  sf_http_response *response = sf_http_transfer_response(transfer);
  *verdict = judge(response);
  sf_code code = SF_OK;
  if (*verdict == SF_S3_SUCCESS) {
    *document = response->body;
    response->body = (sf_buffer){0};
  } else {
    code = fail_response(error, what, response);
  }
  sf_http_transfer_free(transfer);
  return code;
}

sf_code sf_s3_fetch_document(const sf_s3_provider_context *context, const sf_http_request *request, const char *what,
                             sf_buffer *document, sf_error *error) {
  sf_http_request bounded = *request;
  bounded.max_body = MAX_DOCUMENT;
  for (uint32_t attempt = 0;; attempt++) {
    sf_s3_verdict verdict = SF_S3_REFUSED;
    sf_code code = fetch_once(context, &bounded, what, document, &verdict, error);
    if (code == SF_OK || verdict != SF_S3_TRANSIENT || attempt + 1 == MAX_FETCH_ATTEMPTS)
      return code;
    SF_TRY(sleep_before_retry(attempt, context->cancellation, error));
  }
}
