/* JSON as text: what the program writes, and checks of what it passes on. */
#ifndef SF_CLI_JSON_TEXT_H
#define SF_CLI_JSON_TEXT_H

#include "base/memory.h"

/* The fewest digits that read back as the same number; null for what JSON has no number for. False when
 * memory is out. */
bool sf_cli_json_append_double(sf_buffer *buffer, double value);

/* Text for a person to read: control characters, which could rule a terminal, and bytes that are not UTF-8 become U+FFFD.
 * False when memory is out. */
bool sf_cli_append_visible(sf_buffer *buffer, const char *text, size_t length);

/* Of NUL-terminated text. True also when memory is out: the reader of the text reports it. */
bool sf_cli_json_is_valid(const char *text, size_t length);

/* Appends stored JSON, which has a NUL behind it, without the blanks between its tokens, so that it takes one line; all else stays as it was stored,
 * but for NaN, Infinity and -Infinity, which Python's json.dumps writes, and which become null. Fails with
 * SF_DB_ADAPTER_ERROR, and appends nothing, when it is no JSON; `what` is what messages begin with. */
sf_code sf_cli_json_append_compact(sf_buffer *buffer, const char *text, size_t length, const char *what,
                                   sf_error *error);

/* The length in bytes (1 to 4) of the UTF-8 sequence at the start of `length` bytes, at least one; 0 if there is none. */
size_t sf_cli_utf8_sequence(const char *text, size_t length);

#endif
