#include "formats/sqlite_vec/written_id.h"

#include <string.h>

/* Any so many digits fit an int64. */
#define MAX_DIGITS 18

/* Moves past `literal`, where the text goes on with it. */
static bool skip(const char **next, const char *end, const char *literal) {
  size_t length = strlen(literal);
  if ((size_t)(end - *next) < length || memcmp(*next, literal, length) != 0)
    return false;
  *next += length;
  return true;
}

/* JSON's integers have no leading zeros; −0 is left to JSON, too. */
static bool read_integer(const char **next, const char *end, int64_t *integer) {
  bool is_negative = skip(next, end, "-");
  const char *first = *next;
  int64_t value = 0;
  while (*next < end && **next >= '0' && **next <= '9' && *next - first < MAX_DIGITS)
    value = value * 10 + (*(*next)++ - '0');
  size_t digits = (size_t)(*next - first);
  if (digits == 0 || (*first == '0' && (digits > 1 || is_negative)))
    return false;
  *integer = is_negative ? -value : value;
  return true;
}

static bool is_plain(char character) {
  return character >= ' ' && character <= '~' && character != '"' && character != '\\';
}

/* Up to the first character that is not plain, which should be the closing quote. */
static void read_string(const char **next, const char *end, const char **string, size_t *length) {
  *string = *next;
  while (*next < end && is_plain(**next))
    (*next)++;
  *length = (size_t)(*next - *string);
}

bool sf_written_id_read(const char *text, size_t length, sf_written_id *id) {
  const char *next = text;
  const char *end = text + length;
  sf_written_id read = {.type = SF_ID_INTEGER};
  if (!skip(&next, end, "{\"v\": "))
    return false;
  if (skip(&next, end, "\"")) {
    read.type = SF_ID_STRING;
    read_string(&next, end, &read.string, &read.length);
    if (!skip(&next, end, "\", \"t\": \"str\"}"))
      return false;
  } else if (!read_integer(&next, end, &read.integer) || !skip(&next, end, ", \"t\": \"int\"}"))
    return false;
  if (next != end)
    return false;
  *id = read;
  return true;
}

/* printf takes as long as SQLite for the whole row. */
static bool append_integer(int64_t integer, sf_buffer *text) {
  char digits[20];
  size_t first = sizeof(digits);
  uint64_t left = integer < 0 ? 0 - (uint64_t)integer : (uint64_t)integer;
  do
    digits[--first] = (char)('0' + left % 10);
  while ((left /= 10) > 0);
  return sf_buffer_append(text, "-", integer < 0) && sf_buffer_append(text, digits + first, sizeof(digits) - first);
}

static bool append_escaped(const char *string, size_t length, sf_buffer *text) {
  const char *end = string + length;
  for (const char *next = string; next < end;) {
    const char *plain = next;
    while (next < end && (unsigned char)*next >= ' ' && *next != '"' && *next != '\\')
      next++;
    if (!sf_buffer_append(text, plain, (size_t)(next - plain)))
      return false;
    if (next == end)
      return true;
    bool appended = *next == '"' || *next == '\\' ? sf_buffer_append_format(text, "\\%c", *next)
                                                  : sf_buffer_append_format(text, "\\u%04x", (unsigned char)*next);
    if (!appended)
      return false;
    next++;
  }
  return true;
}

bool sf_written_id_append(const sf_written_id *id, sf_buffer *text) {
  if (id->type == SF_ID_INTEGER)
    return sf_buffer_append_text(text, "{\"v\": ") && append_integer(id->integer, text) &&
           sf_buffer_append_text(text, ", \"t\": \"int\"}");
  return sf_buffer_append_text(text, "{\"v\": \"") && append_escaped(id->string, id->length, text) &&
         sf_buffer_append_text(text, "\", \"t\": \"str\"}");
}
