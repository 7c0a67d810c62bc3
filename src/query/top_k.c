/*
 * The collector of the k rows with the lowest scores: as they come until there are k, then a binary heap whose root is the
 * worst of them (Williams, "Algorithm 232: Heapsort", CACM 1964). Its threshold is that row's score, or max_score before. A row that ties with
 * the worst is kept if its number is lower, so that the result does not depend on the order of the rows.
 */
#include "query/collector.h"

#include <math.h>

static size_t max_rows(const sf_collector_params *params) {
  return params->top_k;
}

static double first_threshold(const sf_collector_params *params) {
  return params->has_max_score ? params->max_score : INFINITY;
}

/* Puts the row where it belongs at or below `position`, which is free. */
static void sift_down(sf_scored_row *heap, size_t count, size_t position, sf_scored_row row) {
  for (size_t child = 2 * position + 1; child < count; child = 2 * position + 1) {
    if (child + 1 < count && sf_scored_row_before(&heap[child], &heap[child + 1]))
      child++;
    if (!sf_scored_row_before(&row, &heap[child]))
      break;
    heap[position] = heap[child];
    position = child;
  }
  heap[position] = row;
}

static void make_heap(sf_scored_row *rows, size_t count) {
  for (size_t position = count / 2; position-- > 0;)
    sift_down(rows, count, position, rows[position]);
}

static bool is_full(const sf_collector *collector) {
  return collector->count == collector->max_rows;
}

static bool add(sf_collector *collector, sf_scored_row row) {
  if (row.score > first_threshold(collector->params))
    return true;
  if (is_full(collector)) {
    if (collector->count > 0 && sf_scored_row_before(&row, &collector->rows[0]))
      sift_down(collector->rows, collector->count, 0, row);
    return true;
  }
  if (!sf_collector_append(collector, row))
    return false;
  if (is_full(collector))
    make_heap(collector->rows, collector->count);
  return true;
}

static double threshold(const sf_collector *collector) {
  return is_full(collector) && collector->count > 0 ? collector->rows[0].score : first_threshold(collector->params);
}

/* Heapsort: the worst of those that are left goes to their end. */
static void finish(sf_collector *collector) {
  sf_scored_row *rows = collector->rows;
  if (!is_full(collector))
    make_heap(rows, collector->count);
  for (size_t count = collector->count; count > 1; count--) {
    sf_scored_row worst = rows[0];
    sift_down(rows, count - 1, 0, rows[count - 1]);
    rows[count - 1] = worst;
  }
}

const sf_collector_type sf_top_k_collector = {
    .name = "top_k",
    .max_rows = max_rows,
    .first_threshold = first_threshold,
    .add = add,
    .threshold = threshold,
    .finish = finish,
};
