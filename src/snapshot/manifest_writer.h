/* Manifests and `_CURRENT`, as a reader of format version 4 takes them. */
#ifndef SF_SNAPSHOT_MANIFEST_WRITER_H
#define SF_SNAPSHOT_MANIFEST_WRITER_H

#include "base/memory.h"
#include "routing/strategy.h"
#include "snapshot/shard_result.h"

/* What a manifest says, as plain facts. All borrowed. */
typedef struct sf_manifest_facts {
  const char *run_id;
  const char *created_at; /* SF_TIMESTAMP_SIZE */
  const char *s3_prefix;  /* no trailing slash */
  uint32_t num_dbs;
  uint32_t dim;
  sf_metric metric;
  bool has_integer_ids; /* all of them are integers, which the shards store as text */
  const sf_routing_config *routing;
  const sf_shard_result *shards; /* num_dbs, by db_id */
} sf_manifest_facts;

/* The SQLite database, appended to `bytes`. */
sf_code sf_manifest_write(const sf_manifest_facts *facts, sf_buffer *bytes, sf_error *error);

/* `_CURRENT`, appended to `text`. */
sf_code sf_pointer_write(const char *manifest_ref, const char *run_id, const char *updated_at, sf_buffer *text,
                         sf_error *error);

#endif
