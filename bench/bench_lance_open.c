/*
 * How long a Lance shard takes from disk to ready for its first search, with nothing in the local cache and the file in
 * the page cache, against reading as many bytes as its vectors have; and how much memory that needs beyond what is
 * mapped.
 *
 *   bench_lance_open ROOT KEY DIM METRIC CACHE_DIR DATA_FILE
 */
#include "base/time.h"
#include "shard/shard.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

static double read_file(const char *path, uint64_t *length) {
  static char buffer[1 << 20];
  int descriptor = open(path, O_RDONLY);
  uint64_t begin = sf_monotonic_nanoseconds();
  *length = 0;
  for (ssize_t got; (got = read(descriptor, buffer, sizeof(buffer))) > 0;)
    *length += (uint64_t)got;
  close(descriptor);
  return (double)(sf_monotonic_nanoseconds() - begin) / 1e6;
}

int main(int argc, char **argv) {
  if (argc != 7) {
    fprintf(stderr, "usage: %s ROOT KEY DIM METRIC CACHE_DIR DATA_FILE\n", argv[0]);
    return 2;
  }
  sf_error error = {0};
  sf_storage *storage = NULL;
  sf_shard *shard = NULL;
  uint64_t file_length;
  read_file(argv[6], &file_length);
  double read_time = read_file(argv[6], &file_length);
  if (sf_storage_open(argv[1], NULL, &storage, &error) != SF_OK) {
    fprintf(stderr, "%s\n", error.message);
    return 1;
  }
  sf_shard_source source = {
      .storage = storage,
      .db_url = argv[2],
      .key = argv[2],
      .cache_dir = argv[5],
      .dim = (uint32_t)strtoul(argv[3], NULL, 10),
      .metric = strcmp(argv[4], "cosine") == 0 ? SF_METRIC_COSINE : SF_METRIC_L2,
  };
  long memory = anonymous_memory();
  uint64_t begin = sf_monotonic_nanoseconds();
  if (sf_lance_format.open(&source, NULL, &shard, &error) != SF_OK) {
    fprintf(stderr, "%s\n", error.message);
    return 1;
  }
  double open_time = (double)(sf_monotonic_nanoseconds() - begin) / 1e6;
  double vector_bytes = (double)shard->num_rows * shard->dim * sizeof(float);
  double vectors_read_time = read_time * vector_bytes / (double)file_length;
  printf("%" PRIu64 " rows, %.1f MB of vectors in %zu segments\n", shard->num_rows, vector_bytes / 1e6,
         shard->num_segments);
  printf("reading them: %.1f ms; opening: %.1f ms (%.2f times); %ld KiB beyond the mapping\n", vectors_read_time,
         open_time, open_time / vectors_read_time, anonymous_memory() - memory);
  sf_lance_format.close(shard);
  sf_storage_close(storage);
  return 0;
}
