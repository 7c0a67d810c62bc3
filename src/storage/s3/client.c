#include "storage/s3/client.h"

#include "base/time.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* -------------------------------------------------------------------------------------------------------- The client */

static sf_code set_up(sf_s3_client *client, const sf_s3_options *options, const char *bucket, sf_error *error) {
  SF_TRY(sf_s3_settings_init(&client->settings, options, error));
  SF_TRY(sf_s3_endpoint_copy(&client->endpoint, &client->settings.endpoint, error));
  if (!sf_s3_copy_text(&client->bucket, bucket))
    return sf_fail_memory(error, "S3 client");
  const sf_http_client_options http = {.ca_path = client->settings.ca_path,
                                       .no_verify_ssl = client->settings.no_verify_ssl,
                                       .max_connections = client->settings.max_connections};
  SF_TRY(sf_http_client_create(&http, &client->http, error));
  return sf_s3_credential_source_create(&client->settings, client->http, &client->log, &client->credentials, error);
}

sf_code sf_s3_client_create(const sf_s3_options *options, const char *bucket, const sf_log *log, sf_s3_client **created,
                            sf_error *error) {
  sf_s3_client *client = sf_calloc(1, sizeof(*client));
  if (client == NULL)
    return sf_fail_memory(error, "S3 client");
  if (log != NULL)
    client->log = *log;
  pthread_mutex_init(&client->mutex, NULL);
  sf_latencies_init(&client->latencies);
  sf_code code = set_up(client, options, bucket, error);
  if (code != SF_OK) {
    sf_s3_client_free(client);
    return code;
  }
  *created = client;
  return SF_OK;
}

void sf_s3_client_free(sf_s3_client *client) {
  if (client == NULL)
    return;
  sf_s3_credential_source_free(client->credentials);
  sf_http_client_free(client->http);
  sf_s3_endpoint_clear(&client->endpoint);
  sf_s3_settings_clear(&client->settings);
  sf_latencies_destroy(&client->latencies);
  pthread_mutex_destroy(&client->mutex);
  free(client->bucket);
  free(client);
}

void sf_s3_signature_clear(sf_s3_signature *signature) {
  sf_s3_credentials_release(signature->credentials);
  sf_s3_endpoint_clear(&signature->endpoint);
  *signature = (sf_s3_signature){0};
}

/* ----------------------------------------------------------------------------------------------------------- Signing */

#define MAX_HEADERS 12

/* One transfer in the making. */
typedef struct draft {
  const sf_s3_client *client;
  const sf_s3_request *request;
  const sf_s3_attempt_options *options;
  const sf_s3_signature *signature;
  sf_s3_target target;
  sf_buffer query;
  sf_buffer authorization;
  char timestamp[SF_SIGV4_TIMESTAMP_SIZE];
  char payload_hash[SF_SHA256_HEX_SIZE];
  char range[64];
  sf_http_header_line headers[MAX_HEADERS];
  size_t num_headers;
} draft;

static void add_header(draft *made, const char *name, const char *value) {
  made->headers[made->num_headers++] = (sf_http_header_line){.name = name, .value = value};
}

static const sf_sigv4_pair request_payer = {"x-amz-request-payer", "requester"};

/* Signed are the host and everything of AWS's own; in ascending order. */
static bool sign(draft *made) {
  const sf_s3_credentials *credentials = made->signature->credentials;
  sf_sigv4_pair headers[6];
  size_t count = 0;
  headers[count++] = (sf_sigv4_pair){"host", made->target.host};
  if (made->request->wants_checksum)
    headers[count++] = (sf_sigv4_pair){"x-amz-checksum-mode", "ENABLED"};
  headers[count++] = (sf_sigv4_pair){"x-amz-content-sha256", made->payload_hash};
  headers[count++] = (sf_sigv4_pair){"x-amz-date", made->timestamp};
  if (made->client->settings.requester_pays)
    headers[count++] = request_payer;
  if (credentials->session_token != NULL)
    headers[count++] = (sf_sigv4_pair){"x-amz-security-token", credentials->session_token};
  for (size_t i = 1; i < count; i++) /* libcurl makes the host's; add_headers adds what unsigned requests have, too */
    if (strcmp(headers[i].name, "x-amz-checksum-mode") != 0 && strcmp(headers[i].name, request_payer.name) != 0)
      add_header(made, headers[i].name, headers[i].value);
  const sf_sigv4_request request = {.method = made->request->method,
                                    .path = made->target.path,
                                    .query = made->query.length > 0 ? (const char *)made->query.data : "",
                                    .headers = headers,
                                    .num_headers = count,
                                    .payload_hash = made->payload_hash,
                                    .timestamp = made->timestamp,
                                    .region = made->signature->endpoint.region,
                                    .service = "s3"};
  if (!sf_sigv4_authorization(&request, credentials->access_key_id, credentials->secret_access_key,
                              &made->authorization))
    return false;
  add_header(made, "authorization", (const char *)made->authorization.data);
  return true;
}

static void add_range(draft *made) {
  const sf_s3_request *request = made->request;
  uint64_t first = request->range_first + made->options->resume_at;
  if (request->range_length > 0)
    snprintf(made->range, sizeof(made->range), "bytes=%" PRIu64 "-%" PRIu64, first,
             request->range_first + request->range_length - 1);
  else
    snprintf(made->range, sizeof(made->range), "bytes=%" PRIu64 "-", first);
  if (request->range_length > 0 || made->options->resume_at > 0)
    add_header(made, "range", made->range);
}

static bool add_headers(draft *made) {
  const sf_s3_request *request = made->request;
  const char *etag = made->options->etag != NULL ? made->options->etag : request->if_match;
  add_range(made);
  if (etag != NULL)
    add_header(made, "if-match", etag);
  if (request->if_none_match != NULL)
    add_header(made, "if-none-match", request->if_none_match);
  if (request->wants_checksum)
    add_header(made, "x-amz-checksum-mode", "ENABLED");
  if (made->client->settings.requester_pays)
    add_header(made, request_payer.name, request_payer.value);
  if (request->body != NULL)
    add_header(made, "content-type", "application/octet-stream");
  int64_t now = (int64_t)sf_wall_clock_seconds() + atomic_load(&made->client->clock_difference);
  sf_sigv4_timestamp(now, made->timestamp);
  return sf_sha256_hex(request->body != NULL ? request->body : "", request->body_length, made->payload_hash) &&
         (made->signature->credentials == NULL || sign(made));
}

static uint32_t at_most(uint32_t a, uint32_t b) {
  return a < b ? a : b;
}

static sf_code submit_draft(draft *made, sf_waiter *waiter, sf_http_transfer **transfer, sf_error *error) {
  const sf_s3_request *request = made->request;
  const sf_s3_settings *settings = &made->client->settings;
  char *url = NULL;
  if (sf_sigv4_query(request->parameters, request->num_parameters, &made->query) && add_headers(made))
    url = sf_format("%s%s%s%s", made->target.origin, made->target.path, made->query.length > 0 ? "?" : "",
                    made->query.length > 0 ? (const char *)made->query.data : "");
  if (url == NULL)
    return sf_fail_memory(error, "S3 request");
  const sf_http_request http = {
      .method = request->method,
      .url = url,
      .headers = made->headers,
      .num_headers = made->num_headers,
      .body = request->body,
      .body_length = request->body_length,
      .sink = made->options->sink,
      .max_body = (size_t)64 << 10, /* only errors' */
      .connect_timeout_ms = at_most(settings->connect_timeout_ms, made->options->timeout_ms),
      .stall_timeout_ms = at_most(settings->read_timeout_ms, made->options->timeout_ms),
      .is_bulk = request->is_bulk,
      .fresh_connection = made->options->fresh_connection,
  };
  sf_code code = sf_http_submit(made->client->http, &http, waiter, transfer, error);
  free(url);
  return code;
}

static sf_code find_endpoint(sf_s3_client *client, sf_s3_endpoint *endpoint, sf_error *error) {
  pthread_mutex_lock(&client->mutex);
  sf_code code = sf_s3_endpoint_copy(endpoint, &client->endpoint, error);
  pthread_mutex_unlock(&client->mutex);
  return code;
}

sf_code sf_s3_submit(sf_s3_client *client, const sf_s3_request *request, const sf_s3_attempt_options *options,
                     sf_waiter *waiter, sf_s3_signature *signature, sf_http_transfer **transfer, sf_error *error) {
  *signature = (sf_s3_signature){0};
  draft made = {.client = client, .request = request, .options = options, .signature = signature};
  sf_code code = find_endpoint(client, &signature->endpoint, error);
  if (code == SF_OK)
    code = sf_s3_credential_source_acquire(client->credentials, waiter->cancellation, &signature->credentials, error);
  if (code == SF_OK)
    code = sf_s3_target_init(&made.target, &signature->endpoint, client->settings.addressing_style, client->bucket,
                             request->key, error);
  if (code == SF_OK)
    code = submit_draft(&made, waiter, transfer, error);
  if (code != SF_OK)
    sf_s3_signature_clear(signature);
  sf_s3_target_clear(&made.target);
  sf_buffer_free(&made.query);
  sf_buffer_free(&made.authorization);
  return code;
}
