#include "query/sample.h"

#include "query/row_filter.h"

#include <float.h>
#include <math.h>

enum {
  SAMPLED_ROWS = 8192,      /* about so many of them, */
  SAMPLED_FOR_RESULT = 512, /* or so many for each result */
  MIN_SAMPLED_ROWS = 2048,  /* a scan of fewer does without */
  SAMPLED_FOR_ONE = 2,      /* rows that are compared for each result, */
  FEW_SAMPLED = 4,          /* and so many more */
  REST_FOR_RESULT = 256, /* rows that are left for each result where a scan samples them: with fewer it does not pay */
};

/* Replaces estimates by distances. Drops rows that can't be results, and those whose distance float32 can't represent. */
static void find_distances(sf_request_scan *scan, sf_candidates *sampled) {
  size_t num_known = 0;
  scan->request->account.num_float32 += sampled->count;
  for (size_t i = 0; i < sampled->count; i++)
    sf_rerank_prefetch_row(scan, sampled->items[i].row);
  for (size_t i = 0; i < sampled->count; i++) {
    size_t row = sampled->items[i].row;
    float distance = sf_rerank_find_distance(scan, row);
    if (isfinite(distance) && !sf_request_scan_excludes(scan, row))
      sampled->items[num_known++] = (sf_candidate){.distance = distance, .row = row};
  }
  sampled->count = num_known;
}

/* False where a sample of the rows [begin, end) is of no use, or memory is out. */
static bool begin_sample(const sf_request_scan *scan, size_t begin, size_t end, sf_quantized_sample *sample) {
  size_t max_rows = scan->collector->max_rows;
  size_t num_rows = sf_row_filter_count(scan->request->filter, scan->segment->first_row + begin, end - begin);
  if (num_rows < MIN_SAMPLED_ROWS || max_rows > SF_MAX_SAMPLED_ROWS)
    return false;
  *sample = (sf_quantized_sample){.count = SAMPLED_FOR_ONE * max_rows + FEW_SAMPLED, .threshold = FLT_MAX};
  return sf_candidates_init(&sample->best, sample->count, num_rows, NULL) == SF_OK;
}

static void end_sample(sf_request_scan *scan, sf_quantized_sample *sample) {
  sf_candidates *best = &sample->best;
  size_t max_rows = scan->collector->max_rows;
  if (best->count > sample->count)
    sf_candidates_drop_above(best, sf_candidates_kth_distance(best, sample->count));
  find_distances(scan, best);
  if (best->count >= max_rows) {
    float kth_distance = sf_candidates_kth_distance(best, max_rows);
    sf_request_scan_lower_threshold(scan, sf_highest_score_of_distance(&scan->bounds, kth_distance));
  }
}

/* Adds what this thread sampled to the sample of all. */
static void share_sample(const sf_request_scan *scan, const sf_candidates *sampled) {
  for (size_t i = 0; i < sampled->count; i++) {
    double score = sf_highest_score_of_distance(&scan->bounds, sampled->items[i].distance);
    sf_pruning_threshold_add(scan->shared, (sf_scored_row){.score = score, .row = sampled->items[i].row});
  }
}

void sf_sample_first_threshold(sf_request_scan *scan, const sf_scan_task *task) {
  sf_pruning_threshold *shared = scan->shared;
  size_t first = shared == NULL ? task->begin : task->range.begin;
  size_t end = shared == NULL ? task->end : task->range.end;
  size_t wanted = SAMPLED_FOR_RESULT * scan->collector->max_rows;
  size_t step = (end - first) / (wanted > SAMPLED_ROWS ? wanted : SAMPLED_ROWS) + 1;
  sf_quantized_sample sample;
  bool is_first = scan->score_threshold == sf_collector_first_threshold(scan->collector->params);
  if (!scan->quantized.is_on || !is_first || !begin_sample(scan, first, end, &sample))
    return;
  if (shared == NULL)
    sf_quantized_pass_sample(&scan->quantized, first, end, 0, step, &sample);
  for (size_t part; shared != NULL && sf_pruning_threshold_take_part(shared, &part);)
    sf_quantized_pass_sample(&scan->quantized, first, end, part * step, SF_SAMPLE_PARTS * step, &sample);
  end_sample(scan, &sample);
  if (shared != NULL)
    share_sample(scan, &sample.best);
  sf_candidates_free(&sample.best);
  sf_request_scan_exchange_thresholds(scan);
}

void sf_sample_rest(sf_request_scan *scan, size_t begin) {
  sf_quantized_sample sample;
  bool is_worth_it = (scan->end - begin) / REST_FOR_RESULT >= scan->collector->max_rows;
  if (!is_worth_it || !begin_sample(scan, begin, scan->end, &sample))
    return;
  sf_quantized_pass_sample(&scan->quantized, begin, scan->end, 0, 1, &sample);
  end_sample(scan, &sample);
  sf_candidates_free(&sample.best);
}
