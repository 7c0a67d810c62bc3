/* How a snapshot's queries are routed, as its manifest says. */
#ifndef SF_ROUTING_ROUTING_CONFIG_H
#define SF_ROUTING_ROUTING_CONFIG_H

#include "base/error.h"
#include "base/json.h"
#include "base/json_text.h"
#include "cel/cel.h"
#include "shardyfusion/types.h"

/* A token that a routing expression can give: SF_CEL_INT, SF_CEL_UINT (only above INT64_MAX), SF_CEL_STRING or
 * SF_CEL_BYTES. */
typedef struct sf_routing_value {
  sf_cel_kind kind;
  int64_t integer;
  uint64_t unsigned_integer;
  char *data; /* string or bytes, owned; NUL-terminated */
  size_t length;
} sf_routing_value;

/* What a routing_context is for. */
typedef enum sf_context_use {
  SF_CONTEXT_BY_STRATEGY, /* what the strategy makes of it: cel evaluates it, the others don't look at it */
  SF_CONTEXT_BY_KEY,      /* no strategy, and keys are sharded by cel: the one shard that holds such keys is searched */
  SF_CONTEXT_REFUSED,     /* no strategy, and keys are sharded otherwise */
} sf_context_use;

typedef struct sf_routing_config {
  sf_sharding_strategy strategy;
  bool searches_all_shards; /* no strategy was given: every shard, unless the query names some */
  sf_context_use context_use;
  int64_t num_probes;              /* at least 1 */
  uint32_t num_hash_bits;          /* lsh */
  char *cel_expression;            /* cel, of vectors or of keys */
  sf_cel_declaration *cel_columns; /* names owned */
  size_t num_cel_columns;
  bool has_routing_values;
  sf_routing_value *routing_values; /* by shard id */
  size_t num_routing_values;
  /* JSON as a builder was given it, for the manifest; NULL: none, and where a manifest was read. */
  char *cel_columns_text;
  char *routing_values_text;
} sf_routing_config;

void sf_routing_config_free(sf_routing_config *config);

/* Reads `cel_columns`: {"name": "int|string|bytes|double|bool|uint"}. */
sf_code sf_routing_config_read_columns(const json_t *columns, const char *what, sf_routing_config *config,
                                       sf_error *error);

/* Reads `routing_values`: a list of integers, strings and {"__bytes_hex__": "…"}; `text` is what it was parsed from. */
sf_code sf_routing_config_read_values(const json_t *values, sf_json_text text, const char *what,
                                      sf_routing_config *config, sf_error *error);

/* Decodes {"__bytes_hex__": "00ff"} into new memory; *data stays NULL when `value` is anything else. False when memory is
 * out. */
bool sf_routing_decode_bytes(const json_t *value, char **data, size_t *length);

#endif
