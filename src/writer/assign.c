#include "writer/assign.h"

#include "base/memory.h"
#include "writer/nearest_centroid.h"

struct sf_assigner {
  const sf_build_plan *plan;
  double *wide;                 /* the artifact as a router takes it; NULL: the strategy has none */
  sf_nearest_centroid *nearest; /* cluster */
  sf_router *router;            /* lsh and cel */
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

static sf_code make_assigner(sf_assigner *assigner, sf_error *error) {
  const sf_build_plan *plan = assigner->plan;
  if (sf_build_plan_routing(plan)->input == SF_ROUTE_BY_SHARD_ID)
    return SF_OK;
  if (plan->artifact != NULL)
    SF_TRY(widen(plan->artifact, sf_build_plan_artifact_rows(plan) * plan->dim, &assigner->wide, error));
  const sf_router_params params = {.config = &plan->routing,
                                   .num_dbs = plan->num_dbs,
                                   .dim = plan->dim,
                                   .metric = plan->metric,
                                   .artifact = assigner->wide};
  if (plan->routing.strategy == SF_SHARDING_CLUSTER) /* what a router would do, much faster */
    return sf_nearest_centroid_create(&params, &assigner->nearest, error);
  return sf_router_create(&params, &assigner->router, error);
}

sf_code sf_assigner_create(const sf_build_plan *plan, sf_assigner **created, sf_error *error) {
  sf_assigner *assigner = sf_calloc(1, sizeof(*assigner));
  if (assigner == NULL)
    return sf_fail_memory(error, "assignment of rows");
  assigner->plan = plan;
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
  sf_nearest_centroid_free(assigner->nearest);
  sf_router_free(assigner->router);
  free(assigner->wide);
  free(assigner);
}

bool sf_assigner_takes_many(const sf_assigner *assigner) {
  return assigner->nearest != NULL;
}

sf_code sf_assigner_assign_many(const sf_assigner *assigner, const float *vectors, size_t num_rows, uint32_t *shard_ids,
                                sf_error *error) {
  return sf_nearest_centroid_assign(assigner->nearest, vectors, num_rows, shard_ids, error);
}

static sf_code take_named(const sf_build_plan *plan, int64_t named, uint32_t *shard_id, sf_error *error) {
  if (named < 0 || named >= plan->num_dbs)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "expected a shard id from 0 to %u, found %lld",
                   (unsigned)(plan->num_dbs - 1), (long long)named);
  *shard_id = (uint32_t)named;
  return SF_OK;
}

sf_code sf_assigner_assign(const sf_assigner *assigner, const sf_assign_row *row, uint32_t *scratch, uint32_t *shard_id,
                           sf_error *error) {
  if (assigner->router == NULL)
    return take_named(assigner->plan, row->shard_id, shard_id, error);
  const sf_route_request request = {
      .query = row->vector, .has_num_probes = true, .num_probes = 1, .routing_context = row->routing_context};
  size_t count;
  SF_TRY(sf_router_route(assigner->router, &request, scratch, &count, error));
  *shard_id = scratch[0];
  return SF_OK;
}
