#include "reader/executor.h"

#include "base/memory.h"
#include "base/process.h"
#include "base/thread.h"

#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

#define DEFAULT_NUM_LOADERS 16
#define MAX_THREADS 1024
#define MAX_CONTROL_THREADS 64

typedef struct lane {
  sf_executor *executor;
  sf_task *first;
  sf_task *last;
  uint32_t num_queued;
  uint32_t num_idle;
  uint32_t num_awake;        /* of the idle ones; one at most */
  atomic_uint num_submitted; /* tasks, changed with the mutex held */
  uint32_t num_threads;
  uint32_t max_threads;
  pthread_cond_t work; /* there is a task, or the executor stops */
  pthread_t *threads;
} lane;

struct sf_executor {
  atomic_uint references;
  long process;
  pthread_mutex_t mutex; /* guards the lanes and `stopping`; nothing else is locked while it is held */
  bool stopping;
  bool is_orphaned;      /* the last reference went on one of its own threads: */
  pthread_t orphaned_on; /* this one, which frees the executor when it ends */
  lane lanes[SF_NUM_LANES];
};

/* With the mutex held. */
static sf_task *take_task(lane *from) {
  sf_task *task = from->first;
  from->first = task->next;
  if (from->first == NULL)
    from->last = NULL;
  from->num_queued--;
  return task;
}

static void join_and_free(sf_executor *executor);

/* With the mutex held. Who scans for one search is often wanted for the next at once: then waking up would take a good part of
 * what a search takes. So one thread stays awake for a little. May return for no reason. */
static void wait_for_task(lane *own) {
  sf_executor *executor = own->executor;
  if (own == &executor->lanes[SF_LANE_SCAN] && own->num_awake == 0) {
    unsigned seen = atomic_load_explicit(&own->num_submitted, memory_order_relaxed);
    own->num_awake++;
    pthread_mutex_unlock(&executor->mutex);
    sf_wait_awake(&own->num_submitted, seen);
    pthread_mutex_lock(&executor->mutex);
    own->num_awake--;
  }
  if (own->first == NULL && !executor->stopping)
    pthread_cond_wait(&own->work, &executor->mutex);
}

static void *run_thread(void *argument) {
  lane *own = argument;
  sf_executor *executor = own->executor;
  sf_thread_give_way();
  pthread_mutex_lock(&executor->mutex);
  for (;;) {
    own->num_idle++;
    while (own->first == NULL && !executor->stopping)
      wait_for_task(own);
    own->num_idle--;
    if (own->first == NULL)
      break;
    sf_task *task = take_task(own);
    pthread_mutex_unlock(&executor->mutex);
    task->run(task);
    pthread_mutex_lock(&executor->mutex);
  }
  bool frees = executor->is_orphaned && pthread_equal(executor->orphaned_on, pthread_self());
  pthread_mutex_unlock(&executor->mutex);
  if (frees) {
    pthread_detach(pthread_self());
    join_and_free(executor);
  }
  return NULL;
}

/* With the mutex held. */
static bool start_thread(lane *to) {
  if (to->num_threads == to->max_threads)
    return false;
  int failure = sf_thread_start(&to->threads[to->num_threads], run_thread, to);
  if (failure == 0)
    to->num_threads++;
  else
    errno = failure;
  return failure == 0;
}

bool sf_executor_submit(sf_executor *executor, sf_lane lane_index, sf_task *task) {
  lane *to = &executor->lanes[lane_index];
  pthread_mutex_lock(&executor->mutex);
  bool served = to->num_idle > to->num_queued || start_thread(to) || to->num_threads > 0;
  if (served) {
    task->next = NULL;
    if (to->last != NULL)
      to->last->next = task;
    else
      to->first = task;
    to->last = task;
    if (to->num_awake <= to->num_queued)
      pthread_cond_signal(&to->work);
    to->num_queued++;
    atomic_fetch_add_explicit(&to->num_submitted, 1, memory_order_release);
  }
  pthread_mutex_unlock(&executor->mutex);
  return served;
}

uint32_t sf_executor_idle(sf_executor *executor, sf_lane lane_index) {
  const lane *of = &executor->lanes[lane_index];
  pthread_mutex_lock(&executor->mutex);
  uint32_t available = of->num_idle + (of->max_threads - of->num_threads);
  uint32_t idle = available > of->num_queued ? available - of->num_queued : 0;
  pthread_mutex_unlock(&executor->mutex);
  return idle;
}

static bool init_lane(sf_executor *executor, sf_lane index, uint32_t max_threads) {
  lane *made = &executor->lanes[index];
  made->executor = executor;
  made->max_threads = max_threads < MAX_THREADS ? max_threads : MAX_THREADS;
  made->threads = sf_calloc(made->max_threads, sizeof(*made->threads));
  if (made->threads == NULL)
    return false;
  if (sf_condition_init(&made->work))
    return true;
  free(made->threads);
  made->threads = NULL;
  return false;
}

static void destroy(sf_executor *executor) {
  for (size_t i = 0; i < SF_NUM_LANES; i++)
    if (executor->lanes[i].threads != NULL) {
      pthread_cond_destroy(&executor->lanes[i].work);
      free(executor->lanes[i].threads);
    }
  pthread_mutex_destroy(&executor->mutex);
  free(executor);
}

sf_code sf_executor_create(uint32_t num_workers, uint32_t num_loaders, sf_executor **created, sf_error *error) {
  long cpus = sysconf(_SC_NPROCESSORS_ONLN);
  if (num_workers == 0)
    num_workers = cpus > 0 ? (uint32_t)cpus : 1;
  if (num_loaders == 0)
    num_loaders = DEFAULT_NUM_LOADERS;
  sf_executor *executor = sf_calloc(1, sizeof(*executor));
  if (executor == NULL || pthread_mutex_init(&executor->mutex, NULL) != 0) {
    free(executor);
    return sf_fail_memory(error, "executor");
  }
  atomic_init(&executor->references, 1);
  executor->process = sf_process_id();
  if (!init_lane(executor, SF_LANE_SCAN, num_workers) || !init_lane(executor, SF_LANE_LOAD, num_loaders) ||
      !init_lane(executor, SF_LANE_CONTROL, MAX_CONTROL_THREADS)) {
    destroy(executor);
    return sf_fail_memory(error, "executor");
  }
  *created = executor;
  return SF_OK;
}

void sf_executor_retain(sf_executor *executor) {
  atomic_fetch_add_explicit(&executor->references, 1, memory_order_relaxed);
}

sf_code sf_executor_check(const sf_executor *executor, sf_error *error) {
  return sf_process_check(executor->process, "the executor", error);
}

static bool is_own_thread(const sf_executor *executor) {
  for (size_t i = 0; i < SF_NUM_LANES; i++)
    for (uint32_t j = 0; j < executor->lanes[i].num_threads; j++)
      if (pthread_equal(executor->lanes[i].threads[j], pthread_self()))
        return true;
  return false;
}

/* Waits for the threads to end, but for the one that is here. */
static void join_and_free(sf_executor *executor) {
  for (size_t i = 0; i < SF_NUM_LANES; i++)
    for (uint32_t j = 0; j < executor->lanes[i].num_threads; j++)
      if (!pthread_equal(executor->lanes[i].threads[j], pthread_self()))
        pthread_join(executor->lanes[i].threads[j], NULL);
  destroy(executor);
}

void sf_executor_release(sf_executor *executor) {
  if (executor == NULL || sf_executor_check(executor, NULL) != SF_OK)
    return;
  if (atomic_fetch_sub_explicit(&executor->references, 1, memory_order_acq_rel) != 1)
    return;
  pthread_mutex_lock(&executor->mutex);
  executor->stopping = true;
  for (size_t i = 0; i < SF_NUM_LANES; i++)
    pthread_cond_broadcast(&executor->lanes[i].work);
  /* A thread of its own can't wait for itself here, in the middle of a task: it does so when it ends. */
  executor->is_orphaned = is_own_thread(executor);
  executor->orphaned_on = pthread_self();
  bool frees = !executor->is_orphaned;
  pthread_mutex_unlock(&executor->mutex);
  if (frees)
    join_and_free(executor);
}
