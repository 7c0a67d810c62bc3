/*
 * Greedy k-means++. It looks at every row once for each centroid, so it is given a part of the sample: rows at even
 * distances, each moved by chance, ROWS_PER_CLUSTER for each centroid. That is enough to find a row near the middle of what
 * k-means would separate, and costs a small part of one iteration.
 */
#include "kmeans/kmeans_state.h"

#include "base/memory.h"
#include "vectors/distance.h"
#include "vectors/panels.h"

#include <math.h>

enum { ROWS_PER_CLUSTER = 16, MIN_ROWS = 512, MAX_CANDIDATES = SF_TILE_COLUMNS, ROWS_PER_PART = 96 };

typedef struct seeding {
  sf_kmeans *kmeans;
  size_t count;       /* of rows that are looked at */
  size_t *rows;       /* count: their numbers in the sample */
  double *potentials; /* count: how far each is from the nearest centroid so far */
  float *products;    /* count × the panels' width: with the candidates */
  sf_panels *panels;  /* the candidates */
  size_t width;
  size_t num_candidates;
  size_t candidates[MAX_CANDIDATES]; /* places in `rows` */
} seeding;

static sf_code allocate(seeding *state, sf_error *error) {
  sf_kmeans *kmeans = state->kmeans;
  SF_TRY(sf_panels_create(MAX_CANDIDATES, kmeans->dim, &state->panels, error));
  state->width = sf_panels_width(state->panels);
  state->rows = sf_calloc(state->count, sizeof(size_t));
  state->potentials = sf_calloc(state->count, sizeof(double));
  state->products = sf_calloc(state->count, state->width * sizeof(float));
  if (state->rows == NULL || state->potentials == NULL || state->products == NULL)
    return sf_fail_memory(error, "choice of the first centroids");
  return SF_OK;
}

static void release(seeding *state) {
  sf_panels_free(state->panels);
  free(state->rows);
  free(state->potentials);
  free(state->products);
}

/* One row of each of `count` equal stretches of the sample. */
static void draw_rows(seeding *state) {
  double stretch = (double)state->kmeans->n / (double)state->count;
  for (size_t i = 0; i < state->count; i++) {
    size_t first = (size_t)((double)i * stretch);
    size_t end = (size_t)((double)(i + 1) * stretch);
    if (end > state->kmeans->n || i + 1 == state->count)
      end = state->kmeans->n;
    uint64_t choices = end > first ? end - first : 1;
    state->rows[i] = first + (size_t)sf_random_below(&state->kmeans->random, choices);
  }
}

/* The place at which the running sum of potentials passes a random part of it all; a random place where all are zero. */
static size_t draw_candidate(seeding *state, double total) {
  sf_random *random = &state->kmeans->random;
  if (!(total > 0))
    return (size_t)sf_random_below(random, state->count);
  double rest = total * sf_random_unit(random);
  size_t chosen = 0;
  for (size_t i = 0; i < state->count; i++) {
    if (state->potentials[i] == 0)
      continue;
    chosen = i;
    rest -= state->potentials[i];
    if (rest <= 0)
      break;
  }
  return chosen;
}

/* Makes the row at a place the centroid `id`, in whatever length the metric wants it. */
static void copy_centroid(const seeding *state, size_t place, uint32_t id) {
  const sf_kmeans *kmeans = state->kmeans;
  size_t row = state->rows[place];
  double norm = kmeans->norms[row];
  double factor = sf_kmeans_is_spherical(kmeans) && norm > 0 ? 1 / norm : 1;
  for (size_t i = 0; i < kmeans->dim; i++)
    kmeans->centroids[(size_t)id * kmeans->dim + i] = (float)(factor * (double)sf_kmeans_row(kmeans, row)[i]);
}

static void multiply_rows(void *context, size_t part, uint32_t thread) {
  (void)thread;
  seeding *state = context;
  const float *rows[ROWS_PER_PART];
  size_t first = part * ROWS_PER_PART;
  size_t count = state->count - first < ROWS_PER_PART ? state->count - first : ROWS_PER_PART;
  for (size_t i = 0; i < count; i++)
    rows[i] = sf_kmeans_row(state->kmeans, state->rows[first + i]);
  sf_panels_products(state->panels, rows, count, state->products + first * state->width);
}

/* How far the row at a place is from a candidate, if that is nearer than the nearest centroid so far. */
static double potential(const seeding *state, size_t place, size_t candidate) {
  const sf_kmeans *kmeans = state->kmeans;
  size_t candidate_place = state->candidates[candidate];
  if (place == candidate_place)
    return 0;
  double product = (double)state->products[place * state->width + candidate];
  double norm = kmeans->norms[state->rows[place]];
  double candidate_norm = kmeans->norms[state->rows[candidate_place]];
  double distance;
  if (!sf_kmeans_is_spherical(kmeans))
    distance = norm * norm - 2 * product + candidate_norm * candidate_norm;
  else
    distance =
        sf_kmeans_weight(kmeans, state->rows[place]) * (norm - (candidate_norm > 0 ? product / candidate_norm : 0));
  /* NaN where a product of huge components overflowed: as far as can be. */
  double before = state->potentials[place];
  return distance < before ? fmax(distance, 0) : before;
}

static double total_potential(const seeding *state, size_t candidate) {
  double total = 0;
  for (size_t i = 0; i < state->count; i++)
    total += potential(state, i, candidate);
  return total;
}

/* Takes the candidate that leaves the least potential as centroid `id`; returns what it leaves. */
static sf_code choose_centroid(seeding *state, uint32_t id, double *total, sf_error *error) {
  for (size_t i = 0; i < state->num_candidates; i++) {
    state->candidates[i] = draw_candidate(state, *total);
    sf_panels_set(state->panels, i, sf_kmeans_row(state->kmeans, state->rows[state->candidates[i]]));
  }
  size_t num_parts = (state->count + ROWS_PER_PART - 1) / ROWS_PER_PART;
  SF_TRY(sf_kmeans_run_parts(state->kmeans, num_parts, multiply_rows, state, error));
  size_t best = 0;
  double least = INFINITY;
  for (size_t i = 0; i < state->num_candidates; i++) {
    double left = total_potential(state, i);
    if (left < least) {
      least = left;
      best = i;
    }
  }
  for (size_t i = 0; i < state->count; i++)
    state->potentials[i] = potential(state, i, best);
  copy_centroid(state, state->candidates[best], id);
  *total = least;
  return SF_OK;
}

/* A row of each of num_clusters equal stretches of the sample. */
static sf_code draw_seeds(sf_kmeans *kmeans, sf_error *error) {
  seeding state = {.kmeans = kmeans, .count = kmeans->options->num_clusters};
  state.rows = sf_calloc(state.count, sizeof(size_t));
  if (state.rows == NULL)
    return sf_fail_memory(error, "choice of the first centroids");
  draw_rows(&state);
  for (uint32_t id = 0; id < state.count; id++)
    copy_centroid(&state, id, id);
  free(state.rows);
  return SF_OK;
}

sf_code sf_kmeans_seed(sf_kmeans *kmeans, sf_error *error) {
  uint32_t num_clusters = kmeans->options->num_clusters;
  if (kmeans->options->draws_seeds)
    return draw_seeds(kmeans, error);
  uint64_t wanted = (uint64_t)num_clusters * ROWS_PER_CLUSTER;
  wanted = wanted < MIN_ROWS ? MIN_ROWS : wanted;
  size_t trials = 2 + (size_t)log((double)num_clusters);
  seeding state = {.kmeans = kmeans,
                   .count = wanted < kmeans->n ? (size_t)wanted : kmeans->n,
                   .num_candidates = trials < MAX_CANDIDATES ? trials : MAX_CANDIDATES};
  sf_code code = allocate(&state, error);
  if (code != SF_OK)
    goto done;
  draw_rows(&state);
  for (size_t i = 0; i < state.count; i++)
    state.potentials[i] = INFINITY;
  /* The first is drawn evenly: nothing is known of any yet. */
  double total = 0;
  for (uint32_t id = 0; code == SF_OK && id < num_clusters; id++)
    code = choose_centroid(&state, id, &total, error);
done:
  release(&state);
  return code;
}
