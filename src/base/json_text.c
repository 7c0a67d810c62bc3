#include "base/json_text.h"

#include "base/c_locale.h"
#include "base/hexadecimal.h"
#include "base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -------------------------------------------------------------------------------------------------------- Any text */

const char *sf_json_skip_blanks(const char *at, const char *end) {
  while (at < end && (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n'))
    at++;
  return at;
}

static const char *skip_digits(const char *at, const char *end) {
  while (at < end && *at >= '0' && *at <= '9')
    at++;
  return at;
}

const char *sf_json_number_end(const char *at, const char *end) {
  if (at < end && *at == '-')
    at++;
  const char *whole = at;
  at = skip_digits(at, end);
  if (at == whole || (*whole == '0' && at - whole > 1))
    return NULL;
  if (at < end && *at == '.') {
    const char *fraction = at + 1;
    at = skip_digits(fraction, end);
    if (at == fraction)
      return NULL;
  }
  if (at < end && (*at == 'e' || *at == 'E')) {
    at++;
    if (at < end && (*at == '+' || *at == '-'))
      at++;
    const char *exponent = at;
    at = skip_digits(exponent, end);
    if (at == exponent)
      return NULL;
  }
  return at;
}

const char *sf_json_string_end(const char *at, const char *end) {
  for (at++; at < end && *at != '"'; at++)
    if (*at == '\\' && at + 1 < end)
      at++;
  return at < end ? at + 1 : end;
}

const char *sf_json_nan_end(const char *at, const char *end) {
  static const char *const names[] = {"NaN", "Infinity", "-Infinity"};
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    size_t length = strlen(names[i]);
    if ((size_t)(end - at) >= length && memcmp(at, names[i], length) == 0)
      return at + length;
  }
  return NULL;
}

/* --------------------------------------------------------------------------------------------------- Parts of objects */

/* The end of the value at `at`. */
static const char *skip_value(const char *at, const char *end) {
  size_t depth = 0;
  do {
    if (*at == '"') {
      at = sf_json_string_end(at, end);
      continue;
    }
    depth += *at == '{' || *at == '[';
    depth -= *at == '}' || *at == ']';
    at++;
  } while (at < end && (depth > 0 || memchr(" \t\r\n,:]}", *at, 8) == NULL));
  return at;
}

sf_json_parts sf_json_parts_of(const char *object_or_array, size_t length) {
  const char *end = object_or_array + length;
  const char *opening = sf_json_skip_blanks(object_or_array, end);
  return (sf_json_parts){.next = opening < end ? opening + 1 : end, .end = end};
}

/* Moves past a value; its text, empty at the end. */
static sf_json_text take(const char **next, const char *end) {
  const char *begin = sf_json_skip_blanks(*next, end);
  *next = begin < end ? skip_value(begin, end) : end;
  return (sf_json_text){.data = begin, .length = (size_t)(*next - begin)};
}

/* Where the next member or element begins; `end` after the last. */
static const char *find_next(const sf_json_parts *parts) {
  const char *next = sf_json_skip_blanks(parts->next, parts->end);
  if (next < parts->end && *next == ',')
    next = sf_json_skip_blanks(next + 1, parts->end);
  return next < parts->end && *next != '}' && *next != ']' ? next : parts->end;
}

bool sf_json_next_element(sf_json_parts *elements, sf_json_text *value) {
  elements->next = find_next(elements);
  if (elements->next == elements->end)
    return false;
  *value = take(&elements->next, elements->end);
  return true;
}

bool sf_json_next_member(sf_json_parts *members, sf_json_text *name, sf_json_text *value) {
  const char *end = members->end;
  members->next = find_next(members);
  if (members->next == end)
    return false;
  *name = take(&members->next, end);
  members->next = sf_json_skip_blanks(members->next, end);
  if (members->next == end)
    return false;
  members->next++; /* the colon */
  *value = take(&members->next, end);
  return true;
}

bool sf_json_find_member(const char *object, size_t length, const char *name, sf_json_text *value) {
  sf_json_parts members = sf_json_parts_of(object, length);
  sf_json_text found_name;
  sf_json_text found_value;
  bool found = false;
  while (sf_json_next_member(&members, &found_name, &found_value))
    if (sf_json_text_is(found_name, name)) {
      *value = found_value;
      found = true;
    }
  return found;
}

/* ------------------------------------------------------------------------------------------------------------ Strings */

static uint32_t read_code_unit(const char *digits) {
  uint32_t unit = 0;
  for (int i = 0; i < 4; i++)
    unit = unit << 4 | (uint32_t)sf_hexadecimal_digit(digits[i]);
  return unit;
}

/* Moves past the \uXXXX, or the two of a surrogate pair, of which `*at` is the first backslash. */
static uint32_t read_unicode_escape(const char **at, const char *end) {
  uint32_t unit = read_code_unit(*at + 2);
  *at += 6;
  if (unit < 0xD800 || unit > 0xDBFF || end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u')
    return unit;
  uint32_t low = read_code_unit(*at + 2);
  if (low < 0xDC00 || low > 0xDFFF)
    return unit;
  *at += 6;
  return 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
}

/* The character of the escape at `*at`, a backslash. */
static uint32_t read_escape(const char **at, const char *end) {
  static const char letters[] = "bfnrt";
  static const char meanings[] = "\b\f\n\r\t";
  char letter = (*at)[1];
  if (letter == 'u')
    return read_unicode_escape(at, end);
  *at += 2;
  const char *known = strchr(letters, letter);
  return (unsigned char)(known != NULL ? meanings[known - letters] : letter);
}

bool sf_json_text_is(sf_json_text string, const char *expected) {
  const char *at = string.data + 1;
  const char *end = string.data + string.length - 1;
  while (at < end) {
    if (*at != '\\') {
      if (*expected++ != *at++)
        return false;
      continue;
    }
    char bytes[4];
    size_t length = sf_utf8_encode(read_escape(&at, end), bytes);
    if (length == 0 || bytes[0] == '\0' || strncmp(expected, bytes, length) != 0)
      return false;
    expected += length;
  }
  return *expected == '\0';
}

size_t sf_json_text_decode(sf_json_text string, char *decoded) {
  const char *at = string.data + 1;
  const char *end = string.data + string.length - 1;
  char *next = decoded;
  while (at < end) {
    const char *escape = memchr(at, '\\', (size_t)(end - at));
    size_t plain = (size_t)((escape != NULL ? escape : end) - at);
    memcpy(next, at, plain);
    next += plain;
    at += plain;
    if (at == end)
      break;
    char bytes[4];
    size_t length = sf_utf8_encode(read_escape(&at, end), bytes);
    if (length == 0) /* three bytes for an escape of six */
      length = sf_utf8_encode(0xFFFD, bytes);
    memcpy(next, bytes, length);
    next += length;
  }
  return (size_t)(next - decoded);
}

/* ------------------------------------------------------------------------------------------------------------ Numbers */

static bool is_integer(sf_json_text number) {
  const char *at = number.data;
  const char *end = at + number.length;
  return sf_json_number_end(at, end) == end && memchr(at, '.', number.length) == NULL &&
         memchr(at, 'e', number.length) == NULL && memchr(at, 'E', number.length) == NULL;
}

/* The value of digits that fill the text; false where it does not fit. strtoull would read on to a character that is none. */
static bool read_digits(const char *at, const char *end, uint64_t *value) {
  *value = 0;
  for (; at < end; at++)
    if (__builtin_mul_overflow(*value, 10, value) || __builtin_add_overflow(*value, (uint64_t)(*at - '0'), value))
      return false;
  return true;
}

bool sf_json_text_to_int64(sf_json_text number, int64_t *value) {
  uint64_t magnitude;
  if (!is_integer(number))
    return false;
  bool is_negative = number.data[0] == '-';
  if (!read_digits(number.data + is_negative, number.data + number.length, &magnitude) ||
      magnitude > (uint64_t)INT64_MAX + is_negative)
    return false;
  *value = (int64_t)(is_negative ? 0 - magnitude : magnitude);
  return true;
}

bool sf_json_text_to_uint64(sf_json_text number, uint64_t *value) {
  return is_integer(number) && number.data[0] != '-' && read_digits(number.data, number.data + number.length, value);
}

enum {
  SHORT_NUMBER = 64,
  SIGNIFICANT_DIGITS = 800, /* a point halfway between two doubles has at most 767 */
  MAX_EXPONENT = 1000000000,
};

/* The exponent behind the digits of a number, if there is one; far beyond what a double has, it is bounded. */
static int64_t read_exponent(const char *at, const char *end) {
  int64_t exponent = 0;
  if (at == end)
    return 0;
  bool is_negative = at[1] == '-';
  for (at += is_negative || at[1] == '+' ? 2 : 1; at < end; at++)
    if (exponent < MAX_EXPONENT)
      exponent = exponent * 10 + (*at - '0');
  return is_negative ? -exponent : exponent;
}

/* Writes a number that rounds to the same double with so many digits: of those that are left out, only whether all are zero
 * has a part in it, which one more digit tells. */
static void shorten(const char *at, const char *end, char shortened[SIGNIFICANT_DIGITS + SHORT_NUMBER]) {
  size_t length = 0;
  size_t kept = 0;
  int64_t exponent = 0;
  bool is_fraction = false;
  bool has_rest = false;
  if (*at == '-')
    shortened[length++] = *at++;
  for (; at < end && *at != 'e' && *at != 'E'; at++) {
    bool is_kept = *at != '.' && (kept > 0 || *at != '0') && kept < SIGNIFICANT_DIGITS;
    if (is_kept) {
      shortened[length++] = *at;
      kept++;
    } else if (*at != '.' && *at != '0')
      has_rest = true;
    bool is_left_out = *at != '.' && !is_kept && kept > 0;
    if (*at == '.')
      is_fraction = true;
    else if (is_left_out)
      exponent += is_fraction ? 0 : 1;
    else
      exponent -= is_fraction ? 1 : 0;
  }
  shortened[length++] = has_rest ? '1' : '0';
  exponent += read_exponent(at, end) - 1;
  snprintf(shortened + length, SHORT_NUMBER - 2, "e%lld", (long long)exponent);
}

bool sf_json_text_to_double(sf_json_text number, double *value) {
  char copy[SIGNIFICANT_DIGITS + SHORT_NUMBER];
  const char *end = number.data + number.length;
  locale_t previous;
  if (sf_json_number_end(number.data, end) != end || !sf_c_locale_enter(&previous))
    return false;
  if (number.length < SHORT_NUMBER) {
    memcpy(copy, number.data, number.length);
    copy[number.length] = '\0';
  } else
    shorten(number.data, end, copy);
  *value = strtod(copy, NULL);
  sf_c_locale_leave(previous);
  return isfinite(*value);
}
