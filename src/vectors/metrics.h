/*
 * The table of metrics: one row for each way in which a shard's engine states a distance. A row says which public
 * metric it belongs to and what that is called, what the approximate distance is made of, how far it can be from the
 * exact score, and how the exact score is computed. Everything else asks the table: kernels, norms, quantized vectors,
 * the cached sections, the formats, routing and training. A new metric or convention is a value of the enum and a row
 * in metrics.c.
 *
 * A scan looks its row of the table up once for a chunk or a query; only exact_score is called for each row, and that
 * only for candidates.
 */
#ifndef SF_VECTORS_METRICS_H
#define SF_VECTORS_METRICS_H

#include "shardyfusion/types.h"

#include <stdbool.h>
#include <stddef.h>

/* How a shard's own engine states a distance (lower is closer), so that users' thresholds keep their meaning. */
typedef enum sf_score_convention {
  SF_SCORE_COSINE,        /* 1 − cos; 1 where either vector is zero */
  SF_SCORE_L2,            /* Euclidean distance */
  SF_SCORE_SQUARED_L2,    /* its square */
  SF_SCORE_ONE_MINUS_DOT, /* 1 − dot */
  SF_SCORE_CONVENTIONS
} sf_score_convention;

struct sf_query_vector;

typedef struct sf_scoring {
  sf_metric metric;
  const char *metric_name; /* in manifests and options, and in the declarations of sqlite-vec's tables */
  /* The approximate distance is Σ (qᵢ − xᵢ)², which needs no norms; else it is made of Σ qᵢxᵢ. */
  bool is_of_differences;
  bool is_normalised; /* rows and query count as scaled to length 1: the rows' inverse norms are needed */
  bool is_root;       /* the score is the square root of what the approximate distance approximates */
  /* NULL where is_of_differences, as is error_bound: the error of differences is relative (sf_squared_l2_error_bound).
   * Turns products of rows with the compared vector into approximate distances, in place. */
  void (*distances_of_dots)(const float *inverse_norms, size_t count, float *dots);
  /* |score − (1 + approximate distance)| is at most this for rows with norms of at most max_norm. */
  double (*error_bound)(const struct sf_query_vector *query_vector, double max_norm);
  double (*exact_score)(const struct sf_query_vector *query_vector, const float *row);
} sf_scoring;

extern const sf_scoring sf_scorings[SF_SCORE_CONVENTIONS];

/* A metric's first row; all that its rows differ in is how scores are stated. */
const sf_scoring *sf_scoring_of_metric(sf_metric metric);

bool sf_metric_is_known(sf_metric metric);

/* False where no metric has that name. */
bool sf_metric_find(const char *name, sf_metric *metric);

/* Which of an engine's conventions (bit c: SF_SCORE_… c) states distances of a metric; false where none does. */
bool sf_score_convention_of(sf_metric metric, unsigned conventions, sf_score_convention *convention);

#endif
