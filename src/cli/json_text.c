#include "cli/json_text.h"

#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Well-formed sequences: Table 3-7 of the Unicode Standard. */
size_t sf_cli_utf8_sequence(const char *text, size_t length) {
  const unsigned char *bytes = (const unsigned char *)text;
  unsigned char lead = bytes[0];
  if (lead < 0x80)
    return 1;
  size_t needed = lead >= 0xC2 && lead <= 0xDF   ? 2
                  : lead >= 0xE0 && lead <= 0xEF ? 3
                  : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                 : 0;
  if (needed == 0 || needed > length)
    return 0;
  unsigned char lowest = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  unsigned char highest = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (bytes[1] < lowest || bytes[1] > highest)
    return 0;
  for (size_t i = 2; i < needed; i++) {
    if ((bytes[i] & 0xC0) != 0x80)
      return 0;
  }
  return needed;
}

bool sf_cli_append_visible(sf_buffer *buffer, const char *text, size_t length) {
  bool appended = sf_buffer_reserve(buffer, 0) && sf_buffer_append(buffer, "", 0);
  for (size_t position = 0; appended && position < length;) {
    size_t sequence = sf_cli_utf8_sequence(text + position, length - position);
    unsigned char byte = (unsigned char)text[position];
    bool is_control = (sequence == 1 && (byte < 0x20 || byte == 0x7F)) ||
                      (sequence == 2 && byte == 0xC2 && (unsigned char)text[position + 1] < 0xA0);
    if (sequence == 0 || is_control)
      appended = sf_buffer_append_text(buffer, "\xEF\xBF\xBD");
    else
      appended = sf_buffer_append(buffer, text + position, sequence);
    position += sequence > 0 ? sequence : 1;
  }
  return appended;
}

static bool append_escaped(sf_buffer *buffer, char character) {
  switch (character) {
  case '"':
    return sf_buffer_append_text(buffer, "\\\"");
  case '\\':
    return sf_buffer_append_text(buffer, "\\\\");
  case '\n':
    return sf_buffer_append_text(buffer, "\\n");
  case '\r':
    return sf_buffer_append_text(buffer, "\\r");
  case '\t':
    return sf_buffer_append_text(buffer, "\\t");
  default:
    if ((unsigned char)character < 0x20 || character == 0x7F)
      return sf_buffer_append_format(buffer, "\\u%04x", (unsigned)character);
    return sf_buffer_append(buffer, &character, 1);
  }
}

bool sf_cli_json_append_string(sf_buffer *buffer, const char *text, size_t length) {
  bool appended = sf_buffer_append_text(buffer, "\"");
  size_t position = 0;
  while (appended && position < length) {
    size_t sequence = sf_cli_utf8_sequence(text + position, length - position);
    if (sequence == 1)
      appended = append_escaped(buffer, text[position]);
    else if (sequence == 0)
      appended = sf_buffer_append_text(buffer, "\\ufffd");
    else
      appended = sf_buffer_append(buffer, text + position, sequence);
    position += sequence > 0 ? sequence : 1;
  }
  return appended && sf_buffer_append_text(buffer, "\"");
}

bool sf_cli_json_append_double(sf_buffer *buffer, double value) {
  if (!isfinite(value))
    return sf_buffer_append_text(buffer, "null");
  /* 17 significant digits always read back; 15 are enough for most. */
  char text[40];
  for (int digits = 15; digits <= 17; digits++) {
    snprintf(text, sizeof(text), "%.*g", digits, value);
    if (strtod(text, NULL) == value)
      break;
  }
  return sf_buffer_append_text(buffer, text);
}

static const char *skip_digits(const char *at) {
  return at + strspn(at, "0123456789");
}

const char *sf_cli_json_number_end(const char *at) {
  if (*at == '-')
    at++;
  const char *whole = at;
  at = skip_digits(at);
  if (at == whole || (*whole == '0' && at - whole > 1))
    return NULL;
  if (*at == '.') {
    const char *fraction = at + 1;
    at = skip_digits(fraction);
    if (at == fraction)
      return NULL;
  }
  if (*at == 'e' || *at == 'E') {
    at++;
    if (*at == '+' || *at == '-')
      at++;
    const char *exponent = at;
    at = skip_digits(exponent);
    if (at == exponent)
      return NULL;
  }
  return at;
}

/* The end of the string at `at`, behind its quote, or NULL. json-c has seen that it ends, but lets control characters pass
 * that JSON does not have. */
static const char *string_end(const char *at) {
  for (at++; *at != '"'; at++) {
    if ((unsigned char)*at < 0x20)
      return NULL;
    if (*at == '\\' && (unsigned char)*++at < 0x20)
      return NULL;
  }
  return at + 1;
}

/* The end of the token at `at`, or NULL for one that json-c lets pass and JSON does not have: NaN, Infinity, 'a', 01. */
static const char *token_end(const char *at) {
  if (*at == '"')
    return string_end(at);
  if (*at == '-' || (*at >= '0' && *at <= '9'))
    return sf_cli_json_number_end(at);
  return strchr("{}[],:truefalsn", *at) != NULL ? at + 1 : NULL;
}

/* Takes the blanks between tokens out of NUL-terminated text that json-c has parsed; the length that is left. */
static size_t squeeze(char *text, bool *is_valid) {
  char *kept = text;
  const char *at = text;
  *is_valid = true;
  while (*(at += strspn(at, " \t\r\n")) != '\0') {
    const char *end = token_end(at);
    *is_valid = end != NULL;
    if (end == NULL)
      break;
    memmove(kept, at, (size_t)(end - at));
    kept += end - at;
    at = end;
  }
  return (size_t)(kept - text);
}

bool sf_cli_json_append_compact(sf_buffer *buffer, const char *text, size_t length, bool *is_valid) {
  size_t start = buffer->length;
  *is_valid = false;
  if (!sf_buffer_append(buffer, text, length))
    return false;
  char *copy = (char *)buffer->data + start;
  json_object *value = NULL;
  sf_code code = sf_json_parse(copy, length, "JSON", SF_ERROR, &value, NULL);
  json_object_put(value);
  size_t kept = code == SF_OK ? squeeze(copy, is_valid) : 0;
  buffer->length = *is_valid ? start + kept : start;
  buffer->data[buffer->length] = '\0';
  return code != SF_OUT_OF_MEMORY_ERROR;
}

bool sf_cli_json_is_valid(const char *text, size_t length) {
  sf_buffer compact = {0};
  bool is_valid = false;
  bool appended = sf_cli_json_append_compact(&compact, text, length, &is_valid);
  sf_buffer_free(&compact);
  return appended && is_valid;
}
