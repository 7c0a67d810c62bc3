/* Credentials out of the options: keys, or the callback of the embedding program. */
#include "storage/s3/credentials.h"

#include <string.h>

struct sf_s3_credential_request {
  sf_s3_credentials *credentials;
};

sf_code sf_s3_supply_credentials(sf_s3_credential_request *request, const char *access_key_id,
                                 const char *secret_access_key, const char *session_token, int64_t expires_at,
                                 sf_error *error) {
  sf_s3_credentials *supplied = NULL;
  SF_TRY(sf_s3_credentials_create(access_key_id, secret_access_key, session_token, expires_at,
                                  "credentials of the callback", &supplied, error));
  sf_s3_credentials_release(request->credentials);
  request->credentials = supplied;
  return SF_OK;
}

static sf_code ask_callback(const sf_s3_settings *settings, sf_s3_credentials **credentials, sf_error *error) {
  sf_s3_credential_request request = {0};
  sf_error reported = {0};
  sf_code code = settings->credential_callback(&request, settings->credential_user_data, &reported);
  if (code == SF_OK && request.credentials != NULL) {
    *credentials = request.credentials;
    return SF_OK;
  }
  sf_s3_credentials_release(request.credentials);
  if (code == SF_OK)
    return sf_fail(error, SF_ERROR, "the credential callback succeeded without supplying credentials");
  return sf_fail(error, code, "the credential callback failed: %s",
                 reported.message[0] != '\0' ? reported.message : sf_code_name(code));
}

static sf_code load_given(const sf_s3_provider_context *context, sf_s3_credentials **credentials, sf_error *error) {
  const sf_s3_settings *settings = context->settings;
  if (settings->credential_callback != NULL)
    return ask_callback(settings, credentials, error);
  if (settings->access_key_id == NULL)
    return SF_OK;
  return sf_s3_credentials_create(settings->access_key_id, settings->secret_access_key, settings->session_token, 0,
                                  "S3 options", credentials, error);
}

const sf_s3_provider sf_s3_provider_given = {.name = "options", .load = load_given};
