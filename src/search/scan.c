#include "search/scan.h"

#include "search/candidates.h"
#include "search/key.h"
#include "search/top_k.h"

#include <math.h>

enum {
  BLOCK_BYTES = 256 * 1024, /* of vectors between two looks at the cancellation */
  MAX_BLOCK_ROWS = 1024,    /* whose keys lie on the stack */
  GROUP_ROWS = 32,          /* keys that are compared together */
};

struct scan {
  const sf_scan_query *query;
  const sf_vector_segment *segment;
  const sf_cancellation *cancellation;
  sf_key_bounds bounds;
  double score_limit;
  float key_limit;          /* falls; no row with a higher key is among the results */
  sf_candidates candidates; /* not scored yet */
  sf_top_k best;            /* scored */
};

static size_t rows_per_block(size_t dim) {
  size_t rows = BLOCK_BYTES / sizeof(float) / dim;
  return rows < 1 ? 1 : rows > MAX_BLOCK_ROWS ? MAX_BLOCK_ROWS : rows;
}

static bool is_excluded(const sf_vector_segment *segment, size_t row) {
  return segment->excluded != NULL && (segment->excluded[row / 8] >> (row % 8) & 1) != 0;
}

static void lower_key_limit(struct scan *scan, double highest_score) {
  scan->key_limit = fminf(scan->key_limit, sf_highest_key_of_score(&scan->bounds, highest_score));
}

/* As many rows as are wanted have a key up to the k-th smallest: the results' scores can't be above what such a key
 * allows. */
static void drop_hopeless_candidates(struct scan *scan) {
  if (scan->candidates.count <= scan->best.capacity)
    return;
  float kth_key = sf_candidates_kth_key(&scan->candidates, scan->best.capacity);
  lower_key_limit(scan, sf_highest_score_of_key(&scan->bounds, kth_key));
  sf_candidates_drop_above(&scan->candidates, scan->key_limit);
}

static sf_code score_candidates(struct scan *scan, sf_error *error) {
  size_t block_rows = rows_per_block(scan->query->dim);
  for (size_t i = 0; i < scan->candidates.count; i++) {
    if (i % block_rows == 0)
      SF_TRY(sf_cancellation_check(scan->cancellation, error));
    size_t row = scan->candidates.items[i].row;
    double score = sf_scan_exact_score(scan->query, scan->segment->vectors + row * scan->query->dim);
    if (score <= scan->score_limit)
      sf_top_k_add(&scan->best, (sf_neighbour){.score = score, .row = scan->segment->first_row + row});
  }
  scan->candidates.count = 0;
  const sf_neighbour *worst = sf_top_k_worst(&scan->best);
  if (worst != NULL)
    lower_key_limit(scan, worst->score);
  return SF_OK;
}

/* Dropping may free too little where float32 can't tell the rows apart: then float64 decides. */
static sf_code make_room(struct scan *scan, sf_error *error) {
  drop_hopeless_candidates(scan);
  if (scan->candidates.count <= scan->candidates.capacity / 2)
    return SF_OK;
  return score_candidates(scan, error);
}

/* Not `key <= limit`: an unknown key, NaN, must be admitted. */
static bool may_be_admitted(float key, float limit) {
  return !(key > limit);
}

static bool any_may_be_admitted(const float *keys, size_t count, float limit) {
  if (count < GROUP_ROWS)
    return true;
  unsigned any = 0;
  for (size_t i = 0; i < GROUP_ROWS; i++)
    any |= may_be_admitted(keys[i], limit);
  return any != 0;
}

static sf_code admit_row(struct scan *scan, float key, size_t row, sf_error *error) {
  if (!may_be_admitted(key, scan->key_limit) || is_excluded(scan->segment, row))
    return SF_OK;
  if (scan->candidates.count == scan->candidates.capacity)
    SF_TRY(make_room(scan, error));
  scan->candidates.items[scan->candidates.count++] = (sf_candidate){.key = key, .row = row};
  return SF_OK;
}

static sf_code admit_block(struct scan *scan, const float *keys, size_t begin, size_t count, sf_error *error) {
  for (size_t group = 0; group < count; group += GROUP_ROWS) {
    size_t rest = count - group;
    if (!any_may_be_admitted(keys + group, rest, scan->key_limit))
      continue;
    for (size_t i = group; i < group + (rest < GROUP_ROWS ? rest : GROUP_ROWS); i++)
      SF_TRY(admit_row(scan, keys[i], begin + i, error));
  }
  return SF_OK;
}

static sf_code scan_rows(struct scan *scan, size_t begin, size_t end, sf_error *error) {
  size_t block_rows = rows_per_block(scan->query->dim);
  for (size_t row = begin; row < end;) {
    SF_TRY(sf_cancellation_check(scan->cancellation, error));
    float keys[MAX_BLOCK_ROWS];
    size_t count = end - row < block_rows ? end - row : block_rows;
    sf_keys_of_rows(scan->query, scan->segment, row, count, keys);
    SF_TRY(admit_block(scan, keys, row, count, error));
    row += count;
  }
  drop_hopeless_candidates(scan);
  return score_candidates(scan, error);
}

sf_code sf_scan_segment(const sf_scan_query *scan_query, const sf_vector_segment *segment, size_t begin, size_t end,
                        size_t top_k, double score_limit, const sf_cancellation *cancellation, sf_neighbour *neighbours,
                        size_t *num_neighbours, sf_error *error) {
  *num_neighbours = 0;
  if (begin >= end || top_k == 0)
    return sf_cancellation_check(cancellation, error);
  size_t num_rows = end - begin;
  struct scan scan = {
      .query = scan_query,
      .segment = segment,
      .cancellation = cancellation,
      .bounds = sf_key_bounds_of(scan_query, segment->max_norm),
      .score_limit = score_limit,
      .best = {.neighbours = neighbours, .capacity = top_k < num_rows ? top_k : num_rows},
  };
  scan.key_limit = sf_highest_key_of_score(&scan.bounds, score_limit);
  SF_TRY(sf_candidates_init(&scan.candidates, scan.best.capacity, num_rows, error));
  sf_code code = scan_rows(&scan, begin, end, error);
  sf_candidates_free(&scan.candidates);
  if (code != SF_OK)
    return code;
  sf_top_k_sort(&scan.best);
  *num_neighbours = scan.best.count;
  return SF_OK;
}
