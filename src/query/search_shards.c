#include "query/search_shards.h"

#include "query/search_lists.h"

#include "base/assert.h"
#include "base/time.h"

/* Notes when something happened first. */
static void note_first(uint64_t *time) {
  if (*time == 0)
    *time = sf_monotonic_nanoseconds();
}

/* Lets other searches see which task of the shard is next. */
static void register_position_locked(const sf_search *search, sf_shard_search *of) {
  SF_ASSERT_LOCKED(&search->mutex);
  if (of->plan.lists != NULL || sf_collector_max_rows(&search->collector) > SF_MAX_SHARED_ROWS)
    return;
  sf_scan_task next = sf_plan_next_task(&of->plan);
  sf_scan_registry_put(sf_served_snapshot_scans(search->served), of->shard_id, &of->position,
                       (size_t)(next.range.segment - of->shard->segments), next.begin);
}

static void push_ready_locked(sf_search *search, sf_shard_search *ready) {
  SF_ASSERT_LOCKED(&search->mutex);
  ready->next = NULL;
  ready->previous = search->last_ready;
  *(search->last_ready != NULL ? &search->last_ready->next : &search->first_ready) = ready;
  search->last_ready = ready;
  register_position_locked(search, ready);
}

static void remove_ready_locked(sf_search *search, sf_shard_search *removed) {
  SF_ASSERT_LOCKED(&search->mutex);
  *(removed->previous != NULL ? &removed->previous->next : &search->first_ready) = removed->next;
  *(removed->next != NULL ? &removed->next->previous : &search->last_ready) = removed->previous;
  sf_scan_registry_remove(sf_served_snapshot_scans(search->served), removed->shard_id, &removed->position);
}

/* NULL: none is wanted. */
static sf_shard_account *shard_account(const sf_shard_search *of) {
  sf_shard_account *accounts = of->search->account.shards;
  return accounts == NULL ? NULL : &accounts[of - of->search->shards];
}

static void fill_event(sf_shard_event *event, const sf_shard *shard) {
  event->finished = sf_monotonic_nanoseconds();
  if (shard == NULL)
    return;
  event->num_rows = sf_shard_num_rows(shard);
  event->num_not_finite = sf_shard_num_not_finite(shard);
}

static sf_shard_filter *filter_of(const sf_shard_search *of) {
  return of->search->filters == NULL ? NULL : &of->search->filters[of - of->search->shards];
}

static void return_bitmap_locked(const sf_shard_search *of) {
  SF_ASSERT_LOCKED(&of->search->mutex);
  sf_shard_filter *filter = filter_of(of);
  if (filter == NULL || filter->bitmap == NULL)
    return;
  sf_filter_bitmaps_return(sf_served_snapshot_bitmaps(of->search->served), filter->bitmap);
  filter->bitmap = NULL;
}

/* Of a shard with no task left, to take or running. */
static void finish_shard_locked(sf_search *search, sf_shard_search *finished) {
  SF_ASSERT_LOCKED(&search->mutex);
  search->num_in_flight--;
  sf_plan_free(&finished->plan);
  return_bitmap_locked(finished);
  if (shard_account(finished) != NULL)
    shard_account(finished)->finished = sf_monotonic_nanoseconds();
  if (search->shard_events != NULL)
    fill_event(&search->shard_events[finished - search->shards], finished->shard);
  if (finished->has_merged_rows || finished->shard == NULL)
    return;
  finished->next = search->to_return;
  search->to_return = finished;
}

static void plan_shard_locked(sf_search *search, sf_shard_search *of) {
  SF_ASSERT_LOCKED(&search->mutex);
  const sf_shard_filter *filter = filter_of(of);
  if (search->counts_only || search->ids != NULL || (filter != NULL && filter->bitmap->rows->num_matching == 0))
    return;
  const sf_plan_params params = {.shard = of->shard, .query = &search->query_vector, .collector = &search->collector};
  sf_error error;
  sf_error_clear(&error);
  sf_code code = sf_plan_make(&params, &of->plan, &error);
  of->plan.filter = filter != NULL ? filter->bitmap->rows->bits : NULL;
  if (code != SF_OK)
    sf_search_fail_locked(search, code, &error);
}

/* Drops a reference that is never the last: the calling thread holds another. */
static void drop_reference(sf_search *search) {
  atomic_fetch_sub_explicit(&search->references, 1, memory_order_relaxed);
}

static void scan_planned_locked(sf_search *search, sf_shard_search *planned) {
  SF_ASSERT_LOCKED(&search->mutex);
  if (sf_plan_has_task(&planned->plan))
    push_ready_locked(search, planned);
  else
    finish_shard_locked(search, planned);
}

/* Finishes the shards that wait for others. */
static void stop_arrived_locked(sf_search *search) {
  SF_ASSERT_LOCKED(&search->mutex);
  for (size_t i = 0; i < search->num_shards; i++)
    if (search->shards[i].has_arrived) {
      search->shards[i].has_arrived = false;
      finish_shard_locked(search, &search->shards[i]);
    }
}

/* The last shard that arrives lets all of them be scanned. */
static void wait_for_others_locked(sf_search *search, sf_shard_search *arrived) {
  SF_ASSERT_LOCKED(&search->mutex);
  sf_error error;
  sf_error_clear(&error);
  arrived->has_arrived = true;
  if (++search->num_arrived < search->num_shards)
    return;
  sf_code code = sf_search_plan_lists_locked(search, &error);
  if (code != SF_OK) {
    sf_search_fail_locked(search, code, &error);
    return;
  }
  for (size_t i = 0; i < search->num_shards; i++) {
    search->shards[i].has_arrived = false;
    scan_planned_locked(search, &search->shards[i]);
  }
}

/* A shard whose rows can be scanned, as far as the search has not failed. */
static void begin_shard_locked(sf_search *search, sf_shard_search *begun) {
  SF_ASSERT_LOCKED(&search->mutex);
  if (search->code == SF_OK && search->num_lists > 0) {
    wait_for_others_locked(search, begun);
    return;
  }
  if (search->code == SF_OK)
    plan_shard_locked(search, begun);
  scan_planned_locked(search, begun);
}

static sf_bitmap_request bitmap_request(const sf_search *search, const sf_shard_search *of) {
  return (sf_bitmap_request){
      .served = search->served, .executor = search->executor, .filter = search->filter, .db_id = of->shard_id};
}

/* Takes in a bitmap that was acquired. */
static void add_bitmap_locked(sf_search *search, sf_shard_search *to, const sf_shard_bitmap *bitmap) {
  SF_ASSERT_LOCKED(&search->mutex);
  sf_shard_account *account = shard_account(to);
  filter_of(to)->bitmap = bitmap;
  search->account.num_matching += bitmap->rows->num_matching;
  if (account == NULL)
    return;
  account->num_matching = bitmap->rows->num_matching;
  account->filtered = sf_monotonic_nanoseconds();
}

static void start_lookup_locked(sf_search *search, sf_shard_search *in) {
  SF_ASSERT_LOCKED(&search->mutex);
  const sf_lookup_params params = sf_search_lookup_params(search);
  sf_shard_lookup *lookup = &search->lookups[in - search->shards];
  sf_error error;
  sf_error_clear(&error);
  lookup->is_waiting = true;
  note_first(&search->account.times.scanning);
  sf_search_retain(search); /* for the waiter */
  sf_code code = sf_lookup_start(&params, in->shard, &lookup->waiter, &error);
  if (code == SF_OK)
    return;
  lookup->is_waiting = false;
  drop_reference(search);
  sf_search_fail_locked(search, code, &error);
  finish_shard_locked(search, in);
}

void sf_search_add_found_locked(sf_search *search, sf_shard_search *of, const sf_found_rows *found, sf_code code,
                                const sf_error *error) {
  SF_ASSERT_LOCKED(&search->mutex);
  size_t index = (size_t)(of - search->shards);
  search->lookups[index].is_waiting = false;
  search->found[index] = *found;
  if (code != SF_OK)
    sf_search_fail_locked(search, code, error);
  finish_shard_locked(search, of);
}

/* Acquires the bitmap of the shard's rows, or waits for it. */
static void start_filter_locked(sf_search *search, sf_shard_search *of) {
  SF_ASSERT_LOCKED(&search->mutex);
  const sf_bitmap_request request = bitmap_request(search, of);
  sf_shard_filter *filter = filter_of(of);
  const sf_shard_bitmap *bitmap;
  sf_error error;
  sf_error_clear(&error);
  filter->is_waiting = true;
  sf_search_retain(search); /* for the waiter */
  sf_code code = sf_filter_bitmaps_acquire(&request, &filter->waiter, &bitmap, &error);
  if (code == SF_OK && bitmap == NULL) {
    note_first(&search->account.times.filtering);
    return;
  }
  filter->is_waiting = false;
  drop_reference(search);
  if (code == SF_OK) {
    search->account.num_known_bitmaps++;
    add_bitmap_locked(search, of, bitmap);
  } else
    sf_search_fail_locked(search, code, &error);
  begin_shard_locked(search, of);
}

void sf_search_add_shard_locked(sf_search *search, sf_shard_search *to, sf_shard *shard) {
  SF_ASSERT_LOCKED(&search->mutex);
  sf_shard_account *account = shard_account(to);
  to->shard = shard;
  search->account.num_rows += sf_shard_num_live_rows(shard);
  if (account != NULL) {
    account->num_rows = sf_shard_num_live_rows(shard);
    account->acquired = sf_monotonic_nanoseconds();
  }
  if (search->shard_events != NULL)
    search->shard_events[to - search->shards] = (sf_shard_event){.acquired = sf_monotonic_nanoseconds()};
  if (search->filter != NULL && search->code == SF_OK)
    start_filter_locked(search, to);
  else if (search->ids != NULL && search->code == SF_OK)
    start_lookup_locked(search, to);
  else
    begin_shard_locked(search, to);
}

void sf_search_add_bitmap_locked(sf_search *search, sf_shard_search *to, const sf_shard_bitmap *bitmap, sf_code code,
                                 const sf_error *error) {
  SF_ASSERT_LOCKED(&search->mutex);
  filter_of(to)->is_waiting = false;
  if (code != SF_OK)
    sf_search_fail_locked(search, code, error);
  else {
    search->account.num_new_bitmaps++;
    search->account.num_columns += bitmap->account.columns_made;
    search->account.times.filtered = sf_monotonic_nanoseconds();
    add_bitmap_locked(search, to, bitmap);
  }
  begin_shard_locked(search, to);
}

void sf_search_start_shards_locked(sf_search *search) {
  SF_ASSERT_LOCKED(&search->mutex);
  while (search->code == SF_OK && search->next_shard < search->num_shards &&
         search->num_in_flight < search->max_in_flight) {
    sf_shard_search *started = &search->shards[search->next_shard++];
    sf_shard *shard;
    sf_error error;
    sf_error_clear(&error);
    search->num_in_flight++;
    started->is_waiting = true;
    if (shard_account(started) != NULL)
      shard_account(started)->started = sf_monotonic_nanoseconds();
    sf_search_retain(search); /* for the waiter */
    sf_code code = sf_served_snapshot_acquire(search->served, started->shard_id, &started->waiter, &shard, &error);
    if (code == SF_OK && shard == NULL)
      continue;
    started->is_waiting = false;
    drop_reference(search);
    if (code != SF_OK) {
      search->num_in_flight--;
      sf_search_fail_locked(search, code, &error);
    } else
      sf_search_add_shard_locked(search, started, shard);
  }
}

static void stop_ready_locked(sf_search *search) {
  SF_ASSERT_LOCKED(&search->mutex);
  while (search->first_ready != NULL) {
    sf_shard_search *stopped = search->first_ready;
    remove_ready_locked(search, stopped);
    sf_plan_stop(&stopped->plan);
    if (stopped->num_running == 0)
      finish_shard_locked(search, stopped);
  }
}

/* Whether the shard waited for a bitmap, and does no more. */
static bool stop_filter_locked(sf_search *search, sf_shard_search *of) {
  SF_ASSERT_LOCKED(&search->mutex);
  const sf_bitmap_request request = bitmap_request(search, of);
  sf_shard_filter *filter = filter_of(of);
  if (filter == NULL || !filter->is_waiting || !sf_filter_bitmaps_stop_waiting(&request, &filter->waiter))
    return false;
  filter->is_waiting = false;
  drop_reference(search);
  finish_shard_locked(search, of);
  return true;
}

/* The same for a lookup. */
static bool stop_lookup_locked(sf_search *search, sf_shard_search *of) {
  SF_ASSERT_LOCKED(&search->mutex);
  sf_shard_lookup *lookup = search->lookups == NULL ? NULL : &search->lookups[of - search->shards];
  if (lookup == NULL || !lookup->is_waiting || !sf_lookup_stop_waiting(&lookup->waiter))
    return false;
  lookup->is_waiting = false;
  drop_reference(search);
  finish_shard_locked(search, of);
  return true;
}

static void stop_waiting_locked(sf_search *search) {
  SF_ASSERT_LOCKED(&search->mutex);
  for (size_t i = 0; i < search->next_shard; i++) {
    sf_shard_search *waiting = &search->shards[i];
    if (stop_filter_locked(search, waiting) || stop_lookup_locked(search, waiting))
      continue;
    if (!waiting->is_waiting || !sf_served_snapshot_stop_waiting(search->served, waiting->shard_id, &waiting->waiter))
      continue;
    waiting->is_waiting = false;
    search->num_in_flight--;
    drop_reference(search);
  }
}

void sf_search_fail_locked(sf_search *search, sf_code code, const sf_error *error) {
  SF_ASSERT_LOCKED(&search->mutex);
  if (search->code != SF_OK)
    return;
  search->code = code;
  search->error = *error;
  sf_cancellation_request(&search->cancellation);
  stop_ready_locked(search);
  stop_arrived_locked(search);
  stop_waiting_locked(search);
}

sf_scan_task sf_search_take_task_locked(sf_search *search, sf_shard_search *from) {
  SF_ASSERT_LOCKED(&search->mutex);
  sf_scan_task task = sf_plan_take_task(&from->plan);
  from->num_running++;
  note_first(&search->account.times.scanning);
  if (search->num_workers > search->account.num_threads)
    search->account.num_threads = search->num_workers;
  if (sf_plan_has_task(&from->plan))
    register_position_locked(search, from);
  else
    remove_ready_locked(search, from);
  return task;
}

static void merge_rows_locked(sf_search *search, sf_shard_search *of, const sf_collector *collector) {
  SF_ASSERT_LOCKED(&search->mutex);
  size_t num_taken;
  if (search->code != SF_OK)
    return;
  search->num_found += collector->num_found;
  if (!sf_merge_add(&search->merged, of->shard_id, (uint32_t)(of - search->shards), collector->rows, collector->count,
                    &num_taken)) {
    sf_error error;
    sf_search_fail_locked(search, sf_fail_memory(&error, "results"), &error);
  } else if (num_taken > 0) {
    of->has_merged_rows = true;
    sf_pruning_threshold_lower(&search->pruning_threshold, sf_merge_threshold(&search->merged));
  }
}

static void count_task_locked(sf_search *search, const sf_shard_search *of, const sf_scan_request *result,
                              bool is_shared) {
  SF_ASSERT_LOCKED(&search->mutex);
  sf_search_account *account = &search->account;
  sf_shard_account *shard = shard_account(of);
  account->num_tasks++;
  account->num_shared_tasks += is_shared;
  sf_scan_account_add(&account->scan, &result->account);
  if (shard == NULL)
    return;
  shard->num_tasks++;
  sf_scan_account_add(&shard->scan, &result->account);
}

void sf_search_return_task_locked(sf_search *search, sf_shard_search *of, const sf_scan_request *result,
                                  bool is_shared) {
  SF_ASSERT_LOCKED(&search->mutex);
  count_task_locked(search, of, result, is_shared);
  if (result->code != SF_OK)
    sf_search_fail_locked(search, result->code, result->error);
  else
    merge_rows_locked(search, of, result->collector);
  of->num_running--;
  if (of->num_running == 0 && sf_plan_is_done(&of->plan))
    finish_shard_locked(search, of);
  sf_search_start_shards_locked(search);
}

size_t sf_search_count_tasks_locked(const sf_search *search, size_t limit) {
  SF_ASSERT_LOCKED(&search->mutex);
  size_t count = 0;
  for (const sf_shard_search *next = search->first_ready; next != NULL && count < limit; next = next->next)
    count += sf_plan_count_tasks(&next->plan);
  return count < limit ? count : limit;
}

sf_shard_search *sf_search_take_to_return_locked(sf_search *search) {
  SF_ASSERT_LOCKED(&search->mutex);
  sf_shard_search *list = search->to_return;
  search->to_return = NULL;
  for (sf_shard_search *next = list; next != NULL; next = next->next)
    next->shard = NULL;
  return list;
}

void sf_search_return_shards(sf_search *search, sf_shard_search *list) {
  for (; list != NULL; list = list->next)
    sf_served_snapshot_return(search->served, list->shard_id);
}
