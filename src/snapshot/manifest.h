/* A manifest: a SQLite database that names a run's shards and says how queries are routed to them. */
#ifndef SF_SNAPSHOT_MANIFEST_H
#define SF_SNAPSHOT_MANIFEST_H

#include "base/error.h"
#include "routing/strategy.h"
#include "snapshot/manifest_lists.h"

#define SF_MANIFEST_FORMAT_VERSION 4
#define SF_MANIFEST_MAX_BYTES ((size_t)1 << 30)
#define SF_MANIFEST_MAX_SHARDS 1000000
#define SF_MAX_DIM 65536

typedef struct sf_manifest_shard {
  char *db_url;        /* NULL: the shard has no rows */
  char *checkpoint_id; /* NULL: none */
  int64_t row_count;
} sf_manifest_shard;

typedef struct sf_manifest {
  char *run_id;
  char *s3_prefix; /* no trailing slash */
  uint32_t num_dbs;
  sf_manifest_shard *shards; /* num_dbs of them, by db_id */
  bool has_vectors;          /* `custom["vector"]` is there; all below is set only then */
  bool is_unified;           /* key-value data with vectors beside it */
  const char *shard_format;  /* that the shards have by what `backend` says; NULL: it says nothing. Static */
  bool has_strategy;         /* `sharding_strategy` is there */
  uint32_t dim;
  sf_metric metric;
  int64_t total_vectors;
  bool has_integer_ids; /* `id_type` is "int": ids are integers, also where the shards store them as text */
  char *artifact_refs[SF_NUM_STRATEGIES]; /* to the artifact of each strategy that has one; NULL: none */
  sf_routing_config routing;
  sf_manifest_lists lists; /* beside the shards */
} sf_manifest;

/* Parses a manifest's bytes. What is malformed is SF_MANIFEST_PARSE_ERROR; messages begin with `what`. The bytes are
 * only read. */
sf_code sf_manifest_parse(const void *bytes, size_t length, const char *what, sf_manifest *manifest, sf_error *error);
void sf_manifest_free(sf_manifest *manifest);

/* The part of it that reads `custom` (manifest_vector.c): num_dbs and shards are set already. `custom` is
 * NUL-terminated JSON of `length` bytes. */
sf_code sf_manifest_parse_custom(const char *custom, size_t length, const char *what, sf_manifest *manifest,
                                 sf_error *error);
/* What the sharding of keys (`sharding` of build_meta, checked, of this strategy) is to vectors without a strategy. `text` is
 * what it was parsed from. */
sf_code sf_manifest_parse_key_sharding(const json_t *sharding, const char *text, const char *strategy, const char *what,
                                       sf_manifest *manifest, sf_error *error);

/* Whether there are lists beside the shard. */
static inline bool sf_manifest_names_lists(const sf_manifest *manifest, uint32_t db_id) {
  return manifest->lists.shards != NULL && manifest->lists.shards[db_id].ref != NULL;
}

#endif
