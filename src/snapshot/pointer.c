#include "snapshot/pointer.h"

#include "base/json.h"
#include "base/memory.h"
#include "base/time.h"

#include <string.h>

#define CONTENT_TYPE "application/x-sqlite3"
#define FORMAT_VERSION 1

static sf_code copy_members(const json_t *object, sf_pointer *pointer, sf_error *error) {
  const char *ref = NULL;
  const char *run_id = NULL;
  const char *updated_at = NULL;
  const char *content_type = CONTENT_TYPE;
  int64_t version = FORMAT_VERSION;
  const sf_code code = SF_MANIFEST_PARSE_ERROR;
  SF_TRY(sf_json_string(object, "manifest_ref", true, SF_POINTER_KEY, code, &ref, error));
  SF_TRY(sf_json_string(object, "run_id", true, SF_POINTER_KEY, code, &run_id, error));
  SF_TRY(sf_json_string(object, "updated_at", true, SF_POINTER_KEY, code, &updated_at, error));
  SF_TRY(sf_json_string(object, "manifest_content_type", false, SF_POINTER_KEY, code, &content_type, error));
  SF_TRY(sf_json_integer(object, "format_version", false, FORMAT_VERSION, FORMAT_VERSION, SF_POINTER_KEY, code,
                         &version, error));
  if (ref[0] == '\0')
    return sf_fail(error, code, SF_POINTER_KEY ": expected \"manifest_ref\" to name a manifest, found \"\"");
  if (strcmp(content_type, CONTENT_TYPE) != 0)
    return sf_fail(error, code, SF_POINTER_KEY ": expected \"manifest_content_type\" " CONTENT_TYPE ", found %s",
                   content_type);
  if (!sf_parse_timestamp(updated_at, strlen(updated_at), &pointer->updated_seconds))
    return sf_fail(error, code, SF_POINTER_KEY ": expected \"updated_at\" in ISO 8601, found %s", updated_at);
  pointer->manifest_ref = sf_strdup(ref);
  pointer->run_id = sf_strdup(run_id);
  pointer->updated_at = sf_strdup(updated_at);
  if (pointer->manifest_ref == NULL || pointer->run_id == NULL || pointer->updated_at == NULL)
    return sf_fail_memory(error, SF_POINTER_KEY);
  return SF_OK;
}

sf_code sf_pointer_parse(const char *bytes, size_t length, sf_pointer *pointer, sf_error *error) {
  sf_json json;
  SF_TRY(sf_json_parse_object(bytes, length, SF_JSON_STRICT, SF_POINTER_KEY, SF_MANIFEST_PARSE_ERROR, &json, error));
  sf_pointer parsed = {0};
  sf_code code = copy_members(json.root, &parsed, error);
  sf_json_free(&json);
  if (code != SF_OK)
    sf_pointer_free(&parsed);
  else
    *pointer = parsed;
  return code;
}

void sf_pointer_free(sf_pointer *pointer) {
  free(pointer->manifest_ref);
  free(pointer->run_id);
  free(pointer->updated_at);
  *pointer = (sf_pointer){0};
}
