#include "kmeans/kmeans_state.h"

#include <stdatomic.h>

typedef struct parts {
  const sf_kmeans *kmeans;
  sf_kmeans_work work;
  void *context;
  size_t count;
  atomic_size_t next;
} parts;

static void take_parts(void *context, uint32_t thread) {
  parts *all = context;
  while (!sf_cancellation_requested(all->kmeans->cancellation)) {
    size_t part = atomic_fetch_add_explicit(&all->next, 1, memory_order_relaxed);
    if (part >= all->count)
      break;
    all->work(all->context, part, thread);
  }
}

sf_code sf_kmeans_run_parts(const sf_kmeans *kmeans, size_t num_parts, sf_kmeans_work work, void *context,
                            sf_error *error) {
  parts all = {.kmeans = kmeans, .work = work, .context = context, .count = num_parts};
  sf_build_threads_run(kmeans->threads, take_parts, &all);
  return sf_cancellation_check(kmeans->cancellation, error);
}
