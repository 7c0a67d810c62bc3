/*
 * k-means: centroids for cluster sharding, trained on a sample of the rows.
 *
 * Lloyd's iterations (Least Squares Quantization in PCM, IEEE Transactions on Information Theory 28, 1982) from seeds by
 * greedy k-means++ (Arthur & Vassilvitskii: k-means++, the Advantages of Careful Seeding, SODA 2007; of some candidates
 * for each seed the best is taken, as their section 5 has it).
 *
 *   l2           Σ |x − c|² is made small: a centroid is its rows' mean
 *   cosine       Σ (1 − cos(x, c)): a centroid is the mean of its rows' directions, of length 1 (Dhillon & Modha: Concept
 *                Decompositions for Large Sparse Text Data using Clustering, Machine Learning 42, 2001). A zero row is at
 *                distance 1 from all and moves none
 *   dot product  Σ −x·c with |c| = 1: the same, where a row weighs as much as it is long. With means of any length, the
 *                longest would attract more and more rows
 */
#ifndef SF_KMEANS_KMEANS_H
#define SF_KMEANS_KMEANS_H

#include "base/cancellation.h"
#include "shardyfusion/types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct sf_kmeans_options {
  uint32_t num_clusters; /* at least 1, at most as many as there are rows */
  sf_metric metric;
  uint32_t iterations; /* the most, at least 1: it ends sooner when no row changes its cluster */
  uint64_t seed;
  uint32_t num_threads; /* 0: one for each CPU */
  /* The first centroids are rows that are drawn evenly, instead of by k-means++: for very many clusters, of few rows each, where
   * choosing them takes longer than the iterations. */
  bool draws_seeds;
  /* Called after each iteration by the thread that trains; false stops the training. NULL: no callback. */
  bool (*goes_on)(void *context);
  void *goes_on_context;
} sf_kmeans_options;

typedef struct sf_kmeans_report {
  double objective; /* what is made small, of the clusters of the last iteration */
  uint32_t iterations;
  uint64_t num_distances; /* that were computed, of num_clusters × n × iterations */
} sf_kmeans_report;

/*
 * Trains num_clusters × dim `centroids` on `n` × dim components. The same for the same sample, options and kernels
 * (kernels with fused multiply-add count as the same), whatever the number of threads. Besides the sample it needs some
 * 28 bytes a row and 20 bytes a component of a centroid. `report` may be NULL.
 *
 * Fails with SF_CONFIG_VALIDATION_ERROR where an option is out of its range or the sample has a component that is not
 * finite.
 */
sf_code sf_kmeans_train(const sf_kmeans_options *options, const float *sample, size_t n, uint32_t dim, float *centroids,
                        sf_kmeans_report *report, const sf_cancellation *cancellation, sf_error *error);

#endif
