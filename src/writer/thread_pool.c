#include "writer/thread_pool.h"

#include "base/assert.h"
#include "base/memory.h"
#include "base/thread.h"

typedef struct pool_thread {
  sf_thread_pool *pool;
  pthread_t thread;
  uint32_t number;
} pool_thread;

struct sf_thread_pool {
  uint32_t size; /* the caller and the threads that started */
  pool_thread *started;
  pthread_mutex_t mutex; /* guards all below */
  pthread_cond_t begin;
  pthread_cond_t end;
  uint64_t round; /* counts what was asked for */
  uint32_t busy;
  bool is_ending;
  sf_thread_function work;
  void *context;
};

static void *run_pool_thread(void *argument) {
  pool_thread *self = argument;
  sf_thread_pool *pool = self->pool;
  uint64_t done = 0;
  pthread_mutex_lock(&pool->mutex);
  while (true) {
    while (pool->round == done && !pool->is_ending)
      pthread_cond_wait(&pool->begin, &pool->mutex);
    if (pool->is_ending)
      break;
    done = pool->round;
    sf_thread_function work = pool->work;
    void *context = pool->context;
    pthread_mutex_unlock(&pool->mutex);
    work(context, self->number);
    pthread_mutex_lock(&pool->mutex);
    if (--pool->busy == 0)
      pthread_cond_signal(&pool->end);
  }
  pthread_mutex_unlock(&pool->mutex);
  return NULL;
}

sf_code sf_thread_pool_create(uint32_t num_threads, sf_thread_pool **created, sf_error *error) {
  sf_thread_pool *pool = sf_calloc(1, sizeof(*pool));
  pool_thread *started = sf_calloc(num_threads, sizeof(*started));
  if (pool == NULL || started == NULL || pthread_mutex_init(&pool->mutex, NULL) != 0 ||
      !sf_condition_init(&pool->begin) || !sf_condition_init(&pool->end)) {
    free(pool);
    free(started);
    return sf_fail_memory(error, "threads");
  }
  pool->started = started;
  pool->size = 1;
  for (uint32_t i = 0; i + 1 < num_threads; i++) {
    started[i] = (pool_thread){.pool = pool, .number = i + 1};
    if (sf_thread_start(&started[i].thread, run_pool_thread, &started[i]) != 0)
      break;
    pool->size++;
  }
  *created = pool;
  return SF_OK;
}

void sf_thread_pool_free(sf_thread_pool *pool) {
  if (pool == NULL)
    return;
  pthread_mutex_lock(&pool->mutex);
  pool->is_ending = true;
  pthread_cond_broadcast(&pool->begin);
  pthread_mutex_unlock(&pool->mutex);
  for (uint32_t i = 0; i + 1 < pool->size; i++)
    pthread_join(pool->started[i].thread, NULL);
  pthread_cond_destroy(&pool->begin);
  pthread_cond_destroy(&pool->end);
  pthread_mutex_destroy(&pool->mutex);
  free(pool->started);
  free(pool);
}

uint32_t sf_thread_pool_size(const sf_thread_pool *pool) {
  return pool->size;
}

void sf_thread_pool_run(sf_thread_pool *pool, sf_thread_function work, void *context) {
  pthread_mutex_lock(&pool->mutex);
  SF_ASSERT(pool->busy == 0);
  pool->work = work;
  pool->context = context;
  pool->busy = pool->size - 1;
  pool->round++;
  pthread_cond_broadcast(&pool->begin);
  pthread_mutex_unlock(&pool->mutex);
  work(context, 0);
  pthread_mutex_lock(&pool->mutex);
  while (pool->busy > 0)
    pthread_cond_wait(&pool->end, &pool->mutex);
  pthread_mutex_unlock(&pool->mutex);
}
