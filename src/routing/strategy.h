/*
 * A routing strategy: how a query's shards, and a row's shard, are found. One file with one sf_routing_strategy, and one line
 * in the table of strategies.c; what the manifest, the reader and the writer must know of it are the members here.
 */
#ifndef SF_ROUTING_STRATEGY_H
#define SF_ROUTING_STRATEGY_H

#include "base/json_writer.h"
#include "routing/routing_config.h"

/* What a router is made from. All borrowed for as long as the router lives. */
typedef struct sf_router_params {
  const sf_routing_config *config;
  uint32_t num_dbs;
  uint32_t dim;
  sf_metric metric;
  const double *artifact; /* the strategy's: see sf_routing_artifact; × dim. NULL where it has none */
} sf_router_params;

/* What of a search routing looks at. */
typedef struct sf_route_request {
  const float *query; /* dim components, finite; only cluster and lsh look at it */
  bool has_shard_ids;
  const int64_t *shard_ids;
  size_t num_shard_ids;
  bool has_num_probes;
  int64_t num_probes;
  const char *routing_context; /* JSON object, or NULL */
} sf_route_request;

/* What decides to which shard a row goes. */
typedef enum sf_route_input {
  SF_ROUTE_BY_VECTOR,
  SF_ROUTE_BY_SHARD_ID, /* the shard that is named: nothing is routed */
  SF_ROUTE_BY_CONTEXT,
} sf_route_input;

/* An array of vectors that a strategy routes by, stored beside the manifest. */
typedef struct sf_routing_artifact {
  const char *name;        /* "centroids", for messages */
  const char *file;        /* "centroids.npy" */
  const char *ref_member;  /* "centroids_ref": the manifest's reference to it */
  const char *size_member; /* the manifest's member that gives its number of rows; NULL: num_dbs */
  size_t (*num_rows)(const sf_routing_config *config, uint32_t num_dbs); /* 0: the manifest does not say */
} sf_routing_artifact;

/* Where a strategy's members are read from: the object, and the text that it was parsed from. */
typedef struct sf_routing_members {
  const json_t *object;
  sf_json_text text;
  const char *what; /* for messages */
  uint32_t num_dbs;
} sf_routing_members;

/* Functions may be NULL where there is nothing to do, but for `route`. */
typedef struct sf_routing_strategy {
  sf_sharding_strategy id;
  const char *name;
  sf_route_input input;
  const sf_routing_artifact *artifact; /* NULL: none */
  /* The strategy's own members of a manifest; what is malformed is SF_MANIFEST_PARSE_ERROR. */
  sf_code (*parse)(const sf_routing_members *members, sf_routing_config *config, sf_error *error);
  void (*write)(const sf_routing_config *config, sf_json_writer *writer);
  /* What routing needs beside the params: *state stays NULL where that is nothing. Immutable once made. */
  sf_code (*create)(const sf_router_params *params, void **state, sf_error *error);
  void (*free)(void *state);
  /* The shards in order, each once, into `shard_ids` (room for num_dbs); `limit` is the most that probes ask for, from 1 to
   * num_dbs. The request names no shard ids. */
  sf_code (*route)(const sf_router_params *params, const void *state, const sf_route_request *request, size_t limit,
                   uint32_t *shard_ids, size_t *count, sf_error *error);
  /* Sorts shards that a request names: first those that most likely have the nearest rows, since the search of the others is shorter
   * then. */
  sf_code (*order)(const sf_router_params *params, const void *state, const float *query, uint32_t *shard_ids,
                   size_t count, sf_error *error);
} sf_routing_strategy;

#define SF_NUM_STRATEGIES ((unsigned)SF_SHARDING_CEL + 1)

/* Of an id that is in the enum. */
const sf_routing_strategy *sf_routing_strategy_of(sf_sharding_strategy id);
/* NULL where there is none of that name. */
const sf_routing_strategy *sf_routing_strategy_named(const char *name);

extern const sf_routing_strategy sf_cluster_strategy;
extern const sf_routing_strategy sf_lsh_strategy;
extern const sf_routing_strategy sf_explicit_strategy;
extern const sf_routing_strategy sf_cel_strategy;

/* Σ aᵢbᵢ of float64 and float32, in a fixed order of operations. */
double sf_route_dot(const double *a, const float *b, size_t dim);

#endif
