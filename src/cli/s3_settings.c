#include "cli/s3_settings.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef bool (*setting_function)(const char *value, sf_s3_options *options);

static bool read_boolean(const char *value, bool *flag) {
  *flag = strcmp(value, "true") == 0;
  return *flag || strcmp(value, "false") == 0;
}

static bool read_count(const char *value, uint32_t *count) {
  char *end;
  errno = 0;
  unsigned long number = value[0] >= '0' && value[0] <= '9' ? strtoul(value, &end, 10) : 0;
  if (number == 0 || *end != '\0' || errno != 0 || number > UINT32_MAX)
    return false;
  *count = (uint32_t)number;
  return true;
}

static bool read_seconds(const char *value, double *seconds) {
  char *end;
  if (value[0] < '0' || value[0] > '9')
    return false;
  *seconds = strtod(value, &end);
  return *end == '\0' && isfinite(*seconds) && *seconds > 0;
}

static bool set_endpoint_url(const char *value, sf_s3_options *options) {
  options->endpoint_url = value;
  return true;
}

static bool set_region_name(const char *value, sf_s3_options *options) {
  options->region_name = value;
  return true;
}

static bool set_addressing_style(const char *value, sf_s3_options *options) {
  static const struct {
    const char *name;
    sf_s3_addressing_style style;
  } styles[] = {
      {"auto", SF_S3_ADDRESSING_AUTO}, {"virtual", SF_S3_ADDRESSING_VIRTUAL}, {"path", SF_S3_ADDRESSING_PATH}};
  for (size_t i = 0; i < sizeof(styles) / sizeof(styles[0]); i++) {
    if (strcmp(styles[i].name, value) == 0) {
      options->addressing_style = styles[i].style;
      return true;
    }
  }
  return false;
}

/* Version 4 is what there is. */
static bool check_signature_version(const char *value, sf_s3_options *options) {
  (void)options;
  return strcmp(value, "s3v4") == 0 || strcmp(value, "v4") == 0;
}

/* A boolean, or the path of certificate authorities. */
static bool set_verify_ssl(const char *value, sf_s3_options *options) {
  bool verify = true;
  if (!read_boolean(value, &verify))
    options->ca_path = value;
  options->no_verify_ssl = strcmp(value, "false") == 0;
  return value[0] != '\0';
}

static bool set_connect_timeout(const char *value, sf_s3_options *options) {
  return read_seconds(value, &options->connect_timeout_seconds);
}

static bool set_read_timeout(const char *value, sf_s3_options *options) {
  return read_seconds(value, &options->read_timeout_seconds);
}

static bool set_max_attempts(const char *value, sf_s3_options *options) {
  return read_count(value, &options->max_attempts);
}

static bool set_max_connections(const char *value, sf_s3_options *options) {
  return read_count(value, &options->max_connections);
}

static bool set_anonymous(const char *value, sf_s3_options *options) {
  return read_boolean(value, &options->anonymous);
}

static bool set_requester_pays(const char *value, sf_s3_options *options) {
  return read_boolean(value, &options->requester_pays);
}

/* As boto3 names it, and the one value that S3 knows. */
static bool set_request_payer(const char *value, sf_s3_options *options) {
  options->requester_pays = strcmp(value, "requester") == 0;
  return options->requester_pays;
}

static const struct {
  const char *name;
  setting_function store;
} settings[] = {
    {"endpoint_url", set_endpoint_url},
    {"region_name", set_region_name},
    {"addressing_style", set_addressing_style},
    {"signature_version", check_signature_version},
    {"verify_ssl", set_verify_ssl},
    {"connect_timeout", set_connect_timeout},
    {"read_timeout", set_read_timeout},
    {"max_attempts", set_max_attempts},
    {"max_connections", set_max_connections},
    {"anonymous", set_anonymous},
    {"requester_pays", set_requester_pays},
    {"request_payer", set_request_payer},
};

bool sf_cli_s3_setting_store(const char *text, sf_s3_options *options) {
  const char *equals = strchr(text, '=');
  if (equals == NULL)
    return false;
  size_t length = (size_t)(equals - text);
  for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
    if (strlen(settings[i].name) == length && memcmp(settings[i].name, text, length) == 0)
      return settings[i].store(equals + 1, options);
  return false;
}
