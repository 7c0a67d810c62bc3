#include "query/list_scan.h"

#include "base/memory.h"
#include "query/candidates.h"
#include "query/row_filter.h"
#include "vectors/approximate_distance.h"
#include "vectors/quantized_rows.h"

#include <float.h>
#include <math.h>

enum {
  GROUPS = 32,                             /* of a list that are compared together */
  ROWS = GROUPS * SF_QUANTIZED_GROUP_ROWS, /* of these */
  SCORED_TOGETHER = 16,                    /* rows that come from memory together */
  SAMPLED_FOR_ONE = 8,                     /* rows of the nearest lists that are sampled for each that is wanted */
  LISTS_PER_CHECK = 64,                    /* between looks at the cancellation */
  LINE_BYTES = 64,
};

typedef struct list_search {
  const sf_list_scan *scan;
  sf_scan_request *request;
  const sf_query_vector *query;
  sf_quantized_query quantized; /* of the list that is scanned, with scaled errors */
  sf_quantized_row_query by_row;
  int8_t *components; /* of all three */
  bool is_of_differences;
  sf_quantized_comparison bases[SF_QUANTIZED_KINDS]; /* relative to the origin; not for distances of differences */
  bool is_quantized;                                 /* else the list's rows are all scored */
  sf_distance_bounds bounds;
  double score_threshold;
  float distance_threshold;
  size_t num_waiting;
  const float *waiting[SCORED_TOGETHER]; /* vectors of rows that are to be scored, */
  uint32_t waiting_rows[SCORED_TOGETHER];
} list_search;

float sf_list_scan_error_share(uint32_t dim) {
  return fminf(1, 3.3F / sqrtf((float)dim));
}

/* ------------------------------------------------------------------------------------------------------------ Thresholds */

static void set_threshold(list_search *search, double score) {
  search->score_threshold = score;
  search->distance_threshold = sf_highest_distance_of_score(&search->bounds, score);
}

static void exchange_thresholds(list_search *search) {
  sf_pruning_threshold *shared = search->request->threshold;
  double score = fmin(search->score_threshold, sf_collector_threshold(search->request->collector));
  if (shared != NULL) {
    sf_pruning_threshold_lower(shared, score);
    score = fmin(score, sf_pruning_threshold_get(shared));
  }
  if (score < search->score_threshold)
    set_threshold(search, score);
}

/* --------------------------------------------------------------------------------------------------------------- Scoring */

static const float *vector_of(const list_search *search, uint32_t row) {
  const sf_vector_segment *segment = search->scan->segments;
  size_t count = search->scan->num_segments;
  while (count > 1) { /* the last one that begins at the row or before */
    size_t half = count / 2;
    bool is_behind = segment[half].first_row <= row;
    segment += is_behind ? half : 0;
    count = is_behind ? count - half : half;
  }
  return segment->vectors + (row - segment->first_row) * search->query->dim;
}

static sf_code score_waiting(list_search *search) {
  sf_scan_request *request = search->request;
  size_t count = search->num_waiting;
  search->num_waiting = 0;
  request->account.num_scored += count;
  for (size_t i = 0; i < count; i++) {
    double score = sf_exact_score(search->query, search->waiting[i]);
    if (score <= search->score_threshold &&
        !sf_collector_add(request->collector, (sf_scored_row){.score = score, .row = search->waiting_rows[i]}))
      return sf_fail_memory(request->error, "results");
  }
  exchange_thresholds(search);
  return SF_OK;
}

static sf_code score_later(list_search *search, uint32_t row) {
  const float *vector = vector_of(search, row);
  const char *bytes = (const char *)vector;
  for (size_t i = 0; i < search->query->dim * sizeof(float); i += LINE_BYTES)
    __builtin_prefetch(bytes + i, 0, 1);
  search->waiting[search->num_waiting] = vector;
  search->waiting_rows[search->num_waiting++] = row;
  return search->num_waiting < SCORED_TOGETHER ? SF_OK : score_waiting(search);
}

/* ---------------------------------------------------------------------------------------------------------------- Bounds */

static void scale_errors(const list_search *search, sf_quantized_comparison *comparison) {
  comparison->norm *= search->scan->error_share;
  comparison->slack *= search->scan->error_share;
}

/* q·x = q·centre + q·(x − centre): for products, only the base differs between lists. */
static void set_bases(list_search *search, const sf_list_choice *choice) {
  const sf_lists *lists = search->scan->lists;
  /* |q| |centre| is at most |q| times the largest norm; the product was found in float32. */
  double norm = sf_scorings[search->query->score_convention].is_normalised ? 1 : lists->max_norm;
  double query_norm = (double)search->bases[SF_QUANTIZED_2BIT].norm;
  double doubt = 0x1p-17 * query_norm * norm + sf_dot_error_bound(lists->dim, query_norm, norm);
  for (sf_quantized_kind kind = 0; kind < SF_QUANTIZED_KINDS; kind++) {
    sf_quantized_comparison *comparison = &search->quantized.comparisons[kind];
    *comparison = search->bases[kind];
    comparison->base = (float)((double)comparison->base - (double)choice->product - doubt);
    scale_errors(search, comparison);
  }
}

static void begin_list(list_search *search, const sf_list_choice *choice) {
  const sf_lists *lists = search->scan->lists;
  if (!search->is_of_differences) {
    if (search->is_quantized)
      set_bases(search, choice);
    return;
  }
  const sf_quantized of_list = {.metric = lists->metric, .centre = lists->centres + (size_t)choice->list * lists->dim};
  search->is_quantized =
      sf_quantized_query_init(&search->quantized, sf_compared_vector(search->query), lists->dim, &of_list);
  if (!search->is_quantized)
    return;
  sf_quantized_row_query_init(&search->by_row, search->quantized.components, lists->dim, lists->metric);
  for (sf_quantized_kind kind = 0; kind < SF_QUANTIZED_KINDS; kind++)
    scale_errors(search, &search->quantized.comparisons[kind]);
}

static void compare_groups(const list_search *search, const sf_quantized_comparison *comparison, const sf_list *list,
                           size_t first, size_t num_rows, float threshold, uint16_t *masks, float *bounds) {
  const sf_lists *lists = search->scan->lists;
  const sf_quantized_groups groups = {.first = list->groups + first / SF_QUANTIZED_GROUP_ROWS * lists->group_size,
                                      .count = (size_t)sf_quantized_num_groups(num_rows),
                                      .dim = lists->dim,
                                      .has_squared_norms = search->is_of_differences};
  search->query->kernels->find_near_quantized[SF_QUANTIZED_2BIT](comparison, &groups, threshold, masks, bounds);
  search->request->account.num_2bit += groups.count * SF_QUANTIZED_GROUP_ROWS;
}

/* The places in a list of rows that 2-bit vectors leave, of `num_rows` from place `first` on, which begins a group; their 4-bit
 * vectors are on the way. */
static size_t find_by_2bit(const list_search *search, const sf_list *list, size_t first, size_t num_rows,
                           uint32_t *places) {
  size_t row_size = search->scan->lists->row_size;
  uint16_t masks[GROUPS];
  size_t num_found = 0;
  compare_groups(search, &search->quantized.comparisons[SF_QUANTIZED_2BIT], list, first, num_rows,
                 search->distance_threshold, masks, NULL);
  for (size_t begin = 0; begin < num_rows; begin += SF_QUANTIZED_GROUP_ROWS) {
    unsigned mask = masks[begin / SF_QUANTIZED_GROUP_ROWS];
    if (num_rows - begin < SF_QUANTIZED_GROUP_ROWS)
      mask &= (1U << (num_rows - begin)) - 1;
    for (; mask != 0; mask &= mask - 1) {
      size_t place = first + begin + (size_t)__builtin_ctz(mask);
      if (!sf_row_filter_has(search->request->filter, list->rows[place]))
        continue;
      for (size_t i = 0; i < row_size; i += LINE_BYTES)
        __builtin_prefetch(list->quantized_rows + place * row_size + i, 0, 1);
      places[num_found++] = (uint32_t)place;
    }
  }
  return num_found;
}

static sf_code scan_rows(list_search *search, const sf_list *list, size_t first, size_t num_rows) {
  size_t row_size = search->scan->lists->row_size;
  uint32_t places[ROWS];
  size_t num_found = find_by_2bit(search, list, first, num_rows, places);
  search->request->account.num_4bit += num_found;
  for (size_t i = 0; i < num_found; i++) {
    float bound = sf_quantized_row_bound(search->query->kernels, &search->by_row,
                                         &search->quantized.comparisons[SF_QUANTIZED_4BIT],
                                         list->quantized_rows + places[i] * row_size);
    if (!(bound > search->distance_threshold))
      SF_TRY(score_later(search, list->rows[places[i]]));
  }
  return SF_OK;
}

static sf_code score_rows(list_search *search, const sf_list *list) {
  for (size_t i = 0; i < list->num_rows; i++)
    if (sf_row_filter_has(search->request->filter, list->rows[i]))
      SF_TRY(score_later(search, list->rows[i]));
  return SF_OK;
}

static sf_code scan_list(list_search *search, const sf_list_choice *choice) {
  sf_list list = sf_lists_at(search->scan->lists, choice->list);
  begin_list(search, choice);
  search->request->account.num_planned += list.num_rows;
  if (!search->is_quantized)
    return score_rows(search, &list);
  for (size_t begin = 0; begin < list.num_rows; begin += ROWS) {
    size_t left = list.num_rows - begin;
    SF_TRY(scan_rows(search, &list, begin, left < ROWS ? left : ROWS));
  }
  return SF_OK;
}

/* ------------------------------------------------------------------------------------------------------- First threshold */

/* The best of a list's rows by estimates. */
static void sample_list(list_search *search, const sf_list_choice *choice, size_t most, sf_candidates *sample) {
  sf_list list = sf_lists_at(search->scan->lists, choice->list);
  size_t num_rows = list.num_rows < ROWS ? list.num_rows : ROWS;
  uint16_t masks[GROUPS];
  float estimates[ROWS];
  begin_list(search, choice);
  if (!search->is_quantized)
    return;
  sf_quantized_comparison estimate = search->quantized.comparisons[SF_QUANTIZED_2BIT];
  estimate.norm = estimate.slack = 0;
  compare_groups(search, &estimate, &list, 0, num_rows, FLT_MAX, masks, estimates);
  for (size_t i = 0; i < num_rows; i++) {
    uint32_t row = list.rows[i];
    if (!(estimates[i] <= FLT_MAX) || !sf_row_filter_has(search->request->filter, row))
      continue;
    if (sample->count == sample->capacity)
      sf_candidates_drop_above(sample, sf_candidates_kth_distance(sample, most));
    if (sample->count < sample->capacity)
      sample->items[sample->count++] = (sf_candidate){.distance = estimates[i], .row = row};
  }
}

/* So many rows that exist score no more than the sample's: that rules out others, whatever the estimates were worth. */
static sf_code sample_threshold(list_search *search) {
  size_t max_rows = search->request->collector->max_rows;
  size_t most = max_rows + max_rows / 4 + 2;
  size_t num_lists = 0;
  sf_collector scored = {.params = search->request->collector->params};
  sf_candidates sample;
  SF_TRY(sf_candidates_init(&sample, most, SAMPLED_FOR_ONE * most, search->request->error));
  for (size_t num_rows = 0; num_rows < SAMPLED_FOR_ONE * most && num_lists < search->scan->num_choices; num_lists++) {
    sample_list(search, &search->scan->choices[num_lists], most, &sample);
    num_rows += sf_lists_num_rows(search->scan->lists, search->scan->choices[num_lists].list);
  }
  if (sample.count > most)
    sf_candidates_drop_above(&sample, sf_candidates_kth_distance(&sample, most));
  sf_collector_begin(&scored, sample.count);
  bool has_memory = true;
  for (size_t i = 0; i < sample.count && has_memory; i++) {
    uint32_t row = (uint32_t)sample.items[i].row;
    double score = sf_exact_score(search->query, vector_of(search, row));
    has_memory = sf_collector_add(&scored, (sf_scored_row){.score = score, .row = row});
  }
  search->request->account.num_scored += sample.count;
  if (has_memory && sf_collector_threshold(&scored) < search->score_threshold)
    set_threshold(search, sf_collector_threshold(&scored));
  sf_collector_free(&scored);
  sf_candidates_free(&sample);
  return has_memory ? SF_OK : sf_fail_memory(search->request->error, "results");
}

/* ---------------------------------------------------------------------------------------------------------------- Search */

static sf_code begin_search(list_search *search, const float *origin) {
  const sf_lists *lists = search->scan->lists;
  size_t length = sf_quantized_query_length(lists->dim);
  size_t row_length = sf_quantized_row_query_length(lists->dim);
  search->components = sf_calloc(length + 2 * row_length, 1);
  if (search->components == NULL)
    return sf_fail_memory(search->request->error, "quantized query");
  search->quantized.components = search->components;
  search->by_row =
      (sf_quantized_row_query){.low = search->components + length, .high = search->components + length + row_length};
  if (!search->is_of_differences) {
    const sf_quantized relative_to_origin = {.metric = lists->metric, .centre = origin};
    search->is_quantized =
        sf_quantized_query_init(&search->quantized, sf_compared_vector(search->query), lists->dim, &relative_to_origin);
    sf_quantized_row_query_init(&search->by_row, search->components, lists->dim, lists->metric);
    memcpy(search->bases, search->quantized.comparisons, sizeof(search->bases));
  }
  search->bounds = sf_distance_bounds_of(search->query, lists->max_norm);
  set_threshold(search, sf_collector_first_threshold(search->request->collector->params));
  return SF_OK;
}

static sf_code scan_lists(list_search *search) {
  const sf_list_scan *scan = search->scan;
  sf_scan_request *request = search->request;
  exchange_thresholds(search);
  if (search->score_threshold == INFINITY && request->collector->max_rows <= SF_MAX_SAMPLED_ROWS)
    SF_TRY(sample_threshold(search));
  for (size_t i = 0; i < scan->num_choices; i++) {
    if (i % LISTS_PER_CHECK == 0)
      SF_TRY(sf_cancellation_check(request->cancellation, request->error));
    SF_TRY(scan_list(search, &scan->choices[i]));
  }
  return score_waiting(search);
}

void sf_list_scan_run(const sf_list_scan *scan, sf_scan_request *request) {
  size_t num_rows = 0;
  for (size_t i = 0; i < scan->num_choices; i++)
    num_rows += sf_lists_num_rows(scan->lists, scan->choices[i].list);
  request->account = (sf_scan_account){0};
  sf_collector_begin(request->collector, num_rows);
  list_search search = {.scan = scan,
                        .request = request,
                        .query = request->query,
                        .is_of_differences = sf_query_is_of_differences(request->query)};
  request->code = SF_OK;
  if (request->collector->max_rows == 0)
    return;
  float *origin = sf_calloc(scan->lists->dim, sizeof(float));
  request->code = origin == NULL ? sf_fail_memory(request->error, "quantized query") : begin_search(&search, origin);
  if (request->code == SF_OK)
    request->code = scan_lists(&search);
  if (request->code == SF_OK)
    sf_collector_finish(request->collector);
  free(search.components);
  free(origin);
}
