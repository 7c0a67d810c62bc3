#include "query/scheduler.h"

#include "base/assert.h"
#include "base/memory.h"
#include "base/thread.h"
#include "query/search_shards.h"
#include "query/shared_scan.h"

#include <errno.h>

/* A worker run: holds a reference to the search. */
typedef struct worker_run {
  sf_task task; /* first: the executor passes it to run_worker */
  sf_search *search;
} worker_run;

static void run_worker(sf_task *task);

/* False, with errno set, when there is no memory or no thread for it. */
static bool queue_run_locked(sf_search *search) {
  SF_ASSERT_LOCKED(&search->mutex);
  worker_run *queued = sf_calloc(1, sizeof(*queued));
  if (queued == NULL)
    return false;
  *queued = (worker_run){.task.run = run_worker, .search = search};
  sf_search_retain(search);
  if (sf_executor_submit(search->executor, SF_LANE_SCAN, &queued->task)) {
    search->num_queued_runs++;
    return true;
  }
  atomic_fetch_sub_explicit(&search->references, 1, memory_order_relaxed); /* never the last: the caller holds one */
  int reason = errno;
  free(queued);
  errno = reason;
  return false;
}

void sf_scheduler_request_workers_locked(sf_search *search) {
  SF_ASSERT_LOCKED(&search->mutex);
  size_t workers = search->num_workers + search->num_queued_runs + search->is_caller_waiting;
  size_t idle = sf_executor_idle(search->executor, SF_LANE_SCAN);
  if (search->is_blocking && idle > 0)
    idle--; /* the calling thread scans, too: in place of one of the executor's, not beside them all */
  size_t wanted = sf_search_count_tasks_locked(search, workers + (idle > 0 ? idle : 1));
  while (workers < wanted) {
    if (workers > 0 && idle == 0)
      return;
    if (!queue_run_locked(search)) {
      sf_error error;
      if (workers == 0 && !search->is_blocking)
        sf_search_fail_locked(search, sf_fail_thread(&error, errno, "to scan"), &error);
      return;
    }
    workers++;
    idle -= idle > 0;
  }
}

/* Lets other threads take part in what is ready now, which may be more than before. */
static void share_tasks_locked(sf_search *search) {
  SF_ASSERT_LOCKED(&search->mutex);
  sf_scheduler_request_workers_locked(search);
  if (search->is_caller_waiting)
    sf_search_notify_caller_locked(search);
}

/* Returns the results of the searches that joined, one after the other. */
static void return_results(const sf_shared_scan *scan) {
  for (size_t i = 1; i < scan->count; i++) {
    sf_search *joined = scan->shards[i]->search;
    pthread_mutex_lock(&joined->mutex);
    sf_shared_scan_return_results_locked(scan, i);
    joined->num_workers--;
    pthread_mutex_unlock(&joined->mutex);
    sf_scheduler_advance(joined);
    sf_search_release(joined);
  }
}

/* Scans a task that was taken, and returns its results. Whether the thread should yield to other work. */
static bool run_task(sf_search *search, sf_shared_scan *scan, bool is_caller) {
  sf_shared_scan_join_requests(scan);
  sf_shared_scan_run(scan);
  pthread_mutex_lock(&search->mutex);
  sf_shared_scan_return_results_locked(scan, 0);
  if (search->first_ready != NULL)
    share_tasks_locked(search);
  pthread_mutex_unlock(&search->mutex);
  return_results(scan);
  if (is_caller)
    return false;
  sf_executor_offer_cpu(search->executor, SF_LANE_SCAN);
  return sf_executor_should_yield(search->executor, SF_LANE_SCAN);
}

void sf_scheduler_run_tasks(sf_search *search, bool is_caller) {
  sf_shared_scan scan;
  bool yields = false;
  sf_shared_scan_init(&scan);
  pthread_mutex_lock(&search->mutex);
  search->num_workers++;
  if (is_caller)
    search->is_caller_waiting = false;
  while (search->first_ready != NULL && !yields) {
    sf_shared_scan_begin_locked(&scan, search, search->first_ready);
    sf_shard_search *to_return = sf_search_take_to_return_locked(search);
    pthread_mutex_unlock(&search->mutex);
    sf_search_return_shards(search, to_return);
    yields = run_task(search, &scan, is_caller);
    pthread_mutex_lock(&search->mutex);
  }
  search->num_workers--;
  pthread_mutex_unlock(&search->mutex);
  sf_shared_scan_free(&scan);
}

/* Whether the caller is the one to complete the search: nothing is under way any more, and no other thread does. */
static bool begin_end_locked(sf_search *search) {
  SF_ASSERT_LOCKED(&search->mutex);
  if (!search->has_started || search->is_ending || search->num_in_flight > 0 || search->num_workers > 0 ||
      search->num_returning > 0)
    return false;
  search->is_ending = true;
  return true;
}

void sf_scheduler_advance(sf_search *search) {
  pthread_mutex_lock(&search->mutex);
  if (search->first_ready != NULL)
    sf_scheduler_request_workers_locked(search);
  for (sf_shard_search *to_return; (to_return = sf_search_take_to_return_locked(search)) != NULL;) {
    search->num_returning++;
    pthread_mutex_unlock(&search->mutex);
    sf_search_return_shards(search, to_return);
    pthread_mutex_lock(&search->mutex);
    search->num_returning--;
  }
  bool ends = begin_end_locked(search);
  sf_search_notify_caller_locked(search);
  pthread_mutex_unlock(&search->mutex);
  if (ends)
    sf_search_complete(search);
}

/* Queues the run again, before others of its executor, if there is still something to scan. Whether it did. */
static bool continue_later(worker_run *run) {
  sf_search *search = run->search;
  pthread_mutex_lock(&search->mutex);
  bool continues = search->first_ready != NULL;
  search->num_queued_runs += continues;
  pthread_mutex_unlock(&search->mutex);
  if (continues && !sf_executor_resubmit(search->executor, SF_LANE_SCAN, &run->task)) {
    pthread_mutex_lock(&search->mutex); /* no thread: impossible, since this is one */
    search->num_queued_runs--;
    pthread_mutex_unlock(&search->mutex);
    continues = false;
  }
  return continues;
}

static void run_worker(sf_task *task) {
  worker_run *run = (worker_run *)task;
  sf_search *search = run->search;
  pthread_mutex_lock(&search->mutex);
  search->num_queued_runs--;
  pthread_mutex_unlock(&search->mutex);
  sf_scheduler_run_tasks(search, false);
  if (continue_later(run))
    return;
  sf_scheduler_advance(search);
  sf_search_release(search);
  free(run);
}

void sf_scheduler_shard_loaded(sf_shard_waiter *waiter, sf_shard *shard, sf_code code, const sf_error *error) {
  sf_shard_search *loaded = (sf_shard_search *)waiter;
  sf_search *search = loaded->search;
  pthread_mutex_lock(&search->mutex);
  loaded->is_waiting = false;
  if (code == SF_OK) {
    search->account.num_loaded++;
    search->account.times.loaded = sf_monotonic_nanoseconds();
    sf_search_add_shard_locked(search, loaded, shard);
  } else {
    search->num_in_flight--;
    sf_search_fail_locked(search, code, error);
  }
  sf_search_start_shards_locked(search);
  pthread_mutex_unlock(&search->mutex);
  sf_scheduler_advance(search);
  sf_search_release(search);
}

void sf_scheduler_bitmap_ready(sf_bitmap_waiter *waiter, const sf_shard_bitmap *bitmap, sf_code code,
                               const sf_error *error) {
  sf_shard_search *filtered = ((sf_shard_filter *)waiter)->of;
  sf_search *search = filtered->search;
  pthread_mutex_lock(&search->mutex);
  sf_search_add_bitmap_locked(search, filtered, bitmap, code, error);
  sf_search_start_shards_locked(search);
  pthread_mutex_unlock(&search->mutex);
  sf_scheduler_advance(search);
  sf_search_release(search);
}

void sf_scheduler_lookup_done(sf_lookup_waiter *waiter, const sf_found_rows *found, sf_code code,
                              const sf_error *error) {
  sf_shard_search *looked_in = ((sf_shard_lookup *)waiter)->of;
  sf_search *search = looked_in->search;
  pthread_mutex_lock(&search->mutex);
  sf_search_add_found_locked(search, looked_in, found, code, error);
  sf_search_start_shards_locked(search);
  pthread_mutex_unlock(&search->mutex);
  sf_scheduler_advance(search);
  sf_search_release(search);
}
