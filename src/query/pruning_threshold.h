/*
 * The pruning threshold that all scans of one search share, on however many threads: the highest score that a result can
 * still have. It starts with the collector's, falls with what scans find, and with a first estimate from a sample of the
 * rows, of which each thread that begins takes some parts. No thread waits for another's part.
 */
#ifndef SF_QUERY_PRUNING_THRESHOLD_H
#define SF_QUERY_PRUNING_THRESHOLD_H

#include "query/collector.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
  SF_SAMPLE_PARTS = 8,
  SF_MAX_SAMPLED_ROWS = 256, /* a search with more results gains nothing from a sample */
};

/* For any thread. */
typedef struct sf_pruning_threshold {
  _Atomic double score; /* falls; no row that scores higher is a result */
  atomic_size_t next_part;
  pthread_mutex_t mutex; /* guards what follows */
  sf_collector sampled;  /* rows with the highest scores that they may have */
} sf_pruning_threshold;

/* Borrows the params. False when memory is out. */
bool sf_pruning_threshold_init(sf_pruning_threshold *threshold, const sf_collector_params *params);
void sf_pruning_threshold_free(sf_pruning_threshold *threshold);

double sf_pruning_threshold_get(const sf_pruning_threshold *threshold);
/* Lowers it to `score`, if that is lower. */
void sf_pruning_threshold_lower(sf_pruning_threshold *threshold, double score);

/* Takes a part of the sample that no other thread takes, from 0 to SF_SAMPLE_PARTS - 1. False: none is left, or a sample is
 * of no use for so many results. */
bool sf_pruning_threshold_take_part(sf_pruning_threshold *threshold, size_t *part);

/* Adds a row of a part that was taken; it scores no higher than `row` says. May lower the threshold. */
void sf_pruning_threshold_add(sf_pruning_threshold *threshold, sf_scored_row row);

#endif
