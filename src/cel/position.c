#include "cel/position.h"

#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

sf_code sf_cel_fail(sf_error *error, sf_cel_position position, const char *format, ...) {
  if (error == NULL)
    return SF_CONFIG_VALIDATION_ERROR;
  char text[sizeof(error->message)];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "CEL: %u:%u: %s", position.line, position.column, text);
}

bool sf_cel_text_equals(sf_cel_text text, const char *other) {
  return strlen(other) == text.length && memcmp(text.data, other, text.length) == 0;
}

const char *sf_cel_excerpt(sf_cel_text text, char buffer[SF_CEL_EXCERPT_BYTES]) {
  static const char ellipsis[] = "...";
  size_t written = 0;
  size_t position = 0;
  while (position < text.length) {
    uint32_t code_point = 0;
    size_t size = sf_utf8_decode(text.data + position, text.length - position, &code_point);
    if (written + (size > 0 ? size : 1) + sizeof(ellipsis) > SF_CEL_EXCERPT_BYTES) {
      memcpy(buffer + written, ellipsis, sizeof(ellipsis));
      return buffer;
    }
    if (size == 0 || code_point < 0x20 || code_point == 0x7F) {
      buffer[written++] = '?';
      position += size > 0 ? size : 1;
      continue;
    }
    memcpy(buffer + written, text.data + position, size);
    written += size;
    position += size;
  }
  buffer[written] = '\0';
  return buffer;
}
