#include "query/merge.h"

#include "base/memory.h"

#include <math.h>

void sf_merge_free(sf_merge *merged) {
  free(merged->items);
  free(merged->spare);
  *merged = (sf_merge){0};
}

static bool make_room(sf_merge *merged, size_t wanted) {
  if (wanted <= merged->capacity)
    return true;
  size_t capacity = merged->capacity * 2 > wanted ? merged->capacity * 2 : wanted;
  sf_merged_row *items = sf_reallocarray(merged->items, capacity, sizeof(*items));
  if (items != NULL)
    merged->items = items;
  sf_merged_row *spare = sf_reallocarray(merged->spare, capacity, sizeof(*spare));
  if (spare != NULL)
    merged->spare = spare;
  if (items == NULL || spare == NULL)
    return false;
  merged->capacity = capacity;
  return true;
}

static bool comes_before(const sf_merged_row *a, const sf_merged_row *b) {
  if (a->score != b->score)
    return a->score < b->score;
  if (a->shard_id != b->shard_id)
    return a->shard_id < b->shard_id;
  return a->row < b->row;
}

bool sf_merge_add(sf_merge *merged, uint32_t shard_id, uint32_t shard_index, const sf_scored_row *rows, size_t count,
                  size_t *num_taken) {
  size_t wanted;
  *num_taken = 0;
  if (count == 0)
    return true;
  if (!sf_add_size(merged->count, count, &wanted))
    return false;
  if (wanted > merged->params->top_k)
    wanted = merged->params->top_k;
  if (!make_room(merged, wanted))
    return false;
  size_t old = 0;
  size_t new = 0;
  for (size_t i = 0; i < wanted; i++) {
    sf_merged_row candidate = {.shard_id = shard_id, .shard_index = shard_index};
    if (new < count) {
      candidate.score = rows[new].score;
      candidate.row = rows[new].row;
    }
    bool take_old = old < merged->count && (new == count || comes_before(&merged->items[old], &candidate));
    merged->spare[i] = take_old ? merged->items[old++] : candidate;
    new += !take_old;
  }
  sf_merged_row *written = merged->spare;
  merged->spare = merged->items;
  merged->items = written;
  merged->count = wanted;
  *num_taken = new;
  return true;
}

double sf_merge_threshold(const sf_merge *merged) {
  return merged->count < sf_collector_max_rows(merged->params) ? INFINITY : merged->items[merged->count - 1].score;
}
