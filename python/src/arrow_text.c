/* Decimals, dates and times of columns as text, as Python's str() has them. Nothing here touches Python. */
#include "arrow.h"
#include "python.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DAY_SECONDS = 86400, MAX_DIGITS = 80 };

static int64_t floor_divide(int64_t value, int64_t by) {
  return value / by - (value % by < 0 ? 1 : 0);
}

static int64_t read_value(const sf_py_arrow_column *column, int64_t row) {
  int64_t value = 0;
  sf_py_arrow_integer(column, row, &value);
  return value;
}

/* Days since 1970 as a date of the proleptic Gregorian calendar: Hinnant, "chrono-compatible low-level date algorithms",
 * civil_from_days. */
static size_t put_date(char *text, size_t size, int64_t days) {
  int64_t shifted = days + 719468;
  int64_t era = floor_divide(shifted, 146097);
  int64_t day_of_era = shifted - era * 146097;
  int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  int64_t shifted_month = (5 * day_of_year + 2) / 153;
  int64_t month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
  int64_t year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);
  int day = (int)(day_of_year - (153 * shifted_month + 2) / 5 + 1);
  return (size_t)PyOS_snprintf(text, size, "%s%04lld-%02d-%02d", year < 0 ? "-" : "", llabs(year), (int)month, day);
}

/* ".000250", ".000000250" or nothing, of a fraction in units of which so many make a second. */
static size_t put_fraction(char *text, size_t size, int64_t fraction, int64_t unit) {
  if (fraction == 0)
    return 0;
  int64_t nanoseconds = fraction * (1000000000 / unit);
  if (nanoseconds % 1000 == 0)
    return (size_t)PyOS_snprintf(text, size, ".%06lld", (long long)(nanoseconds / 1000));
  return (size_t)PyOS_snprintf(text, size, ".%09lld", (long long)nanoseconds);
}

static size_t put_clock(char *text, size_t size, const char *format, int64_t seconds, int64_t fraction, int64_t unit) {
  size_t used =
      (size_t)PyOS_snprintf(text, size, format, (int)(seconds / 3600), (int)(seconds / 60 % 60), (int)(seconds % 60));
  return used + put_fraction(text + used, size - used, fraction, unit);
}

int64_t sf_py_arrow_seconds(const sf_py_arrow_column *column, int64_t row) {
  return floor_divide(read_value(column, row), column->type.unit);
}

static void put_zone(char *text, size_t size, int64_t seconds) {
  int64_t distance = llabs(seconds);
  size_t used = (size_t)PyOS_snprintf(text, size, "%c%02d:%02d", seconds < 0 ? '-' : '+', (int)(distance / 3600),
                                      (int)(distance / 60 % 60));
  if (distance % 60 != 0)
    PyOS_snprintf(text + used, size - used, ":%02d", (int)(distance % 60));
}

static void put_timestamp(const sf_py_arrow_column *column, int64_t row, bool has_zone, int64_t zone_seconds,
                          char *text, size_t size) {
  int64_t seconds = sf_py_arrow_seconds(column, row);
  int64_t fraction = read_value(column, row) - seconds * column->type.unit;
  if (has_zone && seconds < INT64_MAX - 2 * DAY_SECONDS && seconds > INT64_MIN + 2 * DAY_SECONDS)
    seconds += zone_seconds;
  int64_t days = floor_divide(seconds, DAY_SECONDS);
  size_t used = put_date(text, size, days);
  text[used++] = ' ';
  used +=
      put_clock(text + used, size - used, "%02d:%02d:%02d", seconds - days * DAY_SECONDS, fraction, column->type.unit);
  if (has_zone)
    put_zone(text + used, size - used, zone_seconds);
}

/* As str() of a timedelta: "-1 day, 23:59:59". */
static void put_duration(const sf_py_arrow_column *column, int64_t row, char *text, size_t size) {
  int64_t seconds = sf_py_arrow_seconds(column, row);
  int64_t fraction = read_value(column, row) - seconds * column->type.unit;
  int64_t days = floor_divide(seconds, DAY_SECONDS);
  size_t used = 0;
  if (days != 0)
    used = (size_t)PyOS_snprintf(text, size, "%lld day%s, ", (long long)days, llabs(days) == 1 ? "" : "s");
  put_clock(text + used, size - used, "%d:%02d:%02d", seconds - days * DAY_SECONDS, fraction, column->type.unit);
}

/* The decimal digits of an integer of 4 to 32 bytes, most significant first. */
static size_t put_digits(const char *bytes, size_t width, bool *is_negative, char digits[MAX_DIGITS]) {
  uint32_t words[8] = {0};
  size_t count = width / 4;
  char reversed[MAX_DIGITS];
  size_t length = 0;
  memcpy(words, bytes, width);
  *is_negative = (words[count - 1] & 0x80000000U) != 0;
  for (size_t i = 0, carry = 1; *is_negative && i < count; i++) {
    uint64_t negated = (uint64_t)(uint32_t)~words[i] + carry;
    words[i] = (uint32_t)negated;
    carry = (size_t)(negated >> 32);
  }
  do {
    uint64_t remainder = 0;
    for (size_t i = count; i-- > 0;) {
      uint64_t value = remainder << 32 | words[i];
      words[i] = (uint32_t)(value / 10);
      remainder = value % 10;
    }
    reversed[length++] = (char)('0' + (int)remainder);
    while (count > 1 && words[count - 1] == 0)
      count--;
  } while ((words[0] != 0 || count > 1) && length < MAX_DIGITS);
  for (size_t i = 0; i < length; i++)
    digits[i] = reversed[length - 1 - i];
  return length;
}

/* As str() of a Decimal: plain, but with an exponent where there is one above 0, or more than six zeros would come first
 * ("to-scientific-string" of the General Decimal Arithmetic Specification). */
static void put_decimal(const sf_py_arrow_column *column, int64_t row, char *text, size_t size) {
  char digits[MAX_DIGITS];
  bool is_negative;
  int length = (int)put_digits(sf_py_arrow_bytes(column, row), column->type.width, &is_negative, digits);
  int exponent = -(int)column->type.scale;
  int point = length + exponent;
  const char *sign = is_negative ? "-" : "";
  if (exponent == 0)
    PyOS_snprintf(text, size, "%s%.*s", sign, length, digits);
  else if (exponent < 0 && point > 0)
    PyOS_snprintf(text, size, "%s%.*s.%.*s", sign, point, digits, length - point, digits + point);
  else if (exponent < 0 && point > -6)
    PyOS_snprintf(text, size, "%s0.%.*s%.*s", sign, -point, "000000", length, digits);
  else
    PyOS_snprintf(text, size, "%s%c%s%.*sE%+d", sign, digits[0], length > 1 ? "." : "", length - 1, digits + 1,
                  point - 1);
}

static void put_uuid(const sf_py_arrow_column *column, int64_t row, char *text) {
  static const char hex[] = "0123456789abcdef";
  const char *bytes = sf_py_arrow_bytes(column, row);
  for (size_t i = 0; i < 16; i++) {
    if (i == 4 || i == 6 || i == 8 || i == 10)
      *text++ = '-';
    *text++ = hex[(unsigned char)bytes[i] >> 4];
    *text++ = hex[(unsigned char)bytes[i] & 15];
  }
  *text = '\0';
}

void sf_py_arrow_put_text(const sf_py_arrow_column *column, int64_t row, bool has_zone, int64_t zone_seconds,
                          char text[SF_PY_ARROW_MAX_TEXT]) {
  size_t size = SF_PY_ARROW_MAX_TEXT;
  text[0] = '\0';
  if (column->type.kind == SF_PY_ARROW_TIMESTAMP)
    put_timestamp(column, row, has_zone, zone_seconds, text, size);
  else if (column->type.kind == SF_PY_ARROW_DURATION)
    put_duration(column, row, text, size);
  else if (column->type.kind == SF_PY_ARROW_DECIMAL)
    put_decimal(column, row, text, size);
  else if (column->type.kind == SF_PY_ARROW_UUID)
    put_uuid(column, row, text);
  else if (column->type.kind == SF_PY_ARROW_DATE)
    put_date(text, size,
             column->type.unit == 0 ? read_value(column, row)
                                    : floor_divide(sf_py_arrow_seconds(column, row), DAY_SECONDS));
  else if (column->type.kind == SF_PY_ARROW_TIME) {
    int64_t seconds = sf_py_arrow_seconds(column, row);
    put_clock(text, size, "%02d:%02d:%02d", seconds, read_value(column, row) - seconds * column->type.unit,
              column->type.unit);
  }
}

bool sf_py_arrow_fixed_zone(const char *zone, int64_t *seconds) {
  int hours;
  int minutes;
  char sign;
  char behind;
  *seconds = 0;
  if (strcmp(zone, "UTC") == 0 || strcmp(zone, "Etc/UTC") == 0 || strcmp(zone, "Z") == 0)
    return true;
  if (sscanf(zone, "%c%2d:%2d%c", &sign, &hours, &minutes, &behind) != 3 || (sign != '+' && sign != '-'))
    return false;
  *seconds = (sign == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
  return true;
}
