/* Every routing strategy, by its id. */
#include "routing/strategy.h"

#include <string.h>

static const sf_routing_strategy *const strategies[SF_NUM_STRATEGIES] = {
    [SF_SHARDING_CLUSTER] = &sf_cluster_strategy,
    [SF_SHARDING_LSH] = &sf_lsh_strategy,
    [SF_SHARDING_EXPLICIT] = &sf_explicit_strategy,
    [SF_SHARDING_CEL] = &sf_cel_strategy,
};

const sf_routing_strategy *sf_routing_strategy_of(sf_sharding_strategy id) {
  return strategies[id];
}

const sf_routing_strategy *sf_routing_strategy_named(const char *name) {
  for (size_t i = 0; i < SF_NUM_STRATEGIES; i++)
    if (strcmp(strategies[i]->name, name) == 0)
      return strategies[i];
  return NULL;
}

const char *sf_sharding_strategy_name(sf_sharding_strategy strategy) {
  return strategy < SF_NUM_STRATEGIES ? strategies[strategy]->name : "unknown";
}

double sf_route_dot(const double *a, const float *b, size_t dim) {
  double lanes[4] = {0};
  size_t i = 0;
  for (; i + 4 <= dim; i += 4)
    for (size_t lane = 0; lane < 4; lane++)
      lanes[lane] += a[i + lane] * (double)b[i + lane];
  for (size_t lane = 0; i < dim; i++, lane++)
    lanes[lane] += a[i] * (double)b[i];
  return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
}
