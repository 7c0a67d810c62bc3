#include "query/scan.h"

#include "query/candidates.h"
#include "query/quantized_pass.h"
#include "query/top_k.h"
#include "vectors/approximate_distance.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum {
  MAX_CHUNK_ROWS = SF_MAX_CHUNK_ROWS, /* whose keys lie on the stack */
  GROUP_ROWS = 32,                    /* keys that are compared together */
  WORTH_ONE_IN = 4,                   /* a filter that lets more through is none */
  GOOD_ONE_IN = 32,                   /* a limit that lets more through is worth a pass to find a better one */
  MAX_SKIPPED_CHUNKS = 16,            /* then it is asked again */
  FEW_CANDIDATES = 64,
  SAMPLED_ROWS = 8192,     /* before the first block */
  MIN_SAMPLED_ROWS = 2048, /* a search of fewer does without */
  SAMPLED_FOR_ONE = 4,     /* rows that are compared for each that is wanted */
  MAX_EXPECTED_ROWS = 32,
};

/* One search's part of the work. */
struct scan {
  sf_scan_part *part;
  const sf_vector_segment *segment;
  size_t end;                   /* row of the segment */
  sf_pruning_threshold *shared; /* the search's limit, where this scan may lower it */
  double max_norm;              /* rises; of the rows that were looked at */
  sf_distance_bounds bounds;    /* for rows with such norms */
  double score_threshold;       /* falls; no row that scores higher is among the results */
  float distance_threshold;     /* nor one with a higher key */
  sf_candidates candidates;     /* not scored yet */
  size_t next_drop;             /* how many of them are to be looked through for hopeless ones */
  sf_quantized_pass filter;
  size_t num_compared;    /* rows that the filter looked at */
  size_t num_let_through; /* of them */
  bool has_sampled_all;   /* rows that are left, for a better limit */
  size_t num_to_skip;  /* blocks without asking the filter, the next time that it is no use: twice as many each time */
  size_t num_skipping; /* blocks */
  size_t expected[MAX_EXPECTED_ROWS]; /* rows that the filter let through, on their way from memory */
  size_t num_expected;
  sf_top_k best; /* scored */
};

static bool is_excluded(const sf_vector_segment *segment, size_t row) {
  return segment->excluded != NULL && (segment->excluded[row / 8] >> (row % 8) & 1) != 0;
}

static void set_max_norm(struct scan *scan, double max_norm) {
  scan->max_norm = max_norm;
  scan->bounds = sf_distance_bounds_of(scan->part->query, max_norm);
  scan->distance_threshold = sf_highest_distance_of_score(&scan->bounds, scan->score_threshold);
}

static void lower_score_threshold(struct scan *scan, double score_threshold) {
  scan->score_threshold = fmin(scan->score_threshold, score_threshold);
  scan->distance_threshold = sf_highest_distance_of_score(&scan->bounds, scan->score_threshold);
}

/* What this scan and others of its search have found out. */
static void exchange_thresholds(struct scan *scan) {
  if (scan->part->limit == NULL)
    return;
  if (scan->shared != NULL)
    sf_pruning_threshold_lower(scan->shared, scan->score_threshold);
  double score_threshold = sf_pruning_threshold_get(scan->part->limit);
  if (score_threshold < scan->score_threshold)
    lower_score_threshold(scan, score_threshold);
}

/* As many rows as are wanted have a key up to the k-th smallest: the results' scores can't be above what such a key
 * allows. */
static void drop_hopeless_candidates(struct scan *scan) {
  if (scan->candidates.count <= scan->best.capacity)
    return;
  float kth_key = sf_candidates_kth_distance(&scan->candidates, scan->best.capacity);
  lower_score_threshold(scan, sf_highest_score_of_distance(&scan->bounds, kth_key));
  sf_candidates_drop_above(&scan->candidates, scan->distance_threshold);
}

static void score_row(struct scan *scan, size_t row) {
  const sf_query_vector *query = scan->part->query;
  double score = sf_exact_score(query, scan->segment->vectors + row * query->dim);
  if (score <= scan->score_threshold)
    sf_top_k_add(&scan->best, (sf_neighbour){.score = score, .row = scan->segment->first_row + row});
}

/* A key that is finite vouches for its row. */
static bool is_finite(const struct scan *scan, const sf_candidate *candidate) {
  size_t dim = scan->part->query->dim;
  return isfinite(candidate->key) ||
         isfinite(sf_exact_squared_norm(scan->segment->vectors + candidate->row * dim, dim));
}

static sf_code score_candidates(struct scan *scan) {
  size_t block_rows = sf_rows_per_chunk(scan->part->query->dim);
  for (size_t i = 0; i < scan->candidates.count; i++) {
    if (i % block_rows == 0)
      SF_TRY(sf_cancellation_check(scan->part->cancellation, scan->part->error));
    const sf_candidate *candidate = &scan->candidates.items[i];
    if (is_finite(scan, candidate))
      score_row(scan, candidate->row);
  }
  scan->candidates.count = 0;
  const sf_neighbour *worst = sf_top_k_worst(&scan->best);
  if (worst != NULL)
    lower_score_threshold(scan, worst->score);
  return SF_OK;
}

/* Dropping may free too little where float32 can't tell the rows apart: then float64 decides. */
static sf_code make_room(struct scan *scan) {
  drop_hopeless_candidates(scan);
  if (scan->candidates.count <= scan->candidates.capacity / 2)
    return SF_OK;
  return score_candidates(scan);
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

static sf_code admit_row(struct scan *scan, float key, size_t row) {
  if (!may_be_admitted(key, scan->distance_threshold) || is_excluded(scan->segment, row))
    return SF_OK;
  if (scan->candidates.count == scan->candidates.capacity)
    SF_TRY(make_room(scan));
  scan->candidates.items[scan->candidates.count++] = (sf_candidate){.key = key, .row = row};
  return SF_OK;
}

/* So that the limit falls soon, and the work of it is shared by many rows. */
static void drop_some_candidates(struct scan *scan) {
  if (scan->candidates.count < scan->next_drop)
    return;
  drop_hopeless_candidates(scan);
  size_t few = scan->best.capacity + FEW_CANDIDATES;
  scan->next_drop = 2 * (scan->candidates.count > few ? scan->candidates.count : few);
}

static sf_code admit_block(struct scan *scan, const float *keys, size_t begin, size_t count) {
  for (size_t group = 0; group < count; group += GROUP_ROWS) {
    size_t rest = count - group;
    if (!any_may_be_admitted(keys + group, rest, scan->distance_threshold))
      continue;
    for (size_t i = group; i < group + (rest < GROUP_ROWS ? rest : GROUP_ROWS); i++)
      SF_TRY(admit_row(scan, keys[i], begin + i));
  }
  return SF_OK;
}

/* The rows of a block, and up to SF_SHARED_QUERIES of the parts to look for what they want among them. */
struct block {
  const sf_vector_segment *segment;
  size_t begin;
  size_t num_rows;
  size_t num_queries;
  const sf_query_vector *queries[SF_SHARED_QUERIES];
  float keys[SF_SHARED_QUERIES][MAX_CHUNK_ROWS];
};

/* The key of a row that the filter let through. */
static float find_key(struct scan *scan, size_t row) {
  const sf_query_vector *query = scan->part->query;
  const sf_vector_segment *segment = scan->segment;
  const float *inverse_norm = segment->inverse_norms == NULL ? NULL : segment->inverse_norms + row;
  float key;
  float scratch;
  float *keys = &key;
  if (segment->lazy_norms == NULL || sf_query_is_of_differences(query)) {
    sf_approximate_distances(&query, 1, segment->vectors + row * query->dim, 1, inverse_norm, &keys);
    return key;
  }
  sf_chunk_norms norms = sf_lazy_norms_of_row(segment->lazy_norms, row, sf_compared_vector(query), &key, &scratch);
  if (norms.max_norm > scan->max_norm)
    set_max_norm(scan, norms.max_norm);
  sf_distances_of_dots(query, norms.inverse_norms, 1, &key);
  return key;
}

/* The rows lie far apart: many are asked for before the first is needed. */
static void prefetch_row(const struct scan *scan, size_t row) {
  enum { LINE_FLOATS = 16, MAX_LINES = 16 };
  size_t dim = scan->part->query->dim;
  size_t length = dim < LINE_FLOATS * MAX_LINES ? dim : LINE_FLOATS * MAX_LINES;
  for (size_t i = 0; i < length; i += LINE_FLOATS)
    __builtin_prefetch(scan->segment->vectors + row * dim + i);
}

/* Keys instead of bounds; rows that are no results, or that float32 can't tell of, go. */
static void find_sampled_distances(struct scan *scan, sf_candidates *sampled) {
  size_t num_known = 0;
  for (size_t i = 0; i < sampled->count; i++)
    prefetch_row(scan, sampled->items[i].row);
  for (size_t i = 0; i < sampled->count; i++) {
    size_t row = sampled->items[i].row;
    float key = find_key(scan, row);
    if (isfinite(key) && !is_excluded(scan->segment, row))
      sampled->items[num_known++] = (sf_candidate){.key = key, .row = row};
  }
  sampled->count = num_known;
}

/*
 * Without a good limit codes can turn nothing away. The rows of a sample that are best by their codes give one: as many rows
 * as are wanted score no higher than the worst of so many of them.
 */
static bool begin_sample(const struct scan *scan, size_t num_rows, sf_quantized_sample *sample) {
  size_t top_k = scan->best.capacity;
  *sample = (sf_quantized_sample){.count = SAMPLED_FOR_ONE * top_k, .limit = FLT_MAX};
  return num_rows >= MIN_SAMPLED_ROWS && top_k <= SF_MAX_SAMPLED_TOP_K &&
         sf_candidates_init(&sample->best, sample->count, num_rows, NULL) == SF_OK;
}

static void end_sample(struct scan *scan, sf_quantized_sample *sample) {
  sf_candidates *best = &sample->best;
  if (best->count > sample->count)
    sf_candidates_drop_above(best, sf_candidates_kth_distance(best, sample->count));
  find_sampled_distances(scan, best);
  if (best->count >= scan->best.capacity) {
    float kth_key = sf_candidates_kth_distance(best, scan->best.capacity);
    lower_score_threshold(scan, sf_highest_score_of_distance(&scan->bounds, kth_key));
  }
}

/* From all over the rows that are searched. Where others search, too, this scan's part of the sample. */
static void sample_first_threshold(struct scan *scan, size_t begin) {
  sf_pruning_threshold *shared = scan->shared;
  size_t first = shared == NULL ? begin : 0;
  size_t end = shared == NULL ? scan->end : scan->segment->num_rows;
  size_t step = (end - first) / SAMPLED_ROWS + 1;
  sf_quantized_sample sample;
  if (!scan->filter.is_on || scan->distance_threshold != INFINITY || !begin_sample(scan, end - first, &sample))
    return;
  if (shared == NULL)
    sf_quantized_pass_sample(&scan->filter, first, end, 0, step, &sample);
  for (size_t part; shared != NULL && sf_pruning_threshold_take_part(shared, &part);)
    sf_quantized_pass_sample(&scan->filter, first, end, part * step, SF_SAMPLE_PARTS * step, &sample);
  end_sample(scan, &sample);
  for (size_t i = 0; i < sample.best.count && shared != NULL; i++) {
    double score = sf_highest_score_of_distance(&scan->bounds, sample.best.items[i].key);
    sf_pruning_threshold_add(shared, (sf_neighbour){.score = score, .row = sample.best.items[i].row});
  }
  sf_candidates_free(&sample.best);
  exchange_thresholds(scan);
}

/* From the rows that are left. */
static void sample_better_threshold(struct scan *scan, size_t begin) {
  sf_quantized_sample sample;
  if (!begin_sample(scan, scan->end - begin, &sample))
    return;
  sf_quantized_pass_sample(&scan->filter, begin, scan->end, 0, 1, &sample);
  end_sample(scan, &sample);
  sf_candidates_free(&sample.best);
}

/* Which rows of a block may be near; SIZE_MAX where that is too many for codes to be of use. */
static size_t find_near_rows(struct scan *scan, size_t begin, size_t num_rows, uint16_t *offsets) {
  size_t count = sf_quantized_pass_find(&scan->filter, begin, num_rows, scan->distance_threshold, offsets);
  scan->num_compared += num_rows;
  scan->num_let_through += count;
  if (scan->num_let_through > scan->num_compared / GOOD_ONE_IN + FEW_CANDIDATES && !scan->has_sampled_all) {
    scan->has_sampled_all = true;
    sample_better_threshold(scan, begin);
    count = sf_quantized_pass_find(&scan->filter, begin, num_rows, scan->distance_threshold, offsets);
  }
  return count <= num_rows / WORTH_ONE_IN ? count : SIZE_MAX;
}

static sf_code admit_expected_rows(struct scan *scan) {
  for (size_t i = 0; i < scan->num_expected; i++)
    SF_TRY(admit_row(scan, find_key(scan, scan->expected[i]), scan->expected[i]));
  scan->num_expected = 0;
  drop_some_candidates(scan);
  return SF_OK;
}

/* Rows that the filter let through: compared when there is no room for more, by when they have come from memory. */
static sf_code expect_rows(struct scan *scan, size_t begin, const uint16_t *offsets, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (scan->num_expected == MAX_EXPECTED_ROWS)
      SF_TRY(admit_expected_rows(scan));
    prefetch_row(scan, begin + offsets[i]);
    scan->expected[scan->num_expected++] = begin + offsets[i];
  }
  return SF_OK;
}

/* Whether a filter served: then the block is done. */
static bool scan_quantized_chunk(struct scan *scan, size_t begin, size_t num_rows) {
  uint16_t offsets[MAX_CHUNK_ROWS];
  size_t window = begin / sf_rows_per_chunk(scan->part->query->dim);
  if (!sf_quantized_pass_serves(&scan->filter, window) || scan->distance_threshold == INFINITY)
    return false;
  if (scan->num_skipping > 0) {
    scan->num_skipping--;
    return false;
  }
  size_t count = find_near_rows(scan, begin, num_rows, offsets);
  if (count == SIZE_MAX) {
    scan->num_skipping = scan->num_to_skip;
    scan->num_to_skip = 2 * scan->num_to_skip + 1;
    if (scan->num_to_skip > MAX_SKIPPED_CHUNKS)
      scan->num_to_skip = MAX_SKIPPED_CHUNKS;
    return false;
  }
  scan->num_to_skip = 0;
  scan->part->code = expect_rows(scan, begin, offsets, count);
  return true;
}

static const float *rows_of(const struct block *block) {
  return block->segment->vectors + block->begin * block->queries[0]->dim;
}

/* Of the queries from `first` on. */
static void find_distances(struct block *block, size_t first, const float *inverse_norms) {
  float *keys[SF_SHARED_QUERIES];
  for (size_t i = first; i < block->num_queries; i++)
    keys[i - first] = block->keys[i];
  if (first < block->num_queries)
    sf_approximate_distances(block->queries + first, block->num_queries - first, rows_of(block), block->num_rows,
                             inverse_norms, keys);
}

/* Where the norms are to be found out, the first query's dot products come along. Gives the largest norm, or more. */
static double find_distances_and_norms(struct block *block) {
  const sf_query_vector *first = block->queries[0];
  float dots[SF_MAX_CHUNK_ROWS];
  float scratch[SF_MAX_CHUNK_ROWS];
  size_t window_rows = sf_rows_per_chunk(first->dim);
  size_t row_in_window = block->begin % window_rows;
  sf_chunk_norms norms = sf_lazy_norms_of_chunk(block->segment->lazy_norms, block->begin / window_rows,
                                                sf_compared_vector(first), dots, scratch);
  const float *inverse_norms = norms.inverse_norms == NULL ? NULL : norms.inverse_norms + row_in_window;
  if (norms.has_dots) {
    memcpy(block->keys[0], dots + row_in_window, block->num_rows * sizeof(float));
    sf_distances_of_dots(first, inverse_norms, block->num_rows, block->keys[0]);
  }
  find_distances(block, norms.has_dots ? 1 : 0, inverse_norms);
  return norms.max_norm;
}

static double find_distances_by_known_norms(struct block *block) {
  const float *inverse_norms = block->segment->inverse_norms;
  find_distances(block, 0, inverse_norms == NULL ? NULL : inverse_norms + block->begin);
  return block->segment->max_norm;
}

/* All rows of the block. */
static void scan_chunk(struct scan *const *scans, size_t count, size_t begin, size_t num_rows) {
  struct block block;
  block.segment = scans[0]->segment;
  block.begin = begin;
  block.num_rows = num_rows;
  block.num_queries = count;
  for (size_t i = 0; i < count; i++)
    block.queries[i] = scans[i]->part->query;
  bool is_lazy = block.segment->lazy_norms != NULL && !sf_query_is_of_differences(block.queries[0]);
  double max_norm = is_lazy ? find_distances_and_norms(&block) : find_distances_by_known_norms(&block);
  for (size_t i = 0; i < count; i++) {
    if (max_norm > scans[i]->max_norm)
      set_max_norm(scans[i], max_norm);
    scans[i]->part->code = admit_block(scans[i], block.keys[i], begin, num_rows);
    drop_some_candidates(scans[i]);
  }
}

/* Leaves out those that have failed or were cancelled; how many there are left. */
static size_t keep_going(struct scan **scans, size_t count) {
  size_t kept = 0;
  for (size_t i = 0; i < count; i++) {
    sf_scan_part *part = scans[i]->part;
    if (part->code == SF_OK)
      part->code = sf_cancellation_check(part->cancellation, part->error);
    if (part->code == SF_OK)
      scans[kept++] = scans[i];
  }
  return kept;
}

/* Blocks end where windows of norms do. */
static void scan_rows(struct scan **scans, size_t count, size_t begin, size_t end) {
  struct scan *left[SF_MAX_SCAN_PARTS]; /* those for which codes can't tell */
  size_t window_rows = sf_rows_per_chunk(scans[0]->part->query->dim);
  for (size_t row = begin; row < end && (count = keep_going(scans, count)) > 0;) {
    size_t left_in_window = window_rows - row % window_rows;
    size_t num_rows = end - row < left_in_window ? end - row : left_in_window;
    size_t num_left = 0;
    for (size_t i = 0; i < count; i++)
      if (!scan_quantized_chunk(scans[i], row, num_rows))
        left[num_left++] = scans[i];
    for (size_t i = 0; i < num_left; i += SF_SHARED_QUERIES)
      scan_chunk(left + i, num_left - i < SF_SHARED_QUERIES ? num_left - i : SF_SHARED_QUERIES, row, num_rows);
    for (size_t i = 0; i < count; i++)
      exchange_thresholds(scans[i]);
    const sf_vector_segment *segment = scans[0]->segment;
    if (num_left > 0 && segment->lazy_quantized != NULL)
      sf_lazy_quantized_visit(segment->lazy_quantized, row / window_rows);
    row += num_rows;
  }
}

static void free_scan(struct scan *scan) {
  sf_candidates_free(&scan->candidates);
  sf_quantized_pass_free(&scan->filter);
}

static sf_code begin_part(struct scan *scan, sf_scan_part *part, const sf_vector_segment *segment, size_t begin,
                          size_t end) {
  size_t num_rows = end - begin;
  size_t capacity = part->top_k < num_rows ? part->top_k : num_rows;
  *scan = (struct scan){
      .part = part,
      .segment = segment,
      .end = end,
      /* The limit of fewer rows than the search wants is one for them alone. */
      .shared = part->limit != NULL && part->limit->top_k == capacity ? part->limit : NULL,
      .score_threshold = part->limit == NULL ? INFINITY : sf_pruning_threshold_get(part->limit),
      .best = {.neighbours = part->neighbours, .capacity = capacity},
  };
  set_max_norm(scan, segment->lazy_norms == NULL ? segment->max_norm : 0);
  sf_code code = sf_candidates_init(&scan->candidates, scan->best.capacity, num_rows, part->error);
  if (code == SF_OK)
    code = sf_quantized_pass_init(&scan->filter, part->query, segment, part->error);
  if (code != SF_OK)
    free_scan(scan);
  return code;
}

static void end_part(struct scan *scan) {
  sf_scan_part *part = scan->part;
  if (part->code == SF_OK)
    part->code = admit_expected_rows(scan);
  if (part->code == SF_OK) {
    drop_hopeless_candidates(scan);
    exchange_thresholds(scan);
    sf_candidates_drop_above(&scan->candidates, scan->distance_threshold);
    part->code = score_candidates(scan);
  }
  if (part->code == SF_OK)
    exchange_thresholds(scan);
  free_scan(scan);
  if (part->code != SF_OK)
    return;
  sf_top_k_sort(&scan->best);
  part->num_neighbours = scan->best.count;
}

void sf_scan_segment_together(sf_scan_part *parts, size_t count, const sf_vector_segment *segment, size_t begin,
                              size_t end) {
  struct scan all[SF_MAX_SCAN_PARTS];
  struct scan *scans[SF_MAX_SCAN_PARTS];
  size_t num_scans = 0;
  for (size_t i = 0; i < count; i++) {
    sf_scan_part *part = &parts[i];
    part->num_neighbours = 0;
    part->code = sf_cancellation_check(part->cancellation, part->error);
    if (part->code != SF_OK || begin >= end || part->top_k == 0)
      continue;
    part->code = begin_part(&all[num_scans], part, segment, begin, end);
    if (part->code != SF_OK)
      continue;
    sample_first_threshold(&all[num_scans], begin);
    scans[num_scans] = &all[num_scans];
    num_scans++;
  }
  if (num_scans == 0)
    return;
  scan_rows(scans, num_scans, begin, end);
  for (size_t i = 0; i < num_scans; i++)
    end_part(&all[i]);
}

sf_code sf_scan_segment(const sf_query_vector *query_vector, const sf_vector_segment *segment, size_t begin, size_t end,
                        size_t top_k, sf_pruning_threshold *limit, const sf_cancellation *cancellation,
                        sf_neighbour *neighbours, size_t *num_neighbours, sf_error *error) {
  sf_scan_part part = {.query = query_vector,
                       .top_k = top_k,
                       .limit = limit,
                       .cancellation = cancellation,
                       .neighbours = neighbours,
                       .error = error};
  sf_scan_segment_together(&part, 1, segment, begin, end);
  *num_neighbours = part.num_neighbours;
  return part.code;
}
