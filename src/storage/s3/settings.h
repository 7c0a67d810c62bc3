/* How one storage reaches its store: the options, completed from the environment and the profile. */
#ifndef SF_STORAGE_S3_SETTINGS_H
#define SF_STORAGE_S3_SETTINGS_H

#include "storage/s3/endpoint.h"
#include "storage/s3/ini.h"

/* AWS's two files, and which profile of theirs is meant. */
typedef struct sf_s3_profiles {
  sf_ini config;
  sf_ini credentials;
} sf_s3_profiles;

/* Reads what is there to be read; a file that is missing or unreadable counts as empty. Fails only when memory is out. */
sf_code sf_s3_profiles_load(sf_s3_profiles *profiles, sf_error *error);
void sf_s3_profiles_clear(sf_s3_profiles *profiles);
bool sf_s3_profiles_have(const sf_s3_profiles *profiles, const char *profile);
/* A setting of a profile: of the credentials file, else of the config file. NULL: none. */
const char *sf_s3_profiles_get(const sf_s3_profiles *profiles, const char *profile, const char *name);

typedef struct sf_s3_settings {
  sf_s3_endpoint endpoint;
  sf_s3_addressing_style addressing_style;
  char *ca_path;
  bool no_verify_ssl;
  uint32_t connect_timeout_ms;
  uint32_t read_timeout_ms;
  uint32_t max_attempts;
  uint32_t max_connections;
  char *profile;
  bool profile_is_given; /* by the options: the environment's keys are then not meant */
  bool anonymous;
  bool requester_pays;
  char *access_key_id; /* NULL: look elsewhere */
  char *secret_access_key;
  char *session_token;
  sf_s3_credential_callback credential_callback;
  void *credential_user_data;
} sf_s3_settings;

/* `options` NULL: all from the environment. Fails with SF_CONFIG_VALIDATION_ERROR. */
sf_code sf_s3_settings_init(sf_s3_settings *settings, const sf_s3_options *options, sf_error *error);
void sf_s3_settings_clear(sf_s3_settings *settings);

/* A variable of the environment; NULL when it is unset or empty. */
const char *sf_s3_environment(const char *name);
/* S3_<name>, else AWS_<name>. */
const char *sf_s3_environment_pair(const char *name);

/* Copies that succeed for NULL; false when memory is out. */
bool sf_s3_copy_text(char **copy, const char *text);

/* A small file as a string for the caller to free; NULL when it can't be read or is larger. */
char *sf_s3_read_small_file(const char *path, size_t max_bytes, size_t *length);

#endif
