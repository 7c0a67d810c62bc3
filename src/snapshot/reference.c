#include "snapshot/reference.h"

#include "base/memory.h"
#include "base/time.h"

#include <string.h>

/* What follows "prefix/", or NULL. */
static const char *below(const char *reference, const char *prefix) {
  size_t length = strlen(prefix);
  if (length == 0 || strncmp(reference, prefix, length) != 0 || reference[length] != '/')
    return NULL;
  return reference + length + 1;
}

/* A reference comes from a file: it must not lead out of the snapshot, on a disk or in a URL. */
static bool leads_upwards(const char *key) {
  for (const char *segment = key;;) {
    size_t length = strcspn(segment, "/");
    if ((length == 1 && segment[0] == '.') || (length == 2 && segment[0] == '.' && segment[1] == '.'))
      return true;
    if (segment[length] == '\0')
      return false;
    segment += length + 1;
  }
}

static sf_code copy_key(const char *key, const char *what, char **copy, sf_error *error) {
  size_t length = strlen(key);
  while (length > 0 && key[length - 1] == '/')
    length--;
  *copy = sf_memdup_string(key, length);
  return *copy != NULL ? SF_OK : sf_fail_memory(error, what);
}

sf_code sf_reference_key(const char *reference, const char *s3_prefix, const char *root, const char *what, sf_code code,
                         char **key, sf_error *error) {
  const char *found = below(reference, s3_prefix);
  if (found == NULL)
    found = below(reference, root);
  if (found == NULL || found[0] == '\0' || leads_upwards(found))
    return sf_fail(error, code, "%s: expected a reference below %s, found %s", what, s3_prefix, reference);
  return copy_key(found, what, key, error);
}

sf_code sf_reference_manifest_key(const char *reference, const char *root, char **key, sf_error *error) {
  const char *found = below(reference, root);
  static const char folder[] = "/manifests/";
  for (const char *next = strstr(reference, folder); found == NULL && next != NULL;) {
    const char *further = strstr(next + 1, folder);
    if (further == NULL)
      found = next + 1;
    next = further;
  }
  if (found == NULL || found[0] == '\0' || leads_upwards(found))
    return sf_fail(error, SF_MANIFEST_PARSE_ERROR,
                   "_CURRENT: expected \"manifest_ref\" to be …/manifests/<name>/manifest, found %s", reference);
  return copy_key(found, "manifest_ref", key, error);
}

bool sf_manifest_name_parse(const char *name, sf_manifest_name *parsed) {
  static const char separator[] = "_run_id=";
  const char *found = strstr(name, separator);
  if (found == NULL || found[sizeof(separator) - 1] == '\0')
    return false;
  parsed->published_at = name;
  parsed->published_at_length = (size_t)(found - name);
  parsed->run_id = found + sizeof(separator) - 1;
  return sf_parse_timestamp(name, parsed->published_at_length, &parsed->published_seconds);
}
