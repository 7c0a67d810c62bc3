#include "base/json_screen.h"

#include "base/hexadecimal.h"
#include "base/json_text.h"
#include "base/memory.h"

#include <stdio.h>
#include <string.h>

/* Integers of fewer digits fit an int64; floats of fewer characters, and without an exponent, a double. */
enum { FEW_DIGITS = 19, FEW_CHARACTERS = 300 };

typedef struct screen {
  const char *text;
  const char *end;
  bool takes_nan;
  bool is_out_of_memory;
  char *changed; /* NULL: nothing yet */
  size_t depth;
  size_t deepest;
} screen;

/* The position in the changed copy of a position in the text; NULL when memory is out. */
static char *writable(screen *screened, const char *at) {
  size_t length = (size_t)(screened->end - screened->text);
  if (screened->changed == NULL)
    screened->changed = sf_memdup_string(screened->text, length);
  screened->is_out_of_memory = screened->changed == NULL;
  return screened->changed == NULL ? NULL : screened->changed + (at - screened->text);
}

/* Replaces a value by a shorter one, padded with blanks. */
static void put_value(screen *screened, const char *at, size_t length, const char *value) {
  char *to = writable(screened, at);
  if (to == NULL)
    return;
  size_t value_length = strlen(value);
  memcpy(to, value, value_length);
  memset(to + value_length, ' ', length - value_length);
}

/* ------------------------------------------------------------------------------------------------------------ Numbers */

/* 18446744073709551616 as 1.8446744073709551e19. */
static void put_large_integer(screen *screened, const char *at, size_t length) {
  size_t sign = at[0] == '-';
  size_t exponent = length - sign - 1;
  if (exponent > 307) {
    put_value(screened, at, length, sign ? "-1e308" : "1e308");
    return;
  }
  char tail[16];
  size_t tail_length = (size_t)snprintf(tail, sizeof(tail), "e%zu", exponent);
  char *to = writable(screened, at);
  if (to == NULL)
    return;
  memmove(to + sign + 2, at + sign + 1, length - sign - 2);
  to[sign + 1] = '.';
  memcpy(to + length - tail_length, tail, tail_length);
}

static void screen_number(screen *screened, const char *at, size_t length) {
  const sf_json_text number = {.data = at, .length = length};
  bool has_exponent = memchr(at, 'e', length) != NULL || memchr(at, 'E', length) != NULL;
  bool is_integer = !has_exponent && memchr(at, '.', length) == NULL;
  int64_t integer;
  double value;
  if (is_integer && length >= FEW_DIGITS && !sf_json_text_to_int64(number, &integer))
    put_large_integer(screened, at, length);
  else if (!is_integer && (has_exponent || length > FEW_CHARACTERS) && !sf_json_text_to_double(number, &value))
    put_value(screened, at, length, at[0] == '-' ? "-1e308" : "1e308");
}

static bool is_of_a_word(char character) {
  return (character >= '0' && character <= '9') || (character >= 'a' && character <= 'z') ||
         (character >= 'A' && character <= 'Z') || character == '-' || character == '+' || character == '.';
}

/* A maximal run of characters of numbers and names; left as it is where it is neither. */
static const char *screen_word(screen *screened, const char *at) {
  const char *end = at;
  while (end < screened->end && is_of_a_word(*end))
    end++;
  if (sf_json_number_end(at, end) == end)
    screen_number(screened, at, (size_t)(end - at));
  else if (screened->takes_nan && sf_json_nan_end(at, end) == end)
    put_value(screened, at, (size_t)(end - at), "0.5");
  return end;
}

/* ------------------------------------------------------------------------------------------------------------ Strings */

/* The code unit of the \uXXXX at `at`, or -1 where there is none. */
static int32_t code_unit(const char *at, const char *end) {
  if (end - at < 6 || at[0] != '\\' || at[1] != 'u')
    return -1;
  int32_t unit = 0;
  for (int i = 2; i < 6; i++) {
    int digit = sf_hexadecimal_digit(at[i]);
    if (digit < 0)
      return -1;
    unit = unit << 4 | digit;
  }
  return unit;
}

static bool is_name(const screen *screened, const char *string_end) {
  const char *next = sf_json_skip_blanks(string_end, screened->end);
  return next < screened->end && *next == ':';
}

static const char *screen_string(screen *screened, const char *at) {
  const char *end = sf_json_string_end(at, screened->end);
  const char *next = at;
  while ((next = memchr(next, '\\', (size_t)(end - next))) != NULL) {
    int32_t unit = code_unit(next, end);
    size_t length = unit < 0 ? 2 : 6;
    int32_t second = unit >= 0xD800 && unit <= 0xDBFF ? code_unit(next + 6, end) : -1;
    if (second >= 0xDC00 && second <= 0xDFFF)
      length = 12;
    else if ((unit >= 0xD800 && unit <= 0xDFFF) || (unit == 0 && is_name(screened, end)))
      put_value(screened, next, 6, "\\ufffd");
    next = (size_t)(end - next) > length ? next + length : end;
  }
  return end;
}

/* ---------------------------------------------------------------------------------------------------------- All of it */

static const char *screen_token(screen *screened, const char *at) {
  if (*at == '"')
    return screen_string(screened, at);
  if (is_of_a_word(*at))
    return screen_word(screened, at);
  if (*at == '{' || *at == '[')
    screened->depth++;
  if ((*at == '}' || *at == ']') && screened->depth > 0)
    screened->depth--;
  if (screened->depth > screened->deepest)
    screened->deepest = screened->depth;
  return at + 1;
}

sf_code sf_json_screen(const char *text, size_t length, bool takes_nan, char **changed, size_t *depth) {
  screen screened = {.text = text, .end = text + length, .takes_nan = takes_nan};
  for (const char *at = text; at < screened.end && !screened.is_out_of_memory;)
    at = screen_token(&screened, at);
  *changed = screened.changed;
  *depth = screened.deepest;
  return screened.is_out_of_memory ? SF_OUT_OF_MEMORY_ERROR : SF_OK;
}
