#include "cel/number.h"

#include "base/hexadecimal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LONGEST_NUMBER 512 /* digits beyond this many are refused rather than rounded wrongly */
#define MOST_DIGITS 17     /* of a double that reads back as itself */
#define SMALLEST_PLAIN_EXPONENT (-4)
#define LARGEST_PLAIN_EXPONENT 5

static bool is_digit(char character) {
  return character >= '0' && character <= '9';
}

bool sf_cel_parse_uint(sf_cel_text text, uint64_t *value) {
  uint64_t sum = 0;
  for (size_t i = 0; i < text.length; i++) {
    if (!is_digit(text.data[i]) || __builtin_mul_overflow(sum, (uint64_t)10, &sum) ||
        __builtin_add_overflow(sum, (uint64_t)(text.data[i] - '0'), &sum))
      return false;
  }
  *value = sum;
  return text.length > 0;
}

bool sf_cel_parse_int(sf_cel_text text, int64_t *value) {
  bool negative = text.length > 0 && text.data[0] == '-';
  if (negative || (text.length > 0 && text.data[0] == '+'))
    text = (sf_cel_text){text.data + 1, text.length - 1};
  uint64_t magnitude;
  if (!sf_cel_parse_uint(text, &magnitude) || magnitude > (uint64_t)INT64_MAX + negative)
    return false;
  *value = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
  return true;
}

bool sf_cel_parse_hexadecimal(sf_cel_text text, uint64_t *value) {
  uint64_t sum = 0;
  for (size_t i = 0; i < text.length; i++) {
    int digit = sf_hexadecimal_digit(text.data[i]);
    if (digit < 0 || sum >> 60 != 0)
      return false;
    sum = sum << 4 | (uint64_t)digit;
  }
  *value = sum;
  return text.length > 0;
}

static size_t count_digits(sf_cel_text text, size_t from) {
  size_t end = from;
  while (end < text.length && is_digit(text.data[end]))
    end++;
  return end - from;
}

/* Exactly what the comment of sf_cel_parse_double promises; strtod alone would take more, spaces and hexadecimal too. */
static bool is_decimal(sf_cel_text text) {
  size_t position = text.length > 0 && (text.data[0] == '-' || text.data[0] == '+') ? 1 : 0;
  size_t whole = count_digits(text, position);
  size_t fraction = 0;
  position += whole;
  if (position < text.length && text.data[position] == '.') {
    fraction = count_digits(text, position + 1);
    position += 1 + fraction;
  }
  if (whole + fraction == 0)
    return false;
  if (position < text.length && (text.data[position] | 0x20) == 'e') {
    position++;
    if (position < text.length && (text.data[position] == '-' || text.data[position] == '+'))
      position++;
    size_t exponent = count_digits(text, position);
    if (exponent == 0)
      return false;
    position += exponent;
  }
  return position == text.length;
}

static bool equals_ignoring_case(sf_cel_text text, const char *lower) {
  if (strlen(lower) != text.length)
    return false;
  for (size_t i = 0; i < text.length; i++) {
    if ((text.data[i] | 0x20) != lower[i])
      return false;
  }
  return true;
}

static bool parse_named_double(sf_cel_text text, double *value) {
  if (equals_ignoring_case(text, "nan")) {
    *value = NAN;
    return true;
  }
  bool negative = text.length > 0 && text.data[0] == '-';
  if (negative || (text.length > 0 && text.data[0] == '+'))
    text = (sf_cel_text){text.data + 1, text.length - 1};
  *value = negative ? -INFINITY : INFINITY;
  return equals_ignoring_case(text, "inf") || equals_ignoring_case(text, "infinity");
}

/* strtod and printf write the decimal point of the process's locale, which a program around this one may have set. */
static size_t locale_point(char point[8]) {
  char sample[16];
  int length = snprintf(sample, sizeof(sample), "%.1f", 0.5);
  size_t point_length = length > 2 && length < 10 ? (size_t)length - 2 : 1;
  memcpy(point, sample + 1, point_length);
  return point_length;
}

bool sf_cel_parse_double(sf_cel_text text, double *value) {
  if (!is_decimal(text))
    return parse_named_double(text, value);
  if (text.length > LONGEST_NUMBER)
    return false;
  char copy[LONGEST_NUMBER + 16];
  char point[8];
  size_t point_length = locale_point(point);
  size_t length = 0;
  for (size_t i = 0; i < text.length; i++) {
    if (text.data[i] != '.') {
      copy[length++] = text.data[i];
      continue;
    }
    memcpy(copy + length, point, point_length);
    length += point_length;
  }
  copy[length] = '\0';
  *value = strtod(copy, NULL);
  return isfinite(*value);
}

/* The significant digits of a finite value, no point among them, and the exponent of the first. */
typedef struct decimal_number {
  char digits[MOST_DIGITS + 1];
  int count;
  int exponent;
  bool negative;
} decimal_number;

static decimal_number shortest_decimal(double value) {
  char text[48];
  for (int precision = 0; precision < MOST_DIGITS; precision++) {
    snprintf(text, sizeof(text), "%.*e", precision, value);
    if (strtod(text, NULL) == value)
      break;
  }
  decimal_number result = {.negative = signbit(value) != 0};
  const char *position = text;
  for (; *position != 'e' && *position != '\0'; position++) {
    if (is_digit(*position) && result.count < MOST_DIGITS)
      result.digits[result.count++] = *position;
  }
  result.exponent = *position == 'e' ? (int)strtol(position + 1, NULL, 10) : 0;
  return result;
}

static size_t write_scientific(const decimal_number *number, char *buffer, size_t length) {
  buffer[length++] = number->digits[0];
  if (number->count > 1) {
    buffer[length++] = '.';
    memcpy(buffer + length, number->digits + 1, (size_t)number->count - 1);
    length += (size_t)number->count - 1;
  }
  int written = snprintf(buffer + length, SF_CEL_DOUBLE_TEXT_BYTES - length, "e%c%02d",
                         number->exponent < 0 ? '-' : '+', abs(number->exponent));
  return length + (size_t)written;
}

static size_t write_plain(const decimal_number *number, char *buffer, size_t length) {
  for (int place = number->exponent < 0 ? 0 : number->exponent; place >= 0 || number->exponent - place < number->count;
       place--) {
    if (place == -1)
      buffer[length++] = '.';
    int index = number->exponent - place;
    buffer[length++] = index >= 0 && index < number->count ? number->digits[index] : '0';
  }
  return length;
}

size_t sf_cel_format_double(double value, char buffer[SF_CEL_DOUBLE_TEXT_BYTES]) {
  if (isnan(value) || isinf(value)) {
    int length = snprintf(buffer, SF_CEL_DOUBLE_TEXT_BYTES, "%s", isnan(value) ? "NaN" : value < 0 ? "-Inf" : "+Inf");
    return (size_t)length;
  }
  decimal_number number = shortest_decimal(value);
  size_t length = 0;
  if (number.negative)
    buffer[length++] = '-';
  bool scientific = number.exponent < SMALLEST_PLAIN_EXPONENT || number.exponent > LARGEST_PLAIN_EXPONENT;
  length = scientific ? write_scientific(&number, buffer, length) : write_plain(&number, buffer, length);
  buffer[length] = '\0';
  return length;
}
