/* What the phases of a k-means training share. */
#ifndef SF_KMEANS_KMEANS_STATE_H
#define SF_KMEANS_KMEANS_STATE_H

#include "base/build_threads.h"
#include "base/random.h"
#include "kmeans/kmeans.h"
#include "kmeans/nearest.h"
#include "vectors/metrics.h"

/* Of what a thread computes with. */
typedef struct sf_kmeans_worker {
  float *scratch;
  const float **rows;
  size_t *row_numbers;
  double *norms;
  sf_nearest_answer *answers;
} sf_kmeans_worker;

typedef struct sf_kmeans {
  const sf_kmeans_options *options;
  const float *sample;
  size_t n;
  uint32_t dim;
  const sf_cancellation *cancellation;
  float *centroids; /* the caller's */
  sf_build_threads *threads;
  sf_kmeans_worker *workers; /* one a thread */
  sf_random random;
  double *norms;    /* n: |x| */
  double *sums;     /* num_clusters × dim: of the rows, or of their directions */
  uint64_t *counts; /* num_clusters */
} sf_kmeans;

/* Directions count, not places. */
static inline bool sf_kmeans_is_spherical(const sf_kmeans *kmeans) {
  return !sf_scoring_of_metric(kmeans->options->metric)->is_of_differences;
}

static inline const float *sf_kmeans_row(const sf_kmeans *kmeans, size_t row) {
  return kmeans->sample + row * kmeans->dim;
}

/* What a row's components are multiplied by before they are added up. */
static inline double sf_kmeans_weight(const sf_kmeans *kmeans, size_t row) {
  if (!sf_scoring_of_metric(kmeans->options->metric)->is_normalised)
    return 1;
  return kmeans->norms[row] > 0 ? 1 / kmeans->norms[row] : 0;
}

/* Calls `work` for each of `num_parts`, which the threads of the pool take in turns. Returns early when cancelled. */
typedef void (*sf_kmeans_work)(void *context, size_t part, uint32_t thread);
sf_code sf_kmeans_run_parts(const sf_kmeans *kmeans, size_t num_parts, sf_kmeans_work work, void *context,
                            sf_error *error);

/* Chooses the first centroids. */
sf_code sf_kmeans_seed(sf_kmeans *kmeans, sf_error *error);

/* Lloyd's iterations. */
sf_code sf_kmeans_iterate(sf_kmeans *kmeans, sf_kmeans_report *report, sf_error *error);

#endif
