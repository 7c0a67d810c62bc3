/*
 * A plan: which rows of one shard a query scans, as ranges, and how far it has come. The scheduler takes tasks from plans
 * and knows nothing else of a shard's rows.
 *
 * Row ranges are cut into tasks: what one thread scans at a time. Vectors without quantized ones are read whole, and their tasks are
 * about equal. With quantized vectors a sixteenth is read: there tasks may be larger, and become smaller towards the end, where threads
 * wait for the last one (guided self-scheduling: Polychronopoulos and Kuck, IEEE Transactions on Computers, 1987).
 *
 * A planner is one file with an sf_planner, and one line in the table of plan.c; the first that serves a query and a shard
 * makes the plan. The last plans all rows and is in plan.c itself. Lists are planned for all shards at once (search_lists.h).
 */
#ifndef SF_QUERY_PLAN_H
#define SF_QUERY_PLAN_H

#include "formats/shard.h"
#include "query/collector.h"
#include "vectors/query_vector.h"

/* No task has fewer bytes of vectors, unless it is the last of its range. */
#define SF_LEAST_TASK_BYTES ((size_t)4 << 20)

/* Whether a range can be scanned. Ranges that are fetched for a query will add their states here. */
typedef enum sf_range_state { SF_RANGE_RESIDENT } sf_range_state;

/* Rows [begin, end) of a segment, which is borrowed; `begin` is 0 or begins a chunk (vectors/lazy_norms.h). */
typedef struct sf_row_range {
  const sf_vector_segment *segment;
  size_t begin;
  size_t end;
  sf_range_state state;
} sf_row_range;

/* Rows [begin, end) of a range. */
typedef struct sf_scan_task {
  sf_row_range range;
  size_t begin;
  size_t end;
  const struct sf_list_scan *lists; /* NULL; else the task is a scan of these lists, and has no rows of a range */
} sf_scan_task;

/* All rows of a segment. */
static inline sf_row_range sf_row_range_of(const sf_vector_segment *segment) {
  return (sf_row_range){.segment = segment, .end = segment->num_rows};
}

/*
 * The task that begins at `row` of the range: whole chunks, or what is left. Depends on nothing else, so that searches that
 * scan the same range have the same tasks.
 */
sf_scan_task sf_scan_task_at(const sf_row_range *range, uint32_t dim, size_t row);

/* What is planned. All borrowed: as long as the plan lives, the shard; the others for the call. */
typedef struct sf_plan_params {
  const sf_shard *shard;
  const sf_query_vector *query;
  const sf_collector_params *collector;
} sf_plan_params;

/* Zero-initialised: no rows. One thread at a time. Small: a search has one for each of its shards. */
typedef struct sf_plan {
  const sf_vector_segment *segments; /* whose rows are the ranges, an empty one none; borrowed from the shard */
  /* Row filter: bit r % 8 of byte r / 8 is set where row r of the shard may be a result. Borrowed. NULL: every row may. */
  const uint8_t *filter;
  size_t next_row; /* of the segment with the next task */
  uint32_t num_segments;
  uint32_t next_segment;            /* where the next task begins; num_segments: there is none */
  const struct sf_list_scan *lists; /* NULL; else they are the only task, and there are no segments. Borrowed */
  bool has_taken_lists;
  uint32_t dim;
} sf_plan;

typedef struct sf_planner {
  const char *name;
  bool (*serves)(const sf_plan_params *params);
  /* Sets the segments, in the order in which they are to be scanned. */
  sf_code (*plan)(const sf_plan_params *params, sf_plan *plan, sf_error *error);
} sf_planner;

/* Makes the plan of a query and a shard. After a failure it has no rows. Free it in any case. */
sf_code sf_plan_make(const sf_plan_params *params, sf_plan *plan, sf_error *error);
void sf_plan_free(sf_plan *plan);

/* Makes the plan of a scan of lists, which are chosen for all shards of a search at once. */
void sf_plan_make_lists(sf_plan *plan, const struct sf_list_scan *lists);

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
