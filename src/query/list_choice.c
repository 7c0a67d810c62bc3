#include "query/list_choice.h"

#include "base/memory.h"
#include "query/candidates.h"
#include "vectors/metrics.h"

#include <float.h>
#include <math.h>

enum {
  MORE_ONE_IN = 4, /* so many more than are wanted get a distance in float32, */
  MORE = 8,        /* and these */
  GROUPS = 32,     /* that are compared together */
  LIST_BITS = 32,
};

typedef struct choosing {
  const sf_query_vector *query;
  const sf_lists *const *shards;
  size_t num_shards;
  size_t num_kept;       /* by estimates */
  float threshold;       /* of the estimates */
  int8_t *components;    /* of the quantized query */
  sf_candidates nearest; /* `row` is the shard, and below it LIST_BITS bits of the list */
} choosing;

static void add(choosing *state, float estimate, size_t shard, uint32_t list) {
  sf_candidates *nearest = &state->nearest;
  if (nearest->count == nearest->capacity) {
    state->threshold = sf_candidates_kth_distance(nearest, state->num_kept);
    sf_candidates_drop_above(nearest, state->threshold);
  }
  if (nearest->count < nearest->capacity) /* ties may leave no room */
    nearest->items[nearest->count++] = (sf_candidate){.distance = estimate, .row = shard << LIST_BITS | list};
}

static void add_all(choosing *state, size_t shard) {
  for (uint32_t list = 0; list < state->shards[shard]->num_lists; list++)
    add(state, FLT_MAX, shard, list);
}

static void add_group(choosing *state, size_t shard, uint32_t first, unsigned mask, const float *estimates) {
  const sf_lists *lists = state->shards[shard];
  for (; mask != 0; mask &= mask - 1) {
    uint32_t i = (uint32_t)__builtin_ctz(mask);
    float estimate = isnan(estimates[i]) ? FLT_MAX : estimates[i]; /* nothing is known: the last that is chosen */
    if (first + i < lists->num_lists && estimate <= state->threshold)
      add(state, estimate, shard, first + i);
  }
}

static void add_shard(choosing *state, size_t shard) {
  const sf_lists *lists = state->shards[shard];
  const sf_quantized *centres = &lists->chosen_by;
  sf_quantized_query query = {.components = state->components};
  if (!sf_quantized_query_init(&query, sf_compared_vector(state->query), lists->dim, centres)) {
    add_all(state, shard);
    return;
  }
  sf_quantized_comparison estimate = query.comparisons[SF_QUANTIZED_4BIT];
  estimate.norm = estimate.slack = 0;
  size_t num_groups = (size_t)sf_quantized_num_groups(lists->num_lists);
  size_t group_size = (size_t)sf_quantized_group_size(SF_QUANTIZED_4BIT, lists->dim, lists->metric);
  for (size_t first = 0; first < num_groups; first += GROUPS) {
    uint16_t masks[GROUPS];
    float estimates[GROUPS * SF_QUANTIZED_GROUP_ROWS];
    const sf_quantized_groups groups = {.first = centres->groups[SF_QUANTIZED_4BIT] + first * group_size,
                                        .count = num_groups - first < GROUPS ? num_groups - first : GROUPS,
                                        .dim = lists->dim,
                                        .has_squared_norms = sf_scoring_of_metric(lists->metric)->is_of_differences};
    state->query->kernels->find_near_quantized[SF_QUANTIZED_4BIT](&estimate, &groups, state->threshold, masks,
                                                                  estimates);
    for (size_t i = 0; i < groups.count; i++)
      add_group(state, shard, (uint32_t)(first + i) * SF_QUANTIZED_GROUP_ROWS, masks[i],
                estimates + i * SF_QUANTIZED_GROUP_ROWS);
  }
}

static sf_list_choice choice_of(const choosing *state, size_t which) {
  const sf_query_vector *query = state->query;
  sf_list_choice choice = {.shard = (uint32_t)(which >> LIST_BITS), .list = (uint32_t)which};
  const sf_lists *lists = state->shards[choice.shard];
  const float *centre = lists->centres + (size_t)choice.list * lists->dim;
  if (sf_query_is_of_differences(query)) {
    query->kernels->squared_l2(query->query, centre, 1, lists->dim, &choice.distance);
  } else {
    query->kernels->dot(sf_compared_vector(query), centre, 1, lists->dim, &choice.product);
    choice.distance = -choice.product * lists->factors[choice.list];
  }
  if (isnan(choice.distance))
    choice.distance = FLT_MAX;
  return choice;
}

/* The bits of a float in the order of the floats. */
static uint32_t ordered_bits(float distance) {
  uint32_t bits;
  memcpy(&bits, &distance, sizeof(bits));
  return (bits >> 31) != 0 ? ~bits : bits | UINT32_C(1) << 31;
}

/* Radix sort, least significant byte first: stable, and some times faster than qsort for a hundred of them. */
static void sort(sf_list_choice *choices, sf_list_choice *scratch, size_t count) {
  enum { BYTES = sizeof(float), VALUES = 256 };
  for (unsigned byte = 0; byte < BYTES; byte++) {
    size_t begins[VALUES] = {0};
    for (size_t i = 0; i < count; i++)
      begins[ordered_bits(choices[i].distance) >> (8 * byte) & (VALUES - 1)]++;
    for (size_t value = 0, begin = 0; value < VALUES; value++) {
      size_t size = begins[value];
      begins[value] = begin;
      begin += size;
    }
    for (size_t i = 0; i < count; i++)
      scratch[begins[ordered_bits(choices[i].distance) >> (8 * byte) & (VALUES - 1)]++] = choices[i];
    sf_list_choice *sorted = scratch;
    scratch = choices;
    choices = sorted;
  }
}

static void prefetch_centre(const choosing *state, size_t which) {
  enum { LINE_BYTES = 64 };
  const sf_lists *lists = state->shards[which >> LIST_BITS];
  const char *centre = (const char *)(lists->centres + (size_t)(uint32_t)which * lists->dim);
  for (size_t i = 0; i < lists->dim * sizeof(float); i += LINE_BYTES)
    __builtin_prefetch(centre + i, 0, 1);
}

/* The nearest of those that the estimates left. */
static sf_code order(choosing *state, size_t wanted, sf_list_choice *choices, size_t *count, sf_error *error) {
  enum { AHEAD = 8 };
  sf_candidates *nearest = &state->nearest;
  if (nearest->count > state->num_kept)
    sf_candidates_drop_above(nearest, sf_candidates_kth_distance(nearest, state->num_kept));
  sf_list_choice *all = sf_calloc(2 * nearest->count, sizeof(*all));
  if (all == NULL)
    return sf_fail_memory(error, "choice of lists");
  for (size_t i = 0; i < nearest->count; i++) {
    if (i + AHEAD < nearest->count)
      prefetch_centre(state, nearest->items[i + AHEAD].row);
    all[i] = choice_of(state, nearest->items[i].row);
  }
  sort(all, all + nearest->count, nearest->count);
  *count = nearest->count < wanted ? nearest->count : wanted;
  memcpy(choices, all, *count * sizeof(*all));
  free(all);
  return SF_OK;
}

sf_code sf_list_choice_find(const sf_query_vector *query, const sf_lists *const *shards, size_t num_shards,
                            size_t wanted, sf_list_choice *choices, size_t *count, sf_error *error) {
  choosing state = {.query = query, .shards = shards, .num_shards = num_shards, .threshold = FLT_MAX};
  size_t num_lists = 0;
  for (size_t shard = 0; shard < num_shards; shard++)
    num_lists += shards[shard] != NULL ? shards[shard]->num_lists : 0;
  wanted = wanted < num_lists ? wanted : num_lists;
  *count = 0;
  if (wanted == 0)
    return SF_OK;
  state.num_kept = wanted + wanted / MORE_ONE_IN + MORE;
  state.components = sf_calloc(sf_quantized_query_length(query->dim), 1);
  state.nearest.capacity = 2 * state.num_kept < num_lists ? 2 * state.num_kept : num_lists;
  state.nearest.items = sf_calloc(state.nearest.capacity, sizeof(sf_candidate));
  sf_code code = SF_OK;
  if (state.components == NULL || state.nearest.items == NULL)
    code = sf_fail_memory(error, "choice of lists");
  for (size_t shard = 0; code == SF_OK && shard < num_shards; shard++)
    if (shards[shard] != NULL && state.num_kept < num_lists)
      add_shard(&state, shard);
    else if (shards[shard] != NULL)
      add_all(&state, shard);
  if (code == SF_OK)
    code = order(&state, wanted, choices, count, error);
  free(state.components);
  free(state.nearest.items);
  return code;
}
