#include "query/filter_bitmaps.h"

#include "base/assert.h"
#include "base/memory.h"
#include "base/thread.h"

#include <errno.h>
#include <string.h>

enum { NUM_CHAINS = 256 };

typedef struct entry {
  sf_task task;              /* first: the executor passes it to run_evaluation */
  sf_shard_bitmap bitmap;    /* its rows are NULL until it is made */
  sf_bitmap_request request; /* retains the filter; and, while it is being made, the served snapshot */
  size_t num_users;
  sf_bitmap_waiter *waiters;
  sf_cancellation cancellation; /* of the evaluation */
  struct entry *next;           /* in its chain */
  struct entry *more_recent;    /* in the list of made ones that are not acquired */
  struct entry *less_recent;
} entry;

struct sf_filter_bitmaps {
  uint64_t max_bytes;
  pthread_mutex_t mutex; /* guards all below; the served snapshot's and the executor's may be taken inside */
  uint64_t num_bytes;    /* of all that are made */
  entry *most_recent;
  entry *least_recent;
  entry *chains[NUM_CHAINS];
};

static void run_evaluation(sf_task *task);

sf_code sf_filter_bitmaps_create(uint64_t max_bytes, sf_filter_bitmaps **created, sf_error *error) {
  sf_filter_bitmaps *bitmaps = sf_calloc(1, sizeof(*bitmaps));
  if (bitmaps == NULL || pthread_mutex_init(&bitmaps->mutex, NULL) != 0) {
    free(bitmaps);
    return sf_fail_memory(error, "bitmaps of filters");
  }
  bitmaps->max_bytes = max_bytes == 0 ? SF_DEFAULT_FILTER_BYTES : max_bytes;
  *created = bitmaps;
  return SF_OK;
}

static void free_entry(entry *freed) {
  sf_filter_release(freed->request.filter);
  free(freed->bitmap.rows);
  free(freed);
}

void sf_filter_bitmaps_free(sf_filter_bitmaps *bitmaps) {
  if (bitmaps == NULL)
    return;
  for (size_t i = 0; i < NUM_CHAINS; i++)
    for (entry *next = bitmaps->chains[i]; next != NULL;) {
      entry *freed = next;
      SF_ASSERT(freed->num_users == 0 && freed->waiters == NULL && freed->bitmap.rows != NULL);
      next = freed->next;
      free_entry(freed);
    }
  pthread_mutex_destroy(&bitmaps->mutex);
  free(bitmaps);
}

static uint64_t size_of(const entry *of) {
  return sizeof(*of) + sizeof(*of->bitmap.rows) + of->bitmap.rows->num_bytes;
}

static entry **chain_of(sf_filter_bitmaps *bitmaps, const sf_bitmap_request *request) {
  return &bitmaps->chains[(sf_filter_hash(request->filter) + request->db_id) % NUM_CHAINS];
}

static bool is_same(const sf_bitmap_request *a, const sf_bitmap_request *b) {
  return a->db_id == b->db_id &&
         (a->filter == b->filter || (sf_filter_hash(a->filter) == sf_filter_hash(b->filter) &&
                                     strcmp(sf_filter_expression(a->filter), sf_filter_expression(b->filter)) == 0));
}

static entry *find_locked(sf_filter_bitmaps *bitmaps, const sf_bitmap_request *request) {
  SF_ASSERT_LOCKED(&bitmaps->mutex);
  entry *found = *chain_of(bitmaps, request);
  while (found != NULL && !is_same(&found->request, request))
    found = found->next;
  return found;
}

static void unlink_locked(sf_filter_bitmaps *bitmaps, entry *of) {
  SF_ASSERT_LOCKED(&bitmaps->mutex);
  entry **link = chain_of(bitmaps, &of->request);
  while (*link != of)
    link = &(*link)->next;
  *link = of->next;
}

static void unlink_recent_locked(sf_filter_bitmaps *bitmaps, entry *of) {
  SF_ASSERT_LOCKED(&bitmaps->mutex);
  *(of->more_recent != NULL ? &of->more_recent->less_recent : &bitmaps->most_recent) = of->less_recent;
  *(of->less_recent != NULL ? &of->less_recent->more_recent : &bitmaps->least_recent) = of->more_recent;
  of->more_recent = of->less_recent = NULL;
}

static void link_recent_locked(sf_filter_bitmaps *bitmaps, entry *of) {
  SF_ASSERT_LOCKED(&bitmaps->mutex);
  of->less_recent = bitmaps->most_recent;
  *(bitmaps->most_recent != NULL ? &bitmaps->most_recent->more_recent : &bitmaps->least_recent) = of;
  bitmaps->most_recent = of;
}

/* Those to free, without the mutex, so that the rest takes no more memory than it may. */
static entry *evict_locked(sf_filter_bitmaps *bitmaps) {
  SF_ASSERT_LOCKED(&bitmaps->mutex);
  entry *evicted = NULL;
  while (bitmaps->num_bytes > bitmaps->max_bytes && bitmaps->least_recent != NULL) {
    entry *oldest = bitmaps->least_recent;
    unlink_recent_locked(bitmaps, oldest);
    unlink_locked(bitmaps, oldest);
    bitmaps->num_bytes -= size_of(oldest);
    oldest->next = evicted;
    evicted = oldest;
  }
  return evicted;
}

static void free_list(entry *list) {
  while (list != NULL) {
    entry *freed = list;
    list = list->next;
    free_entry(freed);
  }
}

/* The evaluation holds the served snapshot and the shard for itself: all who wait may stop meanwhile. */
static sf_code start_locked(sf_filter_bitmaps *bitmaps, entry *of, sf_error *error) {
  SF_ASSERT_LOCKED(&bitmaps->mutex);
  atomic_store(&of->cancellation.requested, false);
  if (!sf_executor_submit(of->request.executor, SF_LANE_LOAD, &of->task))
    return sf_fail_thread(error, errno, "to evaluate a filter");
  sf_served_snapshot_retain(of->request.served);
  sf_served_snapshot_use_again(of->request.served, of->request.db_id);
  return SF_OK;
}

static sf_code add_locked(sf_filter_bitmaps *bitmaps, const sf_bitmap_request *request, entry **added,
                          sf_error *error) {
  SF_ASSERT_LOCKED(&bitmaps->mutex);
  entry *made = sf_calloc(1, sizeof(*made));
  if (made == NULL)
    return sf_fail_memory(error, "bitmap of a filter");
  made->task.run = run_evaluation;
  made->request = *request;
  sf_filter_retain(request->filter);
  sf_code code = start_locked(bitmaps, made, error);
  if (code != SF_OK) {
    free_entry(made);
    return code;
  }
  entry **chain = chain_of(bitmaps, request);
  made->next = *chain;
  *chain = made;
  *added = made;
  return SF_OK;
}

sf_code sf_filter_bitmaps_acquire(const sf_bitmap_request *request, sf_bitmap_waiter *waiter,
                                  const sf_shard_bitmap **bitmap, sf_error *error) {
  sf_filter_bitmaps *bitmaps = sf_served_snapshot_bitmaps(request->served);
  sf_code code = SF_OK;
  *bitmap = NULL;
  pthread_mutex_lock(&bitmaps->mutex);
  entry *found = find_locked(bitmaps, request);
  if (found == NULL)
    code = add_locked(bitmaps, request, &found, error);
  if (code == SF_OK && found->bitmap.rows != NULL) {
    if (found->num_users++ == 0)
      unlink_recent_locked(bitmaps, found);
    *bitmap = &found->bitmap;
  } else if (code == SF_OK) {
    waiter->next = found->waiters;
    found->waiters = waiter;
  }
  pthread_mutex_unlock(&bitmaps->mutex);
  return code;
}

static entry *entry_of(const sf_shard_bitmap *bitmap) {
  return (entry *)((uintptr_t)bitmap - offsetof(entry, bitmap));
}

void sf_filter_bitmaps_return(sf_filter_bitmaps *bitmaps, const sf_shard_bitmap *bitmap) {
  entry *returned = entry_of(bitmap);
  pthread_mutex_lock(&bitmaps->mutex);
  if (--returned->num_users == 0)
    link_recent_locked(bitmaps, returned);
  entry *evicted = evict_locked(bitmaps);
  pthread_mutex_unlock(&bitmaps->mutex);
  free_list(evicted);
}

bool sf_filter_bitmaps_stop_waiting(const sf_bitmap_request *request, sf_bitmap_waiter *waiter) {
  sf_filter_bitmaps *bitmaps = sf_served_snapshot_bitmaps(request->served);
  pthread_mutex_lock(&bitmaps->mutex);
  entry *wanted = find_locked(bitmaps, request);
  sf_bitmap_waiter **next = wanted != NULL ? &wanted->waiters : NULL;
  while (next != NULL && *next != NULL && *next != waiter)
    next = &(*next)->next;
  bool found = next != NULL && *next != NULL;
  if (found)
    *next = waiter->next;
  if (found && wanted->waiters == NULL)
    sf_cancellation_request(&wanted->cancellation);
  pthread_mutex_unlock(&bitmaps->mutex);
  return found;
}

/* Ends an evaluation, and returns the waiters to call. One that was cancelled and is wanted again starts anew, without a call
 * yet. *is_gone: nothing is left of the entry. */
static sf_bitmap_waiter *end_locked(sf_filter_bitmaps *bitmaps, entry *of, sf_row_bitmap *rows, sf_code *code,
                                    bool *is_gone, sf_error *error) {
  SF_ASSERT_LOCKED(&bitmaps->mutex);
  *is_gone = false;
  if (*code == SF_CANCELLED_ERROR && of->waiters != NULL) {
    *code = start_locked(bitmaps, of, error);
    if (*code == SF_OK)
      return NULL;
  }
  sf_bitmap_waiter *waiters = of->waiters;
  of->waiters = NULL;
  if (*code != SF_OK) {
    unlink_locked(bitmaps, of);
    *is_gone = true;
    return waiters;
  }
  of->bitmap.rows = rows;
  bitmaps->num_bytes += size_of(of);
  for (const sf_bitmap_waiter *next = waiters; next != NULL; next = next->next)
    of->num_users++;
  if (of->num_users == 0)
    link_recent_locked(bitmaps, of);
  return waiters;
}

static void call_waiters(sf_bitmap_waiter *waiters, const sf_shard_bitmap *bitmap, sf_code code,
                         const sf_error *error) {
  while (waiters != NULL) {
    sf_bitmap_waiter *next = waiters->next; /* the waiter may be gone once it was called */
    waiters->ready(waiters, bitmap, code, error);
    waiters = next;
  }
}

static sf_code evaluate(entry *of, sf_row_bitmap **rows, sf_error *error) {
  sf_served_snapshot *served = of->request.served;
  sf_filter_params params = {
      .shard = sf_served_snapshot_loaded(served, of->request.db_id),
      .has_integer_ids = sf_served_snapshot_metadata(served)->manifest.has_integer_ids,
  };
  char *folder;
  SF_TRY(sf_cancellation_check(&of->cancellation, error));
  SF_TRY(sf_served_snapshot_place(served, of->request.db_id, &folder, &params.place, error));
  sf_code code = sf_filter_evaluate(of->request.filter, &params, &of->cancellation, rows, &of->bitmap.account, error);
  free(folder);
  return code;
}

static void run_evaluation(sf_task *task) {
  entry *made = (entry *)task;
  sf_bitmap_request request = made->request; /* the entry may be gone below */
  sf_filter_bitmaps *bitmaps = sf_served_snapshot_bitmaps(request.served);
  sf_row_bitmap *rows = NULL;
  sf_error error;
  bool is_gone;
  sf_error_clear(&error);
  sf_code code = evaluate(made, &rows, &error);
  pthread_mutex_lock(&bitmaps->mutex);
  sf_bitmap_waiter *waiters = end_locked(bitmaps, made, rows, &code, &is_gone, &error);
  entry *evicted = evict_locked(bitmaps);
  const sf_shard_bitmap *bitmap = code == SF_OK ? &made->bitmap : NULL;
  pthread_mutex_unlock(&bitmaps->mutex);
  if (is_gone)
    free_entry(made);
  free_list(evicted);
  call_waiters(waiters, bitmap, code, &error);
  sf_served_snapshot_return(request.served, request.db_id);
  sf_served_snapshot_release(request.served);
}
