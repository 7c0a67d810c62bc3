#include "query/collector.h"

#include "base/memory.h"

/* Every collector, by its kind. */
static const sf_collector_type *const types[SF_NUM_COLLECTORS] = {
    [SF_COLLECT_TOP_K] = &sf_top_k_collector,
    [SF_COLLECT_RANGE] = &sf_range_collector,
};

enum { FIRST_CAPACITY = 64 };

size_t sf_collector_max_rows(const sf_collector_params *params) {
  return types[params->kind]->max_rows(params);
}

double sf_collector_first_threshold(const sf_collector_params *params) {
  return types[params->kind]->first_threshold(params);
}

void sf_collector_begin(sf_collector *collector, size_t num_rows) {
  size_t max_rows = sf_collector_max_rows(collector->params);
  collector->type = types[collector->params->kind];
  collector->max_rows = max_rows < num_rows ? max_rows : num_rows;
  collector->count = 0;
  collector->num_found = 0;
}

void sf_collector_free(sf_collector *collector) {
  free(collector->rows);
  collector->rows = NULL;
  collector->count = collector->capacity = 0;
}

/* Doubles the room, but not beyond what the scan can fill. */
static bool grow(sf_collector *collector) {
  size_t capacity = collector->capacity < FIRST_CAPACITY ? FIRST_CAPACITY : collector->capacity;
  if (collector->capacity >= FIRST_CAPACITY && !sf_multiply_size(collector->capacity, 2, &capacity))
    return false;
  if (capacity > collector->max_rows)
    capacity = collector->max_rows;
  sf_scored_row *rows = sf_reallocarray(collector->rows, capacity, sizeof(*rows));
  if (rows == NULL)
    return false;
  collector->rows = rows;
  collector->capacity = capacity;
  return true;
}

bool sf_collector_append(sf_collector *collector, sf_scored_row row) {
  if (collector->count == collector->capacity && !grow(collector))
    return false;
  collector->rows[collector->count++] = row;
  return true;
}
