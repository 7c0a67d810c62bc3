/*
 * The nearest of some points to each of many rows. A first pass in float32 scores all of them, many rows at a time; where
 * it leaves a doubt, an exact rule decides between those that it could be: the answer is always the rule's.
 *
 * The score of a row x and a point p, the greatest of which is the nearest, is x·p − |p|²/2 for squared distances
 * (|x − p|² = |x|² − 2 (x·p − |p|²/2)), and x·p otherwise.
 */
#ifndef SF_KMEANS_NEAREST_H
#define SF_KMEANS_NEAREST_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

typedef struct sf_nearest_rule {
  /* Least is nearest; ties go to the lowest id. Never NaN. */
  double (*distance)(const void *context, const float *row, uint32_t id);
  const void *context;
  /* How much the scores of rows of any length may differ from the rule's, apart from roundings. */
  double score_error;
} sf_nearest_rule;

/* Between two calls of sf_nearest_set_points: any thread. */
typedef struct sf_nearest sf_nearest;

sf_code sf_nearest_create(uint32_t num_points, size_t dim, bool squared_distances, sf_nearest **nearest,
                          sf_error *error);
void sf_nearest_free(sf_nearest *nearest); /* NULL is allowed */

/* Copies num_points × dim. */
void sf_nearest_set_points(sf_nearest *nearest, const float *points);

/* How many rows at once are best, and at most allowed; and how many floats of scratch the calls then need. */
size_t sf_nearest_max_rows(const sf_nearest *nearest);
size_t sf_nearest_scratch_size(const sf_nearest *nearest);

typedef struct sf_nearest_answer {
  uint32_t id;
  bool is_decided_exactly; /* by the rule: the scores are too near each other to tell */
  double score;            /* the best one */
  double next_score;       /* −∞ where there is but one point */
  double score_bound;      /* how far each of both may be from the true one; ∞ where float32 promises nothing */
} sf_nearest_answer;

/* `num_rows` rows, finite, which may lie anywhere, with their norms (NULL: not known). */
void sf_nearest_find(const sf_nearest *nearest, const sf_nearest_rule *rule, const float *const *rows,
                     const double *norms, size_t num_rows, float *scratch, sf_nearest_answer *answers);

#endif
