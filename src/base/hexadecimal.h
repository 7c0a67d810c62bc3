/* Hexadecimal digits, of either case. */
#ifndef SF_BASE_HEXADECIMAL_H
#define SF_BASE_HEXADECIMAL_H

#include <stdbool.h>

/* 0 to 15; -1 for other characters. */
static inline int sf_hexadecimal_digit(int character) {
  if (character >= '0' && character <= '9')
    return character - '0';
  if (character >= 'a' && character <= 'f')
    return character - 'a' + 10;
  return character >= 'A' && character <= 'F' ? character - 'A' + 10 : -1;
}

static inline bool sf_is_hexadecimal_digit(int character) {
  return sf_hexadecimal_digit(character) >= 0;
}

#endif
