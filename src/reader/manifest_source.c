#include "reader/manifest_source.h"

#include "base/memory.h"
#include "base/options.h"
#include "snapshot/manifest.h"

#include <string.h>

sf_code sf_manifest_source_check(const sf_manifest_source *source, sf_error *error) {
  SF_TRY(sf_options_check(source, sizeof(*source), "manifest source: expected it", error));
  if (source->ref == NULL || (source->bytes == NULL && source->length > 0))
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "manifest source: expected a reference and bytes, found none");
  if (source->length > SF_MANIFEST_MAX_BYTES)
    return sf_fail(error, SF_MANIFEST_PARSE_ERROR, "manifest %s: expected at most %zu bytes, found %zu", source->ref,
                   SF_MANIFEST_MAX_BYTES, source->length);
  return SF_OK;
}

sf_manifest_source *sf_manifest_source_copy(const sf_manifest_source *source) {
  if (source == NULL)
    return NULL;
  size_t ref_size = strlen(source->ref) + 1;
  sf_manifest_source *copy = sf_calloc(1, sizeof(*copy) + source->length + ref_size);
  if (copy == NULL)
    return NULL;
  char *bytes = (char *)(copy + 1);
  char *ref = bytes + source->length;
  if (source->length > 0)
    memcpy(bytes, source->bytes, source->length);
  memcpy(ref, source->ref, ref_size);
  *copy = (sf_manifest_source){.size = sizeof(*copy),
                               .bytes = bytes,
                               .length = source->length,
                               .ref = ref,
                               .published_seconds = source->published_seconds};
  return copy;
}

sf_code sf_manifest_check(const void *bytes, size_t length, const char *name, sf_error *error) {
  sf_manifest manifest = {0};
  SF_TRY(sf_manifest_parse(bytes, length, name, &manifest, error));
  sf_manifest_free(&manifest);
  return SF_OK;
}
