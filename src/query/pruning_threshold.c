#include "query/pruning_threshold.h"

bool sf_pruning_threshold_init(sf_pruning_threshold *threshold, const sf_collector_params *params) {
  size_t max_rows = sf_collector_max_rows(params);
  bool is_sampled = max_rows > 0 && max_rows <= SF_MAX_SAMPLED_ROWS;
  *threshold = (sf_pruning_threshold){.sampled.params = params};
  atomic_init(&threshold->score, sf_collector_first_threshold(params));
  atomic_init(&threshold->next_part, is_sampled ? 0 : SF_SAMPLE_PARTS);
  sf_collector_begin(&threshold->sampled, SIZE_MAX);
  return pthread_mutex_init(&threshold->mutex, NULL) == 0;
}

void sf_pruning_threshold_free(sf_pruning_threshold *threshold) {
  sf_collector_free(&threshold->sampled);
  pthread_mutex_destroy(&threshold->mutex);
}

double sf_pruning_threshold_get(const sf_pruning_threshold *threshold) {
  return atomic_load_explicit(&threshold->score, memory_order_relaxed);
}

void sf_pruning_threshold_lower(sf_pruning_threshold *threshold, double score) {
  double known = sf_pruning_threshold_get(threshold);
  while (score < known && !atomic_compare_exchange_weak_explicit(&threshold->score, &known, score, memory_order_relaxed,
                                                                 memory_order_relaxed))
    continue;
}

bool sf_pruning_threshold_take_part(sf_pruning_threshold *threshold, size_t *part) {
  if (atomic_load_explicit(&threshold->next_part, memory_order_relaxed) >= SF_SAMPLE_PARTS)
    return false; /* the usual case, which writes nothing */
  *part = atomic_fetch_add_explicit(&threshold->next_part, 1, memory_order_relaxed);
  return *part < SF_SAMPLE_PARTS;
}

void sf_pruning_threshold_add(sf_pruning_threshold *threshold, sf_scored_row row) {
  pthread_mutex_lock(&threshold->mutex);
  /* Without memory for the row the threshold stays where it is: higher than it could be, but true. */
  if (sf_collector_add(&threshold->sampled, row))
    sf_pruning_threshold_lower(threshold, sf_collector_threshold(&threshold->sampled));
  pthread_mutex_unlock(&threshold->mutex);
}
