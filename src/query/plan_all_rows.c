/* The planner of an exact search of a whole shard: every row of every segment, all of which are in memory or mapped. */
#include "query/plan.h"

static bool serves(const sf_plan_params *params) {
  (void)params;
  return true;
}

static sf_code add_ranges(const sf_plan_params *params, sf_plan *plan, sf_error *error) {
  const sf_shard *shard = params->shard;
  for (size_t i = 0; i < shard->num_segments; i++)
    SF_TRY(sf_plan_add_range(plan, sf_row_range_of(&shard->segments[i]), error));
  return SF_OK;
}

const sf_planner sf_all_rows_planner = {.name = "all_rows", .serves = serves, .add_ranges = add_ranges};
