/*
 * A payload's JSON as values of CEL. Numbers without fraction or exponent are int where they fit, else uint where they fit;
 * all others are double, also NaN and the infinities that Python's json.dumps writes. Of members with the same name the last
 * counts. Half of a surrogate pair in a string is U+FFFD.
 */
#ifndef SF_FILTER_PAYLOAD_VALUE_H
#define SF_FILTER_PAYLOAD_VALUE_H

#include "base/json_text.h"
#include "base/memory.h"
#include "cel/arena.h"
#include "cel/cel.h"

/* A larger payload has no value: what its values take is always below SF_CEL_MAX_MEMORY_BYTES. */
#define SF_FILTER_MAX_PAYLOAD_BYTES ((size_t)512 << 10)

/* The memory of a payload's values, used again for the next payload. Zero-initialise; one thread at a time. */
typedef struct sf_payload_values {
  sf_cel_arena arena;
  sf_buffer text; /* the payload with a NUL after it */
  bool has_begun;
  uint64_t first_block[512];
} sf_payload_values;

void sf_payload_values_free(sf_payload_values *values);

/*
 * The payload as a map, which lives until the next call. *is_valid is false where sf_payload_check says so: such a payload has no
 * value. Fails only when memory is out.
 */
sf_code sf_payload_value(sf_payload_values *values, const char *payload, size_t length, bool *is_valid,
                         sf_cel_value *map, sf_error *error);

/* Whether the payload is a JSON object of at most SF_FILTER_MAX_PAYLOAD_BYTES, nested at most SF_CEL_MAX_BINDING_DEPTH deep; its text, NUL-terminated, is in values->text then. Fails only when memory is out. */
sf_code sf_payload_check(sf_payload_values *values, const char *payload, size_t length, bool *is_valid,
                         sf_error *error);

/* A number, true, false or null of valid JSON; false for any other value. */
bool sf_payload_scalar(sf_json_text text, sf_cel_value *value);

#endif
