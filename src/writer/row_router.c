/* Which shards rows go to, and training centroids, for programs that write shards without a builder. */
#include "base/memory.h"
#include "base/options.h"
#include "kmeans/kmeans.h"
#include "shardyfusion/routing.h"
#include "writer/assign.h"
#include "writer/rows.h"

#include <string.h>

static const sf_code invalid = SF_CONFIG_VALIDATION_ERROR;

struct sf_row_router {
  sf_build_plan plan;
  sf_assigner *assigner; /* for rows, many at a time */
  double *wide;          /* the plan's vectors as a router takes them; NULL: the strategy has none */
  sf_router *router;     /* for queries; NULL: explicit */
};

void sf_row_router_free(sf_row_router *router) {
  if (router == NULL)
    return;
  sf_assigner_free(router->assigner);
  sf_router_free(router->router);
  free(router->wide);
  sf_build_plan_free(&router->plan);
  free(router);
}

/* What a reader of the snapshot would route by. */
static sf_code make_query_router(sf_row_router *router, sf_error *error) {
  const sf_build_plan *plan = &router->plan;
  size_t count = sf_build_plan_artifact_rows(plan) * plan->dim;
  router->wide = count > 0 ? sf_calloc(count, sizeof(double)) : NULL;
  if (count > 0 && router->wide == NULL)
    return sf_fail_memory(error, "routing artifact");
  for (size_t i = 0; i < count; i++)
    router->wide[i] = (double)plan->artifact[i];
  const sf_router_params params = {.config = &plan->routing,
                                   .num_dbs = plan->num_dbs,
                                   .dim = plan->dim,
                                   .metric = plan->metric,
                                   .artifact = router->wide};
  return sf_router_create(&params, &router->router, error);
}

static sf_code make_router(const sf_build_options *given, sf_row_router *router, sf_error *error) {
  sf_build_options options;
  SF_TRY(sf_build_options_read(given, &options, error));
  SF_TRY(sf_build_plan_make(&options, &router->plan, error));
  if (sf_build_plan_routing(&router->plan)->input == SF_ROUTE_BY_VECTOR)
    SF_TRY(sf_build_plan_take_dim(&router->plan, options.dim, "dim", error));
  if (sf_build_plan_needs_training(&router->plan))
    return sf_fail(error, invalid, "centroids: expected %u, found none", (unsigned)router->plan.num_dbs);
  if (sf_build_plan_routing(&router->plan)->input != SF_ROUTE_BY_SHARD_ID)
    SF_TRY(make_query_router(router, error));
  return sf_assigner_create(&router->plan, &router->assigner, error);
}

sf_code sf_row_router_create(const sf_build_options *options, sf_row_router **created, sf_error *error) {
  sf_row_router *router = sf_calloc(1, sizeof(*router));
  if (router == NULL)
    return sf_fail_memory(error, "router of rows");
  sf_code code = make_router(options, router, error);
  if (code == SF_OK)
    *created = router;
  else
    sf_row_router_free(router);
  return code;
}

uint32_t sf_row_router_num_dbs(const sf_row_router *router) {
  return router->plan.num_dbs;
}

const float *sf_row_router_vectors(const sf_row_router *router, size_t *num_rows) {
  *num_rows = sf_build_plan_artifact_rows(&router->plan);
  return router->plan.artifact;
}

/* -------------------------------------------------------------------------------------------------------- Assigning */

/* Reads the caller's batch; fails unless it has what the strategy looks at. */
static sf_code read_rows(const sf_build_plan *plan, const sf_row_batch *given, sf_row_batch *rows, sf_error *error) {
  sf_row_batch_init(rows);
  SF_TRY(sf_options_read(given, SF_SIZE_WITH(sf_row_batch, first_number), rows, "rows: expected a batch", error));
  if (rows->count == 0)
    return SF_OK;
  bool is_by_vector = sf_build_plan_routing(plan)->input == SF_ROUTE_BY_VECTOR;
  if (is_by_vector && rows->vectors == NULL)
    return sf_fail(error, invalid, "vectors: expected %zu, found none", rows->count);
  if (is_by_vector && rows->dim != plan->dim)
    return sf_fail(error, invalid, "vectors: expected %u components, found %zu", (unsigned)plan->dim, rows->dim);
  return sf_row_batch_check(rows, plan, error);
}

typedef struct row_room {
  float *vector;     /* dim, for a row that has to be converted */
  uint32_t *scratch; /* num_dbs */
} row_room;

static sf_code assign_row(const sf_row_router *router, const sf_row_batch *rows, size_t row, const row_room *room,
                          uint32_t *shard_id, sf_error *error) {
  sf_assign_row described = {.shard_id = rows->shard_ids != NULL ? rows->shard_ids[row] : 0,
                             .routing_context = rows->routing_contexts != NULL ? rows->routing_contexts[row] : NULL};
  if (sf_build_plan_routing(&router->plan)->input == SF_ROUTE_BY_VECTOR)
    SF_TRY(sf_row_vector_named(rows, row, room->vector, &described.vector, error));
  if (sf_assigner_takes_many(router->assigner))
    return sf_assigner_assign_many(router->assigner, described.vector, 1, shard_id, error);
  sf_code code = sf_assigner_assign(router->assigner, &described, room->scratch, shard_id, error);
  return code == SF_OK ? SF_OK : sf_row_name_failure(rows, NULL, 0, row, error);
}

static sf_code assign_rows(const sf_row_router *router, const sf_row_batch *rows, const row_room *room,
                           uint32_t *shard_ids, sf_error *error) {
  bool is_whole = sf_assigner_takes_many(router->assigner) && !sf_row_batch_needs_room(rows);
  const float *vector;
  for (size_t row = 0; row < rows->count; row++) {
    if (is_whole)
      SF_TRY(sf_row_vector_named(rows, row, room->vector, &vector, error)); /* finite? */
    else
      SF_TRY(assign_row(router, rows, row, room, &shard_ids[row], error));
  }
  if (!is_whole || rows->count == 0)
    return SF_OK;
  return sf_assigner_assign_many(router->assigner, rows->vectors, rows->count, shard_ids, error);
}

sf_code sf_row_router_assign(const sf_row_router *router, const sf_row_batch *given, uint32_t *shard_ids,
                             sf_error *error) {
  sf_row_batch rows;
  SF_TRY(read_rows(&router->plan, given, &rows, error));
  row_room room = {.vector = sf_calloc(router->plan.dim == 0 ? 1 : router->plan.dim, sizeof(float)),
                   .scratch = sf_calloc(router->plan.num_dbs, sizeof(uint32_t))};
  sf_code code = room.vector == NULL || room.scratch == NULL ? sf_fail_memory(error, "rows to assign")
                                                             : assign_rows(router, &rows, &room, shard_ids, error);
  free(room.vector);
  free(room.scratch);
  return code;
}

/* ---------------------------------------------------------------------------------------------------------- Probing */

sf_code sf_row_router_route(const sf_row_router *router, const float *query, const char *routing_context,
                            uint32_t num_probes, uint32_t *shard_ids, size_t *count, sf_error *error) {
  bool is_by_vector = sf_build_plan_routing(&router->plan)->input == SF_ROUTE_BY_VECTOR;
  if (router->router == NULL)
    return sf_fail(error, invalid, "shard_ids: expected them, because the sharding is explicit, found none");
  if (is_by_vector && query == NULL)
    return sf_fail(error, invalid, "query: expected %u components, found none", (unsigned)router->plan.dim);
  const sf_route_request request = {
      .query = query, .has_num_probes = true, .num_probes = num_probes, .routing_context = routing_context};
  return sf_router_route(router->router, &request, shard_ids, count, error);
}

/* --------------------------------------------------------------------------------------------------------- Training */

/* All rows as contiguous float32, to free. */
static sf_code copy_rows(const sf_row_batch *rows, float **copy, sf_error *error) {
  size_t bytes;
  float *copied = sf_multiply_size(rows->count, rows->dim * sizeof(float), &bytes) ? sf_calloc(1, bytes) : NULL;
  if (copied == NULL)
    return sf_fail_memory(error, "training sample");
  for (size_t row = 0; row < rows->count; row++) {
    float *to = copied + row * rows->dim;
    const float *vector;
    sf_code code = sf_row_vector_named(rows, row, to, &vector, error);
    if (code != SF_OK) {
      free(copied);
      return code;
    }
    if (vector != to)
      memcpy(to, vector, rows->dim * sizeof(float));
  }
  *copy = copied;
  return SF_OK;
}

sf_code sf_train_centroids(const sf_build_options *given, const sf_row_batch *given_rows, float *centroids,
                           sf_error *error) {
  sf_build_options options;
  sf_row_batch rows;
  sf_build_plan plan;
  SF_TRY(sf_build_options_read(given, &options, error));
  SF_TRY(sf_row_batch_read(given_rows, &rows, error));
  options.strategy = SF_SHARDING_CLUSTER;
  options.centroids = NULL;
  SF_TRY(sf_build_plan_make(&options, &plan, error));
  const sf_kmeans_options training = {.num_clusters = plan.num_dbs,
                                      .metric = plan.metric,
                                      .iterations = plan.training_iterations,
                                      .seed = plan.seed,
                                      .num_threads = plan.num_threads};
  float *sample = NULL;
  sf_code code = sf_build_plan_take_dim(&plan, rows.dim, "vectors", error);
  if (code == SF_OK && rows.count < plan.num_dbs)
    code = sf_fail(error, invalid, "training: expected at least as many rows as num_dbs, %u, found %zu",
                   (unsigned)plan.num_dbs, rows.count);
  if (code == SF_OK)
    code = copy_rows(&rows, &sample, error);
  if (code == SF_OK)
    code = sf_kmeans_train(&training, sample, rows.count, plan.dim, centroids, NULL, NULL, error);
  free(sample);
  sf_build_plan_free(&plan);
  return code;
}
