/*
 * Collectors take the scored rows of a scan and keep those that are results. A collector also says from which score on rows
 * can't be results any more: its threshold, by which a scan prunes. The scan asks for it once for each batch of rows that it
 * has scored, not for each row.
 *
 * A collector is one file with an sf_collector_type, and one line in the table of collector.c. What a search collects is
 * stated once, in its sf_collector_params; all others borrow those.
 */
#ifndef SF_QUERY_COLLECTOR_H
#define SF_QUERY_COLLECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A row of a shard. Ordered by score, then by row. */
typedef struct sf_scored_row {
  double score; /* exact, in the shard's convention; lower is closer; never NaN */
  uint64_t row; /* number in the shard */
} sf_scored_row;

/* Whether `a` comes before `b`: by score, then by row. */
static inline bool sf_scored_row_before(const sf_scored_row *a, const sf_scored_row *b) {
  return a->score != b->score ? a->score < b->score : a->row < b->row;
}

typedef enum sf_collector_kind { SF_COLLECT_TOP_K, SF_COLLECT_RANGE, SF_NUM_COLLECTORS } sf_collector_kind;

/* What a search collects. Immutable: any thread. */
typedef struct sf_collector_params {
  sf_collector_kind kind;
  size_t
      top_k; /* rows that are kept at most: those with the lowest scores; of SF_COLLECT_RANGE any, and all are counted */
  bool has_max_score; /* of SF_COLLECT_RANGE always */
  double max_score;   /* no row that scores higher is collected; not NaN */
} sf_collector_params;

typedef struct sf_collector_type sf_collector_type;

/* The rows that one scan collects. Zero-initialise but for `params`; one thread at a time. */
typedef struct sf_collector {
  const sf_collector_params *params; /* borrowed */
  const sf_collector_type *type;     /* set by sf_collector_begin, as is max_rows */
  size_t max_rows;                   /* it keeps no more; so many rows that score up to s rule out those above s */
  sf_scored_row *rows;               /* NULL until there is one */
  size_t num_found;                  /* SF_COLLECT_RANGE: rows up to max_score, kept or not */
  size_t count;
  size_t capacity;
} sf_collector;

struct sf_collector_type {
  const char *name;
  /* So many rows that score up to s rule out those above s; SIZE_MAX: no number of them does. */
  size_t (*max_rows)(const sf_collector_params *params);
  /* The threshold before any row is known; +infinity: none. */
  double (*first_threshold)(const sf_collector_params *params);
  /* Keeps the row if it may be a result (sf_collector_append). False when memory is out. */
  bool (*add)(sf_collector *collector, sf_scored_row row);
  /* No row that scores higher is a result. */
  double (*threshold)(const sf_collector *collector);
  /* Sorts `rows` into ascending order. No row is added afterwards. */
  void (*finish)(sf_collector *collector);
};

extern const sf_collector_type sf_top_k_collector;
extern const sf_collector_type sf_range_collector;

size_t sf_collector_max_rows(const sf_collector_params *params);
double sf_collector_first_threshold(const sf_collector_params *params);

/* Begins a scan of `num_rows` rows, with none collected. Keeps the memory of an earlier scan. */
void sf_collector_begin(sf_collector *collector, size_t num_rows);
void sf_collector_free(sf_collector *collector);

static inline bool sf_collector_add(sf_collector *collector, sf_scored_row row) {
  return collector->type->add(collector, row);
}

static inline double sf_collector_threshold(const sf_collector *collector) {
  return collector->type->threshold(collector);
}

static inline void sf_collector_finish(sf_collector *collector) {
  collector->type->finish(collector);
}

/* For the types: appends a row, of which there are fewer than max_rows. False when memory is out. */
bool sf_collector_append(sf_collector *collector, sf_scored_row row);

#endif
