/*
 * Credentials out of AWS's shared files: keys, a credential_process, or a role that is taken on with another profile's
 * or service's credentials. https://docs.aws.amazon.com/sdkref/latest/guide/feature-assume-role-credentials.html
 */
#include "storage/s3/credentials.h"

#include <string.h>

/* Profiles that refer to profiles; AWS's own tools stop at a cycle. */
#define MAX_ROLE_CHAIN 5

typedef struct search {
  const sf_s3_provider_context *context;
  sf_s3_profiles profiles;
} search;

static sf_code load_profile(const search *searched, const char *profile, unsigned depth,
                            sf_s3_credentials **credentials, sf_error *error);

/* credential_source names a service to get the base credentials from. */
static sf_code load_from_service(const search *searched, const char *service, sf_s3_credentials **credentials,
                                 sf_error *error) {
  const struct {
    const char *name;
    const sf_s3_provider *provider;
  } services[] = {
      {"Environment", &sf_s3_provider_environment},
      {"EcsContainer", &sf_s3_provider_container},
      {"Ec2InstanceMetadata", &sf_s3_provider_imds},
  };
  for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++)
    if (strcmp(services[i].name, service) == 0)
      return services[i].provider->load(searched->context, credentials, error);
  return sf_fail(error, SF_ERROR,
                 "credential_source: expected Environment, EcsContainer or Ec2InstanceMetadata, found "
                 "'%.80s'",
                 service);
}

static sf_code load_static(const search *searched, const char *profile, sf_s3_credentials **credentials,
                           sf_error *error) {
  const sf_s3_profiles *profiles = &searched->profiles;
  const char *id = sf_s3_profiles_get(profiles, profile, "aws_access_key_id");
  const char *secret = sf_s3_profiles_get(profiles, profile, "aws_secret_access_key");
  if (id == NULL && secret == NULL)
    return SF_OK;
  if (id == NULL || secret == NULL)
    return sf_fail(error, SF_ERROR, "profile '%.200s': expected aws_access_key_id and aws_secret_access_key together",
                   profile);
  return sf_s3_credentials_create(id, secret, sf_s3_profiles_get(profiles, profile, "aws_session_token"), 0, "profile",
                                  credentials, error);
}

/* The credentials that a role's profile is taken on with. A profile may name itself: its own keys are meant. */
static sf_code load_base(const search *searched, const char *profile, unsigned depth, sf_s3_credentials **base,
                         sf_error *error) {
  const char *source = sf_s3_profiles_get(&searched->profiles, profile, "source_profile");
  const char *service = sf_s3_profiles_get(&searched->profiles, profile, "credential_source");
  if (source != NULL && strcmp(source, profile) == 0)
    SF_TRY(load_static(searched, profile, base, error));
  else if (source != NULL)
    SF_TRY(load_profile(searched, source, depth + 1, base, error));
  else if (service != NULL)
    SF_TRY(load_from_service(searched, service, base, error));
  if (*base == NULL)
    return sf_fail(error, SF_ERROR,
                   "profile '%.200s': expected source_profile or credential_source to give credentials for its role",
                   profile);
  return SF_OK;
}

static sf_code load_role(const search *searched, const char *profile, const char *arn, unsigned depth,
                         sf_s3_credentials **credentials, sf_error *error) {
  sf_s3_role role = {
      .arn = arn,
      .session_name = sf_s3_profiles_get(&searched->profiles, profile, "role_session_name"),
      .external_id = sf_s3_profiles_get(&searched->profiles, profile, "external_id"),
      .token_file = sf_s3_profiles_get(&searched->profiles, profile, "web_identity_token_file"),
  };
  sf_s3_credentials *base = NULL;
  if (role.token_file == NULL)
    SF_TRY(load_base(searched, profile, depth, &base, error));
  role.base = base;
  sf_code code = sf_s3_assume_role(searched->context, &role, credentials, error);
  sf_s3_credentials_release(base);
  return code;
}

/* Signing on takes a browser, and a cache of tokens that only AWS's own tools keep. */
static sf_code refuse_sso(const search *searched, const char *profile, sf_error *error) {
  if (sf_s3_profiles_get(&searched->profiles, profile, "sso_session") == NULL &&
      sf_s3_profiles_get(&searched->profiles, profile, "sso_start_url") == NULL)
    return SF_OK;
  return sf_fail(error, SF_ERROR,
                 "profile '%.200s' signs on by SSO, which is not supported: name a profile whose credential_process is "
                 "\"aws configure export-credentials --profile %.200s --format process\"",
                 profile, profile);
}

static sf_code load_profile(const search *searched, const char *profile, unsigned depth,
                            sf_s3_credentials **credentials, sf_error *error) {
  if (depth > MAX_ROLE_CHAIN)
    return sf_fail(error, SF_ERROR, "profile '%.200s': the chain of source_profile is too long or a cycle", profile);
  const char *arn = sf_s3_profiles_get(&searched->profiles, profile, "role_arn");
  if (arn != NULL)
    return load_role(searched, profile, arn, depth, credentials, error);
  SF_TRY(load_static(searched, profile, credentials, error));
  if (*credentials != NULL)
    return SF_OK;
  const char *command = sf_s3_profiles_get(&searched->profiles, profile, "credential_process");
  if (command == NULL)
    return refuse_sso(searched, profile, error);
  return sf_s3_run_credential_process(command, searched->context->cancellation, credentials, error);
}

/* The files are read anew each time: other programs renew what is in them. */
static sf_code load_from_files(const sf_s3_provider_context *context, sf_s3_credentials **credentials,
                               sf_error *error) {
  search searched = {.context = context};
  SF_TRY(sf_s3_profiles_load(&searched.profiles, error));
  sf_code code = load_profile(&searched, context->settings->profile, 0, credentials, error);
  sf_s3_profiles_clear(&searched.profiles);
  return code;
}

const sf_s3_provider sf_s3_provider_profile = {.name = "profile", .load = load_from_files};
