#include "base/error.h"

#include "base/utf8.h"
#include "shardyfusion.h"

#undef sf_fail /* macros for the analyser */
#undef sf_fail_memory

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *sf_code_name(sf_code code) {
  switch (code) {
  case SF_OK:
    return "OK";
#define NAME_CASE(constant, number, name, base, retryable)                                                             \
  case constant:                                                                                                       \
    return name;
    SF_ERROR_TABLE(NAME_CASE)
#undef NAME_CASE
  }
  return "ShardyfusionError";
}

bool sf_code_retryable(sf_code code) {
  switch (code) {
  case SF_OK:
    return false;
#define RETRYABLE_CASE(constant, number, name, base, retryable)                                                        \
  case constant:                                                                                                       \
    return retryable;
    SF_ERROR_TABLE(RETRYABLE_CASE)
#undef RETRYABLE_CASE
  }
  return false;
}

const char *sf_version(void) {
  return SF_VERSION_STRING;
}

/* A cut in the middle of a UTF-8 sequence would make the whole message undecodable for strict readers. */
static void trim_partial_character(char *text, size_t length) {
  size_t start = length;
  while (start > 0 && length - start < 4 && ((unsigned char)text[start - 1] & 0xC0) == 0x80)
    start--;
  if (start == 0)
    return;
  unsigned char lead = (unsigned char)text[start - 1];
  size_t expected = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
  if (length - (start - 1) < expected)
    text[start - 1] = '\0';
}

void sf_replace_unprintable(char *text) {
  size_t length = strlen(text);
  for (size_t i = 0; i < length;) {
    uint32_t code_point = 0;
    size_t size = sf_utf8_decode(text + i, length - i, &code_point);
    bool is_shown = size > 0 && (code_point == '\n' || code_point == '\t' || sf_utf8_is_printable(code_point));
    size = size > 0 ? size : 1;
    if (!is_shown)
      memset(text + i, '?', size);
    i += size;
  }
}

/* Messages quote callers and files at any length. Of a long message the beginning, which names the object, and the end, which
 * says what was found, are kept. */
enum { MAX_LENGTH = 700, END_LENGTH = 250 };

static void shorten(char *message, const char *text, size_t length) {
  const char *end = text + length - END_LENGTH;
  size_t head = MAX_LENGTH - END_LENGTH;
  while (((unsigned char)*end & 0xC0) == 0x80)
    end++;
  memcpy(message, text, head);
  message[head] = '\0';
  trim_partial_character(message, head);
  head = strlen(message);
  snprintf(message + head, sizeof(((sf_error *)NULL)->message) - head, "…%s", end);
}

/* `text` must not be the error's own message. */
static void set_message(sf_error *error, sf_code code, const char *text) {
  size_t length = strlen(text);
  error->code = code;
  error->retryable = sf_code_retryable(code);
  if (length > MAX_LENGTH)
    shorten(error->message, text, length);
  else
    memcpy(error->message, text, length + 1);
  sf_replace_unprintable(error->message);
}

sf_code sf_fail(sf_error *error, sf_code code, const char *format, ...) {
  if (error == NULL)
    return code;
  char text[sizeof(error->message)] = {0};
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  /* Where memory is out, a long message loses its end. */
  char *whole = length >= (int)sizeof(text) ? malloc((size_t)length + 1) : NULL;
  if (whole != NULL) {
    va_start(arguments, format);
    vsnprintf(whole, (size_t)length + 1, format, arguments);
    va_end(arguments);
  }
  set_message(error, code, length < 0 ? "" : whole != NULL ? whole : text);
  free(whole);
  return code;
}

sf_code sf_fail_memory(sf_error *error, const char *what) {
  return sf_fail(error, SF_OUT_OF_MEMORY_ERROR, "out of memory: %s", what);
}

sf_code sf_errno_code(int error_number, sf_code otherwise) {
  if (error_number == ENOMEM)
    return SF_OUT_OF_MEMORY_ERROR;
  return error_number == EMFILE || error_number == ENFILE ? SF_POOL_EXHAUSTED_ERROR : otherwise;
}

sf_code sf_error_prefix(sf_error *error, const char *format, ...) {
  if (error == NULL)
    return SF_ERROR;
  char text[2 * sizeof(error->message)] = {0};
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(text, sizeof(error->message), format, arguments);
  va_end(arguments);
  size_t used = length < 0 ? 0 : strlen(text);
  snprintf(text + used, sizeof(text) - used, ": %s", error->message);
  set_message(error, error->code, text);
  return error->code;
}

sf_code sf_error_recode(sf_error *error, sf_code code) {
  if (error != NULL) {
    error->code = code;
    error->retryable = sf_code_retryable(code);
  }
  return code;
}

void sf_error_clear(sf_error *error) {
  if (error == NULL)
    return;
  error->code = SF_OK;
  error->retryable = false;
  error->message[0] = '\0';
}
