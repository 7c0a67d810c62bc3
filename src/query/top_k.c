#include "query/top_k.h"

bool sf_neighbour_before(const sf_neighbour *a, const sf_neighbour *b) {
  if (a->score != b->score)
    return a->score < b->score;
  return a->row < b->row;
}

/* Puts the neighbour where it belongs below `position`, whose own place is free. */
static void sift_down(sf_neighbour *heap, size_t count, size_t position, sf_neighbour neighbour) {
  for (size_t child = 2 * position + 1; child < count; child = 2 * position + 1) {
    if (child + 1 < count && sf_neighbour_before(&heap[child], &heap[child + 1]))
      child++;
    if (!sf_neighbour_before(&neighbour, &heap[child]))
      break;
    heap[position] = heap[child];
    position = child;
  }
  heap[position] = neighbour;
}

static void make_heap(sf_neighbour *neighbours, size_t count) {
  for (size_t position = count / 2; position-- > 0;)
    sift_down(neighbours, count, position, neighbours[position]);
}

void sf_top_k_add(sf_top_k *top_k, sf_neighbour neighbour) {
  if (top_k->count == top_k->capacity) {
    if (sf_neighbour_before(&neighbour, &top_k->neighbours[0]))
      sift_down(top_k->neighbours, top_k->count, 0, neighbour);
    return;
  }
  top_k->neighbours[top_k->count++] = neighbour;
  if (top_k->count == top_k->capacity)
    make_heap(top_k->neighbours, top_k->count);
}

const sf_neighbour *sf_top_k_worst(const sf_top_k *top_k) {
  return top_k->count == top_k->capacity ? &top_k->neighbours[0] : NULL;
}

void sf_top_k_sort(sf_top_k *top_k) {
  sf_neighbour *neighbours = top_k->neighbours;
  if (top_k->count < top_k->capacity)
    make_heap(neighbours, top_k->count);
  for (size_t count = top_k->count; count > 1; count--) {
    sf_neighbour worst = neighbours[0];
    sift_down(neighbours, count - 1, 0, neighbours[count - 1]);
    neighbours[count - 1] = worst;
  }
}
