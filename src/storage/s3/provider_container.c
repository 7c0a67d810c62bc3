/*
 * Container credentials: ECS and EKS Pod Identity.
 * https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
 */
#include "storage/s3/credentials.h"
#include "storage/s3/options.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>

#define MAX_TOKEN ((size_t)64 << 10)
#define TIMEOUT_MS 2000

/* Without TLS only hosts of this machine and its link are asked: others could listen in on the token. */
static bool host_is_local(const char *host) {
  static const char *const hosts[] = {"localhost", "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]", "[::1]"};
  for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
    if (strcmp(hosts[i], host) == 0)
      return true;
  return strncmp(host, "127.", 4) == 0 && sf_s3_host_is_address(host);
}

/* The variable can hold a query, which an sf_s3_url can't: only the part before the path is looked at. */
static sf_code check_full_url(const char *full, sf_error *error) {
  const char *variable = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
  const char *authority = strstr(full, "://");
  size_t origin_length = authority == NULL ? 0 : (size_t)(authority - full) + 3 + strcspn(authority + 3, "/?#");
  char *origin = sf_memdup_string(full, origin_length);
  if (origin == NULL)
    return sf_fail_memory(error, variable);
  sf_s3_url url;
  sf_code code = sf_s3_url_parse(origin, variable, &url, error);
  free(origin);
  SF_TRY(code);
  if (!url.is_https && !host_is_local(url.host))
    code =
        sf_fail(error, SF_ERROR, "%s: expected https, or a host of this machine, found http to %s", variable, url.host);
  sf_s3_url_clear(&url);
  return code;
}

static sf_code find_url(char **url, sf_error *error) {
  const char *relative = sf_s3_environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
  const char *full = sf_s3_environment("AWS_CONTAINER_CREDENTIALS_FULL_URI");
  *url = NULL;
  if (relative == NULL && full == NULL)
    return SF_OK;
  if (relative == NULL)
    SF_TRY(check_full_url(full, error));
  *url = relative != NULL ? sf_format("http://169.254.170.2%s%s", relative[0] == '/' ? "" : "/", relative)
                          : sf_strdup(full);
  return *url != NULL ? SF_OK : sf_fail_memory(error, "URL of container credentials");
}

/* The value of the Authorization header; stays NULL where none is asked for. */
static sf_code find_token(char **token, sf_error *error) {
  const char *path = sf_s3_environment("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
  const char *value = sf_s3_environment("AWS_CONTAINER_AUTHORIZATION_TOKEN");
  size_t length = 0;
  if (path != NULL)
    *token = sf_s3_read_small_file(path, MAX_TOKEN, &length);
  else if (value != NULL)
    *token = sf_strdup(value);
  if (path != NULL && *token == NULL)
    return sf_fail(error, sf_errno_code(errno, SF_ERROR), "container authorization token file %s: can't read it", path);
  if (value != NULL && *token == NULL)
    return sf_fail_memory(error, "container authorization token");
  if (*token != NULL)
    (*token)[strcspn(*token, "\r\n")] = '\0';
  return SF_OK;
}

static sf_code load_container(const sf_s3_provider_context *context, sf_s3_credentials **credentials, sf_error *error) {
  char *url = NULL;
  char *token = NULL;
  sf_buffer document = {0};
  SF_TRY(find_url(&url, error));
  if (url == NULL)
    return SF_OK;
  sf_code code = find_token(&token, error);
  if (code == SF_OK) {
    const sf_http_header_line authorization = {"Authorization", token};
    const sf_http_request request = {.method = "GET",
                                     .url = url,
                                     .headers = &authorization,
                                     .num_headers = token != NULL ? 1 : 0,
                                     .connect_timeout_ms = TIMEOUT_MS,
                                     .total_timeout_ms = TIMEOUT_MS,
                                     .no_proxy = true};
    code = sf_s3_fetch_document(context, &request, "container credentials", &document, error);
  }
  if (code == SF_OK && document.data == NULL)
    code = sf_fail(error, SF_ERROR, "container credentials: expected a document, found an empty answer");
  if (code == SF_OK)
    code = sf_s3_parse_credential_document((const char *)document.data, document.length, "container credentials",
                                           credentials, error);
  if (document.data != NULL)
    OPENSSL_cleanse(document.data, document.length);
  sf_buffer_free(&document);
  sf_s3_free_secret(token);
  free(url);
  return code;
}

const sf_s3_provider sf_s3_provider_container = {.name = "container", .load = load_container};
