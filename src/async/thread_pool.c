#include "async/thread_pool.h"

#include "base/assert.h"
#include "base/memory.h"
#include "base/thread.h"
#include "base/time.h"

#include <errno.h>

/* A thread that finds no task for so long ends. */
#define IDLE_MILLISECONDS 5000
/* Loading threads beyond the widest client's bound, for clients with no task running: a reader whose storage hangs occupies
 * as many threads as its bound, but does not keep others from loading. */
#define SPARE_LOADERS 16

typedef struct lane lane;

typedef struct worker {
  lane *own;
  pthread_t thread;
  struct worker *next; /* of the lane's threads */
  struct worker *previous;
  struct worker *next_idle; /* in the stack of sleeping ones */
  bool is_asleep;           /* in that stack */
  bool ends_pool;           /* the last client was removed by this thread */
  pthread_cond_t wake;
  struct timespec idle_until;
} worker;

struct lane {
  sf_thread_pool *pool;
  sf_pool_share *ready; /* a ring: whose task is next */
  atomic_uint num_ready;
  worker *workers;
  worker *asleep; /* a stack: the last to sleep is woken first, so that threads that are not needed end */
  uint32_t num_threads;
  uint32_t max_threads;
  atomic_uint num_queued; /* changed with the lock held */
  uint32_t num_running;
  uint32_t num_idle;         /* threads without a task, awake or asleep */
  uint32_t num_awake;        /* of these, those in stay_awake_locked: at most one */
  atomic_uint num_submitted; /* tasks ever, changed with the lock held; the awake thread watches it */
};

struct sf_thread_pool {
  sf_thread_pool *next;
  uint32_t nice;
  sf_pool_client *clients;
  bool is_ending;
  bool has_ended; /* `ended` is a thread that retired and was not joined yet */
  pthread_t ended;
  lane lanes[SF_NUM_LANES];
};

/* The pools of the process, and the lock that guards them and all in them. */
static struct {
  pthread_mutex_t mutex;
  sf_thread_pool *pools;
} registry = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void lock_registry(void) {
  pthread_mutex_lock(&registry.mutex);
}

static void unlock_registry(void) {
  pthread_mutex_unlock(&registry.mutex);
}

/* In a fork's child, which has none of the parent's threads: their pools stay in memory as they are. */
static void begin_child(void) {
  registry.pools = NULL;
  unlock_registry();
}

static void watch_forks(void) {
  pthread_atfork(lock_registry, unlock_registry, begin_child);
}

static void link_ready_locked(lane *to, sf_pool_share *share) {
  SF_ASSERT_LOCKED(&registry.mutex);
  if (to->ready == NULL)
    to->ready = share->next = share->previous = share;
  else {
    share->next = to->ready;
    share->previous = to->ready->previous;
    share->previous->next = share->next->previous = share;
  }
  share->is_ready = true;
  atomic_fetch_add_explicit(&to->num_ready, 1, memory_order_relaxed);
}

static void unlink_ready_locked(lane *from, sf_pool_share *share) {
  SF_ASSERT_LOCKED(&registry.mutex);
  share->previous->next = share->next;
  share->next->previous = share->previous;
  if (from->ready == share)
    from->ready = share->next == share ? NULL : share->next;
  share->is_ready = false;
  atomic_fetch_sub_explicit(&from->num_ready, 1, memory_order_relaxed);
}

/* After the share's counts changed. */
static void update_ready_locked(lane *of, sf_pool_share *share) {
  SF_ASSERT_LOCKED(&registry.mutex);
  bool is_ready = share->num_queued > 0 && share->num_running < share->max_running;
  if (is_ready && !share->is_ready)
    link_ready_locked(of, share);
  else if (!is_ready && share->is_ready)
    unlink_ready_locked(of, share);
}

static void wake_one_locked(lane *of) {
  SF_ASSERT_LOCKED(&registry.mutex);
  worker *woken = of->asleep;
  if (woken == NULL)
    return;
  of->asleep = woken->next_idle;
  woken->is_asleep = false;
  pthread_cond_signal(&woken->wake);
}

static sf_task *take_task_locked(lane *from, sf_pool_share **owner) {
  SF_ASSERT_LOCKED(&registry.mutex);
  sf_pool_share *share = from->ready;
  if (share == NULL)
    return NULL;
  from->ready = share->next; /* round robin */
  sf_task *task = share->first;
  share->first = task->next;
  share->num_queued--;
  share->num_running++;
  from->num_queued--;
  from->num_running++;
  update_ready_locked(from, share);
  *owner = share;
  return task;
}

static void put_task_locked(lane *to, sf_pool_share *share, sf_task *task, bool is_first) {
  SF_ASSERT_LOCKED(&registry.mutex);
  if (share->first == NULL) {
    task->next = NULL;
    share->first = share->last = task;
  } else if (is_first) {
    task->next = share->first;
    share->first = task;
  } else {
    task->next = NULL;
    share->last->next = task;
    share->last = task;
  }
  share->num_queued++;
  to->num_queued++;
  update_ready_locked(to, share);
}

static void go_to_sleep_locked(worker *self) {
  SF_ASSERT_LOCKED(&registry.mutex);
  self->next_idle = self->own->asleep;
  self->own->asleep = self;
  self->is_asleep = true;
}

static void take_off_stack_locked(worker *self) {
  SF_ASSERT_LOCKED(&registry.mutex);
  worker **link = &self->own->asleep;
  while (*link != self)
    link = &(*link)->next_idle;
  *link = self->next_idle;
  self->is_asleep = false;
}

/* The next search often follows at once, and waking a thread takes a good part of the time of a short search: one thread
 * of the lane stays awake for a little. Releases the lock meanwhile. */
static void stay_awake_locked(lane *own) {
  SF_ASSERT_LOCKED(&registry.mutex);
  unsigned seen = atomic_load_explicit(&own->num_submitted, memory_order_relaxed);
  own->num_awake++;
  unlock_registry();
  sf_wait_awake(&own->num_submitted, seen);
  lock_registry();
  own->num_awake--;
}

/* Releases the lock meanwhile. May return without a task; false when the thread has to end. */
static bool wait_for_task_locked(worker *self) {
  SF_ASSERT_LOCKED(&registry.mutex);
  lane *own = self->own;
  if (own->ready == NULL && own == &own->pool->lanes[SF_LANE_SCAN] && own->num_awake == 0 && !own->pool->is_ending)
    stay_awake_locked(own);
  if (own->pool->is_ending)
    return false;
  if (own->ready != NULL)
    return true;
  go_to_sleep_locked(self);
  bool has_timed_out = !sf_condition_wait(&self->wake, &registry.mutex, &self->idle_until);
  if (self->is_asleep)
    take_off_stack_locked(self);
  return !has_timed_out || own->ready != NULL;
}

static bool is_idle_locked(const sf_pool_client *client) {
  SF_ASSERT_LOCKED(&registry.mutex);
  for (size_t i = 0; i < SF_NUM_LANES; i++)
    if (client->shares[i].num_queued > 0 || client->shares[i].num_running > 0)
      return false;
  return true;
}

static void set_widths_locked(sf_thread_pool *pool) {
  SF_ASSERT_LOCKED(&registry.mutex);
  for (size_t i = 0; i < SF_NUM_LANES; i++) {
    pool->lanes[i].max_threads = 0;
    for (const sf_pool_client *client = pool->clients; client != NULL; client = client->next)
      if (client->shares[i].max_running > pool->lanes[i].max_threads)
        pool->lanes[i].max_threads = client->shares[i].max_running;
  }
}

/* True when it was the last client, and the pool ends. */
static bool remove_client_locked(sf_pool_client *client) {
  SF_ASSERT_LOCKED(&registry.mutex);
  sf_thread_pool *pool = client->pool;
  sf_pool_client **link = &pool->clients;
  while (*link != client)
    link = &(*link)->next;
  *link = client->next;
  set_widths_locked(pool);
  if (pool->clients != NULL)
    return false;
  sf_thread_pool **place = &registry.pools;
  while (*place != pool)
    place = &(*place)->next;
  *place = pool->next;
  pool->is_ending = true;
  for (size_t i = 0; i < SF_NUM_LANES; i++) {
    atomic_fetch_add_explicit(&pool->lanes[i].num_submitted, 1, memory_order_release); /* for the awake thread */
    while (pool->lanes[i].asleep != NULL)
      wake_one_locked(&pool->lanes[i]);
  }
  return true;
}

static void free_client(sf_pool_client *client) {
  pthread_cond_destroy(&client->ended);
  free(client);
}

static void end_task_locked(worker *self, sf_pool_share *share) {
  SF_ASSERT_LOCKED(&registry.mutex);
  sf_pool_client *client = share->client;
  share->num_running--;
  self->own->num_running--;
  update_ready_locked(self->own, share);
  if (!client->is_leaving || !is_idle_locked(client))
    return;
  if (client->is_awaited)
    pthread_cond_signal(&client->ended);
  else {
    self->ends_pool = remove_client_locked(client);
    free_client(client);
  }
}

static void link_worker_locked(lane *to, worker *added) {
  SF_ASSERT_LOCKED(&registry.mutex);
  added->next = to->workers;
  if (added->next != NULL)
    added->next->previous = added;
  to->workers = added;
  to->num_threads++;
}

static void unlink_worker_locked(worker *removed) {
  SF_ASSERT_LOCKED(&registry.mutex);
  *(removed->previous != NULL ? &removed->previous->next : &removed->own->workers) = removed->next;
  if (removed->next != NULL)
    removed->next->previous = removed->previous;
  removed->own->num_threads--;
}

/* The calling thread's, or NULL where it is not of the pool. */
static worker *find_this_worker_locked(const sf_thread_pool *pool) {
  SF_ASSERT_LOCKED(&registry.mutex);
  for (size_t i = 0; i < SF_NUM_LANES; i++)
    for (worker *next = pool->lanes[i].workers; next != NULL; next = next->next)
      if (pthread_equal(next->thread, pthread_self()))
        return next;
  return NULL;
}

static void free_worker(worker *freed) {
  pthread_cond_destroy(&freed->wake);
  free(freed);
}

/* Joins the threads of a pool that ends, but the calling one, and frees the pool. Without the lock. */
static void join_and_free(sf_thread_pool *pool) {
  if (pool->has_ended)
    pthread_join(pool->ended, NULL);
  for (size_t i = 0; i < SF_NUM_LANES; i++)
    for (worker *next = pool->lanes[i].workers; next != NULL;) {
      worker *joined = next;
      next = joined->next;
      if (!pthread_equal(joined->thread, pthread_self()))
        pthread_join(joined->thread, NULL);
      free_worker(joined);
    }
  free(pool);
}

/* Ends a thread that found no task, and releases the lock. It joins the thread that retired before it, so that at most one
 * is not joined: the next one, or the end of the pool, does. */
static void retire_locked(worker *self) {
  SF_ASSERT_LOCKED(&registry.mutex);
  sf_thread_pool *pool = self->own->pool;
  bool has_previous = pool->has_ended;
  pthread_t previous = pool->ended;
  unlink_worker_locked(self);
  pool->ended = self->thread;
  pool->has_ended = true;
  unlock_registry();
  free_worker(self);
  if (has_previous)
    pthread_join(previous, NULL);
}

static void *run_worker(void *argument) {
  worker *self = argument;
  lane *own = self->own;
  sf_thread_pool *pool = own->pool;
  sf_thread_lower_priority(pool->nice);
  if (own == &pool->lanes[SF_LANE_SCAN])
    sf_thread_prefer_long_turns();
  lock_registry();
  for (;;) {
    sf_pool_share *share;
    sf_task *task;
    self->idle_until = sf_deadline_after(IDLE_MILLISECONDS);
    own->num_idle++;
    while ((task = take_task_locked(own, &share)) == NULL && wait_for_task_locked(self))
      ;
    own->num_idle--;
    if (task == NULL)
      break;
    unlock_registry();
    task->run(task);
    lock_registry();
    end_task_locked(self, share);
  }
  if (!pool->is_ending) {
    retire_locked(self);
    return NULL;
  }
  bool ends_pool = self->ends_pool;
  unlock_registry();
  if (ends_pool) {
    pthread_detach(pthread_self());
    join_and_free(pool);
  }
  return NULL;
}

/* False, with errno set, when there can't be one more thread. */
static bool start_worker_locked(lane *to, const sf_pool_share *share) {
  SF_ASSERT_LOCKED(&registry.mutex);
  bool may_use_spare = share->num_running == 0 && share->num_queued == 0 && to == &to->pool->lanes[SF_LANE_LOAD];
  if (to->num_threads >= to->max_threads + (may_use_spare ? SPARE_LOADERS : 0))
    return false;
  worker *started = sf_calloc(1, sizeof(*started));
  errno = ENOMEM;
  if (started == NULL || !sf_condition_init(&started->wake)) {
    free(started);
    return false;
  }
  started->own = to;
  int failure = sf_thread_start(&started->thread, run_worker, started);
  if (failure == 0)
    link_worker_locked(to, started);
  else {
    free_worker(started);
    errno = failure;
  }
  return failure == 0;
}

bool sf_pool_submit(sf_pool_client *client, sf_lane lane_index, sf_task *task, bool is_first) {
  lane *to = &client->pool->lanes[lane_index];
  sf_pool_share *share = &client->shares[lane_index];
  lock_registry();
  /* An idle thread takes it; or the client's bound keeps it waiting in any case; or a new thread takes it; or it waits for
   * any thread of the lane. */
  bool is_queued = to->num_idle > to->num_queued || share->num_running + share->num_queued >= share->max_running ||
                   start_worker_locked(to, share) || to->num_threads > 0;
  if (is_queued) {
    bool wakes = to->num_awake <= to->num_queued;
    put_task_locked(to, share, task, is_first);
    atomic_fetch_add_explicit(&to->num_submitted, 1, memory_order_release);
    if (wakes)
      wake_one_locked(to);
  }
  unlock_registry();
  return is_queued;
}

uint32_t sf_pool_idle(sf_pool_client *client, sf_lane lane_index) {
  const lane *of = &client->pool->lanes[lane_index];
  const sf_pool_share *share = &client->shares[lane_index];
  lock_registry();
  uint32_t used = share->num_running + share->num_queued;
  uint32_t room = share->max_running > used ? share->max_running - used : 0;
  uint32_t startable = of->max_threads > of->num_threads ? of->max_threads - of->num_threads : 0;
  uint32_t available = of->num_idle + startable;
  available = available > of->num_queued ? available - of->num_queued : 0;
  unlock_registry();
  return room < available ? room : available;
}

bool sf_pool_should_yield(const sf_pool_client *client, sf_lane lane_index) {
  const lane *of = &client->pool->lanes[lane_index];
  if (atomic_load_explicit(&of->num_ready, memory_order_relaxed) == 0)
    return false;
  lock_registry();
  const sf_pool_share *next = of->ready;
  bool others_wait = next != NULL && (next->client != client || next->next != next);
  bool has_room = of->num_idle > 0 || of->num_threads < of->max_threads;
  unlock_registry();
  return others_wait && !has_room;
}

void sf_pool_offer_cpu(const sf_pool_client *client, sf_lane lane_index) {
  if (atomic_load_explicit(&client->pool->lanes[lane_index].num_queued, memory_order_relaxed) > 0)
    sf_thread_offer_cpu();
}

/* The pool with that nice value, made where there is none; NULL when memory is out. */
static sf_thread_pool *find_pool_locked(uint32_t nice) {
  SF_ASSERT_LOCKED(&registry.mutex);
  for (sf_thread_pool *pool = registry.pools; pool != NULL; pool = pool->next)
    if (pool->nice == nice)
      return pool;
  sf_thread_pool *made = sf_calloc(1, sizeof(*made));
  if (made == NULL)
    return NULL;
  made->nice = nice;
  for (size_t i = 0; i < SF_NUM_LANES; i++)
    made->lanes[i].pool = made;
  made->next = registry.pools;
  registry.pools = made;
  return made;
}

sf_code sf_pool_enter(sf_pool_client *client, uint32_t nice, sf_error *error) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, watch_forks);
  if (!sf_condition_init(&client->ended))
    return sf_fail_memory(error, "executor");
  for (size_t i = 0; i < SF_NUM_LANES; i++)
    client->shares[i].client = client;
  lock_registry();
  sf_thread_pool *pool = find_pool_locked(nice);
  if (pool != NULL) {
    client->pool = pool;
    client->next = pool->clients;
    pool->clients = client;
    set_widths_locked(pool);
  }
  unlock_registry();
  if (pool != NULL)
    return SF_OK;
  pthread_cond_destroy(&client->ended);
  return sf_fail_memory(error, "executor");
}

void sf_pool_leave(sf_pool_client *client) {
  sf_thread_pool *pool = client->pool;
  lock_registry();
  client->is_leaving = true;
  worker *self = find_this_worker_locked(pool);
  client->is_awaited = self == NULL;
  while (self == NULL && !is_idle_locked(client))
    pthread_cond_wait(&client->ended, &registry.mutex);
  bool is_gone = is_idle_locked(client);
  /* False on a thread of the pool: it runs another client's task. */
  bool ends_pool = is_gone && remove_client_locked(client);
  SF_ASSERT(self == NULL || !ends_pool);
  unlock_registry();
  if (is_gone)
    free_client(client);
  if (ends_pool)
    join_and_free(pool);
}
