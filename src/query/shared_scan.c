#include "query/shared_scan.h"

#include "base/memory.h"
#include "query/search_shards.h"

#include <stddef.h>

/* With the mutex of the shard's search held. */
static void add_request_locked(sf_shared_scan *scan, sf_shard_search *from) {
  sf_search *search = from->search;
  size_t i = scan->count++;
  scan->shards[i] = from;
  scan->query_vectors[i] = search->query_vector;
  scan->query_vectors[i].score_convention = from->shard->score_convention;
  sf_error_clear(&scan->errors[i]);
  scan->requests[i] = (sf_scan_part){.query = &scan->query_vectors[i],
                                     .top_k = search->merged.top_k,
                                     .limit = &search->pruning_threshold,
                                     .cancellation = &search->cancellation,
                                     .error = &scan->errors[i]};
}

void sf_shared_scan_begin_locked(sf_shared_scan *scan, sf_search *search, sf_shard_search *from) {
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
  return found->position.is_registered && &found->shard->segments[found->segment] == task->segment &&
         found->row == task->begin;
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
  sf_scan_position *found[SF_MAX_SCAN_PARTS - 1];
  if (scan->requests[0].top_k > SF_MAX_SHARED_TOP_K)
    return;
  size_t segment = (size_t)(scan->task.segment - first->shard->segments);
  size_t count = sf_scan_registry_find(sf_served_snapshot_scans(first->search->served), first->shard_id, segment,
                                       scan->task.begin, retain_search_at, found, SF_MAX_SCAN_PARTS - 1);
  for (size_t i = 0; i < count; i++) {
    sf_shard_search *joining = shard_search_at(found[i]);
    sf_search *search = joining->search;
    if (!join_request(scan, joining))
      sf_search_release(search);
  }
}

/* Room for the rows of all requests. */
static bool make_room(sf_shared_scan *scan) {
  size_t num_rows = scan->task.end - scan->task.begin;
  size_t total = 0;
  for (size_t i = 0; i < scan->count; i++) {
    if (scan->requests[i].top_k > num_rows)
      scan->requests[i].top_k = num_rows;
    total += scan->requests[i].top_k;
  }
  sf_neighbour *room = sf_reallocarray(scan->rows, total, sizeof(*room));
  if (room == NULL)
    return false;
  scan->rows = room;
  for (size_t i = 0; i < scan->count; room += scan->requests[i++].top_k)
    scan->requests[i].neighbours = room;
  return true;
}

void sf_shared_scan_run(sf_shared_scan *scan) {
  if (make_room(scan)) {
    sf_scan_segment_together(scan->requests, scan->count, scan->task.segment, scan->task.begin, scan->task.end);
    return;
  }
  for (size_t i = 0; i < scan->count; i++)
    scan->requests[i].code = sf_fail_memory(&scan->errors[i], "results");
}

void sf_shared_scan_return_results_locked(const sf_shared_scan *scan, size_t index) {
  sf_shard_search *of = scan->shards[index];
  const sf_scan_part *request = &scan->requests[index];
  sf_search_return_task_locked(of->search, of, request->code, request->error, request->neighbours,
                               request->num_neighbours);
}

void sf_shared_scan_free(sf_shared_scan *scan) {
  free(scan->rows);
}
