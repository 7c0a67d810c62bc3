/*
 * The collector of every row that scores at most max_score: keeps the first top_k of a scan, whichever they are, and counts
 * all, so that a search with too many can say how many there are. A search with as many as may be kept, or fewer, has kept all
 * of them. Its threshold never falls.
 */
#include "query/collector.h"

#include <stdlib.h>

static size_t max_rows(const sf_collector_params *params) {
  (void)params;
  return SIZE_MAX; /* rows that rule out none */
}

static double first_threshold(const sf_collector_params *params) {
  return params->max_score;
}

static bool add(sf_collector *collector, sf_scored_row row) {
  if (!(row.score <= collector->params->max_score))
    return true;
  collector->num_found++;
  return collector->count >= collector->params->top_k || sf_collector_append(collector, row);
}

static double threshold(const sf_collector *collector) {
  return collector->params->max_score;
}

static int compare(const void *left, const void *right) {
  const sf_scored_row *a = left;
  const sf_scored_row *b = right;
  return sf_scored_row_before(a, b) ? -1 : sf_scored_row_before(b, a);
}

static void finish(sf_collector *collector) {
  if (collector->count > 1)
    qsort(collector->rows, collector->count, sizeof(*collector->rows), compare);
}

const sf_collector_type sf_range_collector = {
    .name = "range",
    .max_rows = max_rows,
    .first_threshold = first_threshold,
    .add = add,
    .threshold = threshold,
    .finish = finish,
};
