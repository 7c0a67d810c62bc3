/* Numbers as text, whatever the process's locale. */
#ifndef SF_CEL_NUMBER_H
#define SF_CEL_NUMBER_H

#include "cel/position.h"

/* Decimal digits with an optional sign. False for anything else, and out of range. */
bool sf_cel_parse_int(sf_cel_text text, int64_t *value);

/* Decimal digits alone. */
bool sf_cel_parse_uint(sf_cel_text text, uint64_t *value);

/* Hexadecimal digits alone. */
bool sf_cel_parse_hexadecimal(sf_cel_text text, uint64_t *value);

/* [+-] digits [. digits] [e [+-] digits], or an infinity or NaN by name. False for anything else and for numbers above
 * the largest double; those too small become 0. */
bool sf_cel_parse_double(sf_cel_text text, double *value);

/* The fewest digits that read back as the same double, written as Go's %g does it (1e+06, 0.0045, +Inf, NaN), which is
 * how the reference implementation makes strings of doubles. Returns the length, a NUL
 * behind it. */
#define SF_CEL_DOUBLE_TEXT_BYTES 40
size_t sf_cel_format_double(double value, char buffer[SF_CEL_DOUBLE_TEXT_BYTES]);

#endif
