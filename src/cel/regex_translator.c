#include "cel/regex_translator.h"

#include <stdarg.h>
#include <stdio.h>

sf_code sf_regex_fail(sf_regex_translator *translator, size_t at, const char *format, ...) {
  char text[256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  return sf_fail(translator->error, SF_CONFIG_VALIDATION_ERROR, "regular expression, byte %zu: %s", at, text);
}

sf_code sf_regex_put(sf_regex_translator *translator, const char *text) {
  return sf_buffer_append_text(translator->output, text) ? SF_OK
                                                         : sf_fail_memory(translator->error, "a regular expression");
}

sf_code sf_regex_put_code_point(sf_regex_translator *translator, uint32_t code_point) {
  return sf_buffer_append_format(translator->output, "\\x{%X}", code_point)
             ? SF_OK
             : sf_fail_memory(translator->error, "a regular expression");
}
