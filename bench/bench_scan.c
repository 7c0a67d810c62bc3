/*
 * Measures one thing at a time, as its standard input asks, so that a driver can interleave it with others:
 *
 *   bench_scan VECTORS QUERIES DIM      raw float32 files; VECTORS is mapped, and read once before anything is timed
 *   > stream THREADS                    a plain read of the same mapping
 *   > scan METRIC QUERY THREADS TOP_K   METRIC cosine, l2 or dot; QUERY a row of QUERIES
 *   > float32 METRIC QUERY THREADS TOP_K   the same without quantized vectors
 *   < SECONDS [ROW SCORE]...
 *
 * Each is done six times in a row and the fastest counts: the first ones wake threads up and fill caches. Scan tasks are those
 * of a reader.
 */
#include "async/executor.h"
#include "base/files.h"
#include "base/thread.h"
#include "query/plan.h"
#include "query/scan.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MAX_THREADS = 64, MAX_TOP_K = 1000000, RUNS = 6 };

static void fail(const char *what) {
  fprintf(stderr, "bench_scan: %s\n", what);
  exit(1);
}

static double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static const void *map_file(const char *path, size_t *length) {
  int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  struct stat status;
  if (descriptor < 0 || fstat(descriptor, &status) != 0 || status.st_size <= 0)
    fail(path);
  *length = (size_t)status.st_size;
  void *mapping = mmap(NULL, *length, PROT_READ, MAP_SHARED, descriptor, 0);
  if (mapping == MAP_FAILED)
    fail(path);
  close(descriptor);
  sf_advise_scan(mapping, *length);
  return mapping;
}

/* Nothing but loads of the widest registers, into several sums: the fastest of the readers that were tried (narrower
 * ones, more or fewer sums, software prefetches). */
typedef uint64_t wide_words __attribute__((vector_size(64), aligned(4), may_alias));
enum { WIDE_BYTES = sizeof(wide_words), SUMS = 4 };

#if defined(__x86_64__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
static uint64_t
read_bytes(const char *bytes, size_t length) {
  wide_words sums[SUMS] = {{0}};
  for (size_t i = 0; i + SUMS * WIDE_BYTES <= length; i += SUMS * WIDE_BYTES)
    for (size_t sum = 0; sum < SUMS; sum++)
      sums[sum] ^= *(const wide_words *)(const void *)(bytes + i + sum * WIDE_BYTES);
  wide_words all = (sums[0] ^ sums[1]) ^ (sums[2] ^ sums[3]);
  uint64_t word = 0;
  for (size_t i = 0; i < WIDE_BYTES / sizeof(word); i++)
    word ^= all[i];
  return word;
}

/* Rows that threads share out among them, a slice at a time, as a reader does. */
typedef struct rows {
  const sf_query_vector *query; /* NULL: read the rows and do nothing with them */
  const sf_vector_segment *segment;
  sf_pruning_threshold *limit;
  size_t dim;
  atomic_size_t begin; /* of the next slice */
} rows;

/* One thread's part in that. */
typedef struct part {
  sf_task task; /* first: the executor hands it back */
  rows *of;
  sf_collector best;
  sf_collector found; /* in a task */
  uint64_t bytes_read;
} part;

static void scan_slice(part *mine, size_t begin, size_t end) {
  const rows *of = mine->of;
  sf_error error;
  if (sf_scan_segment(of->query, of->segment, begin, end, &mine->found, of->limit, NULL, &error) != SF_OK)
    fail(error.message);
  for (size_t i = 0; i < mine->found.count; i++)
    if (!sf_collector_add(&mine->best, mine->found.rows[i]))
      fail("out of memory");
  sf_pruning_threshold_lower(of->limit, sf_collector_threshold(&mine->best));
}

/* Rows of the next slice; 0: there is none. */
static size_t take_slice(rows *of, size_t *begin) {
  size_t count;
  *begin = atomic_load(&of->begin);
  do {
    if (*begin >= of->segment->num_rows)
      return 0;
    const sf_row_range range = sf_row_range_of(of->segment);
    count = sf_scan_task_at(&range, (uint32_t)of->dim, *begin).end - *begin;
  } while (!atomic_compare_exchange_weak(&of->begin, begin, *begin + count));
  return count;
}

static void run_part(part *mine) {
  rows *of = mine->of;
  sf_collector_begin(&mine->best, SIZE_MAX);
  size_t count;
  for (size_t begin; (count = take_slice(of, &begin)) > 0;) {
    if (of->query != NULL)
      scan_slice(mine, begin, begin + count);
    else
      mine->bytes_read ^=
          read_bytes((const char *)(of->segment->vectors + begin * of->dim), count * of->dim * sizeof(float));
  }
}

/* The threads that a reader would have, and how many parts they have still to end. */
static sf_executor *executor;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t all_ended = PTHREAD_COND_INITIALIZER;
static atomic_uint num_running;

static void run_task(sf_task *task) {
  run_part((part *)task);
  pthread_mutex_lock(&mutex);
  if (atomic_fetch_sub(&num_running, 1) == 1)
    pthread_cond_signal(&all_ended);
  pthread_mutex_unlock(&mutex);
}

/* Runs the parts side by side: the first in this thread. */
static void run_parts(part *parts, size_t count) {
  atomic_store(&num_running, (unsigned)count - 1);
  for (size_t i = 1; i < count; i++)
    if (!sf_executor_submit(executor, SF_LANE_SCAN, &parts[i].task))
      fail("cannot start a thread");
  run_part(&parts[0]);
  for (unsigned left; (left = atomic_load(&num_running)) > 0 && sf_wait_awake(&num_running, left);)
    continue;
  pthread_mutex_lock(&mutex);
  while (atomic_load(&num_running) > 0)
    pthread_cond_wait(&all_ended, &mutex);
  pthread_mutex_unlock(&mutex);
}

static void make_parts(part *parts, size_t count, rows *of, const sf_collector_params *params) {
  for (size_t i = 0; i < count; i++)
    parts[i] = (part){.task.run = run_task, .of = of, .best.params = params, .found.params = params};
}

static void free_parts(part *parts, size_t count) {
  for (size_t i = 0; i < count; i++) {
    sf_collector_free(&parts[i].best);
    sf_collector_free(&parts[i].found);
  }
}

static void measure_stream(const sf_vector_segment *segment, size_t dim, size_t num_threads) {
  part parts[MAX_THREADS];
  rows all = {.segment = segment, .dim = dim};
  const sf_collector_params params = {.kind = SF_COLLECT_TOP_K, .top_k = 1};
  make_parts(parts, num_threads, &all, &params);
  double seconds = INFINITY;
  for (int run = 0; run < RUNS; run++) {
    double start = seconds_now();
    atomic_store(&all.begin, 0);
    run_parts(parts, num_threads);
    seconds = fmin(seconds, seconds_now() - start);
  }
  volatile uint64_t bytes_read = parts[0].bytes_read;
  (void)bytes_read;
  printf("%.9f\n", seconds);
  free_parts(parts, num_threads);
}

/* One search as an executor would do it: the query's part, the threads' parts, and putting them together. */
static double search(sf_query_vector *query_vector, sf_score_convention convention, float *scaled, part *parts,
                     size_t num_parts, sf_collector *best) {
  double start = seconds_now();
  sf_pruning_threshold limit;
  if (!sf_pruning_threshold_init(&limit, best->params))
    fail("out of memory");
  sf_query_vector_init(query_vector, query_vector->query, query_vector->dim, convention, scaled);
  parts[0].of->limit = &limit;
  atomic_store(&parts[0].of->begin, 0);
  run_parts(parts, num_parts);
  sf_collector_begin(best, SIZE_MAX);
  for (size_t i = 0; i < num_parts; i++)
    for (size_t j = 0; j < parts[i].best.count; j++)
      if (!sf_collector_add(best, parts[i].best.rows[j]))
        fail("out of memory");
  sf_collector_finish(best);
  sf_pruning_threshold_free(&limit);
  return seconds_now() - start;
}

static void measure_scan(const sf_vector_segment *segment, const float *query, size_t dim,
                         sf_score_convention convention, size_t num_threads, size_t top_k) {
  float *scaled = calloc(dim, sizeof(*scaled));
  const sf_collector_params params = {.kind = SF_COLLECT_TOP_K, .top_k = top_k};
  sf_collector best = {.params = &params};
  if (scaled == NULL)
    fail("out of memory");
  part parts[MAX_THREADS];
  sf_query_vector query_vector = {.query = query, .dim = (uint32_t)dim};
  rows all = {.query = &query_vector, .segment = segment, .dim = dim};
  make_parts(parts, num_threads, &all, &params);
  double seconds = INFINITY;
  for (int run = 0; run < RUNS; run++)
    seconds = fmin(seconds, search(&query_vector, convention, scaled, parts, num_threads, &best));
  printf("%.9f", seconds);
  for (size_t i = 0; i < best.count; i++)
    printf(" %llu %.17g", (unsigned long long)best.rows[i].row, best.rows[i].score);
  printf("\n");
  free_parts(parts, num_threads);
  free(scaled);
  sf_collector_free(&best);
}

enum { NUM_METRICS = 3 };
static const char *const metric_names[NUM_METRICS] = {"cosine", "l2", "dot"};
static const sf_metric metrics[NUM_METRICS] = {SF_METRIC_COSINE, SF_METRIC_L2, SF_METRIC_DOT_PRODUCT};
static const sf_score_convention conventions[NUM_METRICS] = {SF_SCORE_COSINE, SF_SCORE_SQUARED_L2,
                                                             SF_SCORE_ONE_MINUS_DOT};

static bool find_metric(const char *name, size_t *metric) {
  for (*metric = 0; *metric < NUM_METRICS; (*metric)++)
    if (strcmp(name, metric_names[*metric]) == 0)
      return true;
  return false;
}

static bool measure(const char *line, const sf_vector_segment *segment, const sf_quantized *quantized,
                    const float *queries, size_t num_queries, size_t dim) {
  char what[16];
  char name[16];
  size_t query;
  size_t num_threads;
  size_t top_k;
  size_t metric;
  if (sscanf(line, "stream %zu", &num_threads) == 1 && num_threads >= 1 && num_threads <= MAX_THREADS) {
    measure_stream(segment, dim, num_threads);
    return true;
  }
  if (sscanf(line, "%15s %15s %zu %zu %zu", what, name, &query, &num_threads, &top_k) != 5)
    return false;
  if (!find_metric(name, &metric) || query >= num_queries || num_threads < 1 || num_threads > MAX_THREADS ||
      top_k < 1 || top_k > MAX_TOP_K)
    return false;
  sf_vector_segment searched = *segment;
  if (strcmp(what, "scan") == 0)
    searched.quantized = quantized[metric];
  else if (strcmp(what, "float32") != 0)
    return false;
  measure_scan(&searched, queries + query * dim, dim, conventions[metric], num_threads, top_k);
  return true;
}

static uint8_t *allocate(size_t length) {
  uint8_t *memory = aligned_alloc(SF_QUANTIZED_BLOCK_BYTES, length);
  if (memory == NULL)
    fail("out of memory");
  sf_advise_scan(memory, length);
  return memory;
}

/* As a vector file has them. */
static sf_quantized make_quantized(const float *vectors, size_t num_rows, size_t dim, sf_metric metric) {
  size_t num_groups = (size_t)sf_quantized_num_groups(num_rows);
  float *centre = calloc(dim, sizeof(*centre));
  uint8_t *groups[SF_QUANTIZED_KINDS];
  sf_quantized quantized = {.metric = metric, .centre = centre};
  if (centre == NULL)
    fail("out of memory");
  for (sf_quantized_kind kind = 0; kind < SF_QUANTIZED_KINDS; kind++)
    quantized.groups[kind] = groups[kind] =
        allocate(num_groups * (size_t)sf_quantized_group_size(kind, (uint32_t)dim, metric));
  sf_quantized_choose_centre(vectors, num_rows, (uint32_t)dim, metric, centre);
  sf_quantized_make_groups(vectors, num_rows, (uint32_t)dim, metric, centre, groups);
  return quantized;
}

/* What a shard knows of its rows once it is open. */
static sf_vector_segment describe(const float *vectors, size_t num_rows, size_t dim) {
  float *inverse_norms = calloc(num_rows, sizeof(*inverse_norms));
  if (inverse_norms == NULL)
    fail("out of memory");
  double max_squared_norm = 0;
  for (size_t row = 0; row < num_rows; row++) {
    inverse_norms[row] = sf_inverse_norm(vectors + row * dim, dim);
    max_squared_norm = fmax(max_squared_norm, sf_exact_squared_norm(vectors + row * dim, dim));
  }
  return (sf_vector_segment){
      .vectors = vectors, .inverse_norms = inverse_norms, .num_rows = num_rows, .max_norm = sqrt(max_squared_norm)};
}

int main(int argc, char **argv) {
  if (argc != 4)
    fail("usage: bench_scan VECTORS QUERIES DIM");
  size_t dim = (size_t)strtoul(argv[3], NULL, 10);
  if (dim < 1 || dim > 65536)
    fail("DIM must be from 1 to 65536");
  size_t vectors_length;
  size_t queries_length;
  const float *vectors = map_file(argv[1], &vectors_length);
  const float *queries = map_file(argv[2], &queries_length);
  sf_vector_segment segment = describe(vectors, vectors_length / sizeof(float) / dim, dim);
  sf_quantized quantized[NUM_METRICS];
  for (size_t i = 0; i < NUM_METRICS; i++)
    quantized[i] = make_quantized(vectors, segment.num_rows, dim, metrics[i]);
  sf_error error;
  if (sf_executor_create(MAX_THREADS, 1, &executor, &error) != SF_OK)
    fail(error.message);
  printf("%s\n", sf_kernel_name());
  fflush(stdout);
  char line[256];
  while (fgets(line, sizeof(line), stdin) != NULL) {
    if (!measure(line, &segment, quantized, queries, queries_length / sizeof(float) / dim, dim))
      fail("not a measurement that is known");
    fflush(stdout);
  }
  sf_executor_release(executor);
  float *inverse_norms = (float *)(uintptr_t)segment.inverse_norms;
  free(inverse_norms);
  for (size_t i = 0; i < NUM_METRICS; i++) {
    for (sf_quantized_kind kind = 0; kind < SF_QUANTIZED_KINDS; kind++)
      free((uint8_t *)(uintptr_t)quantized[i].groups[kind]);
    free((float *)(uintptr_t)quantized[i].centre);
  }
  return 0;
}
