/*
 * JSON by RFC 8259, parsed by jansson, whose header only this room includes.
 *
 * The whole input has to be JSON: valid UTF-8, no comments, no NaN. Everything that the RFC allows is read, also what
 * jansson has no value for (json_screen.h), with one limit: SF_JSON_MAX_DEPTH. Of members with the same name the last
 * counts, as in Python and JavaScript. A failed allocation is SF_OUT_OF_MEMORY_ERROR, never a syntax error
 * (json_memory.h).
 */
#ifndef SF_BASE_JSON_H
#define SF_BASE_JSON_H

#include "base/error.h"
#include "base/json_memory.h"

#include <jansson.h>

/* Deeper nesting is refused, because jansson recurses. */
#define SF_JSON_MAX_DEPTH 512

typedef enum sf_json_dialect {
  SF_JSON_STRICT,
  /* Also NaN, Infinity and -Infinity, as Python's json.dumps writes them: older writers stored them. */
  SF_JSON_WITH_NAN,
  /* Strict, and only values that jansson holds exactly: no lone surrogate, no integer beyond 64 bits. */
  SF_JSON_EXACT,
} sf_json_dialect;

/* A document. Zero-initialise. Its values are read-only: no function of jansson that changes a value or its reference count
 * may be called with one. */
typedef struct sf_json {
  const json_t *root;
  bool is_exact; /* no value was replaced (json_screen.h) */
  sf_json_memory memory;
} sf_json;

/* Parses `length` bytes of text; text[length] must be readable and NUL. The document may be any value. Values that jansson
 * can't hold are replaced (json_screen.h). The caller frees the document, which is empty on failure. Fails with `code` and
 * a message that begins with `what`. */
sf_code sf_json_parse(const char *text, size_t length, sf_json_dialect dialect, const char *what, sf_code code,
                      sf_json *json, sf_error *error);

/* As sf_json_parse, and the value must be an object. */
sf_code sf_json_parse_object(const char *text, size_t length, sf_json_dialect dialect, const char *what, sf_code code,
                             sf_json *json, sf_error *error);

/* Only checks that the text is an object. */
sf_code sf_json_check_object(const char *text, size_t length, const char *what, sf_code code, sf_error *error);

/* An empty document is allowed. */
void sf_json_free(sf_json *json);

/* A member, borrowed; NULL when it is absent or null. */
const json_t *sf_json_member(const json_t *object, const char *name);

/* Loops over the members of an object, in their order. */
#define sf_json_foreach_member(object, name, value)                                                                    \
  for (void *sf_json_iterator = json_object_iter((json_t *)(uintptr_t)(object));                                       \
       sf_json_iterator != NULL &&                                                                                     \
       ((name) = json_object_iter_key(sf_json_iterator), (value) = json_object_iter_value(sf_json_iterator), true);    \
       sf_json_iterator = json_object_iter_next((json_t *)(uintptr_t)(object), sf_json_iterator))

/* A string member. Absent or null: *value is unchanged, and it is a failure only where `required`. The string is borrowed from
 * the document; one with a NUL inside is refused. */
sf_code sf_json_string(const json_t *object, const char *name, bool required, const char *what, sf_code code,
                       const char **value, sf_error *error);
/* The same for an integer within [minimum, maximum]. */
sf_code sf_json_integer(const json_t *object, const char *name, bool required, int64_t minimum, int64_t maximum,
                        const char *what, sf_code code, int64_t *value, sf_error *error);

/* An integer value as int64; false when it is not an integer or doesn't fit. */
bool sf_json_to_int64(const json_t *value, int64_t *integer);

/* A value as text for messages, shortened to fit; "nothing" for NULL. */
typedef struct sf_json_shown {
  char text[96];
} sf_json_shown;

sf_json_shown sf_json_show(const json_t *value);

#endif
