/* Places in an expression, and errors that name them. */
#ifndef SF_CEL_POSITION_H
#define SF_CEL_POSITION_H

#include "base/error.h"

/* From 1; columns count code points. */
typedef struct sf_cel_position {
  uint32_t line;
  uint32_t column;
} sf_cel_position;

/* SF_CONFIG_VALIDATION_ERROR, "CEL: line:column: …". */
sf_code sf_cel_fail(sf_error *error, sf_cel_position position, const char *format, ...) SF_PRINTF(3, 4);

/* A piece of the expression's text; no NUL behind it. */
typedef struct sf_cel_text {
  const char *data;
  size_t length;
} sf_cel_text;

bool sf_cel_text_equals(sf_cel_text text, const char *other);

/* Enough of a text from outside to recognise it in a message, without control characters, cut between characters. */
#define SF_CEL_EXCERPT_BYTES 64
const char *sf_cel_excerpt(sf_cel_text text, char buffer[SF_CEL_EXCERPT_BYTES]);

#endif
