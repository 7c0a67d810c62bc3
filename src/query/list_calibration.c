#include "query/list_calibration.h"

#include "base/build_threads.h"
#include "base/memory.h"
#include "base/random.h"
#include "query/list_choice.h"
#include "query/scan.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

enum { LEAST_SAMPLED = 300, MOST_SAMPLED = 1000, RESULTS = SF_CALIBRATED_MAX_TOP_K };

/* Rows times components that all exact searches together compare, where that allows more than the fewest. */
static const double COMPARED = 4e10;

static const uint32_t targets[] = {500, 600, 700, 800, 850, 900, 925, 950, 970, 980, 990, 995}; /* thousandths */
static const uint32_t top_ks[] = {1, 10, RESULTS};

enum { NUM_TARGETS = sizeof(targets) / sizeof(targets[0]), NUM_TOP_KS = sizeof(top_ks) / sizeof(top_ks[0]) };

typedef struct found_row {
  double score;
  uint32_t shard;
  uint64_t row;
} found_row;

/* What threads share: each has a copy, with memory of its own for its queries. */
typedef struct calibrating {
  const sf_calibration_params *params;
  const sf_cancellation *cancellation;
  sf_error *error;
  uint64_t num_rows;
  size_t num_lists;
  size_t num_sampled;
  size_t num_segments;
  uint64_t *sampled;              /* num_sampled: places of rows */
  uint32_t **list_of_row;         /* of each shard, by its row numbers */
  size_t *first_list;             /* of each shard, counted over all */
  sf_list_choice *choices;        /* num_lists */
  uint32_t *places;               /* num_lists: where each list is in the order of a query */
  uint64_t *found_at[NUM_TOP_KS]; /* num_lists: results that lie in the list at each place */
  uint64_t num_results[NUM_TOP_KS];
  found_row *found; /* num_found of at most max_found */
  size_t num_found;
  size_t max_found;
  float *scaled; /* dim */
} calibrating;

static void map_rows(const sf_lists *lists, uint32_t *list_of_row) {
  for (uint32_t list = 0; list < lists->num_lists; list++) {
    sf_list of = sf_lists_at(lists, list);
    for (uint32_t i = 0; i < of.num_rows; i++)
      list_of_row[of.rows[i]] = list;
  }
}

static size_t choose_num_sampled(const calibrating *state) {
  double affordable = COMPARED / ((double)state->num_rows * (double)state->params->dim);
  double most = fmin(MOST_SAMPLED, (double)state->num_rows);
  return (size_t)fmin(most, fmax(LEAST_SAMPLED, affordable));
}

static sf_code begin(calibrating *state) {
  const sf_calibration_params *params = state->params;
  state->list_of_row = sf_calloc(params->num_shards, sizeof(*state->list_of_row));
  state->first_list = sf_calloc(params->num_shards, sizeof(*state->first_list));
  if (state->list_of_row == NULL || state->first_list == NULL)
    return sf_fail_memory(state->error, "calibration of lists");
  for (size_t i = 0; i < params->num_shards; i++) {
    const sf_lists *lists = params->lists[i];
    state->first_list[i] = state->num_lists;
    if (lists == NULL)
      continue;
    state->num_rows += lists->num_rows;
    state->num_lists += lists->num_lists;
    state->num_segments += params->shards[i]->num_segments;
    state->list_of_row[i] = sf_calloc((size_t)lists->row_span, sizeof(uint32_t));
    if (state->list_of_row[i] == NULL)
      return sf_fail_memory(state->error, "calibration of lists");
    map_rows(lists, state->list_of_row[i]);
  }
  state->num_sampled = choose_num_sampled(state);
  state->sampled = sf_calloc(state->num_sampled, sizeof(uint64_t));
  if (state->sampled == NULL)
    return sf_fail_memory(state->error, "calibration of lists");
  sf_random random = {params->seed};
  for (size_t i = 0; i < state->num_sampled; i++)
    state->sampled[i] = sf_random_below(&random, state->num_rows);
  return SF_OK;
}

static void end(calibrating *state) {
  for (size_t i = 0; state->list_of_row != NULL && i < state->params->num_shards; i++)
    free(state->list_of_row[i]);
  free((void *)state->list_of_row);
  free(state->first_list);
  free(state->sampled);
}

/* What a thread finds, and what it finds it with. */
static sf_code begin_queries(calibrating *state) {
  state->max_found = state->num_segments * (RESULTS + 1);
  state->choices = sf_calloc(state->num_lists, sizeof(*state->choices));
  state->places = sf_calloc(state->num_lists, sizeof(*state->places));
  state->found = sf_calloc(state->max_found, sizeof(*state->found));
  state->scaled = sf_calloc(state->params->dim, sizeof(float));
  bool has_memory = state->choices != NULL && state->places != NULL && state->found != NULL && state->scaled != NULL;
  for (size_t k = 0; k < NUM_TOP_KS; k++) {
    state->found_at[k] = sf_calloc(state->num_lists, sizeof(uint64_t));
    has_memory = has_memory && state->found_at[k] != NULL;
  }
  return has_memory ? SF_OK : sf_fail_memory(state->error, "calibration of lists");
}

static void end_queries(calibrating *state) {
  for (size_t k = 0; k < NUM_TOP_KS; k++)
    free(state->found_at[k]);
  free(state->choices);
  free(state->places);
  free(state->found);
  free(state->scaled);
}

/* The row at a place that counts over all shards. */
static found_row row_at(const calibrating *state, uint64_t place) {
  uint32_t shard = 0;
  for (; state->params->lists[shard] == NULL || place >= state->params->lists[shard]->num_rows; shard++)
    place -= state->params->lists[shard] == NULL ? 0 : state->params->lists[shard]->num_rows;
  return (found_row){.shard = shard, .row = sf_lists_row_at(state->params->lists[shard], place)};
}

static const float *vector_of(const calibrating *state, const found_row *row) {
  const sf_shard *shard = state->params->shards[row->shard];
  const sf_vector_segment *segment = shard->segments;
  while (row->row - segment->first_row >= segment->num_rows)
    segment++;
  return segment->vectors + (row->row - segment->first_row) * state->params->dim;
}

/* Adds the nearest rows of a shard that may be among the nearest of all; not the query's own. */
static sf_code search_shard(calibrating *state, uint32_t shard, const found_row *own, const sf_query_vector *query,
                            const sf_collector_params *params, sf_pruning_threshold *threshold) {
  const sf_shard *searched = state->params->shards[shard];
  sf_code code = SF_OK;
  for (size_t i = 0; i < searched->num_segments && code == SF_OK; i++) {
    sf_collector collector = {.params = params};
    code = sf_scan_segment(query, &searched->segments[i], 0, searched->segments[i].num_rows, &collector, threshold,
                           state->cancellation, state->error);
    for (size_t j = 0; code == SF_OK && j < collector.count; j++)
      if ((shard != own->shard || collector.rows[j].row != own->row) && state->num_found < state->max_found)
        state->found[state->num_found++] =
            (found_row){.score = collector.rows[j].score, .shard = shard, .row = collector.rows[j].row};
    sf_collector_free(&collector);
  }
  return code;
}

static int compare_rows(const void *left, const void *right) {
  const found_row *a = left;
  const found_row *b = right;
  if (a->score != b->score)
    return a->score < b->score ? -1 : 1;
  if (a->shard != b->shard)
    return a->shard < b->shard ? -1 : 1;
  return (a->row > b->row) - (a->row < b->row);
}

static sf_code search_exactly(calibrating *state, const found_row *own, sf_query_vector *query) {
  static const sf_collector_params params = {.kind = SF_COLLECT_TOP_K, .top_k = RESULTS + 1};
  sf_pruning_threshold threshold;
  if (!sf_pruning_threshold_init(&threshold, &params))
    return sf_fail_memory(state->error, "calibration of lists");
  sf_code code = SF_OK;
  state->num_found = 0;
  for (uint32_t shard = 0; shard < state->params->num_shards && code == SF_OK; shard++)
    if (state->params->lists[shard] != NULL) {
      query->score_convention = state->params->shards[shard]->score_convention;
      code = search_shard(state, shard, own, query, &params, &threshold);
    }
  sf_pruning_threshold_free(&threshold);
  qsort(state->found, state->num_found, sizeof(*state->found), compare_rows);
  return code;
}

static sf_code order_lists(calibrating *state, const sf_query_vector *query) {
  size_t count;
  SF_TRY(sf_list_choice_find(query, state->params->lists, state->params->num_shards, state->num_lists, state->choices,
                             &count, state->error));
  for (size_t i = 0; i < count; i++)
    state->places[state->first_list[state->choices[i].shard] + state->choices[i].list] = (uint32_t)i;
  return SF_OK;
}

static sf_code sample_row(calibrating *state, const found_row *own) {
  sf_query_vector query;
  sf_query_vector_init(&query, vector_of(state, own), state->params->dim,
                       state->params->shards[own->shard]->score_convention, state->scaled);
  SF_TRY(order_lists(state, &query));
  SF_TRY(search_exactly(state, own, &query));
  for (size_t i = 0; i < state->num_found && i < RESULTS; i++) {
    const found_row *found = &state->found[i];
    size_t list = state->first_list[found->shard] + state->list_of_row[found->shard][found->row];
    for (size_t k = 0; k < NUM_TOP_KS; k++)
      if (i < top_ks[k]) {
        state->found_at[k][state->places[list]]++;
        state->num_results[k]++;
      }
  }
  return SF_OK;
}

/* The fewest lists that had that share of the results. */
static uint32_t count_for(const calibrating *state, size_t k, double target) {
  double error = sqrt(target * (1 - target) / (double)state->num_sampled);
  double wanted = target + (top_ks[k] == 1 ? 2 * error : error);
  uint64_t found = 0;
  for (size_t i = 0; i < state->num_lists; i++) {
    found += state->found_at[k][i];
    if ((double)found >= wanted * (double)state->num_results[k])
      return 2 * (i + 1) < state->num_lists ? (uint32_t)(i + 1) : 0;
  }
  return 0;
}

/* The threads' share of the work, and the first failure of one. */
typedef struct sharing {
  const calibrating *shared;
  calibrating *of_threads;
  sf_error *errors; /* of each thread */
  sf_code *codes;
  atomic_size_t next; /* of the sampled rows */
  atomic_bool has_failed;
} sharing;

static sf_code sample_rows(sharing *among, calibrating *state) {
  SF_TRY(begin_queries(state));
  while (!atomic_load(&among->has_failed)) {
    size_t next = atomic_fetch_add(&among->next, 1);
    if (next >= state->num_sampled)
      break;
    SF_TRY(sf_cancellation_check(state->cancellation, state->error));
    found_row own = row_at(state, state->sampled[next]);
    SF_TRY(sample_row(state, &own));
  }
  return SF_OK;
}

static void sample_by_thread(void *context, uint32_t thread) {
  sharing *among = context;
  calibrating *state = &among->of_threads[thread];
  *state = *among->shared;
  state->error = &among->errors[thread];
  among->codes[thread] = sample_rows(among, state);
  if (among->codes[thread] != SF_OK)
    atomic_store(&among->has_failed, true);
}

/* Adds up what the threads have found, in the first of them. */
static void gather(calibrating *all, const calibrating *other) {
  for (size_t k = 0; k < NUM_TOP_KS; k++) {
    all->num_results[k] += other->num_results[k];
    for (size_t i = 0; i < all->num_lists; i++)
      all->found_at[k][i] += other->found_at[k][i];
  }
}

static void fill(const calibrating *state, sf_list_calibration *calibration) {
  calibration->num_top_ks = NUM_TOP_KS;
  calibration->num_targets = NUM_TARGETS;
  memcpy(calibration->top_ks, top_ks, sizeof(top_ks));
  memcpy(calibration->targets, targets, sizeof(targets));
  for (size_t k = 0; k < NUM_TOP_KS; k++)
    for (size_t target = 0; target < NUM_TARGETS; target++)
      calibration->counts[k][target] = count_for(state, k, targets[target] / 1000.0);
}

static sf_code run(const calibrating *state, sf_build_threads *threads, sf_list_calibration *calibration) {
  uint32_t size = sf_build_threads_size(threads);
  sharing among = {.shared = state,
                   .of_threads = sf_calloc(size, sizeof(calibrating)),
                   .errors = sf_calloc(size, sizeof(sf_error)),
                   .codes = sf_calloc(size, sizeof(sf_code))};
  sf_code code = SF_OK;
  if (among.of_threads == NULL || among.errors == NULL || among.codes == NULL)
    code = sf_fail_memory(state->error, "calibration of lists");
  else
    sf_build_threads_run(threads, sample_by_thread, &among);
  for (uint32_t i = 0; i < size && code == SF_OK; i++) {
    code = among.codes[i];
    if (code != SF_OK && state->error != NULL)
      *state->error = among.errors[i];
    else if (code == SF_OK && i > 0)
      gather(&among.of_threads[0], &among.of_threads[i]);
  }
  if (code == SF_OK)
    fill(&among.of_threads[0], calibration);
  for (uint32_t i = 0; i < size && among.of_threads != NULL; i++)
    end_queries(&among.of_threads[i]);
  free(among.of_threads);
  free(among.errors);
  free(among.codes);
  return code;
}

sf_code sf_list_calibrate(const sf_calibration_params *params, const sf_cancellation *cancellation,
                          sf_list_calibration *calibration, sf_error *error) {
  calibrating state = {.params = params, .cancellation = cancellation, .error = error};
  sf_build_threads *threads = NULL;
  *calibration = (sf_list_calibration){0};
  sf_code code = begin(&state);
  if (code == SF_OK)
    code = sf_build_threads_create(params->num_threads > 0 ? params->num_threads : 1, &threads, error);
  if (code == SF_OK)
    code = run(&state, threads, calibration);
  sf_build_threads_free(threads);
  end(&state);
  return code;
}

size_t sf_list_calibration_count(const sf_list_calibration *calibration, double recall, size_t top_k) {
  uint32_t target = 0;
  uint32_t k = 0;
  while (target < calibration->num_targets && calibration->targets[target] / 1000.0 < recall)
    target++;
  while (k < calibration->num_top_ks && calibration->top_ks[k] < top_k)
    k++;
  if (target == calibration->num_targets || k == calibration->num_top_ks)
    return 0;
  /* Between two numbers of results, what the harder one needs. */
  uint32_t count = calibration->counts[k][target];
  uint32_t of_fewer = k == 0 || calibration->top_ks[k] == top_k ? count : calibration->counts[k - 1][target];
  if (count == 0 || of_fewer == 0)
    return 0;
  return count > of_fewer ? count : of_fewer;
}
