/* Metrics, and how the formats state their distances. */
#ifndef SF_VECTORS_METRICS_H
#define SF_VECTORS_METRICS_H

#include "shardyfusion.h"

/* How a shard's own engine states a distance (lower is closer), so that users' thresholds keep their meaning. */
typedef enum sf_score_convention {
  SF_SCORE_COSINE,        /* 1 − cos; 1 where either vector is zero */
  SF_SCORE_L2,            /* Euclidean distance */
  SF_SCORE_SQUARED_L2,    /* its square */
  SF_SCORE_ONE_MINUS_DOT, /* 1 − dot */
} sf_score_convention;

#endif
