/*
 * A reader routes in float64. A row is assigned by the float32 kernels, whose errors have known bounds, where these leave
 * no doubt; else by the router itself. Both give the same shard.
 */
#include "build/assign.h"

#include "base/memory.h"
#include "distance/distance.h"

#include <math.h>
#include <string.h>

/* The bounds hold for sf_exact_dot and the like; the router adds in another order, and divides and subtracts: that is
 * within 10⁻⁹ of a distance that float32 can tell at all. */
#define BOUND_SLACK 1.01
#define ROUTER_ERROR 1e-9

struct sf_assigner {
  const sf_build_plan *plan;
  const sf_kernels *kernels;
  sf_router *router;
  double *wide;           /* centroids or hyperplanes, as the router takes them; NULL: neither */
  double *centroid_norms; /* cluster */
};

static sf_code widen(const float *values, size_t count, double **wide, sf_error *error) {
  double *widened = sf_calloc(count, sizeof(double));
  if (widened == NULL)
    return sf_fail_memory(error, "routing artifact");
  for (size_t i = 0; i < count; i++)
    widened[i] = (double)values[i];
  *wide = widened;
  return SF_OK;
}

static sf_code measure_centroids(sf_assigner *assigner, sf_error *error) {
  const sf_build_plan *plan = assigner->plan;
  assigner->centroid_norms = sf_calloc(plan->num_dbs, sizeof(double));
  if (assigner->centroid_norms == NULL)
    return sf_fail_memory(error, "norms of centroids");
  for (size_t i = 0; i < plan->num_dbs; i++)
    assigner->centroid_norms[i] = sqrt(sf_exact_squared_norm(plan->centroids + i * plan->dim, plan->dim));
  return SF_OK;
}

static sf_code make_assigner(sf_assigner *assigner, sf_error *error) {
  const sf_build_plan *plan = assigner->plan;
  sf_router_source source = {
      .config = &plan->routing, .num_dbs = plan->num_dbs, .dim = plan->dim, .metric = plan->metric};
  if (plan->routing.strategy == SF_SHARDING_CLUSTER) {
    SF_TRY(widen(plan->centroids, (size_t)plan->num_dbs * plan->dim, &assigner->wide, error));
    SF_TRY(measure_centroids(assigner, error));
    source.centroids = assigner->wide;
  } else if (plan->routing.strategy == SF_SHARDING_LSH) {
    SF_TRY(widen(plan->hyperplanes, (size_t)plan->routing.num_hash_bits * plan->dim, &assigner->wide, error));
    source.hyperplanes = assigner->wide;
  }
  return sf_router_create(&source, &assigner->router, error);
}

sf_code sf_assigner_create(const sf_build_plan *plan, sf_assigner **created, sf_error *error) {
  sf_assigner *assigner = sf_calloc(1, sizeof(*assigner));
  if (assigner == NULL)
    return sf_fail_memory(error, "assignment of rows");
  assigner->plan = plan;
  assigner->kernels = sf_kernels_get();
  sf_code code = make_assigner(assigner, error);
  if (code == SF_OK)
    *created = assigner;
  else
    sf_assigner_free(assigner);
  return code;
}

void sf_assigner_free(sf_assigner *assigner) {
  if (assigner == NULL)
    return;
  sf_router_free(assigner->router);
  free(assigner->wide);
  free(assigner->centroid_norms);
  free(assigner);
}

sf_code sf_assign_scratch_make(const sf_assigner *assigner, sf_assign_scratch *scratch, sf_error *error) {
  uint32_t num_dbs = assigner->plan->num_dbs;
  *scratch = (sf_assign_scratch){.results = sf_calloc(num_dbs, sizeof(float)),
                                 .shard_ids = sf_calloc(num_dbs, sizeof(uint32_t))};
  if (scratch->results != NULL && scratch->shard_ids != NULL)
    return SF_OK;
  sf_assign_scratch_free(scratch);
  return sf_fail_memory(error, "assignment of rows");
}

void sf_assign_scratch_free(sf_assign_scratch *scratch) {
  free(scratch->results);
  free(scratch->shard_ids);
  *scratch = (sf_assign_scratch){0};
}

/* ------------------------------------------------------------------------------------------------- Nearest centroids */

/* A distance as float32 knows it, and how far it can be from the one that the router computes. */
typedef struct estimate {
  double distance;
  double error;
} estimate;

static estimate estimate_distance(const sf_assigner *assigner, double result, double query_norm, uint32_t id) {
  size_t dim = assigner->plan->dim;
  double norm = assigner->centroid_norms[id];
  switch (assigner->plan->metric) {
  case SF_METRIC_L2:
    return (estimate){result, sf_squared_l2_error_bound(dim, result)};
  case SF_METRIC_COSINE: {
    double divisor = query_norm * norm + 1e-10; /* the format's own */
    return (estimate){1 - result / divisor, sf_dot_error_bound(dim, query_norm, norm) / divisor};
  }
  case SF_METRIC_DOT_PRODUCT:
    break;
  }
  return (estimate){-result, sf_dot_error_bound(dim, query_norm, norm)};
}

/* Distances and errors that are not numbers make no comparison true: there is doubt then. */
static bool is_nearer(estimate near, estimate far) {
  double room = (near.error + far.error) * BOUND_SLACK + ROUTER_ERROR * (fabs(near.distance) + fabs(far.distance));
  return far.distance - near.distance > room;
}

/* The nearest centroid, where float32 leaves no doubt. */
static bool find_nearest(const sf_assigner *assigner, const float *vector, float *results, uint32_t *nearest) {
  const sf_build_plan *plan = assigner->plan;
  sf_rows_kernel kernel = plan->metric == SF_METRIC_L2 ? assigner->kernels->squared_l2 : assigner->kernels->dot;
  double norm = plan->metric == SF_METRIC_L2 ? 0 : sqrt(sf_exact_squared_norm(vector, plan->dim));
  kernel(vector, plan->centroids, plan->num_dbs, plan->dim, results);
  uint32_t best = 0;
  estimate best_estimate = estimate_distance(assigner, (double)results[0], norm, 0);
  for (uint32_t id = 1; id < plan->num_dbs; id++) {
    estimate candidate = estimate_distance(assigner, (double)results[id], norm, id);
    if (!(candidate.distance < best_estimate.distance))
      continue;
    best = id;
    best_estimate = candidate;
  }
  for (uint32_t id = 0; id < plan->num_dbs; id++)
    if (id != best && !is_nearer(best_estimate, estimate_distance(assigner, (double)results[id], norm, id)))
      return false;
  *nearest = best;
  return true;
}

/* ------------------------------------------------------------------------------------------------------ All strategies */

static sf_code take_named(const sf_build_plan *plan, int64_t named, uint32_t *shard_id, sf_error *error) {
  if (named < 0 || named >= plan->num_dbs)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "expected a shard id from 0 to %u, found %lld",
                   (unsigned)(plan->num_dbs - 1), (long long)named);
  *shard_id = (uint32_t)named;
  return SF_OK;
}

sf_code sf_assigner_assign(const sf_assigner *assigner, const sf_assign_row *row, sf_assign_scratch *scratch,
                           uint32_t *shard_id, sf_error *error) {
  const sf_build_plan *plan = assigner->plan;
  if (plan->routing.strategy == SF_SHARDING_EXPLICIT)
    return take_named(plan, row->shard_id, shard_id, error);
  if (plan->routing.strategy == SF_SHARDING_CLUSTER && find_nearest(assigner, row->vector, scratch->results, shard_id))
    return SF_OK;
  const sf_route_request request = {
      .query = row->vector, .has_num_probes = true, .num_probes = 1, .routing_context = row->routing_context};
  size_t count;
  SF_TRY(sf_router_route(assigner->router, &request, scratch->shard_ids, &count, error));
  *shard_id = scratch->shard_ids[0];
  return SF_OK;
}
