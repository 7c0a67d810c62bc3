/* Credentials out of the environment: S3_ACCESS_KEY_ID and its siblings, else AWS_ACCESS_KEY_ID and its. */
#include "storage/s3/credentials.h"

static sf_code load_family(const char *id_name, const char *secret_name, const char *token_name,
                           sf_s3_credentials **credentials, sf_error *error) {
  const char *id = sf_s3_environment(id_name);
  const char *secret = sf_s3_environment(secret_name);
  if (id == NULL && secret == NULL)
    return SF_OK;
  if (id == NULL || secret == NULL)
    return sf_fail(error, SF_ERROR, "environment: expected %s and %s together, found only %s", id_name, secret_name,
                   id != NULL ? id_name : secret_name);
  return sf_s3_credentials_create(id, secret, sf_s3_environment(token_name), 0, id_name, credentials, error);
}

static sf_code load_environment(const sf_s3_provider_context *context, sf_s3_credentials **credentials,
                                sf_error *error) {
  if (context->settings->profile_is_given)
    return SF_OK;
  SF_TRY(load_family("S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY", "S3_SESSION_TOKEN", credentials, error));
  if (*credentials != NULL)
    return SF_OK;
  return load_family("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", credentials, error);
}

const sf_s3_provider sf_s3_provider_environment = {.name = "environment", .load = load_environment};
