#include "base/time.h"

#include "base/thread.h"

#include <math.h>

uint64_t sf_monotonic_nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

double sf_wall_clock_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

struct timespec sf_deadline_after(int64_t timeout_ms) {
  struct timespec deadline;
  clock_gettime(SF_CONDITION_CLOCK, &deadline);
  /* A longer timeout could overflow. */
  const int64_t century_ms = (int64_t)100 * 366 * 86400 * 1000;
  if (timeout_ms > century_ms)
    timeout_ms = century_ms;
  deadline.tv_sec += (time_t)(timeout_ms / 1000);
  deadline.tv_nsec += (long)(timeout_ms % 1000) * 1000000L;
  if (deadline.tv_nsec >= 1000000000L) {
    deadline.tv_sec++;
    deadline.tv_nsec -= 1000000000L;
  }
  return deadline;
}

/* Days from 1970-01-01 to a date of the proleptic Gregorian calendar, counting years from March so that the leap day is
 * a year's last. */
static int64_t days_since_epoch(int year, int month, int day) {
  int64_t shifted_year = month > 2 ? year : year - 1;
  int64_t shifted_month = month > 2 ? month - 3 : month + 9;
  int64_t day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
  int64_t leap_days = shifted_year / 4 - shifted_year / 100 + shifted_year / 400;
  return shifted_year * 365 + leap_days + day_of_year - 719468;
}

static int days_in_month(int year, int month) {
  static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return month == 2 && leap ? 29 : days[month - 1];
}

/* Text that is left to read. */
typedef struct reading {
  const char *next;
  const char *end;
} reading;

static bool read_digits(reading *text, int count, int *value) {
  *value = 0;
  for (int i = 0; i < count; i++, text->next++) {
    if (text->next == text->end || *text->next < '0' || *text->next > '9')
      return false;
    *value = *value * 10 + (*text->next - '0');
  }
  return true;
}

static bool read_character(reading *text, char character) {
  if (text->next == text->end || *text->next != character)
    return false;
  text->next++;
  return true;
}

static bool read_fraction(reading *text, double *fraction) {
  *fraction = 0;
  if (!read_character(text, '.'))
    return true;
  const char *first = text->next;
  double unit = 0.1;
  for (int digit; text->next != text->end && read_digits(text, 1, &digit); unit /= 10)
    *fraction += digit * unit;
  return text->next != first;
}

static bool read_zone(reading *text, int *offset_seconds) {
  *offset_seconds = 0;
  if (text->next == text->end || read_character(text, 'Z'))
    return true;
  int sign = *text->next == '-' ? -1 : 1;
  int hours;
  int minutes;
  if (!read_character(text, '+') && !read_character(text, '-'))
    return false;
  if (!read_digits(text, 2, &hours))
    return false;
  read_character(text, ':');
  if (!read_digits(text, 2, &minutes) || hours > 23 || minutes > 59)
    return false;
  *offset_seconds = sign * (hours * 3600 + minutes * 60);
  return true;
}

bool sf_parse_timestamp(const char *text, size_t length, double *seconds) {
  reading input = {.next = text, .end = text + length};
  int year, month, day, hour, minute, second, offset;
  double fraction;
  if (!read_digits(&input, 4, &year) || !read_character(&input, '-') || !read_digits(&input, 2, &month) ||
      !read_character(&input, '-') || !read_digits(&input, 2, &day))
    return false;
  if (!read_character(&input, 'T') && !read_character(&input, ' '))
    return false;
  if (!read_digits(&input, 2, &hour) || !read_character(&input, ':') || !read_digits(&input, 2, &minute) ||
      !read_character(&input, ':') || !read_digits(&input, 2, &second))
    return false;
  if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month) || hour > 23 || minute > 59 || second > 60)
    return false;
  if (!read_fraction(&input, &fraction) || !read_zone(&input, &offset) || input.next != input.end)
    return false;
  int64_t whole = days_since_epoch(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset;
  *seconds = (double)whole + fraction;
  return true;
}
