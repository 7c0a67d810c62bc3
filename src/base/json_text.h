/* JSON as text: its tokens, and the parts of objects and arrays as they were written. */
#ifndef SF_BASE_JSON_TEXT_H
#define SF_BASE_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The end of the number at `at` as RFC 8259 has it, or NULL when there is none. */
const char *sf_json_number_end(const char *at, const char *end);

/* The end of the string at `at`, a quote: after the closing one, or `end` without one. */
const char *sf_json_string_end(const char *at, const char *end);

/* The end of NaN, Infinity or -Infinity at `at`, or NULL when there is none of them. */
const char *sf_json_nan_end(const char *at, const char *end);

const char *sf_json_skip_blanks(const char *at, const char *end);

/* ---- For valid JSON: text that sf_json_parse has accepted. ---- */

/* A value's text, without blanks around it. */
typedef struct sf_json_text {
  const char *data;
  size_t length;
} sf_json_text;

/* An iteration over the members of an object, or the elements of an array. */
typedef struct sf_json_parts {
  const char *next;
  const char *end;
} sf_json_parts;

sf_json_parts sf_json_parts_of(const char *object_or_array, size_t length);
/* The next member: its name in quotes, and its value. False after the last. */
bool sf_json_next_member(sf_json_parts *members, sf_json_text *name, sf_json_text *value);

/* The next element. False after the last. */
bool sf_json_next_element(sf_json_parts *elements, sf_json_text *value);

/* The text of a member's value; the last one's of several with the same name. False when there is none. */
bool sf_json_find_member(const char *object, size_t length, const char *name, sf_json_text *value);

/* Whether a string in quotes, which may have escapes, is equal to `expected`. */
bool sf_json_text_is(sf_json_text string, const char *expected);

/* Decodes a string in quotes into `decoded`, which has room for its length less the quotes (no NUL is added), and returns how
 * many bytes of UTF-8 it is. Half of a surrogate pair becomes U+FFFD. */
size_t sf_json_text_decode(sf_json_text string, char *decoded);

/* Numbers; false where the value is none, or doesn't fit. Independent of the locale. The text may come from elsewhere,
 * and needs no byte after it. */
bool sf_json_text_to_int64(sf_json_text number, int64_t *value);
bool sf_json_text_to_uint64(sf_json_text number, uint64_t *value);
bool sf_json_text_to_double(sf_json_text number, double *value);

#endif
