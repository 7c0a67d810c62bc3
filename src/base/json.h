/*
 * JSON (RFC 8259), read and written by jansson. Nothing else includes its header.
 *
 * What is JSON is what the RFC says and nothing more: whole input, valid UTF-8, no comments, no NaN. All that it allows is
 * read, also what jansson has no value for (json_screen.h), with one limit: SF_JSON_MAX_DEPTH. Of members with one name
 * the last counts, as in Python and JavaScript. A failed allocation is SF_OUT_OF_MEMORY_ERROR, never "no JSON"
 * (json_memory.h).
 */
#ifndef SF_BASE_JSON_H
#define SF_BASE_JSON_H

#include "base/error.h"
#include "base/json_memory.h"

#include <jansson.h>

/* Nesting beyond this is refused: jansson recurses. */
#define SF_JSON_MAX_DEPTH 512

typedef enum sf_json_dialect {
  SF_JSON_STRICT,
  /* And NaN, Infinity and -Infinity, which Python's json.dumps writes: for what older writers stored. */
  SF_JSON_WITH_NAN,
  /* Strict, and only what the values hold as it was written: no lone surrogate, no integer beyond 64 bits. */
  SF_JSON_EXACT,
} sf_json_dialect;

/* A document. Zero-initialise. Its values are read-only: no function of jansson that changes a value or its count of
 * references may be given one. */
typedef struct sf_json {
  const json_t *root;
  bool is_exact; /* no value stands for another that jansson can't hold */
  sf_json_memory memory;
} sf_json;

/* Parses `length` bytes of text; text[length] must be readable and NUL. Any value may stand at the top. Values that
 * jansson can't hold are there as others (see json_screen.h). The caller frees the document, which stays empty on failure.
 * Fails with `code` and a message that begins with `what`. */
sf_code sf_json_parse(const char *text, size_t length, sf_json_dialect dialect, const char *what, sf_code code,
                      sf_json *json, sf_error *error);

/* As sf_json_parse, and the value must be an object. */
sf_code sf_json_parse_object(const char *text, size_t length, sf_json_dialect dialect, const char *what, sf_code code,
                             sf_json *json, sf_error *error);

/* Only checks that the text is an object. */
sf_code sf_json_check_object(const char *text, size_t length, const char *what, sf_code code, sf_error *error);

/* An empty document is allowed. */
void sf_json_free(sf_json *json);

/* A borrowed member, or NULL when it is absent or null. */
const json_t *sf_json_member(const json_t *object, const char *name);

/* for (each member of an object, as sf_json_member gives it, in their order) */
#define sf_json_foreach_member(object, name, value)                                                                    \
  for (void *sf_json_iterator = json_object_iter((json_t *)(uintptr_t)(object));                                       \
       sf_json_iterator != NULL &&                                                                                     \
       ((name) = json_object_iter_key(sf_json_iterator), (value) = json_object_iter_value(sf_json_iterator), true);    \
       sf_json_iterator = json_object_iter_next((json_t *)(uintptr_t)(object), sf_json_iterator))

/* A member of a wanted type. Absent and null: `*value` keeps what it had, and it is a failure only where `required`.
 * Strings are borrowed from the document; one with a NUL inside is refused. */
sf_code sf_json_string(const json_t *object, const char *name, bool required, const char *what, sf_code code,
                       const char **value, sf_error *error);
/* An integer within [minimum, maximum]. */
sf_code sf_json_integer(const json_t *object, const char *name, bool required, int64_t minimum, int64_t maximum,
                        const char *what, sf_code code, int64_t *value, sf_error *error);

/* An integer value as int64; false when it is not an integer or doesn't fit. */
bool sf_json_to_int64(const json_t *value, int64_t *integer);

/* A value as messages show it, cut where it is long; NULL is "nothing". */
typedef struct sf_json_shown {
  char text[96];
} sf_json_shown;

sf_json_shown sf_json_show(const json_t *value);

#endif
