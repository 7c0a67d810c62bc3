/* What is to be built: the caller's options, checked, with the defaults filled in. */
#ifndef SF_WRITER_PLAN_H
#define SF_WRITER_PLAN_H

#include "formats/shard_writer.h"
#include "routing/router.h"
#include "shardyfusion/build.h"

typedef struct sf_build_plan {
  const sf_shard_writer_format *format;
  sf_metric metric;
  uint32_t dim; /* 0: not known before the first rows */
  uint32_t num_dbs;
  sf_routing_config routing;
  float *artifact;        /* the strategy's × dim: centroids (NULL: to be trained), hyperplanes (NULL: to be drawn) */
  uint64_t training_rows; /* 0: the default, which depends on dim */
  uint32_t training_iterations;
  uint64_t seed;
  uint64_t max_memory_bytes;
  uint32_t num_threads;
  bool keeps_integer_ids;
  uint32_t page_size; /* of sqlite-vec; 0: by the dimension */
  bool emits_sidecar;
} sf_build_plan;

/* A copy of the caller's options with the defaults where an older header knew no member. */
sf_code sf_build_options_read(const sf_build_options *given, sf_build_options *options, sf_error *error);

/* Anything amiss is SF_CONFIG_VALIDATION_ERROR. */
sf_code sf_build_plan_make(const sf_build_options *options, sf_build_plan *plan, sf_error *error);
void sf_build_plan_free(sf_build_plan *plan);

/* Takes the dimension of the first rows, or checks that `dim` is the one that is known; draws hyperplanes. */
sf_code sf_build_plan_take_dim(sf_build_plan *plan, size_t dim, const char *what, sf_error *error);

/* The strategy's options, and what belongs to it (plan_strategy.c). */
sf_code sf_build_plan_strategy(const sf_build_options *options, sf_build_plan *plan, sf_error *error);
/* Draws lsh's hyperplanes where none were given; the dimension is known. */
sf_code sf_build_plan_draw(sf_build_plan *plan, sf_error *error);

static inline const sf_routing_strategy *sf_build_plan_routing(const sf_build_plan *plan) {
  return sf_routing_strategy_of(plan->routing.strategy);
}

/* The rows of its artifact; 0: the strategy has none. */
static inline size_t sf_build_plan_artifact_rows(const sf_build_plan *plan) {
  const sf_routing_artifact *artifact = sf_build_plan_routing(plan)->artifact;
  return artifact != NULL ? artifact->num_rows(&plan->routing, plan->num_dbs) : 0;
}

/* How many rows of so many components are enough to train with. */
uint64_t sf_build_plan_training_rows(const sf_build_plan *plan, size_t dim);

static inline bool sf_build_plan_needs_training(const sf_build_plan *plan) {
  return plan->routing.strategy == SF_SHARDING_CLUSTER && plan->artifact == NULL;
}

#endif
