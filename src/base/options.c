#include "base/options.h"

#include "base/assert.h"

#include <string.h>

static size_t size_of(const void *options) {
  size_t size;
  memcpy(&size, options, sizeof(size));
  return size;
}

sf_code sf_options_check(const void *given, size_t first_size, const char *expected, sf_error *error) {
  if (given == NULL)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "%s initialised, found none", expected);
  if (size_of(given) < first_size)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "%s initialised, found size %zu", expected, size_of(given));
  return SF_OK;
}

sf_code sf_options_read(const void *given, size_t first_size, void *options, const char *expected, sf_error *error) {
  const size_t size = size_of(options);
  SF_ASSERT(size >= first_size);
  SF_TRY(sf_options_check(given, first_size, expected, error));
  const size_t known = size_of(given) < size ? size_of(given) : size;
  memcpy(options, given, known);
  memcpy(options, &size, sizeof(size));
  return SF_OK;
}
