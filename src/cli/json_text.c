#include "cli/json_text.h"

#include "base/json.h"
#include "base/json_text.h"
#include "base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

size_t sf_cli_utf8_sequence(const char *text, size_t length) {
  uint32_t code_point;
  return sf_utf8_decode(text, length, &code_point);
}

bool sf_cli_append_visible(sf_buffer *buffer, const char *text, size_t length) {
  bool appended = sf_buffer_reserve(buffer, 0) && sf_buffer_append(buffer, "", 0);
  for (size_t position = 0; appended && position < length;) {
    uint32_t code_point = 0;
    size_t sequence = sf_utf8_decode(text + position, length - position, &code_point);
    if (sequence == 0 || !sf_utf8_is_printable(code_point))
      appended = sf_buffer_append_text(buffer, "\xEF\xBF\xBD");
    else
      appended = sf_buffer_append(buffer, text + position, sequence);
    position += sequence > 0 ? sequence : 1;
  }
  return appended;
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

/* Appends the tokens of valid JSON without the blanks between them; null for Python's NaN and infinities. */
static bool append_tokens(sf_buffer *buffer, const char *text, size_t length) {
  const char *end = text + length;
  bool appended = true;
  for (const char *at = sf_json_skip_blanks(text, end); appended && at < end; at = sf_json_skip_blanks(at, end)) {
    const char *nan_end = sf_json_nan_end(at, end);
    const char *token_end = nan_end != NULL ? nan_end : *at == '"' ? sf_json_string_end(at, end) : at + 1;
    appended = nan_end != NULL ? sf_buffer_append_text(buffer, "null")
                               : sf_buffer_append(buffer, at, (size_t)(token_end - at));
    at = token_end;
  }
  return appended;
}

sf_code sf_cli_json_append_compact(sf_buffer *buffer, const char *text, size_t length, const char *what,
                                   sf_error *error) {
  sf_json json = {0};
  sf_code code = sf_json_parse(text, length, SF_JSON_WITH_NAN, what, SF_DB_ADAPTER_ERROR, &json, error);
  if (code == SF_OK && !append_tokens(buffer, text, length))
    code = sf_fail_memory(error, what);
  sf_json_free(&json);
  return code;
}

bool sf_cli_json_is_valid(const char *text, size_t length) {
  sf_json json;
  sf_code code = sf_json_parse(text, length, SF_JSON_STRICT, "JSON", SF_ERROR, &json, NULL);
  sf_json_free(&json);
  return code != SF_ERROR;
}
