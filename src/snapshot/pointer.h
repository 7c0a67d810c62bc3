/* `_CURRENT`: which manifest is live. */
#ifndef SF_SNAPSHOT_POINTER_H
#define SF_SNAPSHOT_POINTER_H

#include "base/error.h"

/* The object's key, and the most bytes it can reasonably have. */
#define SF_POINTER_KEY "_CURRENT"
#define SF_POINTER_MAX_BYTES ((size_t)1 << 20)

typedef struct sf_pointer {
  char *manifest_ref;
  char *run_id;
  char *updated_at;       /* as written, ISO 8601 */
  double updated_seconds; /* since 1970 */
} sf_pointer;

/* Parses the object's bytes (bytes[length] must be readable and NUL). Anything amiss is SF_MANIFEST_PARSE_ERROR. */
sf_code sf_pointer_parse(const char *bytes, size_t length, sf_pointer *pointer, sf_error *error);
void sf_pointer_free(sf_pointer *pointer);

#endif
