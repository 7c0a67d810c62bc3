/*
 * Leaving secrets out of text that others wrote is guesswork: there is no list of what a store, a proxy or a command may
 * repeat. Two rules find what AWS's own messages and signatures hold: a value whose name says that it is secret, and a text
 * that looks random and is as long as a signature or a key. Both rather leave out too much.
 */
#include "storage/s3/shown.h"

#include "base/utf8.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* More than this is never looked at: what is shown is far shorter. */
#define MAX_LENGTH 8192
/* A SHA-1 in hexadecimal, and AWS's secret keys, have 40 characters; an MD5 (an ETag) and a UUID have fewer. */
#define MIN_RANDOM_LENGTH 40
#define ELLIPSIS "\xE2\x80\xA6"

typedef struct reader {
  const char *next;
  const char *end;
} reader;

typedef struct writer {
  char *next;
  char *end; /* where the NUL goes at the latest */
  bool is_full;
} writer;

/* ------------------------------------------------------------------------------------------------------------ Writing */

/* All of it or nothing: what did not fit is marked once. */
static void put(writer *to, const char *text, size_t length) {
  if (to->is_full || length > (size_t)(to->end - to->next)) {
    to->is_full = true;
    return;
  }
  memcpy(to->next, text, length);
  to->next += length;
}

static void put_ellipsis(writer *to) {
  put(to, ELLIPSIS, strlen(ELLIPSIS));
}

/* One character, or one byte that is none. Returns its length in the source. */
static size_t put_character(writer *to, const reader *from) {
  uint32_t code_point = 0;
  char escape[16];
  size_t size = sf_utf8_decode(from->next, (size_t)(from->end - from->next), &code_point);
  if (size == 0) {
    snprintf(escape, sizeof(escape), "\\x%02x", (unsigned)(unsigned char)*from->next);
    put(to, escape, strlen(escape));
    return 1;
  }
  if (code_point == '\n' || code_point == '\r' || code_point == '\t') {
    put(to, " ", 1);
  } else if (!sf_utf8_is_printable(code_point)) {
    snprintf(escape, sizeof(escape), code_point < 0x100 ? "\\x%02x" : "\\u%04x", (unsigned)code_point);
    put(to, escape, strlen(escape));
  } else {
    put(to, from->next, size);
  }
  return size;
}

/* ----------------------------------------------------------------------------------------------------------- Looking */

static bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_in_name(char c) {
  return is_letter_or_digit(c) || c == '-' || c == '_';
}

static bool is_in_base64(char c) {
  return is_in_name(c) || c == '+' || c == '/';
}

static size_t span(const reader *from, bool (*is_in)(char c)) {
  const char *at = from->next;
  while (at < from->end && is_in(*at))
    at++;
  return (size_t)(at - from->next);
}

static bool contains(const char *text, size_t length, const char *part) {
  size_t part_length = strlen(part);
  for (size_t i = 0; i + part_length <= length; i++)
    if (strncasecmp(text + i, part, part_length) == 0)
      return true;
  return false;
}

static bool names_a_secret(const char *name, size_t length) {
  static const char *const parts[] = {"signature", "credential", "token",      "secret", "password",      "passwd",
                                      "accesskey", "access-key", "access_key", "apikey", "authorization", "bearer"};
  for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
    if (contains(name, length, parts[i]))
      return true;
  return false;
}

/* AWS's ids of keys and roles: four capitals that say what they are of, and as many as make 16 to 128. */
static bool is_key_id(const char *text, size_t length) {
  static const char *const kinds[] = {"AKIA", "ASIA", "ABIA", "ACCA", "AROA", "AIDA"};
  if (length < 16)
    return false;
  for (size_t i = 0; i < length; i++)
    if (!((text[i] >= 'A' && text[i] <= 'Z') || (text[i] >= '0' && text[i] <= '9')))
      return false;
  for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
    if (strncmp(text, kinds[i], 4) == 0)
      return true;
  return false;
}

/* Hexadecimal, or of all three kinds of characters, as names and words of such a length hardly are. */
static bool looks_random(const char *text, size_t length) {
  size_t num_upper = 0;
  size_t num_lower = 0;
  size_t num_digits = 0;
  size_t num_hexadecimal = 0;
  for (size_t i = 0; i < length; i++) {
    bool is_digit = text[i] >= '0' && text[i] <= '9';
    num_digits += is_digit;
    num_upper += text[i] >= 'A' && text[i] <= 'Z';
    num_lower += text[i] >= 'a' && text[i] <= 'z';
    num_hexadecimal += is_digit || (text[i] >= 'a' && text[i] <= 'f') || (text[i] >= 'A' && text[i] <= 'F');
  }
  if (length < MIN_RANDOM_LENGTH)
    return false;
  return num_hexadecimal == length || (num_upper > 0 && num_lower > 0 && num_digits > 0);
}

/* ------------------------------------------------------------------------------------------------------------ Values */

static bool ends_value(char c) {
  return (unsigned char)c <= ' ' || strchr("&,;<>\"')}]", c) != NULL;
}

static size_t span_value(const reader *from) {
  const char *at = from->next;
  while (at < from->end && !ends_value(*at))
    at++;
  return (size_t)(at - from->next);
}

/* "token: expired" is prose; the values of headers are not: they have digits, or are long. */
static bool is_prose(const char *value, size_t length) {
  for (size_t i = 0; i < length; i++)
    if (!((value[i] >= 'a' && value[i] <= 'z') || (value[i] >= 'A' && value[i] <= 'Z')))
      return false;
  return length < 20;
}

/* What stands between a name and its value: "=", ": ", "\": \"", ">", or the blank of "Bearer …". 0: there is no value. */
static size_t span_separator(const reader *from, bool is_bearer, bool *is_loose) {
  const char *at = from->next;
  bool is_quoted = at < from->end && (*at == '"' || *at == '\'');
  at += is_quoted;
  bool separates = at < from->end && (*at == '=' || *at == ':' || *at == '>' || (is_bearer && *at == ' '));
  if (!separates)
    return 0;
  at++;
  const char *blank = at;
  while (at < from->end && *at == ' ')
    at++;
  *is_loose = at > blank && !is_quoted;
  if (at < from->end && (*at == '"' || *at == '\''))
    at++;
  return (size_t)(at - from->next);
}

/* Behind a name that says so: keeps what separates, and leaves the value out. */
static void leave_value_out(reader *from, writer *to, const char *name, size_t name_length) {
  bool is_loose = false;
  size_t separator = span_separator(from, contains(name, name_length, "bearer"), &is_loose);
  if (separator == 0)
    return;
  reader value = {.next = from->next + separator, .end = from->end};
  size_t length = span_value(&value);
  if (length == 0 || (is_loose && is_prose(value.next, length)))
    return;
  put(to, from->next, separator);
  put_ellipsis(to);
  from->next = value.next + length;
}

/* The user, and a password, of a URL: from behind "//" up to "@". */
static void leave_user_out(reader *from, writer *to) {
  for (const char *at = from->next; at < from->end && !ends_value(*at) && *at != '/' && *at != '?'; at++) {
    if (*at != '@')
      continue;
    put_ellipsis(to);
    from->next = at;
    return;
  }
}

/* A word: a name, or what looks like a key. */
static void take_word(reader *from, writer *to) {
  const char *word = from->next;
  size_t length = span(from, is_in_name);
  size_t base64_length = span(from, is_in_base64);
  if (looks_random(word, base64_length)) {
    from->next += base64_length;
    put_ellipsis(to);
    return;
  }
  from->next += length;
  if (is_key_id(word, length))
    put_ellipsis(to);
  else
    put(to, word, length);
  if (names_a_secret(word, length))
    leave_value_out(from, to, word, length);
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the writer writes to it */
void sf_s3_show(char *shown, size_t size, const void *text, size_t length) {
  reader from = {.next = text, .end = text};
  from.end = length == 0 ? from.next : from.next + (length < MAX_LENGTH ? length : MAX_LENGTH);
  writer to = {.next = shown, .end = shown + size - sizeof(ELLIPSIS)};
  if (size < sizeof(ELLIPSIS))
    return;
  while (from.next < from.end && !to.is_full) {
    if (is_in_base64(*from.next) && is_in_name(*from.next)) {
      take_word(&from, &to);
      continue;
    }
    bool begins_authority = from.next[0] == '/' && from.end - from.next > 1 && from.next[1] == '/';
    from.next += put_character(&to, &from);
    if (begins_authority) {
      from.next += put_character(&to, &from);
      leave_user_out(&from, &to);
    }
  }
  while (!to.is_full && to.next > shown && to.next[-1] == ' ')
    to.next--;
  if (to.is_full) {
    memcpy(to.next, ELLIPSIS, strlen(ELLIPSIS));
    to.next += strlen(ELLIPSIS);
  }
  *to.next = '\0';
}
