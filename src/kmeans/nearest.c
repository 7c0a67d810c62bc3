#include "kmeans/nearest.h"

#include "base/memory.h"
#include "vectors/distance.h"
#include "vectors/panels.h"

#include <float.h>
#include <math.h>

/* Rows that are scored together, so that a panel of points is read once for all of them: as many as the second-level
 * cache holds beside it, and fewer where there are many points. */
enum { MAX_ROWS = 16 * SF_TILE_ROWS, MAX_SCORES = 1 << 18, LANES = 16 };

struct sf_nearest {
  sf_panels *panels;
  uint32_t num_points;
  size_t dim;
  size_t width;
  bool squared_distances;
  float *halves;   /* width: |p|²/2 or 0; behind the points ∞, so that what fills a tile is never the best */
  double max_norm; /* of the points */
  const sf_kernels *kernels;
};

sf_code sf_nearest_create(uint32_t num_points, size_t dim, bool squared_distances, sf_nearest **created,
                          sf_error *error) {
  sf_nearest *nearest = sf_calloc(1, sizeof(*nearest));
  if (nearest == NULL)
    return sf_fail_memory(error, "nearest points");
  *nearest = (sf_nearest){
      .num_points = num_points, .dim = dim, .squared_distances = squared_distances, .kernels = sf_kernels_get()};
  sf_code code = sf_panels_create(num_points, dim, &nearest->panels, error);
  if (code != SF_OK)
    goto failed;
  nearest->width = sf_panels_width(nearest->panels);
  nearest->halves = sf_calloc(nearest->width, sizeof(float));
  if (nearest->halves == NULL) {
    code = sf_fail_memory(error, "nearest points");
    goto failed;
  }
  for (size_t i = num_points; i < nearest->width; i++)
    nearest->halves[i] = INFINITY;
  *created = nearest;
  return SF_OK;
failed:
  sf_nearest_free(nearest);
  return code;
}

void sf_nearest_free(sf_nearest *nearest) {
  if (nearest == NULL)
    return;
  sf_panels_free(nearest->panels);
  free(nearest->halves);
  free(nearest);
}

void sf_nearest_set_points(sf_nearest *nearest, const float *points) {
  double max = 0;
  for (size_t i = 0; i < nearest->num_points; i++) {
    const float *point = points + i * nearest->dim;
    double squared_norm = sf_exact_squared_norm(point, nearest->dim);
    /* Not fmax: NaN has to last. */
    if (!(squared_norm <= max))
      max = squared_norm;
    if (nearest->squared_distances)
      nearest->halves[i] = (float)(squared_norm / 2);
    sf_panels_set(nearest->panels, i, point);
  }
  nearest->max_norm = sqrt(max);
}

size_t sf_nearest_max_rows(const sf_nearest *nearest) {
  size_t tiles = MAX_SCORES / nearest->width / SF_TILE_ROWS;
  if (tiles < 1)
    return SF_TILE_ROWS;
  return tiles * SF_TILE_ROWS < MAX_ROWS ? tiles * SF_TILE_ROWS : MAX_ROWS;
}

size_t sf_nearest_scratch_size(const sf_nearest *nearest) {
  return sf_nearest_max_rows(nearest) * nearest->width;
}

/* At least |x|: of a float32 result, with what it may have lost. Flushed products of tiny components cost some FLT_MIN. */
static double norm_at_most(const sf_nearest *nearest, const float *row) {
  float squared;
  nearest->kernels->dot(row, row, 1, nearest->dim, &squared);
  double lost = sf_dot_error_bound(nearest->dim, 1, 1);
  return lost < 0.25 ? sqrt(((double)squared + 8 * (double)nearest->dim * FLT_MIN) / (1 - 2 * lost)) : INFINITY;
}

/*
 * How far a score of a row may be from the true one. The sum has dim products; a point that was rounded to float32, the
 * half of its square and the difference of the two are a few roundings more. A rule of squared distances rounds in
 * float64 in proportion to the distance, which may be far greater than the score.
 */
static double score_bound(const sf_nearest *nearest, double norm, double score_error) {
  enum { MORE_ROUNDINGS = 8 };
  size_t num_roundings = nearest->dim + MORE_ROUNDINGS;
  double half = nearest->squared_distances ? nearest->max_norm * nearest->max_norm / 2 : 0;
  /* Nothing can have overflowed. */
  if (!(norm * nearest->max_norm + half < FLT_MAX / 4))
    return INFINITY;
  double bound = sf_dot_error_bound(num_roundings, norm, nearest->max_norm) + score_error;
  if (nearest->squared_distances) {
    double sum = norm + nearest->max_norm;
    bound += sf_dot_error_bound(num_roundings, 1, half) + (double)num_roundings * (DBL_EPSILON / 2) * sum * sum;
  }
  return bound;
}

/* The two greatest scores. Lane by lane, so that compilers can use registers of any width; NaN is never the greater. */
static void find_two_best(const float *scores, size_t width, float *best, float *next) {
  float bests[LANES];
  float nexts[LANES];
  for (size_t lane = 0; lane < LANES; lane++)
    bests[lane] = nexts[lane] = -INFINITY;
  for (size_t i = 0; i < width; i += LANES) {
    for (size_t lane = 0; lane < LANES; lane++) {
      float score = scores[i + lane];
      float lesser = score < bests[lane] ? score : bests[lane];
      bests[lane] = score > bests[lane] ? score : bests[lane];
      nexts[lane] = lesser > nexts[lane] ? lesser : nexts[lane];
    }
  }
  *best = *next = -INFINITY;
  for (size_t lane = 0; lane < LANES; lane++) {
    float lesser = bests[lane] < *best ? bests[lane] : *best;
    *best = bests[lane] > *best ? bests[lane] : *best;
    *next = lesser > *next ? lesser : *next;
    *next = nexts[lane] > *next ? nexts[lane] : *next;
  }
}

static uint32_t find_score(const float *scores, float score) {
  uint32_t id = 0;
  while (scores[id] != score)
    id++;
  return id;
}

/* Asks the rule about all points whose scores are not surely less than the best. Comparisons with NaN are false: what
 * float32 could not hold is always asked about. */
static uint32_t decide(const sf_nearest *nearest, const sf_nearest_rule *rule, const float *row, const float *scores,
                       double least) {
  uint32_t nearest_id = 0;
  double nearest_distance = INFINITY;
  for (uint32_t id = 0; id < nearest->num_points; id++) {
    if ((double)scores[id] < least)
      continue;
    double distance = rule->distance(rule->context, row, id);
    if (distance < nearest_distance) {
      nearest_distance = distance;
      nearest_id = id;
    }
  }
  return nearest_id;
}

static sf_nearest_answer answer_row(const sf_nearest *nearest, const sf_nearest_rule *rule, const float *row,
                                    double norm, float *scores) {
  for (size_t i = 0; i < nearest->width; i++)
    scores[i] -= nearest->halves[i];
  float best;
  float next;
  find_two_best(scores, nearest->width, &best, &next);
  double bound = score_bound(nearest, norm, rule->score_error);
  double least = (double)best - 2 * bound;
  sf_nearest_answer answer = {.score = (double)best, .next_score = (double)next, .score_bound = bound};
  if ((double)next < least) {
    answer.id = find_score(scores, best);
  } else {
    answer.id = decide(nearest, rule, row, scores, least);
    answer.is_decided_exactly = true;
  }
  return answer;
}

void sf_nearest_find(const sf_nearest *nearest, const sf_nearest_rule *rule, const float *const *rows,
                     const double *norms, size_t num_rows, float *scratch, sf_nearest_answer *answers) {
  sf_panels_products(nearest->panels, rows, num_rows, scratch);
  for (size_t i = 0; i < num_rows; i++) {
    double norm = norms != NULL ? norms[i] : norm_at_most(nearest, rows[i]);
    answers[i] = answer_row(nearest, rule, rows[i], norm, scratch + i * nearest->width);
  }
}
