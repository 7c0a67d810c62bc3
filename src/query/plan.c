#include "query/plan.h"

#include "base/assert.h"

static bool serves_all(const sf_plan_params *params) {
  (void)params;
  return true;
}

static sf_code plan_all_rows(const sf_plan_params *params, sf_plan *plan, sf_error *error) {
  (void)error;
  SF_ASSERT(params->shard->num_segments <= UINT32_MAX);
  plan->segments = params->shard->segments;
  plan->num_segments = (uint32_t)params->shard->num_segments;
  return SF_OK;
}

/* An exact search of a whole shard: every row of every segment, all of which are in memory or mapped. */
static const sf_planner all_rows = {.name = "all_rows", .serves = serves_all, .plan = plan_all_rows};

/* Every planner, in the order in which they are asked; the last serves every query. */
static const sf_planner *const planners[] = {&all_rows};

static sf_row_range next_range(const sf_plan *plan) {
  return sf_row_range_of(&plan->segments[plan->next_segment]);
}

static void skip_empty(sf_plan *plan) {
  while (!sf_plan_is_done(plan) && plan->segments[plan->next_segment].num_rows == 0)
    plan->next_segment++;
}

sf_code sf_plan_make(const sf_plan_params *params, sf_plan *plan, sf_error *error) {
  const sf_planner *const *planner = planners;
  while (!(*planner)->serves(params))
    planner++;
  *plan = (sf_plan){.dim = params->query->dim};
  sf_code code = (*planner)->plan(params, plan, error);
  if (code != SF_OK)
    sf_plan_free(plan);
  else
    skip_empty(plan);
  return code;
}

void sf_plan_free(sf_plan *plan) {
  *plan = (sf_plan){0};
}

/* ------------------------------------------------------------------------------------------------------------- Tasks */

/*
 * A task of SF_LEAST_TASK_BYTES is scanned in well under a millisecond, for a shared scan of many searches in a few: small
 * enough to share out, and large enough that its own costs don't show.
 */
#define LEAST_QUANTIZED_TASK_BYTES (2 * SF_LEAST_TASK_BYTES)
#define MOST_QUANTIZED_TASK_BYTES (8 * SF_LEAST_TASK_BYTES)
enum { PARTS_OF_THE_REST = 8 };

static size_t divide_up(size_t dividend, size_t divisor) {
  return dividend / divisor + (dividend % divisor != 0);
}

static size_t wanted_bytes(const sf_vector_segment *segment, size_t bytes_left) {
  bool has_quantized = segment->quantized.centre != NULL || segment->lazy_quantized != NULL;
  if (!has_quantized)
    return SF_LEAST_TASK_BYTES;
  size_t wanted = bytes_left / PARTS_OF_THE_REST;
  if (wanted < LEAST_QUANTIZED_TASK_BYTES)
    return LEAST_QUANTIZED_TASK_BYTES;
  return wanted < MOST_QUANTIZED_TASK_BYTES ? wanted : MOST_QUANTIZED_TASK_BYTES;
}

sf_scan_task sf_scan_task_at(const sf_row_range *range, uint32_t dim, size_t row) {
  size_t row_bytes = (size_t)dim * sizeof(float);
  size_t chunk_rows = sf_rows_per_chunk(dim);
  size_t rows_left = range->end - row;
  size_t chunks_left = sf_num_chunks(rows_left, dim);
  size_t wanted = wanted_bytes(range->segment, rows_left * row_bytes) / row_bytes / chunk_rows;
  /* As many as the rest takes if all of them are equal. */
  size_t num_tasks = divide_up(chunks_left, wanted > 0 ? wanted : 1);
  size_t rows = divide_up(chunks_left, num_tasks) * chunk_rows;
  return (sf_scan_task){.range = *range, .begin = row, .end = row + (rows < rows_left ? rows : rows_left)};
}

void sf_plan_make_lists(sf_plan *plan, const struct sf_list_scan *lists) {
  *plan = (sf_plan){.lists = lists};
}

bool sf_plan_is_done(const sf_plan *plan) {
  if (plan->lists != NULL)
    return plan->has_taken_lists;
  return plan->next_segment == plan->num_segments;
}

bool sf_plan_has_task(const sf_plan *plan) {
  return !sf_plan_is_done(plan) && (plan->lists != NULL || next_range(plan).state == SF_RANGE_RESIDENT);
}

sf_scan_task sf_plan_next_task(const sf_plan *plan) {
  if (plan->lists != NULL)
    return (sf_scan_task){.lists = plan->lists};
  const sf_row_range range = next_range(plan);
  return sf_scan_task_at(&range, plan->dim, plan->next_row);
}

sf_scan_task sf_plan_take_task(sf_plan *plan) {
  sf_scan_task task = sf_plan_next_task(plan);
  plan->has_taken_lists = plan->lists != NULL;
  if (plan->lists != NULL)
    return task;
  plan->next_row = task.end;
  if (task.end < task.range.end)
    return task;
  plan->next_row = 0;
  plan->next_segment++;
  skip_empty(plan);
  return task;
}

size_t sf_plan_count_tasks(const sf_plan *plan) {
  if (sf_plan_is_done(plan))
    return 0;
  if (plan->lists != NULL)
    return 1;
  size_t rows_left = next_range(plan).end - plan->next_row;
  size_t bytes_left = rows_left * plan->dim * sizeof(float);
  return 1 + bytes_left / SF_LEAST_TASK_BYTES + (plan->num_segments - plan->next_segment - 1);
}

void sf_plan_stop(sf_plan *plan) {
  plan->has_taken_lists = plan->lists != NULL;
  plan->next_segment = plan->num_segments;
}
