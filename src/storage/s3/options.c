#include "storage/s3/options.h"

#include "base/memory.h"
#include "base/options.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

void sf_s3_options_init(sf_s3_options *options) {
  *options = (sf_s3_options)SF_S3_OPTIONS_INIT;
}

sf_code sf_s3_options_read(const sf_s3_options *given, sf_s3_options *options, sf_error *error) {
  sf_s3_options_init(options);
  if (given == NULL)
    return SF_OK;
  return sf_options_read(given, SF_SIZE_WITH(sf_s3_options, credential_user_data), options, "S3 options: expected them",
                         error);
}

/* The texts among the options. */
static const size_t text_offsets[] = {
    offsetof(sf_s3_options, endpoint_url),  offsetof(sf_s3_options, region_name),
    offsetof(sf_s3_options, ca_path),       offsetof(sf_s3_options, profile),
    offsetof(sf_s3_options, access_key_id), offsetof(sf_s3_options, secret_access_key),
    offsetof(sf_s3_options, session_token),
};
#define NUM_TEXTS (sizeof(text_offsets) / sizeof(text_offsets[0]))

static char *get_text(const sf_s3_options *options, size_t index) {
  char *text;
  memcpy(&text, (const char *)options + text_offsets[index], sizeof(text));
  return text;
}

static void set_text(sf_s3_options *options, size_t index, const char *text) {
  memcpy((char *)options + text_offsets[index], &text, sizeof(text));
}

sf_code sf_s3_options_copy(const sf_s3_options *given, sf_s3_options **copied, sf_error *error) {
  *copied = NULL;
  if (given == NULL)
    return SF_OK;
  sf_s3_options *copy = sf_calloc(1, sizeof(*copy));
  if (copy == NULL)
    return sf_fail_memory(error, "S3 options");
  sf_code code = sf_s3_options_read(given, copy, error);
  const sf_s3_options borrowed = *copy;
  for (size_t i = 0; i < NUM_TEXTS; i++)
    set_text(copy, i, NULL);
  for (size_t i = 0; i < NUM_TEXTS && code == SF_OK; i++) {
    const char *text = get_text(&borrowed, i);
    set_text(copy, i, sf_strdup(text));
    if (text != NULL && get_text(copy, i) == NULL)
      code = sf_fail_memory(error, "S3 options");
  }
  if (code != SF_OK) {
    sf_s3_options_free(copy);
    return code;
  }
  *copied = copy;
  return SF_OK;
}

void sf_s3_free_secret(char *secret) {
  if (secret != NULL)
    OPENSSL_cleanse(secret, strlen(secret));
  free(secret);
}

void sf_s3_options_free(const sf_s3_options *copy) {
  if (copy == NULL)
    return;
  for (size_t i = 0; i < NUM_TEXTS; i++)
    sf_s3_free_secret(get_text(copy, i));
  free((void *)(uintptr_t)copy);
}
