/* JSON as text: what the program writes, and checks of what it passes on. */
#ifndef SF_CLI_JSON_TEXT_H
#define SF_CLI_JSON_TEXT_H

#include "base/memory.h"

/* Each returns false when memory is out. */

/* In quotes, escaped. Bytes that are not UTF-8 become U+FFFD. */
bool sf_cli_json_append_string(sf_buffer *buffer, const char *text, size_t length);
/* The fewest digits that read back as the same number; null for what JSON has no number for. */
bool sf_cli_json_append_double(sf_buffer *buffer, double value);

/* The end of the JSON number at the start of NUL-terminated text, or NULL when there is none: strtod alone would take
 * hexadecimal and "nan". */
const char *sf_cli_json_number_end(const char *at);

/* Text for a person to read: control characters, which could rule a terminal, and bytes that are not UTF-8 become U+FFFD. */
bool sf_cli_append_visible(sf_buffer *buffer, const char *text, size_t length);

bool sf_cli_json_is_valid(const char *text, size_t length);

/* Appends JSON without the blanks between its tokens, so that it takes one line; all else stays as it was stored.
 * *is_valid is false, and nothing is appended, when it isn't JSON. */
bool sf_cli_json_append_compact(sf_buffer *buffer, const char *text, size_t length, bool *is_valid);

/* The length in bytes (1 to 4) of the UTF-8 sequence at the start of `length` bytes, at least one; 0 if there is none. */
size_t sf_cli_utf8_sequence(const char *text, size_t length);

#endif
