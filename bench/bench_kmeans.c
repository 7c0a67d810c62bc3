/* Trains centroids on raw float32 vectors: bench_kmeans VECTORS DIM CLUSTERS METRIC ITERATIONS SEED THREADS CENTROIDS.
 * Writes them to a file, and what it took to stdout. */
#include "kmeans/kmeans.h"
#include "vectors/distance.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static double seconds_of(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Reads a whole file: training has its sample in memory. */
static float *read_vectors(const char *path, size_t *size) {
  struct stat status;
  FILE *file = fopen(path, "rb");
  if (file == NULL || fstat(fileno(file), &status) != 0)
    return NULL;
  *size = (size_t)status.st_size;
  float *vectors = malloc(*size);
  if (vectors != NULL && fread(vectors, 1, *size, file) != *size) {
    free(vectors);
    vectors = NULL;
  }
  fclose(file);
  return vectors;
}

static bool write_centroids(const char *path, const float *centroids, size_t count) {
  FILE *file = fopen(path, "wb");
  return file != NULL && fwrite(centroids, sizeof(float), count, file) == count && fclose(file) == 0;
}

static bool find_metric(const char *name, sf_metric *metric) {
  static const sf_metric metrics[] = {SF_METRIC_COSINE, SF_METRIC_L2, SF_METRIC_DOT_PRODUCT};
  for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++) {
    *metric = metrics[i];
    if (strcmp(sf_metric_name(*metric), name) == 0)
      return true;
  }
  return false;
}

int main(int argc, char **argv) {
  if (argc != 9) {
    fprintf(stderr, "usage: bench_kmeans VECTORS DIM CLUSTERS METRIC ITERATIONS SEED THREADS CENTROIDS\n");
    return 2;
  }
  uint32_t dim = (uint32_t)strtoul(argv[2], NULL, 10);
  sf_kmeans_options options = {.num_clusters = (uint32_t)strtoul(argv[3], NULL, 10),
                               .iterations = (uint32_t)strtoul(argv[5], NULL, 10),
                               .seed = strtoull(argv[6], NULL, 10),
                               .num_threads = (uint32_t)strtoul(argv[7], NULL, 10)};
  size_t size = 0;
  float *vectors = read_vectors(argv[1], &size);
  size_t num_components = (size_t)options.num_clusters * dim;
  float *centroids = calloc(num_components + 1, sizeof(float));
  if (vectors == NULL || centroids == NULL || dim == 0 || !find_metric(argv[4], &options.metric)) {
    fprintf(stderr, "bench_kmeans: can't begin\n");
    return 1;
  }
  sf_kmeans_report report;
  sf_error error = {0};
  double began = seconds_of(CLOCK_MONOTONIC);
  double began_cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
  size_t n = size / sizeof(float) / dim;
  sf_code code = sf_kmeans_train(&options, vectors, n, dim, centroids, &report, NULL, &error);
  double seconds = seconds_of(CLOCK_MONOTONIC) - began;
  double cpu_seconds = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - began_cpu;
  if (code != SF_OK || !write_centroids(argv[8], centroids, num_components)) {
    fprintf(stderr, "bench_kmeans: %s\n", code != SF_OK ? error.message : argv[8]);
    return 1;
  }
  double share = (double)report.num_distances / ((double)n * options.num_clusters * report.iterations);
  printf("{\"kernel\": \"%s\", \"seconds\": %.6f, \"cpu_seconds\": %.6f, \"objective\": %.17g, \"iterations\": %u, "
         "\"distances\": %.4f}\n",
         sf_kernels_get()->name, seconds, cpu_seconds, report.objective, (unsigned)report.iterations, share);
  free(vectors);
  free(centroids);
  return 0;
}
