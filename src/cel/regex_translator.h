/* A pattern under translation, shared by regex_syntax.c and regex_classes.c. */
#ifndef SF_CEL_REGEX_TRANSLATOR_H
#define SF_CEL_REGEX_TRANSLATOR_H

#include "base/memory.h"
#include "cel/limits.h"
#include "cel/value.h"

#define SF_LAST_CODE_POINT 0x10FFFF

typedef struct sf_regex_group {
  bool fold;       /* the flag i outside, to be restored at the end of the group */
  uint32_t repeat; /* the largest product of repeat counts inside */
} sf_regex_group;

typedef struct sf_regex_translator {
  sf_cel_text pattern;
  size_t position;
  sf_buffer *output;
  sf_error *error;
  sf_regex_group groups[SF_CEL_MAX_PATTERN_DEPTH + 1]; /* the pattern itself is the first */
  size_t depth;
  bool fold;            /* the flag i */
  bool has_atom;        /* a repetition may follow */
  uint32_t atom_repeat; /* the largest product of repeat counts in the atom */
} sf_regex_translator;

/* "regular expression, byte <at>: <message>" */
sf_code sf_regex_fail(sf_regex_translator *translator, size_t at, const char *format, ...) SF_PRINTF(3, 4);

/* Append to the output. */
sf_code sf_regex_put(sf_regex_translator *translator, const char *text);
sf_code sf_regex_put_code_point(sf_regex_translator *translator, uint32_t code_point);

static inline char sf_regex_peek(const sf_regex_translator *translator, size_t ahead) {
  size_t left = translator->pattern.length - translator->position;
  return ahead < left ? translator->pattern.data[translator->position + ahead] : '\0';
}

static inline bool sf_regex_at_end(const sf_regex_translator *translator) {
  return translator->position >= translator->pattern.length;
}

/* Something that may be repeated begins at the end of the output. */
static inline void sf_regex_begin_atom(sf_regex_translator *translator) {
  translator->has_atom = true;
  translator->atom_repeat = 1;
}

#endif
