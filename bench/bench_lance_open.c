/*
 * How long a Lance shard takes from disk to ready for its first search, with nothing in the local cache and the file in
 * the page cache, and how long that search takes, against reading as many bytes as its vectors have: through a buffer
 * that stays in the CPU's caches, and into memory that keeps them all. And how much memory the two need beyond what is
 * mapped. Prints a JSON object, times in ms.
 *
 *   bench_lance_open ROOT KEY DIM METRIC CACHE_DIR DATA_FILE
 */
#include "base/time.h"
#include "formats/formats.h"
#include "query/scan.h"

#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIECE = 1 << 20, TOP_K = 10 };

static double milliseconds_since(uint64_t begin) {
  return (double)(sf_monotonic_nanoseconds() - begin) / 1e6;
}

/* Anonymous memory of this process in KiB, or 0 where the system does not say. */
static long anonymous_memory(void) {
  FILE *status = fopen("/proc/self/status", "r");
  char line[256];
  long kibibytes = 0;
  while (status != NULL && fgets(line, sizeof(line), status) != NULL)
    if (strncmp(line, "RssAnon:", 8) == 0)
      kibibytes = strtol(line + 8, NULL, 10);
  if (status != NULL)
    fclose(status);
  return kibibytes;
}

/* Reads the first `length` bytes of a file in pieces, either each into the same memory or one after the other. */
static double read_file(const char *path, size_t length, char *into, bool keep) {
  int descriptor = open(path, O_RDONLY);
  uint64_t begin = sf_monotonic_nanoseconds();
  for (size_t done = 0; done < length;) {
    ssize_t got = read(descriptor, keep ? into + done : into, length - done < PIECE ? length - done : PIECE);
    if (got <= 0)
      break;
    done += (size_t)got;
  }
  double time = milliseconds_since(begin);
  close(descriptor);
  return time;
}

static double time_reading(const char *path, size_t length, bool keep) {
  char *memory = malloc(keep ? length : PIECE);
  if (memory == NULL)
    return NAN;
  if (!keep)
    memset(memory, 1, PIECE);
  double time = read_file(path, length, memory, keep);
  free(memory);
  return time;
}

static double time_search(const sf_shard *shard) {
  float *query = calloc(shard->dim, sizeof(*query));
  float *scaled = calloc(shard->dim, sizeof(*scaled));
  double time = NAN;
  if (query != NULL && scaled != NULL) {
    for (uint32_t i = 0; i < shard->dim; i++)
      query[i] = (float)(i % 7) - 3;
    uint64_t begin = sf_monotonic_nanoseconds();
    sf_query_vector query_vector;
    sf_query_vector_init(&query_vector, query, shard->dim, shard->score_convention, scaled);
    const sf_collector_params params = {.kind = SF_COLLECT_TOP_K, .top_k = TOP_K};
    sf_collector found = {.params = &params};
    for (size_t i = 0; i < shard->num_segments; i++)
      sf_scan_segment(&query_vector, &shard->segments[i], 0, shard->segments[i].num_rows, &found, NULL, NULL, NULL);
    sf_collector_free(&found);
    time = milliseconds_since(begin);
  }
  free(query);
  free(scaled);
  return time;
}

static sf_code measure(const sf_shard_params *source, const char *data_file, sf_error *error) {
  sf_shard *shard = NULL;
  long memory = anonymous_memory();
  uint64_t begin = sf_monotonic_nanoseconds();
  SF_TRY(sf_lance_format.open(source, NULL, &shard, error));
  double open_time = milliseconds_since(begin);
  double search_time = time_search(shard);
  memory = anonymous_memory() - memory;
  size_t length = (size_t)shard->num_rows * shard->dim * sizeof(float);
  double read_time = time_reading(data_file, length, false);
  double keep_time = time_reading(data_file, length, true);
  printf("{\"rows\": %" PRIu64 ", \"megabytes\": %.1f, \"segments\": %zu, \"read\": %.2f, \"read_and_keep\": %.2f, "
         "\"open\": %.2f, \"first_search\": %.2f, \"memory_kib\": %ld}\n",
         shard->num_rows, (double)length / 1e6, shard->num_segments, read_time, keep_time, open_time, search_time,
         memory);
  sf_lance_format.close(shard);
  return SF_OK;
}

int main(int argc, char **argv) {
  if (argc != 7) {
    fprintf(stderr, "usage: %s ROOT KEY DIM METRIC CACHE_DIR DATA_FILE\n", argv[0]);
    return 2;
  }
  sf_error error = {0};
  sf_storage *storage = NULL;
  sf_shard_resources *resources = NULL;
  sf_code code = sf_storage_open(argv[1], NULL, &storage, &error);
  if (code == SF_OK)
    code = sf_shard_resources_create(&resources, &error);
  sf_shard_params source = {
      .storage = storage,
      .resources = resources,
      .db_url = argv[2],
      .key = argv[2],
      .cache_dir = argv[5],
      .dim = (uint32_t)strtoul(argv[3], NULL, 10),
      .metric = strcmp(argv[4], "cosine") == 0 ? SF_METRIC_COSINE : SF_METRIC_L2,
  };
  time_reading(argv[6], SIZE_MAX, false); /* so that the file is in the page cache */
  if (code == SF_OK)
    code = measure(&source, argv[6], &error);
  if (code != SF_OK)
    fprintf(stderr, "%s\n", error.message);
  sf_shard_resources_free(resources);
  if (storage != NULL)
    sf_storage_close(storage);
  return code != SF_OK;
}
