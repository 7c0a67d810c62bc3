/*
 * Character classes by name, as RE2 defines them: Perl's and POSIX's have ASCII alone, and are spelled out as ranges because
 * PCRE2's own differ; Unicode's go to PCRE2 by their names.
 */
#ifndef SF_CEL_REGEX_CLASSES_H
#define SF_CEL_REGEX_CLASSES_H

#include "cel/regex_translator.h"

/* Whether a class has a character of ASCII. */
typedef bool (*sf_character_class)(int character);

/* \d, \s and \w, of either case; NULL for other letters. */
sf_character_class sf_regex_perl_class(char letter);
/* [:name:]; NULL: there is none. */
sf_character_class sf_regex_posix_class(sf_cel_text name);

/* The ranges of a named class, for the inside of brackets. */
sf_code sf_regex_put_class(sf_regex_translator *translator, sf_character_class contains, bool negated);
/* \p{Name}, \pN and their negations. The position is after the p; the escape began at `start`. */
sf_code sf_regex_put_property(sf_regex_translator *translator, bool negated, size_t start);

static inline bool sf_regex_is_lower(int character) {
  return character >= 'a' && character <= 'z';
}

static inline bool sf_regex_is_upper(int character) {
  return character >= 'A' && character <= 'Z';
}

static inline bool sf_regex_is_digit(int character) {
  return character >= '0' && character <= '9';
}

static inline bool sf_regex_is_alpha(int character) {
  return sf_regex_is_lower(character) || sf_regex_is_upper(character);
}

static inline bool sf_regex_is_alnum(int character) {
  return sf_regex_is_alpha(character) || sf_regex_is_digit(character);
}

static inline bool sf_regex_is_word(int character) {
  return sf_regex_is_alnum(character) || character == '_';
}

static inline bool sf_regex_is_graph(int character) {
  return character > ' ' && character < 0x7F;
}

static inline bool sf_regex_is_punct(int character) {
  return sf_regex_is_graph(character) && !sf_regex_is_alnum(character);
}

#endif
