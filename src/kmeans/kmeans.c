#include "kmeans/kmeans_state.h"

#include "base/memory.h"
#include "vectors/distance.h"

#include <math.h>
#include <stdatomic.h>
#include <unistd.h>

enum { ROWS_PER_PART = 1024 };

static sf_code check_options(const sf_kmeans_options *options, size_t n, uint32_t dim, sf_error *error) {
  if (options->num_clusters < 1)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "num_clusters: expected at least 1, found 0");
  if (n < options->num_clusters)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR,
                   "training sample: expected at least a row for each of %u clusters, found %zu",
                   (unsigned)options->num_clusters, n);
  if (dim < 1)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "training sample: expected at least 1 component, found 0");
  if (options->iterations < 1)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "iterations: expected at least 1, found 0");
  return SF_OK;
}

typedef struct measuring {
  sf_kmeans *kmeans;
  atomic_size_t first_bad; /* the first row with a component that is not finite; n: none */
} measuring;

static void measure_rows(void *context, size_t part, uint32_t thread) {
  (void)thread;
  measuring *state = context;
  sf_kmeans *kmeans = state->kmeans;
  size_t end = (part + 1) * ROWS_PER_PART < kmeans->n ? (part + 1) * ROWS_PER_PART : kmeans->n;
  for (size_t row = part * ROWS_PER_PART; row < end; row++) {
    /* The squares of finite float32 components don't overflow. */
    double squared_norm = sf_exact_squared_norm(sf_kmeans_row(kmeans, row), kmeans->dim);
    kmeans->norms[row] = sqrt(squared_norm);
    if (isfinite(squared_norm))
      continue;
    size_t first = atomic_load(&state->first_bad);
    while (row < first && !atomic_compare_exchange_weak(&state->first_bad, &first, row))
      ;
    break;
  }
}

static sf_code measure(sf_kmeans *kmeans, sf_error *error) {
  measuring state = {.kmeans = kmeans, .first_bad = kmeans->n};
  SF_TRY(sf_kmeans_run_parts(kmeans, (kmeans->n + ROWS_PER_PART - 1) / ROWS_PER_PART, measure_rows, &state, error));
  size_t bad = atomic_load(&state.first_bad);
  if (bad == kmeans->n)
    return SF_OK;
  const float *row = sf_kmeans_row(kmeans, bad);
  size_t i = 0;
  while (isfinite(row[i]))
    i++;
  return sf_fail(error, SF_CONFIG_VALIDATION_ERROR,
                 "training sample: row %zu: component %zu: expected a finite number, found %g", bad, i, (double)row[i]);
}

static uint32_t choose_num_threads(const sf_kmeans_options *options) {
  if (options->num_threads > 0)
    return options->num_threads;
  long cpus = sysconf(_SC_NPROCESSORS_ONLN);
  return cpus > 0 ? (uint32_t)cpus : 1;
}

static sf_code allocate(sf_kmeans *kmeans, sf_error *error) {
  uint32_t num_clusters = kmeans->options->num_clusters;
  size_t num_components;
  if (!sf_multiply_size(num_clusters, kmeans->dim, &num_components))
    return sf_fail_memory(error, "centroids");
  kmeans->norms = sf_calloc(kmeans->n, sizeof(double));
  kmeans->sums = sf_calloc(num_components, sizeof(double));
  kmeans->counts = sf_calloc(num_clusters, sizeof(uint64_t));
  if (kmeans->norms == NULL || kmeans->sums == NULL || kmeans->counts == NULL)
    return sf_fail_memory(error, "training of centroids");
  return SF_OK;
}

static void release(sf_kmeans *kmeans) {
  sf_build_threads_free(kmeans->threads);
  free(kmeans->norms);
  free(kmeans->sums);
  free(kmeans->counts);
}

sf_code sf_kmeans_train(const sf_kmeans_options *options, const float *sample, size_t n, uint32_t dim, float *centroids,
                        sf_kmeans_report *report, const sf_cancellation *cancellation, sf_error *error) {
  SF_TRY(check_options(options, n, dim, error));
  sf_kmeans_report ignored;
  sf_kmeans kmeans = {.options = options,
                      .sample = sample,
                      .n = n,
                      .dim = dim,
                      .cancellation = cancellation,
                      .random = {options->seed}};
  kmeans.centroids = centroids;
  sf_code code = allocate(&kmeans, error);
  if (code == SF_OK)
    code = sf_build_threads_create(choose_num_threads(options), &kmeans.threads, error);
  if (code == SF_OK)
    code = measure(&kmeans, error);
  if (code == SF_OK)
    code = sf_kmeans_seed(&kmeans, error);
  if (code == SF_OK)
    code = sf_kmeans_iterate(&kmeans, report != NULL ? report : &ignored, error);
  release(&kmeans);
  return code;
}
