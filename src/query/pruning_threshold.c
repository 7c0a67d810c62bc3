#include "query/pruning_threshold.h"

#include "base/memory.h"

bool sf_pruning_threshold_init(sf_pruning_threshold *limit, size_t top_k, double score) {
  bool is_sampled = top_k > 0 && top_k <= SF_MAX_SAMPLED_TOP_K;
  *limit = (sf_pruning_threshold){.top_k = top_k};
  atomic_init(&limit->score, score);
  atomic_init(&limit->next_part, is_sampled ? 0 : SF_SAMPLE_PARTS);
  if (pthread_mutex_init(&limit->mutex, NULL) != 0)
    return false;
  if (!is_sampled)
    return true;
  limit->sampled = (sf_top_k){.neighbours = sf_calloc(top_k, sizeof(sf_neighbour)), .capacity = top_k};
  if (limit->sampled.neighbours != NULL)
    return true;
  pthread_mutex_destroy(&limit->mutex);
  return false;
}

void sf_pruning_threshold_free(sf_pruning_threshold *limit) {
  free(limit->sampled.neighbours);
  pthread_mutex_destroy(&limit->mutex);
}

double sf_pruning_threshold_get(const sf_pruning_threshold *limit) {
  return atomic_load_explicit(&limit->score, memory_order_relaxed);
}

void sf_pruning_threshold_lower(sf_pruning_threshold *limit, double score) {
  double known = sf_pruning_threshold_get(limit);
  while (score < known && !atomic_compare_exchange_weak_explicit(&limit->score, &known, score, memory_order_relaxed,
                                                                 memory_order_relaxed))
    continue;
}

bool sf_pruning_threshold_take_part(sf_pruning_threshold *limit, size_t *part) {
  if (atomic_load_explicit(&limit->next_part, memory_order_relaxed) >= SF_SAMPLE_PARTS)
    return false; /* the usual case, which writes nothing */
  *part = atomic_fetch_add_explicit(&limit->next_part, 1, memory_order_relaxed);
  return *part < SF_SAMPLE_PARTS;
}

void sf_pruning_threshold_add(sf_pruning_threshold *limit, sf_neighbour row) {
  pthread_mutex_lock(&limit->mutex);
  sf_top_k_add(&limit->sampled, row);
  const sf_neighbour *worst = sf_top_k_worst(&limit->sampled);
  if (worst != NULL)
    sf_pruning_threshold_lower(limit, worst->score);
  pthread_mutex_unlock(&limit->mutex);
}
