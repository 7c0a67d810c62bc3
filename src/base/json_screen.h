/* What RFC 8259 allows and jansson has no value for, put in a form that it reads. */
#ifndef SF_BASE_JSON_SCREEN_H
#define SF_BASE_JSON_SCREEN_H

#include "base/error.h"

#include <stddef.h>

/*
 * Looks through text that is said to be JSON. Where jansson would refuse what is allowed, or cut it off, *changed becomes a
 * copy, of the same length, for the caller to free, with
 *
 *   integers beyond int64                    as floats of (nearly) the same value
 *   numbers beyond the largest double        as ±1e308
 *   halves of surrogate pairs, alone         as U+FFFD
 *   \u0000 in the names of members           as U+FFFD
 *   NaN, Infinity, -Infinity where taken     as 0.5
 *
 * and is valid JSON exactly if the text is. Otherwise *changed is NULL. *depth is the deepest nesting.
 */
sf_code sf_json_screen(const char *text, size_t length, bool takes_nan, char **changed, size_t *depth);

#endif
