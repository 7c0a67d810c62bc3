#include "base/json.h"

#include "base/json_screen.h"
#include "base/memory.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------------------------ Parsing */

static sf_code fail_at(const char *what, sf_code code, const json_error_t *failure, sf_error *error) {
  return sf_fail(error, code, "%s: expected JSON: byte %d: %s", what, failure->position, failure->text);
}

static sf_code load(const char *text, size_t length, const char *what, sf_code code, sf_json *json, sf_error *error) {
  json_error_t failure;
  bool is_out;
  json->root = sf_json_memory_load(&json->memory, text, length, &failure, &is_out);
  if (json->root != NULL)
    return SF_OK;
  sf_json_free(json);
  return is_out ? sf_fail_memory(error, what) : fail_at(what, code, &failure, error);
}

sf_code sf_json_parse(const char *text, size_t length, sf_json_dialect dialect, const char *what, sf_code code,
                      sf_json *json, sf_error *error) {
  char *changed = NULL;
  size_t depth = 0;
  *json = (sf_json){0};
  if (length >= INT_MAX)
    return sf_fail(error, code, "%s: expected at most %d bytes of JSON, found %zu", what, INT_MAX - 1, length);
  const char *zero = memchr(text, '\0', length); /* jansson ignores it after a number */
  if (zero != NULL)
    return sf_fail(error, code, "%s: expected JSON: byte %zu: a zero byte", what, (size_t)(zero - text));
  sf_code outcome = sf_json_screen(text, length, dialect == SF_JSON_WITH_NAN, &changed, &depth);
  if (outcome != SF_OK)
    outcome = sf_fail_memory(error, what);
  else if (depth > SF_JSON_MAX_DEPTH)
    outcome =
        sf_fail(error, code, "%s: expected JSON nested at most %d deep, found %zu", what, SF_JSON_MAX_DEPTH, depth);
  else
    outcome = load(changed != NULL && dialect != SF_JSON_EXACT ? changed : text, length, what, code, json, error);
  json->is_exact = changed == NULL;
  free(changed);
  return outcome;
}

static const char *type_name(const json_t *value) {
  static const char *const names[] = {
      [JSON_OBJECT] = "object", [JSON_ARRAY] = "array",  [JSON_STRING] = "string", [JSON_INTEGER] = "int",
      [JSON_REAL] = "double",   [JSON_TRUE] = "boolean", [JSON_FALSE] = "boolean", [JSON_NULL] = "null"};
  return names[json_typeof(value)];
}

sf_code sf_json_parse_object(const char *text, size_t length, sf_json_dialect dialect, const char *what, sf_code code,
                             sf_json *json, sf_error *error) {
  SF_TRY(sf_json_parse(text, length, dialect, what, code, json, error));
  if (json_is_object(json->root))
    return SF_OK;
  sf_fail(error, code, "%s: expected a JSON object, found %s", what, type_name(json->root));
  sf_json_free(json);
  return code;
}

sf_code sf_json_check_object(const char *text, size_t length, const char *what, sf_code code, sf_error *error) {
  sf_json json;
  SF_TRY(sf_json_parse_object(text, length, SF_JSON_STRICT, what, code, &json, error));
  sf_json_free(&json);
  return SF_OK;
}

void sf_json_free(sf_json *json) {
  sf_json_memory_free(&json->memory);
  *json = (sf_json){0};
}

/* ------------------------------------------------------------------------------------------------------------ Members */

const json_t *sf_json_member(const json_t *object, const char *name) {
  const json_t *member = json_object_get(object, name);
  return json_is_null(member) ? NULL : member;
}

/* Fails where there is no more room. */
static int append_shown(const char *bytes, size_t size, void *data) {
  sf_json_shown *shown = data;
  size_t length = strlen(shown->text);
  size_t room = sizeof(shown->text) - 1 - length;
  memcpy(shown->text + length, bytes, size < room ? size : room);
  return size < room ? 0 : -1;
}

sf_json_shown sf_json_show(const json_t *value) {
  sf_json_shown shown = {.text = ""};
  if (value == NULL)
    snprintf(shown.text, sizeof(shown.text), "nothing");
  else if (json_dump_callback(value, append_shown, &shown, JSON_COMPACT | JSON_ENCODE_ANY) != 0 &&
           shown.text[0] == '\0')
    snprintf(shown.text, sizeof(shown.text), "something else");
  return shown;
}

static sf_code fail_member(const json_t *member, const char *name, const char *expected, const char *what, sf_code code,
                           sf_error *error) {
  return sf_fail(error, code, "%s: expected \"%s\" to be %s, found %s", what, name, expected,
                 sf_json_show(member).text);
}

sf_code sf_json_string(const json_t *object, const char *name, bool required, const char *what, sf_code code,
                       const char **value, sf_error *error) {
  const json_t *member = sf_json_member(object, name);
  if (member == NULL && !required)
    return SF_OK;
  if (!json_is_string(member) || strlen(json_string_value(member)) != json_string_length(member))
    return fail_member(member, name, "a string", what, code, error);
  *value = json_string_value(member);
  return SF_OK;
}

bool sf_json_to_int64(const json_t *value, int64_t *integer) {
  if (!json_is_integer(value))
    return false;
  *integer = json_integer_value(value);
  return true;
}

sf_code sf_json_integer(const json_t *object, const char *name, bool required, int64_t minimum, int64_t maximum,
                        const char *what, sf_code code, int64_t *value, sf_error *error) {
  const json_t *member = sf_json_member(object, name);
  if (member == NULL && !required)
    return SF_OK;
  int64_t integer;
  if (!sf_json_to_int64(member, &integer) || integer < minimum || integer > maximum) {
    char expected[96];
    snprintf(expected, sizeof(expected), "an integer from %lld to %lld", (long long)minimum, (long long)maximum);
    return fail_member(member, name, expected, what, code, error);
  }
  *value = integer;
  return SF_OK;
}
