/* Manifests and `_CURRENT`, as a reader of format version 4 takes them. */
#ifndef SF_SNAPSHOT_MANIFEST_WRITER_H
#define SF_SNAPSHOT_MANIFEST_WRITER_H

#include "writer/plan.h"
#include "writer/worker_pool.h"

/* All borrowed. */
typedef struct sf_manifest_facts {
  const sf_build_plan *plan;
  const char *run_id;
  const char *created_at;
  const char *s3_prefix;
  const sf_shard_record *shards; /* num_dbs */
  bool has_integer_ids;          /* all of them are integers, which the shards store as text */
} sf_manifest_facts;

/* The SQLite database, appended to `bytes`. */
sf_code sf_manifest_write(const sf_manifest_facts *facts, sf_buffer *bytes, sf_error *error);

/* `_CURRENT`, appended to `text`. */
sf_code sf_pointer_write(const char *manifest_ref, const char *run_id, const char *updated_at, sf_buffer *text,
                         sf_error *error);

#endif
