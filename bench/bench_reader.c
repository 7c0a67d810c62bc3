/*
 * Whole searches by a reader, as users get them: ids and payloads included.
 *
 *   bench_reader ROOT CACHE QUERIES DIM ROUNDS
 *
 * ROOT is a snapshot; QUERIES a file of float32 vectors. Searches go over all shards, unless `routed`: those go to the one
 * shard that the query is nearest to. Prints one JSON object: medians in milliseconds, what is interleaved named alike;
 * and searches a second with so many in flight.
 */

#include "shardyfusion/search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const size_t in_flight[] = {1, 8, 64};
enum { NUM_IN_FLIGHT = sizeof(in_flight) / sizeof(in_flight[0]), ALL_SHARDS = 1000000 };

static double milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void check(sf_code code, const sf_error *error) {
  if (code == SF_OK)
    return;
  fprintf(stderr, "bench_reader: %s: %s\n", sf_code_name(code), error->message);
  exit(1);
}

static int compare(const void *left, const void *right) {
  double a = *(const double *)left;
  double b = *(const double *)right;
  return (a > b) - (a < b);
}

static double median(double *values, size_t count) {
  qsort(values, count, sizeof(*values), compare);
  return values[count / 2];
}

typedef struct queries {
  float *values;
  size_t count;
  size_t dim;
} queries;

static queries read_queries(const char *path, size_t dim) {
  queries read = {.dim = dim};
  FILE *file = fopen(path, "rb");
  if (file == NULL || dim == 0) {
    fprintf(stderr, "bench_reader: can't read %s\n", path);
    exit(1);
  }
  read.values = malloc(1000 * dim * sizeof(float));
  read.count = read.values == NULL ? 0 : fread(read.values, dim * sizeof(float), 1000, file);
  fclose(file);
  if (read.count == 0)
    exit(1);
  return read;
}

static sf_search_request request_for(const queries *of, size_t number, int64_t num_probes) {
  sf_search_request request = SF_SEARCH_REQUEST_INIT;
  request.query = of->values + number % of->count * of->dim;
  request.dim = of->dim;
  request.has_num_probes = true;
  request.num_probes = num_probes;
  return request;
}

static sf_reader *open_reader(const char *root, const char *cache, uint32_t workers) {
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  sf_reader *reader;
  sf_error error;
  options.cache_dir = cache;
  options.num_workers = workers;
  check(sf_reader_open(root, &options, &reader, &error), &error);
  return reader;
}

/* The time of one search, by the thread that asks and the reader's other workers. */
static double search(sf_reader *reader, const queries *of, size_t number) {
  sf_search_request request = request_for(of, number, ALL_SHARDS);
  sf_search_response *response;
  sf_error error;
  double start = milliseconds();
  check(sf_reader_search(reader, &request, &response, &error), &error);
  double elapsed = milliseconds() - start;
  sf_search_response_free(response);
  return elapsed;
}

/* Searches a second with a number of them in flight. */
static double throughput(sf_reader *reader, const queries *of, size_t most_in_flight, int64_t num_probes,
                         size_t total) {
  sf_completion_queue *queue;
  sf_error error;
  check(sf_completion_queue_create(&queue, &error), &error);
  double start = milliseconds();
  size_t submitted = 0;
  for (size_t finished = 0; finished < total;) {
    while (submitted < total && submitted - finished < most_in_flight) {
      sf_search_request request = request_for(of, submitted++, num_probes);
      sf_operation *operation;
      check(sf_reader_search_submit(reader, &request, queue, NULL, &operation, &error), &error);
    }
    sf_operation *operation = sf_completion_queue_wait(queue, -1);
    check(sf_operation_result(operation, &error), &error);
    sf_operation_release(operation);
    finished++;
  }
  double elapsed = milliseconds() - start;
  sf_completion_queue_free(queue);
  return (double)total / elapsed * 1e3;
}

/* A member of the JSON object: searches a second, for each number in flight. */
static void print_throughputs(const char *name, sf_reader *reader, const queries *of, int64_t num_probes,
                              size_t total) {
  printf("\"%s\": [", name);
  for (size_t i = 0; i < NUM_IN_FLIGHT; i++)
    printf("%s%.0f", i > 0 ? ", " : "", throughput(reader, of, in_flight[i], num_probes, total));
  printf("], ");
}

/* KiB of memory that is this process's own, mapped files aside; 0 where the system doesn't say. */
static long own_memory(void) {
  FILE *file = fopen("/proc/self/status", "r");
  char line[256];
  long kib = 0;
  while (file != NULL && fgets(line, sizeof(line), file) != NULL)
    if (strncmp(line, "RssAnon:", 8) == 0)
      kib = strtol(line + 8, NULL, 10);
  if (file != NULL)
    fclose(file);
  return kib;
}

static double open_and_close(const char *root, const char *cache) {
  double start = milliseconds();
  sf_reader *reader = open_reader(root, cache, 2);
  double elapsed = milliseconds() - start;
  sf_reader_free(reader);
  return elapsed;
}

int main(int argc, char **argv) {
  if (argc != 6) {
    fprintf(stderr, "usage: %s ROOT CACHE QUERIES DIM ROUNDS\n", argv[0]);
    return 2;
  }
  queries asked = read_queries(argv[3], strtoul(argv[4], NULL, 10));
  size_t rounds = strtoul(argv[5], NULL, 10);
  double *opens = calloc(rounds, sizeof(double));
  double *ones = calloc(rounds, sizeof(double));
  double *twos = calloc(rounds, sizeof(double));
  if (opens == NULL || ones == NULL || twos == NULL || rounds == 0)
    return 1;
  double start = milliseconds();
  sf_reader *one = open_reader(argv[1], argv[2], 1);
  search(one, &asked, 0);
  double first = milliseconds() - start;
  long own = own_memory();
  sf_reader *two = open_reader(argv[1], argv[2], 2);
  search(two, &asked, 0);
  for (size_t i = 0; i < rounds; i++) {
    opens[i] = open_and_close(argv[1], argv[2]);
    ones[i] = search(one, &asked, i);
    twos[i] = search(two, &asked, i);
  }
  sf_reader_free(one);
  printf("{");
  print_throughputs("per_second", two, &asked, ALL_SHARDS, rounds * 8);
  print_throughputs("routed_per_second", two, &asked, 1, rounds * 64);
  printf("\"open_ms\": %.3f, \"first_ms\": %.1f, \"one_ms\": %.3f, \"two_ms\": %.3f, \"own_kib\": %ld, "
         "\"busy_kib\": %ld, \"kernel\": \"%s\"}\n",
         median(opens, rounds), first, median(ones, rounds), median(twos, rounds), own, own_memory(), sf_kernel_name());
  sf_reader_free(two);
  free(opens);
  free(ones);
  free(twos);
  free(asked.values);
  return 0;
}
