/*
 * A plan: which rows of one shard a query scans, as ranges, and how far it has come. The scheduler takes tasks from plans
 * and knows nothing else of a shard's rows.
 *
 * A planner is one file with an sf_planner, and one line in the table of plan.c; the first that serves a query and a shard
 * makes the plan. Planners of inverted lists would come before the last, which plans all rows and is in plan.c itself.
 */
#ifndef SF_QUERY_PLAN_H
#define SF_QUERY_PLAN_H

#include "formats/shard.h"
#include "query/collector.h"
#include "query/scan_task.h"
#include "vectors/query_vector.h"

/* What is planned. All borrowed: as long as the plan lives, the shard; the others for the call. */
typedef struct sf_plan_params {
  const sf_shard *shard;
  const sf_query_vector *query;
  const sf_collector_params *collector;
} sf_plan_params;

/* Zero-initialised: no rows. Not to be moved, nor used by two threads at once. */
typedef struct sf_plan {
  sf_row_range *ranges; /* num_ranges, none empty; `first` where that is all */
  size_t num_ranges;
  sf_row_range first;
  /* Row filter: bit r % 8 of byte r / 8 is set where row r of the shard may be a result. Borrowed. NULL: every row may. */
  const uint8_t *filter;
  uint32_t dim;
  size_t next_range; /* where the next task begins; num_ranges: there is none */
  size_t next_row;
} sf_plan;

typedef struct sf_planner {
  const char *name;
  bool (*serves)(const sf_plan_params *params);
  /* Adds the ranges in the order in which they are to be scanned (sf_plan_add_range). */
  sf_code (*add_ranges)(const sf_plan_params *params, sf_plan *plan, sf_error *error);
} sf_planner;

/* Makes the plan of a query and a shard. After a failure it has no rows. Free it in any case. */
sf_code sf_plan_make(const sf_plan_params *params, sf_plan *plan, sf_error *error);
void sf_plan_free(sf_plan *plan);

/* For planners: appends a range; an empty one is left out. */
sf_code sf_plan_add_range(sf_plan *plan, sf_row_range range, sf_error *error);

/* Whether all of its tasks were taken. */
bool sf_plan_is_done(const sf_plan *plan);
/* Whether a task can be taken now: the next range is resident. */
bool sf_plan_has_task(const sf_plan *plan);
/* That task, of a plan that has one. */
sf_scan_task sf_plan_next_task(const sf_plan *plan);
sf_scan_task sf_plan_take_task(sf_plan *plan);

/* About how many tasks are left. */
size_t sf_plan_count_tasks(const sf_plan *plan);
/* Leaves out all tasks that were not taken yet. */
void sf_plan_stop(sf_plan *plan);

#endif
