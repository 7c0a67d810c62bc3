#include "storage/s3/settings.h"

#include "storage/s3/options.h"
#include "storage/s3/retry.h"

#include <curl/curl.h>
#include <errno.h>
#include <math.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAX_PROFILE_FILE ((size_t)1 << 20)
#define DEFAULT_CONNECT_TIMEOUT_MS 5000
#define DEFAULT_READ_TIMEOUT_MS 15000
#define DEFAULT_MAX_CONNECTIONS 16
#define MAX_MAX_CONNECTIONS 256
#define MAX_MAX_ATTEMPTS 100

/* ----------------------------------------------------------------------------------------------------- Small helpers */

const char *sf_s3_environment(const char *name) {
  const char *value = getenv(name);
  return value != NULL && value[0] != '\0' ? value : NULL;
}

const char *sf_s3_environment_pair(const char *name) {
  char full[64];
  snprintf(full, sizeof(full), "S3_%s", name);
  const char *value = sf_s3_environment(full);
  if (value != NULL)
    return value;
  snprintf(full, sizeof(full), "AWS_%s", name);
  return sf_s3_environment(full);
}

bool sf_s3_copy_text(char **copy, const char *text) {
  *copy = sf_strdup(text);
  return text == NULL || *copy != NULL;
}

char *sf_s3_read_small_file(const char *path, size_t max_bytes, size_t *length) {
  FILE *file = fopen(path, "rbe");
  if (file == NULL)
    return NULL;
  char *text = malloc(max_bytes + 1);
  size_t got = text == NULL ? 0 : fread(text, 1, max_bytes + 1, file);
  bool failed = text == NULL || ferror(file) != 0 || got > max_bytes;
  fclose(file);
  if (failed) {
    free(text);
    return NULL;
  }
  text[got] = '\0';
  *length = got;
  return text;
}

/* ---------------------------------------------------------------------------------------------------------- Profiles */

/* The file that `variable` names, or `fallback` below the home directory. */
static char *profile_path(const char *variable, const char *fallback) {
  const char *home = sf_s3_environment("HOME");
  const char *given = sf_s3_environment(variable);
  if (given != NULL && (strncmp(given, "~/", 2) != 0 || home == NULL))
    return sf_strdup(given);
  return home == NULL ? NULL : sf_format("%s/%s", home, given != NULL ? given + 2 : fallback);
}

/* A file that is not there, or can't be read or parsed, has nothing in it; unless memory is what was missing, which an
 * allocation that failed leaves in errno. */
static sf_code load_profile_file(const char *variable, const char *fallback, sf_ini *ini, sf_error *error) {
  *ini = (sf_ini){0};
  errno = 0;
  char *path = profile_path(variable, fallback);
  size_t length = 0;
  char *text = path != NULL ? sf_s3_read_small_file(path, MAX_PROFILE_FILE, &length) : NULL;
  bool loaded = text != NULL && sf_ini_parse(text, length, ini);
  int failure = loaded ? 0 : errno;
  if (text != NULL)
    OPENSSL_cleanse(text, length);
  free(text);
  free(path);
  return failure == ENOMEM ? sf_fail_memory(error, fallback) : SF_OK;
}

sf_code sf_s3_profiles_load(sf_s3_profiles *profiles, sf_error *error) {
  *profiles = (sf_s3_profiles){0};
  sf_code code = load_profile_file("AWS_CONFIG_FILE", ".aws/config", &profiles->config, error);
  if (code == SF_OK)
    code = load_profile_file("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials", &profiles->credentials, error);
  if (code != SF_OK)
    sf_s3_profiles_clear(profiles);
  return code;
}

void sf_s3_profiles_clear(sf_s3_profiles *profiles) {
  sf_ini_clear(&profiles->config);
  sf_ini_clear(&profiles->credentials);
}

/* In the config file a section is "profile name", but "default" may stand alone. */
static const char *config_get(const sf_ini *config, const char *profile, const char *name) {
  const char *value = sf_ini_get_of(config, "profile", profile, name);
  if (value == NULL && strcmp(profile, "default") == 0)
    value = sf_ini_get(config, "default", name);
  return value;
}

bool sf_s3_profiles_have(const sf_s3_profiles *profiles, const char *profile) {
  /* The entry without a name stands for the section. */
  return sf_ini_has_section(&profiles->credentials, profile) || config_get(&profiles->config, profile, "") != NULL;
}

const char *sf_s3_profiles_get(const sf_s3_profiles *profiles, const char *profile, const char *name) {
  const char *value = sf_ini_get(&profiles->credentials, profile, name);
  if (value == NULL)
    value = config_get(&profiles->config, profile, name);
  return value != NULL && value[0] != '\0' ? value : NULL;
}

/* ---------------------------------------------------------------------------------------------------------- Settings */

/* The endpoint of the profile's "services" section for S3, else the profile's for all services. */
static const char *profile_endpoint(const sf_s3_profiles *profiles, const char *profile) {
  const char *ignored = sf_s3_environment("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
  if (ignored != NULL && strcmp(ignored, "true") == 0)
    return NULL;
  const char *services = sf_s3_profiles_get(profiles, profile, "services");
  if (services != NULL) {
    const char *endpoint = sf_ini_get_of(&profiles->config, "services", services, "s3.endpoint_url");
    if (endpoint != NULL)
      return endpoint;
  }
  return sf_s3_profiles_get(profiles, profile, "endpoint_url");
}

static const char *find_endpoint(const sf_s3_options *options, const sf_s3_profiles *profiles, const char *profile) {
  static const char *const variables[] = {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "SLATEDB_S3_ENDPOINT_URL"};
  if (options->endpoint_url != NULL && options->endpoint_url[0] != '\0')
    return options->endpoint_url;
  for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
    if (sf_s3_environment(variables[i]) != NULL)
      return sf_s3_environment(variables[i]);
  return profile_endpoint(profiles, profile);
}

static const char *find_region(const sf_s3_options *options, const sf_s3_profiles *profiles, const char *profile) {
  if (options->region_name != NULL && options->region_name[0] != '\0')
    return options->region_name;
  const char *region = sf_s3_environment_pair("REGION");
  if (region == NULL)
    region = sf_s3_environment("AWS_DEFAULT_REGION");
  return region != NULL ? region : sf_s3_profiles_get(profiles, profile, "region");
}

static sf_s3_addressing_style find_style(const sf_s3_options *options, const sf_s3_profiles *profiles,
                                         const char *profile) {
  if (options->addressing_style != SF_S3_ADDRESSING_AUTO)
    return options->addressing_style;
  const char *style = sf_s3_profiles_get(profiles, profile, "s3.addressing_style");
  if (style != NULL && strcmp(style, "virtual") == 0)
    return SF_S3_ADDRESSING_VIRTUAL;
  return style != NULL && strcmp(style, "path") == 0 ? SF_S3_ADDRESSING_PATH : SF_S3_ADDRESSING_AUTO;
}

/* A libcurl that came from another distribution than the one that runs (as it does in a wheel) looks for the system's
 * authorities where there are none: then they are taken from where the others keep them. NULL: where libcurl looks. */
static const char *find_system_authorities(void) {
  static const char *const paths[] = {
      "/etc/ssl/certs/ca-certificates.crt", /* Debian, Ubuntu, Arch, Alpine */
      "/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora, RHEL, Amazon Linux */
      "/etc/ssl/ca-bundle.pem",             /* openSUSE */
      "/etc/ssl/cert.pem",                  /* macOS, BSD */
  };
  const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
  if (info->cainfo == NULL || access(info->cainfo, R_OK) == 0)
    return NULL;
  for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
    if (access(paths[i], R_OK) == 0)
      return paths[i];
  return NULL;
}

static const char *find_ca_path(const sf_s3_options *options, const sf_s3_profiles *profiles, const char *profile) {
  if (options->ca_path != NULL && options->ca_path[0] != '\0')
    return options->ca_path;
  const char *ca_path = sf_s3_environment("AWS_CA_BUNDLE");
  if (ca_path == NULL)
    ca_path = sf_s3_profiles_get(profiles, profile, "ca_bundle");
  return ca_path != NULL ? ca_path : find_system_authorities();
}

static const char *find_profile(const sf_s3_options *options) {
  if (options->profile != NULL && options->profile[0] != '\0')
    return options->profile;
  const char *profile = sf_s3_environment("AWS_PROFILE");
  if (profile == NULL)
    profile = sf_s3_environment("AWS_DEFAULT_PROFILE");
  return profile != NULL ? profile : "default";
}

static sf_code check_profile(const sf_s3_profiles *profiles, const char *profile, sf_error *error) {
  if (strcmp(profile, "default") == 0 || sf_s3_profiles_have(profiles, profile))
    return SF_OK;
  return sf_fail(error, SF_CONFIG_VALIDATION_ERROR,
                 "profile '%.200s': expected it in the shared config or credentials file, found neither", profile);
}

static sf_code set_milliseconds(double seconds, uint32_t fallback_ms, const char *what, uint32_t *milliseconds,
                                sf_error *error) {
  const double longest = 86400;
  if (!(seconds >= 0 && seconds <= longest))
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "%s: expected 0 to %.0f seconds, found %g", what, longest,
                   seconds);
  *milliseconds = seconds > 0 ? (uint32_t)ceil(seconds * 1000) : fallback_ms;
  return SF_OK;
}

static sf_code set_limits(sf_s3_settings *settings, const sf_s3_options *options, sf_error *error) {
  SF_TRY(set_milliseconds(options->connect_timeout_seconds, DEFAULT_CONNECT_TIMEOUT_MS, "connect timeout",
                          &settings->connect_timeout_ms, error));
  SF_TRY(set_milliseconds(options->read_timeout_seconds, DEFAULT_READ_TIMEOUT_MS, "read timeout",
                          &settings->read_timeout_ms, error));
  if (options->max_attempts > MAX_MAX_ATTEMPTS || options->max_connections > MAX_MAX_CONNECTIONS)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR,
                   "S3 options: expected at most %d attempts and %d connections, found %u and %u", MAX_MAX_ATTEMPTS,
                   MAX_MAX_CONNECTIONS, options->max_attempts, options->max_connections);
  settings->max_attempts = options->max_attempts > 0 ? options->max_attempts : SF_S3_DEFAULT_MAX_ATTEMPTS;
  settings->max_connections = options->max_connections > 0 ? options->max_connections : DEFAULT_MAX_CONNECTIONS;
  return SF_OK;
}

static sf_code set_identity(sf_s3_settings *settings, const sf_s3_options *options, sf_error *error) {
  if ((options->access_key_id == NULL) != (options->secret_access_key == NULL))
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR,
                   "S3 options: expected access_key_id and secret_access_key together, found one of them");
  if (options->anonymous && (options->access_key_id != NULL || options->credential_callback != NULL))
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR,
                   "S3 options: expected anonymous or credentials, found anonymous with %s",
                   options->access_key_id != NULL ? "access_key_id" : "a credential callback");
  settings->anonymous = options->anonymous;
  settings->requester_pays = options->requester_pays;
  settings->credential_callback = options->credential_callback;
  settings->credential_user_data = options->credential_user_data;
  if (!sf_s3_copy_text(&settings->access_key_id, options->access_key_id) ||
      !sf_s3_copy_text(&settings->secret_access_key, options->secret_access_key) ||
      !sf_s3_copy_text(&settings->session_token, options->session_token))
    return sf_fail_memory(error, "S3 options");
  return SF_OK;
}

static sf_code set_all(sf_s3_settings *settings, const sf_s3_options *options, const sf_s3_profiles *profiles,
                       sf_error *error) {
  const char *profile = find_profile(options);
  SF_TRY(check_profile(profiles, profile, error));
  settings->profile_is_given = options->profile != NULL && options->profile[0] != '\0';
  settings->addressing_style = find_style(options, profiles, profile);
  settings->no_verify_ssl = options->no_verify_ssl;
  if (!sf_s3_copy_text(&settings->profile, profile) ||
      !sf_s3_copy_text(&settings->ca_path, find_ca_path(options, profiles, profile)))
    return sf_fail_memory(error, "S3 options");
  SF_TRY(set_limits(settings, options, error));
  SF_TRY(set_identity(settings, options, error));
  return sf_s3_endpoint_init(&settings->endpoint, find_endpoint(options, profiles, profile),
                             find_region(options, profiles, profile), error);
}

sf_code sf_s3_settings_init(sf_s3_settings *settings, const sf_s3_options *given, sf_error *error) {
  *settings = (sf_s3_settings){0};
  sf_s3_options options;
  SF_TRY(sf_s3_options_read(given, &options, error));
  sf_s3_profiles profiles;
  SF_TRY(sf_s3_profiles_load(&profiles, error));
  sf_code code = set_all(settings, &options, &profiles, error);
  sf_s3_profiles_clear(&profiles);
  if (code != SF_OK)
    sf_s3_settings_clear(settings);
  return code;
}

void sf_s3_settings_clear(sf_s3_settings *settings) {
  sf_s3_endpoint_clear(&settings->endpoint);
  free(settings->ca_path);
  free(settings->profile);
  free(settings->access_key_id);
  sf_s3_free_secret(settings->secret_access_key);
  sf_s3_free_secret(settings->session_token);
  *settings = (sf_s3_settings){0};
}
