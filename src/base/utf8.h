/* UTF-8 by RFC 3629: no surrogates, nothing above U+10FFFF, only the shortest forms. */
#ifndef SF_BASE_UTF8_H
#define SF_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The length of the character at `text` (1 to 4 bytes) and its code point; 0 where the first `length` bytes begin with none. */
size_t sf_utf8_decode(const char *text, size_t length, uint32_t *code_point);

/* Writes 1 to 4 bytes and returns how many; 0 for a surrogate or above U+10FFFF. */
size_t sf_utf8_encode(uint32_t code_point, char bytes[4]);

/* Whether all of the text is UTF-8; otherwise *invalid_at (may be NULL) is the offset of the first byte that is not. */
bool sf_utf8_valid(const char *text, size_t length, size_t *invalid_at);

/* False for what a terminal interprets instead of showing: control characters, C1's included, and characters that change the
 * direction of text or break lines. */
bool sf_utf8_is_printable(uint32_t code_point);

/* The number of code points in valid UTF-8. */
size_t sf_utf8_count(const char *text, size_t length);

#endif
