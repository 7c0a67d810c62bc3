#include "base/build_threads.h"

#include "base/assert.h"
#include "base/memory.h"
#include "base/thread.h"

typedef struct build_thread {
  sf_build_threads *threads;
  pthread_t thread;
  uint32_t number;
} build_thread;

struct sf_build_threads {
  uint32_t size; /* the caller and the threads that started */
  build_thread *started;
  pthread_mutex_t mutex; /* guards all below */
  pthread_cond_t begin;
  pthread_cond_t end;
  uint64_t round; /* counts what was asked for */
  uint32_t busy;
  bool is_ending;
  sf_thread_function work;
  void *context;
};

static void *run_build_thread(void *argument) {
  build_thread *self = argument;
  sf_build_threads *threads = self->threads;
  uint64_t done = 0;
  pthread_mutex_lock(&threads->mutex);
  while (true) {
    while (threads->round == done && !threads->is_ending)
      pthread_cond_wait(&threads->begin, &threads->mutex);
    if (threads->is_ending)
      break;
    done = threads->round;
    sf_thread_function work = threads->work;
    void *context = threads->context;
    pthread_mutex_unlock(&threads->mutex);
    work(context, self->number);
    pthread_mutex_lock(&threads->mutex);
    if (--threads->busy == 0)
      pthread_cond_signal(&threads->end);
  }
  pthread_mutex_unlock(&threads->mutex);
  return NULL;
}

sf_code sf_build_threads_create(uint32_t num_threads, sf_build_threads **created, sf_error *error) {
  sf_build_threads *threads = sf_calloc(1, sizeof(*threads));
  build_thread *started = sf_calloc(num_threads, sizeof(*started));
  if (threads == NULL || started == NULL || pthread_mutex_init(&threads->mutex, NULL) != 0 ||
      !sf_condition_init(&threads->begin) || !sf_condition_init(&threads->end)) {
    free(threads);
    free(started);
    return sf_fail_memory(error, "threads");
  }
  threads->started = started;
  threads->size = 1;
  for (uint32_t i = 0; i + 1 < num_threads; i++) {
    started[i] = (build_thread){.threads = threads, .number = i + 1};
    if (sf_thread_start(&started[i].thread, run_build_thread, &started[i]) != 0)
      break;
    threads->size++;
  }
  *created = threads;
  return SF_OK;
}

void sf_build_threads_free(sf_build_threads *threads) {
  if (threads == NULL)
    return;
  pthread_mutex_lock(&threads->mutex);
  threads->is_ending = true;
  pthread_cond_broadcast(&threads->begin);
  pthread_mutex_unlock(&threads->mutex);
  for (uint32_t i = 0; i + 1 < threads->size; i++)
    pthread_join(threads->started[i].thread, NULL);
  pthread_cond_destroy(&threads->begin);
  pthread_cond_destroy(&threads->end);
  pthread_mutex_destroy(&threads->mutex);
  free(threads->started);
  free(threads);
}

uint32_t sf_build_threads_size(const sf_build_threads *threads) {
  return threads->size;
}

void sf_build_threads_run(sf_build_threads *threads, sf_thread_function work, void *context) {
  pthread_mutex_lock(&threads->mutex);
  SF_ASSERT(threads->busy == 0);
  threads->work = work;
  threads->context = context;
  threads->busy = threads->size - 1;
  threads->round++;
  pthread_cond_broadcast(&threads->begin);
  pthread_mutex_unlock(&threads->mutex);
  work(context, 0);
  pthread_mutex_lock(&threads->mutex);
  while (threads->busy > 0)
    pthread_cond_wait(&threads->end, &threads->mutex);
  pthread_mutex_unlock(&threads->mutex);
}
