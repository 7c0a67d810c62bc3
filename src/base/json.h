/* JSON by json-c, strictly: whole input, valid UTF-8, bounded depth; and members fetched with their type checked. */
#ifndef SF_BASE_JSON_H
#define SF_BASE_JSON_H

#include "base/error.h"

#include <json-c/json.h>

/* Nesting beyond this is refused. */
#define SF_JSON_MAX_DEPTH 128

/* Parses `length` bytes of text; text[length] must be readable and NUL. Any value may stand at the top. An integer that
 * neither int64 nor uint64 holds is a float. The caller puts
 * the value (json_object_put); JSON null is NULL. Fails with `code` and a message that begins with `what`. */
sf_code sf_json_parse(const char *text, size_t length, const char *what, sf_code code, json_object **value,
                      sf_error *error);

/* As sf_json_parse, and the value must be an object. */
sf_code sf_json_parse_object(const char *text, size_t length, const char *what, sf_code code, json_object **object,
                             sf_error *error);

/* A borrowed member, or NULL when it is absent or null. */
json_object *sf_json_member(const json_object *object, const char *name);

/* A member of a wanted type. Absent and null: `*value` keeps what it had, and it is a failure only where `required`.
 * Strings are borrowed from the object; one with a NUL inside is refused. */
sf_code sf_json_string(const json_object *object, const char *name, bool required, const char *what, sf_code code,
                       const char **value, sf_error *error);
/* An integer within [minimum, maximum]. */
sf_code sf_json_integer(const json_object *object, const char *name, bool required, int64_t minimum, int64_t maximum,
                        const char *what, sf_code code, int64_t *value, sf_error *error);

/* An integer value as int64; false when it is not an integer or doesn't fit. */
bool sf_json_to_int64(const json_object *value, int64_t *integer);

#endif
