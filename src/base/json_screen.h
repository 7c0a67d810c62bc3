/* Replaces what RFC 8259 allows and jansson has no value for by values that it reads. */
#ifndef SF_BASE_JSON_SCREEN_H
#define SF_BASE_JSON_SCREEN_H

#include "base/error.h"

#include <stddef.h>

/*
 * Screens text that should be JSON. Where jansson would refuse or truncate an allowed value, *changed becomes a copy of the
 * same length, for the caller to free, with
 *
 *   integers beyond int64                    as floats of (nearly) the same value
 *   numbers beyond the largest double        as ±1e308
 *   lone surrogates                          as U+FFFD
 *   \u0000 in the names of members           as U+FFFD
 *   NaN, Infinity, -Infinity (takes_nan)     as 0.5
 *
 * and is valid JSON exactly if the text is. Where nothing is replaced, *changed is NULL. *depth is the deepest nesting.
 */
sf_code sf_json_screen(const char *text, size_t length, bool takes_nan, char **changed, size_t *depth);

#endif
