#include "query/merge.h"

#include "base/memory.h"

#include <math.h>

void sf_merge_free(sf_merge *winners) {
  free(winners->items);
  free(winners->spare);
  *winners = (sf_merge){0};
}

static bool make_room(sf_merge *winners, size_t wanted) {
  if (wanted <= winners->capacity)
    return true;
  size_t capacity = winners->capacity * 2 > wanted ? winners->capacity * 2 : wanted;
  sf_merged_row *items = sf_reallocarray(winners->items, capacity, sizeof(*items));
  if (items != NULL)
    winners->items = items;
  sf_merged_row *spare = sf_reallocarray(winners->spare, capacity, sizeof(*spare));
  if (spare != NULL)
    winners->spare = spare;
  if (items == NULL || spare == NULL)
    return false;
  winners->capacity = capacity;
  return true;
}

static bool comes_before(const sf_merged_row *a, const sf_merged_row *b) {
  if (a->score != b->score)
    return a->score < b->score;
  if (a->shard_id != b->shard_id)
    return a->shard_id < b->shard_id;
  return a->row < b->row;
}

bool sf_merge_add(sf_merge *winners, uint32_t shard_id, uint32_t slot, const sf_neighbour *neighbours, size_t count,
                  size_t *num_taken) {
  size_t wanted;
  *num_taken = 0;
  if (count == 0)
    return true;
  if (!sf_add_size(winners->count, count, &wanted))
    return false;
  if (wanted > winners->top_k)
    wanted = winners->top_k;
  if (!make_room(winners, wanted))
    return false;
  size_t old = 0;
  size_t new = 0;
  for (size_t i = 0; i < wanted; i++) {
    sf_merged_row candidate = {.shard_id = shard_id, .slot = slot};
    if (new < count) {
      candidate.score = neighbours[new].score;
      candidate.row = neighbours[new].row;
    }
    bool take_old = old < winners->count && (new == count || comes_before(&winners->items[old], &candidate));
    winners->spare[i] = take_old ? winners->items[old++] : candidate;
    new += !take_old;
  }
  sf_merged_row *merged = winners->spare;
  winners->spare = winners->items;
  winners->items = merged;
  winners->count = wanted;
  *num_taken = new;
  return true;
}

double sf_merge_threshold(const sf_merge *winners) {
  return winners->count < winners->top_k ? INFINITY : winners->items[winners->count - 1].score;
}
