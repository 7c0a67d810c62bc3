#include "query/search_lists.h"

#include "base/assert.h"
#include "base/memory.h"
#include "query/list_calibration.h"
#include "query/snapshot_lists.h"

bool sf_search_wants_lists(const sf_search *search) {
  const sf_collector_params *collector = &search->collector;
  return search->recall > 0 && search->recall < 1 && search->filter == NULL && search->ids == NULL &&
         !search->counts_only && collector->kind == SF_COLLECT_TOP_K && !collector->has_max_score &&
         collector->top_k <= SF_CALIBRATED_MAX_TOP_K && search->num_shards > 0 &&
         search->max_in_flight >= search->num_shards;
}

void sf_search_begin_lists_locked(sf_search *search) {
  SF_ASSERT_LOCKED(&search->mutex);
  const sf_snapshot_lists *lists = sf_served_snapshot_lists(search->served);
  if (!sf_search_wants_lists(search))
    return;
  search->num_lists = sf_snapshot_lists_count(lists, search->recall, search->collector.top_k);
  if (search->num_lists == 0)
    return;
  search->account.num_lists_read = search->num_lists;
  search->account.num_lists = sf_snapshot_lists_total(lists);
}

/* Brings the choices of each shard together, and keeps their order. */
static void group_choices(sf_search *search, const sf_list_choice *chosen, size_t count) {
  size_t next = 0;
  for (size_t i = 0; i < search->num_shards; i++) {
    sf_list_scan *scan = &search->list_scans[i];
    scan->choices = search->choices + next;
    for (size_t j = 0; j < count; j++)
      if (chosen[j].shard == i)
        search->choices[next++] = chosen[j];
    scan->num_choices = (size_t)(search->choices + next - scan->choices);
  }
}

static void plan_shard(sf_search *search, size_t index, const sf_lists *lists) {
  sf_shard_search *of = &search->shards[index];
  sf_list_scan *scan = &search->list_scans[index];
  scan->lists = lists;
  scan->segments = of->shard->segments;
  scan->num_segments = of->shard->num_segments;
  scan->error_share = sf_list_scan_error_share(search->query_vector.dim);
  if (scan->num_choices > 0)
    sf_plan_make_lists(&of->plan, scan);
}

sf_code sf_search_plan_lists_locked(sf_search *search, sf_error *error) {
  SF_ASSERT_LOCKED(&search->mutex);
  const sf_lists *const *of_snapshot = sf_snapshot_lists_of_shards(sf_served_snapshot_lists(search->served));
  const sf_lists **of_shards = sf_calloc(search->num_shards, sizeof(sf_lists *));
  sf_list_choice *chosen = sf_calloc(search->num_lists, sizeof(*chosen));
  search->choices = sf_calloc(search->num_lists, sizeof(*search->choices));
  search->list_scans = sf_calloc(search->num_shards, sizeof(*search->list_scans));
  sf_code code = SF_OK;
  size_t count = 0;
  if (of_shards == NULL || chosen == NULL || search->choices == NULL || search->list_scans == NULL) {
    code = sf_fail_memory(error, "choice of lists");
    goto done;
  }
  for (size_t i = 0; i < search->num_shards; i++)
    of_shards[i] = of_snapshot[search->shards[i].shard_id];
  sf_query_vector query = search->query_vector;
  query.score_convention = search->shards[0].shard->score_convention; /* of one metric are all */
  code = sf_list_choice_find(&query, of_shards, search->num_shards, search->num_lists, chosen, &count, error);
  if (code != SF_OK)
    goto done;
  group_choices(search, chosen, count);
  for (size_t i = 0; i < search->num_shards; i++)
    plan_shard(search, i, of_shards[i]);
done:
  free((void *)of_shards);
  free(chosen);
  return code;
}
