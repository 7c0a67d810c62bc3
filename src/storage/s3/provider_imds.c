/*
 * The role of an EC2 instance, from its metadata service, version 2 (a token first).
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html
 * Outside of EC2 there is no response: two seconds are all that is spent, once.
 */
#include "base/time.h"
#include "storage/s3/credentials.h"
#include "storage/s3/options.h"

#include <openssl/crypto.h>
#include <string.h>

#define DEFAULT_ENDPOINT "http://169.254.169.254"
#define ROLE_PATH "/latest/meta-data/iam/security-credentials/"
#define BUDGET_MS 2000
#define MAX_ANSWER ((size_t)64 << 10)

typedef struct conversation {
  const sf_s3_provider_context *context;
  const char *endpoint;
  uint64_t deadline;
  char *token;
} conversation;

/* Asks for one document; false when there is no good answer in time. `*code` says whether that was cancelled. */
static bool ask(const conversation *talk, const char *method, const char *path, const sf_http_header_line *header,
                sf_buffer *answer, sf_code *code, sf_error *error) {
  uint64_t now = sf_monotonic_nanoseconds();
  char *url = sf_format("%s%s", talk->endpoint, path);
  if (url == NULL || now >= talk->deadline) {
    free(url);
    return false;
  }
  uint32_t left_ms = (uint32_t)((talk->deadline - now) / 1000000) + 1;
  const sf_http_request request = {.method = method,
                                   .url = url,
                                   .headers = header,
                                   .num_headers = 1,
                                   .body = strcmp(method, "PUT") == 0 ? "" : NULL,
                                   .max_body = MAX_ANSWER,
                                   .connect_timeout_ms = left_ms,
                                   .total_timeout_ms = left_ms,
                                   .no_proxy = true};
  sf_http_transfer *transfer = NULL;
  *code = sf_http_perform(talk->context->http, &request, talk->context->cancellation, &transfer, error);
  free(url);
  if (*code != SF_OK)
    return false;
  sf_http_response *response = sf_http_transfer_response(transfer);
  bool answered = response->result == SF_HTTP_COMPLETE && response->status == 200 && response->body.length > 0;
  if (answered) {
    *answer = response->body;
    response->body = (sf_buffer){0};
  }
  sf_http_transfer_free(transfer);
  return answered;
}

static bool ask_for_token(conversation *talk, sf_code *code, sf_error *error) {
  const sf_http_header_line lifetime = {"X-aws-ec2-metadata-token-ttl-seconds", "21600"};
  sf_buffer answer = {0};
  if (!ask(talk, "PUT", "/latest/api/token", &lifetime, &answer, code, error))
    return false;
  talk->token = (char *)answer.data;
  talk->token[strcspn(talk->token, "\r\n")] = '\0';
  return true;
}

/* The path of the role's document; NULL when the instance has none. */
static char *ask_for_role(const conversation *talk, const sf_http_header_line *token, sf_code *code, sf_error *error) {
  sf_buffer role = {0};
  if (!ask(talk, "GET", ROLE_PATH, token, &role, code, error))
    return NULL;
  sf_buffer path = {0};
  bool built = sf_buffer_append_text(&path, ROLE_PATH) &&
               sf_s3_uri_encode(&path, (const char *)role.data, strcspn((const char *)role.data, "\r\n"), false);
  sf_buffer_free(&role);
  if (!built)
    sf_buffer_free(&path);
  return (char *)path.data;
}

static bool ask_for_document(conversation *talk, sf_buffer *document, sf_code *code, sf_error *error) {
  if (!ask_for_token(talk, code, error))
    return false;
  const sf_http_header_line token = {"X-aws-ec2-metadata-token", talk->token};
  char *path = ask_for_role(talk, &token, code, error);
  bool answered = path != NULL && ask(talk, "GET", path, &token, document, code, error);
  free(path);
  return answered;
}

static sf_code load_imds(const sf_s3_provider_context *context, sf_s3_credentials **credentials, sf_error *error) {
  const char *disabled = sf_s3_environment("AWS_EC2_METADATA_DISABLED");
  const char *endpoint = sf_s3_environment("AWS_EC2_METADATA_SERVICE_ENDPOINT");
  if (disabled != NULL && (strcmp(disabled, "true") == 0 || strcmp(disabled, "TRUE") == 0))
    return SF_OK;
  conversation talk = {.context = context,
                       .endpoint = endpoint != NULL ? endpoint : DEFAULT_ENDPOINT,
                       .deadline = sf_monotonic_nanoseconds() + (uint64_t)BUDGET_MS * 1000000};
  sf_buffer document = {0};
  sf_code code = SF_OK;
  if (ask_for_document(&talk, &document, &code, error))
    code = sf_s3_parse_credential_document((const char *)document.data, document.length, "instance metadata",
                                           credentials, error);
  if (document.data != NULL)
    OPENSSL_cleanse(document.data, document.length);
  sf_buffer_free(&document);
  sf_s3_free_secret(talk.token);
  return code;
}

const sf_s3_provider sf_s3_provider_imds = {.name = "instance metadata", .load = load_imds, .remembers_no = true};
