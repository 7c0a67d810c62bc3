#include "storage/s3/attempt.h"

#include "storage/s3/shown.h"

#include <inttypes.h>
#include <string.h>

/* ----------------------------------------------------------------------------------------------------------- Headers */

static bool parse_number(const char **text, uint64_t *number) {
  const char *digit = *text;
  *number = 0;
  for (; *digit >= '0' && *digit <= '9'; digit++)
    if (__builtin_mul_overflow(*number, 10, number) || __builtin_add_overflow(*number, *digit - '0', number))
      return false;
  bool has_digits = digit > *text;
  *text = digit;
  return has_digits;
}

bool sf_s3_parse_content_range(const char *text, uint64_t *first, uint64_t *last, uint64_t *size, bool *has_size) {
  if (strncmp(text, "bytes ", 6) != 0)
    return false;
  text += 6;
  if (!parse_number(&text, first) || *text++ != '-' || !parse_number(&text, last) || *text++ != '/')
    return false;
  *has_size = strcmp(text, "*") != 0;
  if (*last < *first || *last == UINT64_MAX)
    return false;
  return !*has_size || (parse_number(&text, size) && *text == '\0' && *last < *size);
}

const char *sf_s3_strong_etag(const sf_http_response *response) {
  const char *etag = sf_http_header(response, "etag");
  return etag != NULL && etag[0] != '\0' && strncmp(etag, "W/", 2) != 0 && strlen(etag) < 1024 ? etag : NULL;
}

/* The body's length as announced. */
static bool content_length(const sf_http_response *response, uint64_t *length) {
  const char *text = sf_http_header(response, "content-length");
  return text != NULL && parse_number(&text, length) && *text == '\0';
}

/* ----------------------------------------------------------------------------------------------------- Taking a body */

static bool is_this_version(const sf_s3_attempt *attempt, const sf_http_response *response) {
  const char *wanted = attempt->call->etag != NULL ? attempt->call->etag : attempt->call->request->if_match;
  const char *etag = sf_s3_strong_etag(response);
  if (wanted == NULL || attempt->call->request->body != NULL) /* what is written has an ETag of its own */
    return true;
  /* Without one, the store's promise to honour If-Match has to do; but not to go on with bytes of before. */
  return etag != NULL ? strcmp(etag, wanted) == 0 : attempt->call->received == 0;
}

/* A part of the object: it must be the one that was asked for. */
static sf_s3_fault begin_part(sf_s3_attempt *attempt, const sf_http_response *response) {
  const sf_s3_request *request = attempt->call->request;
  const char *text = sf_http_header(response, "content-range");
  uint64_t first;
  uint64_t last;
  if (text == NULL || !sf_s3_parse_content_range(text, &first, &last, &attempt->object_size, &attempt->has_object_size))
    return SF_S3_FAULT_WRONG_RANGE;
  if (first != request->range_first + attempt->base ||
      (request->range_length > 0 && last >= request->range_first + request->range_length))
    return SF_S3_FAULT_WRONG_RANGE;
  attempt->expected = last - first + 1;
  attempt->has_expected = true;
  return SF_S3_FAULT_NONE;
}

/* The whole object. Where a range was asked for, it will do if it fits and begins where the request does. */
static sf_s3_fault begin_whole(sf_s3_attempt *attempt, const sf_http_response *response) {
  const sf_s3_request *request = attempt->call->request;
  attempt->base = 0;
  attempt->has_expected = content_length(response, &attempt->expected);
  attempt->has_object_size = attempt->has_expected;
  attempt->object_size = attempt->expected;
  if (request->range_length == 0)
    return SF_S3_FAULT_NONE;
  bool fits = attempt->has_expected && attempt->expected <= request->range_length;
  return request->range_first == 0 && fits ? SF_S3_FAULT_NONE : SF_S3_FAULT_RANGE_IGNORED;
}

static bool begin(sf_http_sink *sink, const sf_http_response *response) {
  sf_s3_attempt *attempt = (sf_s3_attempt *)sink;
  attempt->has_begun = true;
  if (!is_this_version(attempt, response))
    attempt->fault = SF_S3_FAULT_CHANGED;
  else
    attempt->fault = response->status == 206 ? begin_part(attempt, response) : begin_whole(attempt, response);
  bool is_kept = attempt->call->request->sink == NULL && attempt->has_expected;
  bool has_body = strcmp(attempt->call->request->method, "HEAD") != 0;
  /* What is announced as too large is not waited for. */
  if (attempt->fault == SF_S3_FAULT_NONE && is_kept && has_body &&
      attempt->expected > attempt->call->request->max_body - attempt->base)
    attempt->fault = SF_S3_FAULT_TOO_LARGE;
  return attempt->fault == SF_S3_FAULT_NONE;
}

static bool write_body(sf_s3_attempt *attempt, const uint8_t *bytes, size_t length) {
  uint64_t limit = attempt->call->request->max_body;
  if (attempt->base + attempt->received + length > limit) {
    attempt->fault = SF_S3_FAULT_TOO_LARGE;
    return false;
  }
  if (!sf_buffer_append(&attempt->body, bytes, length)) {
    attempt->fault = SF_S3_FAULT_MEMORY;
    return false;
  }
  return true;
}

static bool write_sink(sf_s3_attempt *attempt, const uint8_t *bytes, size_t length) {
  sf_s3_sink *sink = attempt->call->request->sink;
  if (sink->write(sink, attempt->base + attempt->received, bytes, length))
    return true;
  attempt->fault = SF_S3_FAULT_SINK;
  return false;
}

static bool take(sf_http_sink *sink, const uint8_t *bytes, size_t length) {
  sf_s3_attempt *attempt = (sf_s3_attempt *)sink;
  if (attempt->has_expected && length > attempt->expected - attempt->received) {
    attempt->fault = SF_S3_FAULT_WRONG_RANGE;
    return false;
  }
  bool taken =
      attempt->call->request->sink != NULL ? write_sink(attempt, bytes, length) : write_body(attempt, bytes, length);
  attempt->received += taken ? length : 0;
  atomic_fetch_add_explicit(&attempt->call->client->num_bytes, length, memory_order_relaxed);
  return taken;
}

/* ---------------------------------------------------------------------------------------------------------- Lifetime */

sf_code sf_s3_attempt_start(sf_s3_call *call, bool fresh_connection, uint32_t timeout_ms, sf_s3_attempt **started,
                            sf_error *error) {
  sf_s3_attempt *attempt = sf_calloc(1, sizeof(*attempt));
  if (attempt == NULL)
    return sf_fail_memory(error, "S3 request");
  attempt->sink = (sf_http_sink){.begin = begin, .write = take};
  attempt->call = call;
  attempt->base = call->received;
  const sf_s3_attempt_options options = {.resume_at = call->received,
                                         .etag = call->received > 0 ? call->etag : NULL,
                                         .timeout_ms = timeout_ms,
                                         .fresh_connection = fresh_connection,
                                         .sink = &attempt->sink};
  sf_code code =
      sf_s3_submit(call->client, call->request, &options, call->waiter, &attempt->signature, &attempt->transfer, error);
  if (code != SF_OK) {
    sf_s3_attempt_free(attempt);
    return code;
  }
  atomic_fetch_add_explicit(&call->client->num_requests, 1, memory_order_relaxed);
  *started = attempt;
  return SF_OK;
}

void sf_s3_attempt_free(sf_s3_attempt *attempt) {
  if (attempt == NULL)
    return;
  sf_http_transfer_free(attempt->transfer);
  sf_s3_signature_clear(&attempt->signature);
  sf_buffer_free(&attempt->body);
  free(attempt);
}

/* ---------------------------------------------------------------------------------------------------------- Judgement */

static sf_s3_verdict verdict_of_fault(sf_s3_fault fault) {
  switch (fault) {
  case SF_S3_FAULT_NONE:
    return SF_S3_SUCCESS;
  case SF_S3_FAULT_CHANGED:
    return SF_S3_PRECONDITION;
  case SF_S3_FAULT_WRONG_RANGE:
  case SF_S3_FAULT_SHORT:
  case SF_S3_FAULT_CHECKSUM:
    return SF_S3_TRANSIENT;
  case SF_S3_FAULT_RANGE_IGNORED:
  case SF_S3_FAULT_TOO_LARGE:
  case SF_S3_FAULT_SINK:
  case SF_S3_FAULT_MEMORY:
    break;
  }
  return SF_S3_REFUSED;
}

/* Whether the parts of earlier attempts and this one's are what the store keeps a checksum of. */
static bool checksum_holds(const sf_s3_attempt *attempt, const sf_http_response *response) {
  const sf_s3_call *call = attempt->call;
  sf_expected_checksum expected = sf_expected_checksum_of(response);
  bool is_whole = attempt->base == 0 && response->status == 200;
  if (!is_whole)
    expected = call->checksum;
  if (!call->request->wants_checksum || call->request->sink != NULL || expected.algorithm == SF_CHECKSUM_NONE)
    return true;
  sf_checksum *checksum = sf_checksum_create(expected.algorithm);
  if (checksum == NULL)
    return false;
  char value[64];
  if (!is_whole)
    sf_checksum_update(checksum, call->body.data, call->body.length);
  sf_checksum_update(checksum, attempt->body.data, attempt->body.length);
  bool holds = sf_checksum_finish(checksum, value) && strcmp(value, expected.value) == 0;
  sf_checksum_free(checksum);
  return holds;
}

/* A complete response with a good status: is it complete as far as the request goes? */
static void check_complete(sf_s3_attempt *attempt, sf_http_response *response) {
  bool has_body = strcmp(attempt->call->request->method, "HEAD") != 0;
  if (!attempt->has_begun)
    begin(&attempt->sink, response); /* a body of no bytes */
  if (attempt->fault != SF_S3_FAULT_NONE || !has_body)
    return;
  if (response->status == 204) /* has no body, and nothing says so */
    return;
  if (!response->ends_clearly || (attempt->has_expected && attempt->received != attempt->expected))
    attempt->fault = SF_S3_FAULT_SHORT;
  else if (!checksum_holds(attempt, response))
    attempt->fault = SF_S3_FAULT_CHECKSUM;
}

/* HEAD has no document; a bucket of another region is known by this header alone. */
static bool points_elsewhere(const sf_s3_attempt *attempt, const sf_http_response *response) {
  const char *region = sf_http_header(response, "x-amz-bucket-region");
  bool may_point = response->status == 301 || response->status == 400 || response->status == 403;
  return region != NULL && may_point && sf_s3_region_is_valid(region) &&
         strcmp(region, attempt->signature.endpoint.region) != 0;
}

/* HEAD has no document, so that an expired token is a 400 like any other: it is worth a try with new ones. */
static bool may_have_expired(const sf_s3_attempt *attempt, const sf_http_response *response) {
  return response->status == 400 && strcmp(attempt->call->request->method, "HEAD") == 0 &&
         attempt->signature.credentials != NULL && !attempt->call->renewed_credentials;
}

sf_s3_verdict sf_s3_attempt_judge(sf_s3_attempt *attempt, sf_s3_error_document *document) {
  sf_http_response *response = sf_http_transfer_response(attempt->transfer);
  *document = (sf_s3_error_document){0};
  if (response->status >= 300 && !sf_s3_parse_error(response->body.data, response->body.length, document))
    attempt->fault = SF_S3_FAULT_MEMORY;
  if (response->result == SF_HTTP_COMPLETE && response->status >= 200 && response->status < 300)
    check_complete(attempt, response);
  if (attempt->fault != SF_S3_FAULT_NONE)
    return verdict_of_fault(attempt->fault);
  int status = response->status;
  if (status == 200 && attempt->call->request->may_fail_with_success) {
    if (!sf_s3_parse_error(attempt->body.data, attempt->body.length, document)) {
      attempt->fault = SF_S3_FAULT_MEMORY;
      return verdict_of_fault(attempt->fault);
    }
    status = document->code[0] != '\0' ? 400 : status; /* codes that mean 'later' are known */
  }
  sf_s3_verdict verdict = sf_s3_judge(response->result, status, document->code);
  if (verdict == SF_S3_REFUSED && response->result == SF_HTTP_COMPLETE && points_elsewhere(attempt, response))
    return SF_S3_REDIRECTED;
  if (verdict == SF_S3_REFUSED && response->result == SF_HTTP_COMPLETE && may_have_expired(attempt, response))
    return SF_S3_EXPIRED;
  return verdict;
}

/* ----------------------------------------------------------------------------------------------------------- Messages */

static const char *describe_fault(sf_s3_fault fault) {
  switch (fault) {
  case SF_S3_FAULT_CHANGED:
    return "the object was replaced while it was read";
  case SF_S3_FAULT_WRONG_RANGE:
    return "the answer holds other bytes than were asked for";
  case SF_S3_FAULT_RANGE_IGNORED:
    return "the store ignores ranges";
  case SF_S3_FAULT_TOO_LARGE:
    return "the object is too large";
  case SF_S3_FAULT_SHORT:
    return "the body was cut short";
  case SF_S3_FAULT_CHECKSUM:
    return "the body does not have the checksum that the store keeps";
  case SF_S3_FAULT_MEMORY:
    return "out of memory";
  case SF_S3_FAULT_SINK:
  case SF_S3_FAULT_NONE:
    break;
  }
  return "the answer can't be used";
}

/* A listing's prefix is a parameter; for messages it is what is asked for. */
static const char *object_of(const sf_s3_request *request) {
  for (size_t i = 0; request->key == NULL && i < request->num_parameters; i++)
    if (strcmp(request->parameters[i].name, "prefix") == 0)
      return request->parameters[i].value;
  return request->key != NULL ? request->key : "";
}

static const char *describe_method(const sf_s3_request *request) {
  return request->key == NULL ? "LIST" : request->method;
}

/* A store that may not be listed keeps to itself which objects there are: it answers for a missing one as for one that may
 * not be read. */
static const char *explain_denial(const sf_s3_request *request, const sf_http_response *response,
                                  const sf_s3_error_document *document) {
  bool is_denial = document->code[0] == '\0' || strcmp(document->code, "AccessDenied") == 0;
  if (response->status != 403 || !is_denial)
    return "";
  if (request->key == NULL)
    return "; listing the prefix is denied (on AWS: s3:ListBucket)";
  bool reads = strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0;
  return reads ? "; reading it is denied, or it does not exist and listing, which would tell, is denied" : "";
}

static sf_code fail_status(const sf_s3_call *call, const sf_http_response *response,
                           const sf_s3_error_document *document, sf_code code, sf_error *error) {
  char header_id[128];
  const char *request_id = document->request_id;
  const char *header = sf_http_header(response, "x-amz-request-id");
  if (request_id[0] == '\0' && header != NULL) {
    sf_s3_show(header_id, sizeof(header_id), header, strlen(header));
    request_id = header_id;
  }
  return sf_fail(error, code, "%s s3://%s/%s: status %d%s%s%s%s%s%s%s%s", describe_method(call->request),
                 call->client->bucket, object_of(call->request), response->status, document->code[0] != '\0' ? " " : "",
                 document->code, document->message[0] != '\0' ? ": " : "", document->message,
                 request_id[0] != '\0' ? " (request " : "", request_id, request_id[0] != '\0' ? ")" : "",
                 explain_denial(call->request, response, document));
}

static sf_code fail_transport(const sf_s3_attempt *attempt, const sf_http_response *response, sf_code code,
                              sf_error *error) {
  const sf_s3_call *call = attempt->call;
  const char *key = object_of(call->request);
  const char *method = describe_method(call->request);
  if (attempt->fault == SF_S3_FAULT_SINK)
    return sf_fail(error, call->request->sink->error.code, "%s", call->request->sink->error.message);
  if (attempt->fault == SF_S3_FAULT_TOO_LARGE)
    return sf_fail(error, code, "%s s3://%s/%s: expected at most %zu bytes, found more", method, call->client->bucket,
                   key, call->request->max_body);
  if (attempt->fault == SF_S3_FAULT_MEMORY || response->result == SF_HTTP_NO_MEMORY)
    code = SF_OUT_OF_MEMORY_ERROR;
  const char *why = attempt->fault != SF_S3_FAULT_NONE ? describe_fault(attempt->fault) : response->message;
  return sf_fail(error, code, "%s s3://%s/%s: %s", method, call->client->bucket, key, why);
}

sf_code sf_s3_attempt_fail(const sf_s3_attempt *attempt, const sf_s3_error_document *document, sf_code code,
                           sf_error *error) {
  const sf_http_response *response = sf_http_transfer_response(attempt->transfer);
  if (attempt->fault == SF_S3_FAULT_NONE && response->result == SF_HTTP_COMPLETE)
    code = fail_status(attempt->call, response, document, code, error);
  else
    code = fail_transport(attempt, response, code, error);
  if (error != NULL)
    sf_s3_credentials_redact(attempt->signature.credentials, error->message);
  return code;
}
