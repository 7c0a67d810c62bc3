/* References inside a snapshot are absolute URLs below the prefix that it was written to; a copy must open all the same. */
#ifndef SF_SNAPSHOT_REFERENCE_H
#define SF_SNAPSHOT_REFERENCE_H

#include "base/error.h"

/* The key (to free) of a reference below `s3_prefix` or below the opened `root`. One that lies elsewhere fails with
 * `code`. Neither prefix has a trailing slash. */
sf_code sf_reference_key(const char *reference, const char *s3_prefix, const char *root, const char *what, sf_code code,
                         char **key, sf_error *error);

/* The key of a manifest whose prefix is not known before it is read: "manifests/<name>/manifest", from behind. */
sf_code sf_reference_manifest_key(const char *reference, const char *root, char **key, sf_error *error);

/* A published manifest's folder name, "<timestamp>_run_id=<run_id>". Borrows from `name` (no trailing slash). */
typedef struct sf_manifest_name {
  const char *published_at; /* published_at_length characters */
  size_t published_at_length;
  double published_seconds; /* since 1970 */
  const char *run_id;
} sf_manifest_name;

/* False when it is not such a name. */
bool sf_manifest_name_parse(const char *name, sf_manifest_name *parsed);

#endif
