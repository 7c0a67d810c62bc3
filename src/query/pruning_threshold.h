/*
 * What the scans of one search tell one another, on however many threads: the highest score that is still of use, and a
 * first one by a sample of the rows, of which each thread that begins takes some parts. Nobody waits for another.
 */
#ifndef SF_QUERY_PRUNING_THRESHOLD_H
#define SF_QUERY_PRUNING_THRESHOLD_H

#include "query/top_k.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
  SF_SAMPLE_PARTS = 8,
  SF_MAX_SAMPLED_TOP_K = 256, /* for more rows a sample is of no use */
};

/* For any thread. */
typedef struct sf_pruning_threshold {
  size_t top_k;         /* rows that are wanted */
  _Atomic double score; /* falls; as many rows as are wanted score no higher */
  atomic_size_t next_part;
  pthread_mutex_t mutex; /* guards what is below */
  sf_top_k sampled;      /* rows with the highest scores that they may have */
} sf_pruning_threshold;

/* Rows above `score` are not wanted; infinite: all are. False when memory is out. */
bool sf_pruning_threshold_init(sf_pruning_threshold *limit, size_t top_k, double score);
void sf_pruning_threshold_free(sf_pruning_threshold *limit);

double sf_pruning_threshold_get(const sf_pruning_threshold *limit);
/* Lowers it to `score`, if that is lower. */
void sf_pruning_threshold_lower(sf_pruning_threshold *limit, double score);

/* Takes a part of the sample, from 0 to SF_SAMPLE_PARTS - 1, that nobody has taken; false: there is none, or too many rows
 * are wanted for a sample to be of use. */
bool sf_pruning_threshold_take_part(sf_pruning_threshold *limit, size_t *part);

/* Adds a row of the part that was taken, which scores no higher than it says there. May lower the limit. */
void sf_pruning_threshold_add(sf_pruning_threshold *limit, sf_neighbour row);

#endif
