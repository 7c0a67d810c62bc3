#include "writer/routing_check.h"

#include "snapshot/snapshot.h"

#include <string.h>

static sf_code keep(sf_routing_check *check, size_t slot, const sf_build_plan *plan, const float *vector,
                    const char *routing_context, uint32_t shard_id, sf_error *error) {
  char *context = sf_strdup(routing_context);
  if (routing_context != NULL && context == NULL)
    return sf_fail_memory(error, "check of the routing");
  free(check->contexts[slot]);
  check->contexts[slot] = context;
  check->shard_ids[slot] = shard_id;
  memcpy(check->vectors + slot * plan->dim, vector, plan->dim * sizeof(float));
  return SF_OK;
}

sf_code sf_routing_check_see(sf_routing_check *check, const sf_build_plan *plan, const float *vector,
                             const char *routing_context, uint32_t shard_id, sf_error *error) {
  if (check->vectors == NULL) {
    check->vectors = sf_calloc(SF_ROUTING_CHECK_ROWS, plan->dim * sizeof(float));
    if (check->vectors == NULL)
      return sf_fail_memory(error, "check of the routing");
  }
  uint64_t slot = check->seen < SF_ROUTING_CHECK_ROWS ? check->seen : sf_random_below(&check->random, check->seen + 1);
  check->seen++;
  if (slot >= SF_ROUTING_CHECK_ROWS)
    return SF_OK;
  return keep(check, (size_t)slot, plan, vector, routing_context, shard_id, error);
}

static sf_code check_row(const sf_routing_check *check, size_t row, const sf_snapshot *snapshot, uint32_t *routed,
                         sf_error *error) {
  size_t count = 0;
  const sf_route_request request = {.query = check->vectors + row * snapshot->manifest.dim,
                                    .has_num_probes = true,
                                    .num_probes = 1,
                                    .routing_context = check->contexts[row]};
  SF_TRY(sf_router_route(snapshot->router, &request, routed, &count, error));
  if (count >= 1 && routed[0] == check->shard_ids[row])
    return SF_OK;
  return sf_fail(error, SF_ERROR,
                 "the routing that was written is not the one that rows were written by: expected shard %u for one, "
                 "found %u",
                 (unsigned)check->shard_ids[row], (unsigned)routed[0]);
}

static sf_code check_rows(const sf_routing_check *check, const sf_snapshot *snapshot, sf_error *error) {
  size_t count = check->seen < SF_ROUTING_CHECK_ROWS ? (size_t)check->seen : SF_ROUTING_CHECK_ROWS;
  uint32_t *routed = sf_calloc(snapshot->manifest.num_dbs, sizeof(*routed));
  if (routed == NULL)
    return sf_fail_memory(error, "check of the routing");
  sf_code code = SF_OK;
  /* A named shard is not routed to: there is nothing to compare. */
  if (sf_routing_strategy_of(snapshot->manifest.routing.strategy)->input == SF_ROUTE_BY_SHARD_ID)
    count = 0;
  for (size_t i = 0; i < count && code == SF_OK; i++)
    code = check_row(check, i, snapshot, routed, error);
  free(routed);
  return code;
}

sf_code sf_routing_check_run(const sf_routing_check *check, const sf_build_plan *plan, const sf_buffer *manifest,
                             const char *manifest_ref, sf_storage *storage, const sf_cancellation *cancellation,
                             sf_error *error) {
  sf_snapshot *snapshot = sf_calloc(1, sizeof(*snapshot));
  if (snapshot == NULL || (snapshot->manifest_ref = sf_strdup(manifest_ref)) == NULL) {
    free(snapshot);
    return sf_fail_memory(error, "check of the routing");
  }
  sf_code code =
      sf_manifest_parse(manifest->data, manifest->length, "the manifest to publish", &snapshot->manifest, error);
  if (code == SF_OK && (snapshot->manifest.dim != plan->dim || snapshot->manifest.num_dbs != plan->num_dbs))
    code = sf_fail(error, SF_ERROR, "the manifest to publish does not read as it was written");
  if (code == SF_OK)
    code = sf_snapshot_load_routing(storage, cancellation, snapshot, error);
  if (code == SF_OK)
    code = check_rows(check, snapshot, error);
  sf_snapshot_free(snapshot);
  return code;
}

void sf_routing_check_free(sf_routing_check *check) {
  for (size_t i = 0; i < SF_ROUTING_CHECK_ROWS; i++)
    free(check->contexts[i]);
  free(check->vectors);
  *check = (sf_routing_check){0};
}
