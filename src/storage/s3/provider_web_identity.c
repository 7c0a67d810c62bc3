/*
 * Roles, taken on by STS: with a web identity's token, as Kubernetes hands them out, or with other credentials.
 * https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
 */
#include "base/time.h"
#include "storage/s3/credentials.h"
#include "storage/s3/options.h"
#include "storage/s3/responses.h"
#include "storage/s3/sigv4.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>

#define MAX_TOKEN ((size_t)64 << 10)
#define MAX_PARAMETERS 8
#define CONTENT_TYPE "application/x-www-form-urlencoded; charset=utf-8"

static sf_code sts_endpoint(const sf_s3_settings *settings, sf_s3_url *url, sf_error *error) {
  const char *given = sf_s3_environment("AWS_ENDPOINT_URL_STS");
  if (given == NULL)
    given = sf_s3_environment("AWS_ENDPOINT_URL");
  if (given != NULL)
    return sf_s3_url_parse(given, "STS endpoint URL", url, error);
  const char *region = settings->endpoint.region;
  char *made = sf_format("https://sts.%s.amazonaws.com%s", region, strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
  if (made == NULL)
    return sf_fail_memory(error, "STS endpoint");
  sf_code code = sf_s3_url_parse(made, "STS endpoint URL", url, error);
  free(made);
  return code;
}

/* Web identities speak for themselves; other requests are signed. */
static bool sign(const sf_s3_settings *settings, const sf_s3_credentials *base, const char *host, const char *path,
                 const sf_buffer *form, const char *timestamp, sf_buffer *authorization) {
  char hash[SF_SHA256_HEX_SIZE];
  sf_sigv4_pair headers[4] = {{"content-type", CONTENT_TYPE}, {"host", host}, {"x-amz-date", timestamp}};
  size_t num_headers = 3;
  if (base->session_token != NULL)
    headers[num_headers++] = (sf_sigv4_pair){"x-amz-security-token", base->session_token};
  const sf_sigv4_request request = {.method = "POST",
                                    .path = path,
                                    .query = "",
                                    .headers = headers,
                                    .num_headers = num_headers,
                                    .payload_hash = hash,
                                    .timestamp = timestamp,
                                    .region = settings->endpoint.region,
                                    .service = "sts"};
  return sf_sha256_hex(form->data, form->length, hash) &&
         sf_sigv4_authorization(&request, base->access_key_id, base->secret_access_key, authorization);
}

static sf_code post_form(const sf_s3_provider_context *context, const sf_s3_credentials *base, const sf_buffer *form,
                         sf_buffer *document, sf_error *error) {
  sf_s3_url endpoint;
  SF_TRY(sts_endpoint(context->settings, &endpoint, error));
  sf_code code = SF_OK;
  sf_buffer authorization = {0};
  char timestamp[SF_SIGV4_TIMESTAMP_SIZE];
  sf_sigv4_timestamp((int64_t)sf_wall_clock_seconds(), timestamp);
  char *host = sf_s3_url_authority(&endpoint);
  char *path = sf_format("%s/", endpoint.path);
  char *url =
      host == NULL || path == NULL ? NULL : sf_format("%s://%s%s", endpoint.is_https ? "https" : "http", host, path);
  sf_http_header_line headers[4] = {{"content-type", CONTENT_TYPE}, {"x-amz-date", timestamp}};
  size_t num_headers = 2;
  if (url == NULL || (base != NULL && !sign(context->settings, base, host, path, form, timestamp, &authorization))) {
    code = sf_fail_memory(error, "STS request");
    goto done;
  }
  if (base != NULL)
    headers[num_headers++] = (sf_http_header_line){"authorization", (const char *)authorization.data};
  if (base != NULL && base->session_token != NULL)
    headers[num_headers++] = (sf_http_header_line){"x-amz-security-token", base->session_token};
  const sf_http_request request = {.method = "POST",
                                   .url = url,
                                   .headers = headers,
                                   .num_headers = num_headers,
                                   .body = form->data,
                                   .body_length = form->length,
                                   .connect_timeout_ms = context->settings->connect_timeout_ms,
                                   .stall_timeout_ms = context->settings->read_timeout_ms};
  code = sf_s3_fetch_document(context, &request, "STS AssumeRole", document, error);
done:
  sf_buffer_free(&authorization);
  free(url);
  free(path);
  free(host);
  sf_s3_url_clear(&endpoint);
  return code;
}

static sf_code parse_role(const sf_buffer *document, sf_s3_credentials **credentials, sf_error *error) {
  sf_s3_assumed_role role;
  double expires_at = 0;
  if (!sf_s3_parse_assumed_role(document->data, document->length, &role))
    return sf_fail(error, sf_errno_code(errno, SF_ERROR),
                   "STS AssumeRole: expected credentials in the answer, found none");
  sf_code code;
  if (!sf_parse_timestamp(role.expiration, strlen(role.expiration), &expires_at) || expires_at < 1)
    code = sf_fail(error, SF_ERROR, "STS AssumeRole: expected Expiration to be an ISO 8601 time");
  else
    code = sf_s3_credentials_create(role.access_key_id, role.secret_access_key, role.session_token, (int64_t)expires_at,
                                    "STS AssumeRole", credentials, error);
  sf_s3_assumed_role_clear(&role);
  return code;
}

static void wipe(sf_buffer *buffer) {
  if (buffer->data != NULL)
    OPENSSL_cleanse(buffer->data, buffer->length);
  sf_buffer_free(buffer);
}

/* The token is read each time: it is replaced before it expires. */
static sf_code read_token(const char *path, char **token, sf_error *error) {
  size_t length = 0;
  *token = sf_s3_read_small_file(path, MAX_TOKEN, &length);
  if (*token == NULL)
    return sf_fail(error, sf_errno_code(errno, SF_ERROR), "web identity token file %s: can't read it", path);
  while (length > 0 && strchr(" \t\r\n", (*token)[length - 1]) != NULL)
    (*token)[--length] = '\0';
  return SF_OK;
}

sf_code sf_s3_assume_role(const sf_s3_provider_context *context, const sf_s3_role *role,
                          sf_s3_credentials **credentials, sf_error *error) {
  char *token = NULL;
  if (role->token_file != NULL)
    SF_TRY(read_token(role->token_file, &token, error));
  sf_sigv4_pair parameters[MAX_PARAMETERS] = {
      {"Action", token != NULL ? "AssumeRoleWithWebIdentity" : "AssumeRole"},
      {"Version", "2011-06-15"},
      {"RoleArn", role->arn},
      {"RoleSessionName", role->session_name != NULL ? role->session_name : "shardyfusion"},
  };
  size_t count = 4;
  if (token != NULL)
    parameters[count++] = (sf_sigv4_pair){"WebIdentityToken", token};
  if (role->external_id != NULL)
    parameters[count++] = (sf_sigv4_pair){"ExternalId", role->external_id};
  sf_buffer form = {0};
  sf_buffer document = {0};
  sf_code code = SF_OK;
  if (!sf_sigv4_query(parameters, count, &form))
    code = sf_fail_memory(error, "STS request");
  if (code == SF_OK)
    code = post_form(context, token != NULL ? NULL : role->base, &form, &document, error);
  if (code == SF_OK)
    code = parse_role(&document, credentials, error);
  wipe(&form);
  wipe(&document);
  sf_s3_free_secret(token);
  return code;
}

static sf_code load_web_identity(const sf_s3_provider_context *context, sf_s3_credentials **credentials,
                                 sf_error *error) {
  const sf_s3_role role = {
      .arn = sf_s3_environment("AWS_ROLE_ARN"),
      .session_name = sf_s3_environment("AWS_ROLE_SESSION_NAME"),
      .token_file = sf_s3_environment("AWS_WEB_IDENTITY_TOKEN_FILE"),
  };
  if (role.arn == NULL || role.token_file == NULL)
    return SF_OK;
  return sf_s3_assume_role(context, &role, credentials, error);
}

const sf_s3_provider sf_s3_provider_web_identity = {.name = "web identity", .load = load_web_identity};
