/* JSON: the dialects agree on what they share, and the parts of valid text are what the values have. */
#include "base/json.h"
#include "base/json_text.h"
#include "base/memory.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition) {
  if (!condition)
    abort();
}

static bool parses(const char *text, size_t length, sf_json_dialect dialect) {
  sf_json json;
  sf_code code = sf_json_parse(text, length, dialect, "text", SF_ERROR, &json, NULL);
  sf_json_free(&json);
  return code == SF_OK;
}

/* As a text of its own. */
static bool part_parses(sf_json_text part) {
  char *copy = sf_memdup_string(part.data, part.length);
  require(copy != NULL);
  bool taken = parses(copy, part.length, SF_JSON_STRICT);
  free(copy);
  return taken;
}

static size_t count_elements(const char *text, size_t length) {
  sf_json_parts parts = sf_json_parts_of(text, length);
  sf_json_text element;
  size_t count = 0;
  for (; sf_json_next_element(&parts, &element); count++)
    require(part_parses(element));
  return count;
}

static size_t count_members(const char *text, size_t length) {
  sf_json_parts parts = sf_json_parts_of(text, length);
  sf_json_text name;
  sf_json_text value;
  size_t count = 0;
  for (; sf_json_next_member(&parts, &name, &value); count++)
    require(name.data[0] == '"' && part_parses(name) && part_parses(value));
  return count;
}

static void check_parts(const char *text, size_t length, const json_t *value) {
  if (json_is_array(value))
    require(count_elements(text, length) == json_array_size(value));
  /* Of members with one name only the last is among the values. */
  if (json_is_object(value))
    require(count_members(text, length) >= json_object_size(value));
  const char *name;
  const json_t *member;
  sf_json_text found;
  sf_json_foreach_member(value, name, member) {
    require(json_object_get(value, name) == member);
    /* A name that holds what is no character is read as another. */
    if (sf_json_find_member(text, length, name, &found))
      require(part_parses(found));
    else
      require(strstr(name, "\xEF\xBF\xBD") != NULL);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text = sf_memdup_string(data, size);
  require(text != NULL);
  sf_json json;
  bool is_json = sf_json_parse(text, size, SF_JSON_STRICT, "text", SF_ERROR, &json, NULL) == SF_OK;
  require(is_json || !parses(text, size, SF_JSON_EXACT));
  require(!is_json || parses(text, size, SF_JSON_WITH_NAN));
  if (is_json)
    check_parts(text, size, json.root);
  sf_json_free(&json);
  free(text);
  return 0;
}
