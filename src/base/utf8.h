/* UTF-8 as RFC 3629 has it: no surrogates, nothing above U+10FFFF, no longer form than needed. */
#ifndef SF_BASE_UTF8_H
#define SF_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The bytes of the character at `text` (1 to 4) with its code point, or 0 when it is not one within `length`. */
size_t sf_utf8_decode(const char *text, size_t length, uint32_t *code_point);

/* Writes 1 to 4 bytes; 0 for what is not a code point that a string may have. */
size_t sf_utf8_encode(uint32_t code_point, char bytes[4]);

/* True when all is UTF-8; otherwise `invalid_at` (may be NULL) is where it stops. */
bool sf_utf8_valid(const char *text, size_t length, size_t *invalid_at);

/* False for what a terminal obeys rather than shows: control characters, C1's among them, and those that turn the direction of
 * text or break lines. */
bool sf_utf8_is_printable(uint32_t code_point);

/* Code points in valid UTF-8. */
size_t sf_utf8_count(const char *text, size_t length);

#endif
