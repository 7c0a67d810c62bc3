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

/* Takes the blanks between tokens out of JSON that json-c has parsed; the length that is left. It lets some things pass
 * that JSON does not have, and that must not reach a line of output: NaN and Infinity, control characters in strings. */
static size_t squeeze(char *text, size_t length, bool *is_valid) {
  bool within_string = false;
  size_t kept = 0;
  *is_valid = true;
  for (size_t i = 0; i < length && *is_valid; i++) {
    char character = text[i];
    if (within_string) {
      *is_valid = (unsigned char)character >= 0x20;
      if (character == '\\' && i + 1 < length)
        text[kept++] = text[i++]; /* what is escaped does not end the string */
      else if (character == '"')
        within_string = false;
    } else if (character == ' ' || character == '\t' || character == '\n' || character == '\r') {
      continue;
    } else {
      within_string = character == '"';
      *is_valid = character != 'N' && character != 'I';
    }
    text[kept++] = text[i];
  }
  return kept;
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
  size_t kept = code == SF_OK ? squeeze(copy, length, is_valid) : 0;
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
