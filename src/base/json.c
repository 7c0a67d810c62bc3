#include "base/json.h"

#include "base/memory.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static sf_code fail_at(const char *what, sf_code code, const char *why, size_t position, sf_error *error) {
  return sf_fail(error, code, "%s: expected JSON, found %s at byte %zu", what, why, position);
}

static bool is_digit(char character) {
  return character >= '0' && character <= '9';
}

/* The end of the string that begins at `next`, a quote. */
static const char *skip_string(const char *next, const char *end) {
  for (next++; next < end && *next != '"'; next++)
    if (*next == '\\' && next + 1 < end)
      next++;
  return next < end ? next + 1 : end;
}

/* Whether the `length` characters of a number are an integer that neither int64 nor uint64 holds. */
static bool exceeds_integers(const char *number, size_t length) {
  if (length < 19 || memchr(number, '.', length) != NULL || memchr(number, 'e', length) != NULL ||
      memchr(number, 'E', length) != NULL)
    return false;
  errno = 0;
  if (number[0] == '-')
    strtoll(number, NULL, 10);
  else
    strtoull(number, NULL, 10);
  return errno == ERANGE;
}

/* The end of the next integer that exceeds 64 bits, or NULL when there is none. text[length] is NUL. */
static const char *find_large_integer(const char *text, const char *end) {
  while (text < end) {
    if (*text == '"')
      text = skip_string(text, end);
    else if (*text == '-' || is_digit(*text)) {
      size_t length = strspn(text, "+-.eE0123456789");
      if (exceeds_integers(text, length))
        return text + length;
      text += length;
    } else
      text++;
  }
  return NULL;
}

/* json-c gives the nearest int64 or uint64 for an integer beyond them, and one can't see it afterwards: an id would become
 * another. As a float it is refused where an integer is needed, and does no harm elsewhere. `changed` stays empty where
 * there is none; false when memory is out. */
static bool write_large_integers_as_floats(const char *text, size_t length, sf_buffer *changed) {
  const char *end = text + length;
  const char *copied = text;
  for (const char *found; (found = find_large_integer(copied, end)) != NULL; copied = found)
    if (!sf_buffer_append(changed, copied, (size_t)(found - copied)) || !sf_buffer_append_text(changed, "e0"))
      return false;
  return copied == text || sf_buffer_append(changed, copied, (size_t)(end - copied));
}

static sf_code parse_text(const char *text, size_t length, const char *what, sf_code code, json_object **value,
                          sf_error *error) {
  if (length >= INT_MAX)
    return sf_fail(error, code, "%s: expected at most %d bytes of JSON, found %zu", what, INT_MAX - 1, length);
  json_tokener *tokener = json_tokener_new_ex(SF_JSON_MAX_DEPTH);
  if (tokener == NULL)
    return sf_fail_memory(error, what);
  json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
  /* The NUL goes along: only it tells the tokener that a number at the top has ended. */
  json_object *parsed = json_tokener_parse_ex(tokener, text, (int)length + 1);
  enum json_tokener_error outcome = json_tokener_get_error(tokener);
  size_t end = json_tokener_get_parse_end(tokener);
  json_tokener_free(tokener);
  if (outcome != json_tokener_success) {
    json_object_put(parsed);
    if (outcome == json_tokener_continue)
      return fail_at(what, code, "its end", length, error);
    return fail_at(what, code, json_tokener_error_desc(outcome), end, error);
  }
  while (end < length && strchr(" \t\r\n", text[end]) != NULL && text[end] != '\0')
    end++;
  if (end < length) {
    json_object_put(parsed);
    return fail_at(what, code, "something behind it", end, error);
  }
  *value = parsed;
  return SF_OK;
}

sf_code sf_json_parse(const char *text, size_t length, const char *what, sf_code code, json_object **value,
                      sf_error *error) {
  sf_buffer changed = {0};
  sf_code outcome;
  if (!write_large_integers_as_floats(text, length, &changed))
    outcome = sf_fail_memory(error, what);
  else if (changed.data == NULL)
    outcome = parse_text(text, length, what, code, value, error);
  else
    outcome = parse_text((const char *)changed.data, changed.length, what, code, value, error);
  sf_buffer_free(&changed);
  return outcome;
}

sf_code sf_json_parse_object(const char *text, size_t length, const char *what, sf_code code, json_object **object,
                             sf_error *error) {
  json_object *value = NULL;
  SF_TRY(sf_json_parse(text, length, what, code, &value, error));
  if (!json_object_is_type(value, json_type_object)) {
    sf_fail(error, code, "%s: expected a JSON object, found %s", what, json_type_to_name(json_object_get_type(value)));
    json_object_put(value);
    return code;
  }
  *object = value;
  return SF_OK;
}

json_object *sf_json_member(const json_object *object, const char *name) {
  json_object *member = NULL;
  return json_object_object_get_ex(object, name, &member) ? member : NULL;
}

static sf_code fail_member(const json_object *member, const char *name, const char *expected, const char *what,
                           sf_code code, sf_error *error) {
  if (member == NULL)
    return sf_fail(error, code, "%s: expected \"%s\" to be %s, found nothing", what, name, expected);
  const char *text = json_object_to_json_string_ext((json_object *)(uintptr_t)member, JSON_C_TO_STRING_PLAIN);
  return sf_fail(error, code, "%s: expected \"%s\" to be %s, found %.80s", what, name, expected,
                 text != NULL ? text : "something else");
}

sf_code sf_json_string(const json_object *object, const char *name, bool required, const char *what, sf_code code,
                       const char **value, sf_error *error) {
  json_object *member = sf_json_member(object, name);
  if (member == NULL && !required)
    return SF_OK;
  if (!json_object_is_type(member, json_type_string) ||
      strlen(json_object_get_string(member)) != (size_t)json_object_get_string_len(member))
    return fail_member(member, name, "a string", what, code, error);
  *value = json_object_get_string(member);
  return SF_OK;
}

bool sf_json_to_int64(const json_object *value, int64_t *integer) {
  if (!json_object_is_type(value, json_type_int) || json_object_get_uint64(value) > INT64_MAX)
    return false;
  *integer = json_object_get_int64(value);
  return true;
}

sf_code sf_json_integer(const json_object *object, const char *name, bool required, int64_t minimum, int64_t maximum,
                        const char *what, sf_code code, int64_t *value, sf_error *error) {
  json_object *member = sf_json_member(object, name);
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
