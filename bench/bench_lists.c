/*
 * Measures searches of lists: how long they take to make, and for several numbers of lists how much of the exact results
 * a search of one thread finds, in which time.
 *
 *   bench_lists VECTORS QUERIES DIM METRIC TOP_K [NUM_LISTS]   raw float32 files; METRIC cosine, l2 or dot_product
 *
 * A line of JSON for each measurement, all in CPU time. The fastest of several runs over all queries counts; choosing lists
 * is included.
 */
#include "base/files.h"
#include "base/memory.h"
#include "cache/cached_block.h"
#include "lists/make_lists.h"
#include "query/list_scan.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { RUNS = 5, MOST_CHOICES = 8192 };

static const sf_lists_identity identity = {.db_url = "bench"};

static void fail(const char *what) {
  fprintf(stderr, "bench_lists: %s\n", what);
  exit(1);
}

/* CPU time of the process, so that other processes matter less. */
static double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static const float *map_file(const char *path, uint32_t dim, size_t *count) {
  int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  struct stat status;
  if (descriptor < 0 || fstat(descriptor, &status) != 0 || status.st_size <= 0)
    fail(path);
  void *mapping = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, descriptor, 0);
  if (mapping == MAP_FAILED)
    fail(path);
  close(descriptor);
  *count = (size_t)status.st_size / sizeof(float) / dim;
  return mapping;
}

/* What all measurements share. */
typedef struct bench {
  uint32_t dim;
  const sf_scoring *scoring;
  sf_score_convention convention;
  size_t top_k;
  sf_vector_segment segment;
  const float *queries;
  size_t num_queries;
  float *scaled;
  uint64_t *truth; /* num_queries × top_k */
  sf_lists lists;
  sf_list_choice *choices;
} bench;

static sf_query_vector query_of(const bench *state, size_t i) {
  sf_query_vector query;
  sf_query_vector_init(&query, state->queries + i * state->dim, state->dim, state->convention, state->scaled);
  return query;
}

static double find_truth(bench *state) {
  const sf_collector_params params = {.kind = SF_COLLECT_TOP_K, .top_k = state->top_k};
  sf_error error;
  double begin = seconds_now();
  for (size_t i = 0; i < state->num_queries; i++) {
    sf_query_vector query = query_of(state, i);
    sf_collector collector = {.params = &params};
    if (sf_scan_segment(&query, &state->segment, 0, state->segment.num_rows, &collector, NULL, NULL, &error) != SF_OK)
      fail(error.message);
    for (size_t k = 0; k < collector.count; k++)
      state->truth[i * state->top_k + k] = collector.rows[k].row;
    sf_collector_free(&collector);
  }
  return (seconds_now() - begin) / (double)state->num_queries;
}

static size_t count_found(const bench *state, size_t i, const sf_collector *collector) {
  size_t found = 0;
  for (size_t k = 0; k < collector->count; k++)
    for (size_t t = 0; t < state->top_k; t++)
      found += collector->rows[k].row == state->truth[i * state->top_k + t];
  return found;
}

/* One run over all queries; returns the rows of the truth that were found. */
static size_t run(bench *state, size_t wanted, float error_share, sf_scan_account *account, double *choosing) {
  const sf_collector_params params = {.kind = SF_COLLECT_TOP_K, .top_k = state->top_k};
  const sf_lists *shards[] = {&state->lists};
  size_t found = 0;
  sf_error error;
  for (size_t i = 0; i < state->num_queries; i++) {
    sf_query_vector query = query_of(state, i);
    sf_collector collector = {.params = &params};
    sf_scan_request request = {.query = &query, .collector = &collector, .error = &error};
    size_t count;
    double begin = seconds_now();
    if (sf_list_choice_find(&query, shards, 1, wanted, state->choices, &count, &error) != SF_OK)
      fail(error.message);
    *choosing += seconds_now() - begin;
    const sf_list_scan scan = {.lists = &state->lists,
                               .segments = &state->segment,
                               .num_segments = 1,
                               .choices = state->choices,
                               .num_choices = count,
                               .error_share = error_share};
    sf_list_scan_run(&scan, &request);
    if (request.code != SF_OK)
      fail(error.message);
    sf_scan_account_add(account, &request.account);
    found += count_found(state, i, &collector);
    sf_collector_free(&collector);
  }
  return found;
}

static void measure(bench *state, size_t wanted, float error_share) {
  double best = 1e9;
  double best_choosing = 1e9;
  size_t found = 0;
  sf_scan_account account = {0};
  double queries = (double)state->num_queries;
  for (int i = 0; i < RUNS; i++) {
    double choosing = 0;
    account = (sf_scan_account){0};
    double begin = seconds_now();
    found = run(state, wanted, error_share, &account, &choosing);
    double seconds = seconds_now() - begin;
    best = seconds < best ? seconds : best;
    best_choosing = choosing < best_choosing ? choosing : best_choosing;
  }
  printf(
      "{\"lists\": %zu, \"error_share\": %.3f, \"recall\": %.4f, \"us\": %.1f, \"us_choosing\": %.1f, \"rows_2bit\": "
      "%.0f, \"rows_4bit\": %.0f, \"rows_scored\": %.1f}\n",
      wanted, (double)error_share, (double)found / queries / (double)state->top_k, best / queries * 1e6,
      best_choosing / queries * 1e6, (double)account.num_2bit / queries, (double)account.num_4bit / queries,
      (double)account.num_scored / queries);
  fflush(stdout);
}

static void make_lists(bench *state, uint32_t num_lists) {
  const sf_lists_params params = {.segments = &state->segment,
                                  .num_segments = 1,
                                  .dim = state->dim,
                                  .metric = state->scoring->metric,
                                  .identity = identity,
                                  .num_lists = num_lists,
                                  .num_threads = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN)};
  void *block;
  size_t length;
  sf_error error;
  double begin = seconds_now();
  if (sf_lists_make(&params, NULL, &block, &length, &error) != SF_OK)
    fail(error.message);
  double seconds = seconds_now() - begin;
  begin = seconds_now();
  if (!sf_lists_read(block, length, &identity, &state->lists))
    fail("the lists that were made can't be read");
  printf("{\"rows\": %zu, \"dim\": %u, \"num_lists\": %u, \"seconds\": %.2f, \"share_of_vectors\": %.3f, "
         "\"seconds_to_read\": %.3f}\n",
         state->segment.num_rows, state->dim, state->lists.num_lists, seconds,
         (double)length / ((double)state->segment.num_rows * state->dim * sizeof(float)), seconds_now() - begin);
  fflush(stdout);
}

/* Quantized vectors and norms, as a vector file has them, so that the exact search is today's. */
static void prepare_segment(bench *state) {
  sf_vector_segment *segment = &state->segment;
  size_t num_groups = (size_t)sf_quantized_num_groups(segment->num_rows);
  uint8_t *groups[SF_QUANTIZED_KINDS];
  float *centre = sf_calloc(state->dim, sizeof(float));
  float *inverse_norms = sf_calloc(segment->num_rows, sizeof(float));
  for (sf_quantized_kind kind = 0; kind < SF_QUANTIZED_KINDS; kind++) {
    groups[kind] =
        sf_block_allocate(num_groups * (size_t)sf_quantized_group_size(kind, state->dim, state->scoring->metric));
    if (groups[kind] == NULL || centre == NULL || inverse_norms == NULL)
      fail("out of memory");
    segment->quantized.groups[kind] = groups[kind];
  }
  sf_quantized_choose_centre(segment->vectors, segment->num_rows, state->dim, state->scoring->metric, centre);
  sf_quantized_make_groups(segment->vectors, segment->num_rows, state->dim, state->scoring->metric, centre, groups);
  for (size_t i = 0; i < segment->num_rows; i++) {
    double squared_norm = sf_exact_squared_norm(segment->vectors + i * state->dim, state->dim);
    inverse_norms[i] = sf_inverse_norm(segment->vectors + i * state->dim, state->dim);
    if (squared_norm > segment->max_norm * segment->max_norm)
      segment->max_norm = __builtin_sqrt(squared_norm) * (1 + 1e-9);
  }
  segment->quantized.metric = state->scoring->metric;
  segment->quantized.centre = centre;
  segment->inverse_norms = state->scoring->is_normalised ? inverse_norms : NULL;
}

int main(int argc, char **argv) {
  static const size_t counts[] = {4, 8, 16, 24, 32, 48, 66, 90, 130, 170, 220, 300, 400, 600, 1000};
  bench state = {0};
  if (argc < 6)
    fail("expected VECTORS QUERIES DIM METRIC TOP_K [NUM_LISTS]");
  state.dim = (uint32_t)strtoul(argv[3], NULL, 10);
  state.convention = strcmp(argv[4], "cosine") == 0 ? SF_SCORE_COSINE
                     : strcmp(argv[4], "l2") == 0   ? SF_SCORE_L2
                                                    : SF_SCORE_ONE_MINUS_DOT;
  state.scoring = &sf_scorings[state.convention];
  state.top_k = strtoul(argv[5], NULL, 10);
  state.segment.vectors = map_file(argv[1], state.dim, &state.segment.num_rows);
  state.queries = map_file(argv[2], state.dim, &state.num_queries);
  state.scaled = sf_calloc(state.dim, sizeof(float));
  state.truth = sf_calloc(state.num_queries * state.top_k, sizeof(uint64_t));
  state.choices = sf_calloc(MOST_CHOICES, sizeof(sf_list_choice));
  if (state.scaled == NULL || state.truth == NULL || state.choices == NULL)
    fail("out of memory");
  prepare_segment(&state);
  make_lists(&state, argc > 6 ? (uint32_t)strtoul(argv[6], NULL, 10) : 0);
  printf("{\"exact_us\": %.1f}\n", find_truth(&state) * 1e6);
  for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
    if (counts[i] <= state.lists.num_lists)
      measure(&state, counts[i], sf_list_scan_error_share(state.dim));
  measure(&state, state.lists.num_lists < MOST_CHOICES ? state.lists.num_lists : MOST_CHOICES, 1);
  return 0;
}
