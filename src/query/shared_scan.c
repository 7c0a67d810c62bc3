#include "query/shared_scan.h"

#include "base/assert.h"
#include "query/list_scan.h"
#include "query/search_shards.h"

#include <stddef.h>
#include <string.h>

void sf_shared_scan_init(sf_shared_scan *scan) {
  scan->count = 0;
  memset(scan->collectors, 0, sizeof(scan->collectors));
}

void sf_shared_scan_free(sf_shared_scan *scan) {
  for (size_t i = 0; i < SF_MAX_SCAN_REQUESTS; i++)
    sf_collector_free(&scan->collectors[i]);
}

/* With the mutex of the shard's search held. */
static void add_request_locked(sf_shared_scan *scan, sf_shard_search *from) {
  SF_ASSERT_LOCKED(&from->search->mutex);
  sf_search *search = from->search;
  size_t i = scan->count++;
  scan->shards[i] = from;
  scan->query_vectors[i] = search->query_vector;
  scan->query_vectors[i].score_convention = from->shard->score_convention;
  sf_error_clear(&scan->errors[i]);
  scan->collectors[i].params = &search->collector;
  scan->requests[i] = (sf_scan_request){.query = &scan->query_vectors[i],
                                        .collector = &scan->collectors[i],
                                        .threshold = &search->pruning_threshold,
                                        .filter = from->plan.filter,
                                        .cancellation = &search->cancellation,
                                        .error = &scan->errors[i]};
}

void sf_shared_scan_begin_locked(sf_shared_scan *scan, sf_search *search, sf_shard_search *from) {
  SF_ASSERT_LOCKED(&search->mutex);
  scan->count = 0;
  scan->task = sf_search_take_task_locked(search, from);
  add_request_locked(scan, from);
}

static sf_shard_search *shard_search_at(sf_scan_position *position) {
  return (sf_shard_search *)((char *)position - offsetof(sf_shard_search, position));
}

static void retain_search_at(sf_scan_position *position) {
  sf_search_retain(shard_search_at(position)->search);
}

/* Whether its next task is this one: it may have advanced since it was found. */
static bool is_next_task_locked(const sf_shard_search *found, const sf_scan_task *task) {
  SF_ASSERT_LOCKED(&found->search->mutex);
  if (!found->position.is_registered)
    return false;
  sf_scan_task next = sf_plan_next_task(&found->plan);
  return next.range.segment == task->range.segment && next.range.begin == task->range.begin &&
         next.range.end == task->range.end && next.begin == task->begin;
}

/* Whether it joined. */
static bool join_request(sf_shared_scan *scan, sf_shard_search *joining) {
  sf_search *search = joining->search;
  pthread_mutex_lock(&search->mutex);
  bool joins = is_next_task_locked(joining, &scan->task);
  if (joins) {
    search->num_workers++;
    sf_search_take_task_locked(search, joining);
    add_request_locked(scan, joining);
  }
  pthread_mutex_unlock(&search->mutex);
  return joins;
}

void sf_shared_scan_join_requests(sf_shared_scan *scan) {
  const sf_shard_search *first = scan->shards[0];
  sf_scan_position *found[SF_MAX_SCAN_REQUESTS - 1];
  if (scan->task.lists != NULL || sf_collector_max_rows(&first->search->collector) > SF_MAX_SHARED_ROWS)
    return;
  size_t segment = (size_t)(scan->task.range.segment - first->shard->segments);
  size_t count = sf_scan_registry_find(sf_served_snapshot_scans(first->search->served), first->shard_id, segment,
                                       scan->task.begin, retain_search_at, found, SF_MAX_SCAN_REQUESTS - 1);
  for (size_t i = 0; i < count; i++) {
    sf_shard_search *joining = shard_search_at(found[i]);
    sf_search *search = joining->search;
    if (!join_request(scan, joining))
      sf_search_release(search);
  }
}

void sf_shared_scan_run(sf_shared_scan *scan) {
  if (scan->task.lists != NULL)
    sf_list_scan_run(scan->task.lists, &scan->requests[0]);
  else
    sf_scan_task_run(&scan->task, scan->requests, scan->count);
}

void sf_shared_scan_return_results_locked(const sf_shared_scan *scan, size_t index) {
  SF_ASSERT_LOCKED(&scan->shards[index]->search->mutex);
  sf_shard_search *of = scan->shards[index];
  const sf_scan_request *request = &scan->requests[index];
  sf_search_return_task_locked(of->search, of, request, scan->count > 1);
}
