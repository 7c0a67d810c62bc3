/*
 * Lloyd's iterations, exact, with what a row's last look at all centroids says about the next: its own centroid was nearer
 * than any other by some lead, and by the triangle inequality the lead shrinks by no more than the centroids move
 * (Hamerly: Making k-means Even Faster, SDM 2010, with both of his bounds in one number). A row that still leads is not
 * looked at. Leads are differences of distances, or, for directions, of products with the row's direction.
 */
#include "kmeans/kmeans_state.h"

#include "base/memory.h"
#include "vectors/distance.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

enum { ROWS_PER_PART = 1536, COMPONENTS_PER_SLICE = 16 };

/* What float64 may round off leads, relative to the lengths that they are differences of; far more than it does. */
#define LEAD_ERROR 1e-9

static const uint32_t no_cluster = UINT32_MAX;

typedef struct iterating {
  sf_kmeans *kmeans;
  sf_nearest *nearest;
  sf_nearest_rule rule;
  uint32_t *clusters; /* n: each row's, by the last look */
  uint32_t *summed;   /* n: in whose sum each row is; no_cluster: in none yet */
  double *leads;      /* n */
  double *shrinkage;  /* num_clusters: what the leads of a cluster's rows have lost since the last iteration */
  float *middles;     /* num_clusters × dim: where the centroids go next */
  double max_norm;    /* of the centroids */
  uint32_t num_slices;
  atomic_uint_fast64_t num_looked_at;
} iterating;

/* ------------------------------------------------------------------------------------------------------------ Memory */

static sf_code allocate_worker(const iterating *state, sf_kmeans_worker *worker, sf_error *error) {
  size_t max_rows = sf_nearest_max_rows(state->nearest);
  worker->scratch = sf_calloc(sf_nearest_scratch_size(state->nearest), sizeof(float));
  worker->rows = sf_calloc(max_rows, sizeof(*worker->rows));
  worker->row_numbers = sf_calloc(max_rows, sizeof(*worker->row_numbers));
  worker->norms = sf_calloc(max_rows, sizeof(*worker->norms));
  worker->answers = sf_calloc(max_rows, sizeof(*worker->answers));
  if (worker->scratch == NULL || worker->rows == NULL || worker->row_numbers == NULL || worker->norms == NULL ||
      worker->answers == NULL)
    return sf_fail_memory(error, "training of centroids");
  return SF_OK;
}

static void release_worker(sf_kmeans_worker *worker) {
  free(worker->scratch);
  free((void *)worker->rows);
  free(worker->row_numbers);
  free(worker->norms);
  free(worker->answers);
}

static sf_code allocate(iterating *state, sf_error *error) {
  sf_kmeans *kmeans = state->kmeans;
  uint32_t num_clusters = kmeans->options->num_clusters;
  SF_TRY(sf_nearest_create(num_clusters, kmeans->dim, !sf_kmeans_is_spherical(kmeans), &state->nearest, error));
  state->clusters = sf_calloc(kmeans->n, sizeof(uint32_t));
  state->summed = sf_calloc(kmeans->n, sizeof(uint32_t));
  state->leads = sf_calloc(kmeans->n, sizeof(double));
  state->shrinkage = sf_calloc(num_clusters, sizeof(double));
  state->middles = sf_calloc((size_t)num_clusters * kmeans->dim, sizeof(float));
  kmeans->workers = sf_calloc(sf_build_threads_size(kmeans->threads), sizeof(*kmeans->workers));
  if (state->clusters == NULL || state->summed == NULL || state->leads == NULL || state->shrinkage == NULL ||
      state->middles == NULL || kmeans->workers == NULL)
    return sf_fail_memory(error, "training of centroids");
  for (uint32_t i = 0; i < sf_build_threads_size(kmeans->threads); i++)
    SF_TRY(allocate_worker(state, &kmeans->workers[i], error));
  for (size_t row = 0; row < kmeans->n; row++)
    state->summed[row] = no_cluster;
  return SF_OK;
}

static void release(iterating *state) {
  sf_kmeans *kmeans = state->kmeans;
  for (uint32_t i = 0; kmeans->workers != NULL && i < sf_build_threads_size(kmeans->threads); i++)
    release_worker(&kmeans->workers[i]);
  free(kmeans->workers);
  sf_nearest_free(state->nearest);
  free(state->clusters);
  free(state->summed);
  free(state->leads);
  free(state->shrinkage);
  free(state->middles);
}

/* -------------------------------------------------------------------------------------------- Each row to its nearest */

static double exact_distance(const void *context, const float *row, uint32_t id) {
  const sf_kmeans *kmeans = context;
  const float *centroid = kmeans->centroids + (size_t)id * kmeans->dim;
  return sf_kmeans_is_spherical(kmeans) ? -sf_exact_dot(row, centroid, kmeans->dim)
                                        : sf_exact_squared_l2(row, centroid, kmeans->dim);
}

/* By how much at least the nearest centroid is nearer than the next; 0 where that is not known. */
static double lead_of(const iterating *state, const sf_nearest_answer *answer, double norm) {
  if (answer->is_decided_exactly)
    return 0;
  if (sf_kmeans_is_spherical(state->kmeans))
    return norm > 0 ? (answer->score - answer->next_score - 2 * answer->score_bound) / norm - LEAD_ERROR : 0;
  double nearest = fmax(0, norm * norm - 2 * (answer->score - answer->score_bound));
  double next = fmax(0, norm * norm - 2 * (answer->next_score + answer->score_bound));
  return sqrt(next) - sqrt(nearest) - LEAD_ERROR * (norm + state->max_norm);
}

static void look_at_rows(iterating *state, sf_kmeans_worker *worker, size_t count) {
  sf_nearest_find(state->nearest, &state->rule, worker->rows, worker->norms, count, worker->scratch, worker->answers);
  for (size_t i = 0; i < count; i++) {
    size_t row = worker->row_numbers[i];
    state->clusters[row] = worker->answers[i].id;
    state->leads[row] = lead_of(state, &worker->answers[i], worker->norms[i]);
  }
  atomic_fetch_add_explicit(&state->num_looked_at, count, memory_order_relaxed);
}

static void assign_rows(void *context, size_t part, uint32_t thread) {
  iterating *state = context;
  sf_kmeans *kmeans = state->kmeans;
  sf_kmeans_worker *worker = &kmeans->workers[thread];
  size_t max_rows = sf_nearest_max_rows(state->nearest);
  size_t end = (part + 1) * ROWS_PER_PART < kmeans->n ? (part + 1) * ROWS_PER_PART : kmeans->n;
  size_t count = 0;
  for (size_t row = part * ROWS_PER_PART; row < end; row++) {
    state->leads[row] -= state->shrinkage[state->clusters[row]];
    if (state->leads[row] > 0)
      continue;
    worker->rows[count] = sf_kmeans_row(kmeans, row);
    worker->norms[count] = kmeans->norms[row];
    worker->row_numbers[count] = row;
    if (++count == max_rows) {
      look_at_rows(state, worker, count);
      count = 0;
    }
  }
  if (count > 0)
    look_at_rows(state, worker, count);
}

/* --------------------------------------------------------------------------------------- Each centroid to its middle */

static void add_components(double *sums, const float *components, double weight, size_t count) {
  for (size_t i = 0; i < count; i++)
    sums[i] += weight * (double)components[i];
}

/* Moves the rows that changed their cluster from one sum to the other: some components of all rows, in their order, so
 * that the sums are the same whatever the slices. */
static void move_components(void *context, size_t slice, uint32_t thread) {
  (void)thread;
  iterating *state = context;
  sf_kmeans *kmeans = state->kmeans;
  size_t units = (kmeans->dim + COMPONENTS_PER_SLICE - 1) / COMPONENTS_PER_SLICE;
  size_t first = units * slice / state->num_slices * COMPONENTS_PER_SLICE;
  size_t end = units * (slice + 1) / state->num_slices * COMPONENTS_PER_SLICE;
  size_t count = (end < kmeans->dim ? end : kmeans->dim) - first;
  for (size_t row = 0; row < kmeans->n; row++) {
    uint32_t from = state->summed[row];
    uint32_t to = state->clusters[row];
    if (from == to)
      continue;
    double weight = sf_kmeans_weight(kmeans, row);
    const float *components = sf_kmeans_row(kmeans, row) + first;
    if (from != no_cluster)
      add_components(kmeans->sums + (size_t)from * kmeans->dim + first, components, -weight, count);
    add_components(kmeans->sums + (size_t)to * kmeans->dim + first, components, weight, count);
  }
}

/* Counts the clusters' rows anew; returns how many rows changed theirs. */
static size_t count_rows(iterating *state) {
  sf_kmeans *kmeans = state->kmeans;
  size_t num_changed = 0;
  memset(kmeans->counts, 0, kmeans->options->num_clusters * sizeof(*kmeans->counts));
  for (size_t row = 0; row < kmeans->n; row++) {
    kmeans->counts[state->clusters[row]]++;
    num_changed += state->summed[row] != state->clusters[row];
    state->summed[row] = state->clusters[row];
  }
  return num_changed;
}

static double norm_of_sum(const sf_kmeans *kmeans, uint32_t id) {
  const double *sum = kmeans->sums + (size_t)id * kmeans->dim;
  double squared = 0;
  for (size_t i = 0; i < kmeans->dim; i++)
    squared += sum[i] * sum[i];
  return sqrt(squared);
}

/* The middle of the cluster's rows, into `middle`. Where there is none (no rows, or directions that cancel out), the
 * centroid stays. */
static void find_middle(const sf_kmeans *kmeans, uint32_t id, float *middle) {
  const double *sum = kmeans->sums + (size_t)id * kmeans->dim;
  double length = sf_kmeans_is_spherical(kmeans) ? norm_of_sum(kmeans, id) : (double)kmeans->counts[id];
  if (kmeans->counts[id] == 0 || !(length > 0))
    return;
  for (size_t i = 0; i < kmeans->dim; i++)
    middle[i] = (float)(sum[i] / length);
}

/* Gives an empty cluster a half of the greatest: their centroids go a little apart, in opposite directions. */
static void split_greatest(sf_kmeans *kmeans, uint32_t empty, float *centroids) {
  static const double apart = 1.0 / 1024;
  uint32_t greatest = 0;
  for (uint32_t id = 1; id < kmeans->options->num_clusters; id++)
    greatest = kmeans->counts[id] > kmeans->counts[greatest] ? id : greatest;
  float *from = centroids + (size_t)greatest * kmeans->dim;
  float *to = centroids + (size_t)empty * kmeans->dim;
  for (size_t i = 0; i < kmeans->dim; i++) {
    double away = sf_random_below(&kmeans->random, 2) == 0 ? apart : -apart;
    double middle = (double)from[i];
    to[i] = (float)(middle * (1 + away));
    from[i] = (float)(middle * (1 - away));
  }
  kmeans->counts[empty] = kmeans->counts[greatest] / 2;
  kmeans->counts[greatest] -= kmeans->counts[empty];
}

static void normalize(float *vector, size_t dim) {
  double norm = sqrt(sf_exact_squared_norm(vector, dim));
  for (size_t i = 0; norm > 0 && i < dim; i++)
    vector[i] = (float)((double)vector[i] / norm);
}

/* Where all centroids go, into state->middles. */
static void find_middles(iterating *state) {
  sf_kmeans *kmeans = state->kmeans;
  uint32_t num_clusters = kmeans->options->num_clusters;
  memcpy(state->middles, kmeans->centroids, (size_t)num_clusters * kmeans->dim * sizeof(float));
  for (uint32_t id = 0; id < num_clusters; id++)
    find_middle(kmeans, id, state->middles + (size_t)id * kmeans->dim);
  bool has_split = false;
  for (uint32_t id = 0; id < num_clusters; id++) {
    if (kmeans->counts[id] > 0)
      continue;
    split_greatest(kmeans, id, state->middles);
    has_split = true;
  }
  for (uint32_t id = 0; has_split && sf_kmeans_is_spherical(kmeans) && id < num_clusters; id++)
    normalize(state->middles + (size_t)id * kmeans->dim, kmeans->dim);
}

/* A row's lead over another centroid loses what its own moves and what the other does, which is at most the longest move
 * of all the others. */
static void measure_shrinkage(iterating *state) {
  const sf_kmeans *kmeans = state->kmeans;
  double longest = 0;
  double second = 0;
  uint32_t of_longest = 0;
  for (uint32_t id = 0; id < kmeans->options->num_clusters; id++) {
    size_t first = (size_t)id * kmeans->dim;
    double move = sqrt(sf_exact_squared_l2(kmeans->centroids + first, state->middles + first, kmeans->dim));
    state->shrinkage[id] = move;
    if (move > longest) {
      second = longest;
      longest = move;
      of_longest = id;
    } else if (move > second) {
      second = move;
    }
  }
  for (uint32_t id = 0; id < kmeans->options->num_clusters; id++) {
    state->shrinkage[id] += id == of_longest ? second : longest;
    state->shrinkage[id] *= 1 + LEAD_ERROR;
  }
}

static void take_centroids(iterating *state) {
  const sf_kmeans *kmeans = state->kmeans;
  sf_nearest_set_points(state->nearest, kmeans->centroids);
  double max = 0;
  for (size_t id = 0; id < kmeans->options->num_clusters; id++)
    max = fmax(max, sf_exact_squared_norm(kmeans->centroids + id * kmeans->dim, kmeans->dim));
  state->max_norm = sqrt(max);
}

static void move_centroids(iterating *state) {
  sf_kmeans *kmeans = state->kmeans;
  find_middles(state);
  measure_shrinkage(state);
  memcpy(kmeans->centroids, state->middles, (size_t)kmeans->options->num_clusters * kmeans->dim * sizeof(float));
  take_centroids(state);
}

/* -------------------------------------------------------------------------------------------------------- Iterations */

/* Of the clusters with their very middles: Σ |x − c|² = Σ |x|² − Σ |sum|²/count, and Σ x·c = Σ |sum| for directions. */
static double objective(const iterating *state) {
  const sf_kmeans *kmeans = state->kmeans;
  double total = 0;
  if (sf_scoring_of_metric(kmeans->options->metric)->is_normalised)
    total = (double)kmeans->n;
  for (size_t row = 0; !sf_kmeans_is_spherical(kmeans) && row < kmeans->n; row++)
    total += kmeans->norms[row] * kmeans->norms[row];
  for (uint32_t id = 0; id < kmeans->options->num_clusters; id++) {
    double norm = norm_of_sum(kmeans, id);
    if (sf_kmeans_is_spherical(kmeans))
      total -= norm;
    else if (kmeans->counts[id] > 0)
      total -= norm * norm / (double)kmeans->counts[id];
  }
  return total;
}

/* One iteration; *num_changed is how many rows changed their cluster: where none did, the centroids are where they go. */
static sf_code iterate_once(iterating *state, sf_kmeans_report *report, size_t *num_changed, sf_error *error) {
  sf_kmeans *kmeans = state->kmeans;
  SF_TRY(sf_kmeans_run_parts(kmeans, (kmeans->n + ROWS_PER_PART - 1) / ROWS_PER_PART, assign_rows, state, error));
  SF_TRY(sf_kmeans_run_parts(kmeans, state->num_slices, move_components, state, error));
  *num_changed = count_rows(state);
  report->iterations++;
  if (*num_changed == 0)
    return SF_OK;
  report->objective = objective(state);
  move_centroids(state);
  const sf_kmeans_options *options = kmeans->options;
  if (options->goes_on != NULL && !options->goes_on(options->goes_on_context))
    return sf_fail(error, SF_CANCELLED_ERROR, "the training was stopped");
  return SF_OK;
}

sf_code sf_kmeans_iterate(sf_kmeans *kmeans, sf_kmeans_report *report, sf_error *error) {
  iterating state = {.kmeans = kmeans, .rule = {.distance = exact_distance, .context = kmeans}};
  size_t max_slices = (kmeans->dim + COMPONENTS_PER_SLICE - 1) / COMPONENTS_PER_SLICE;
  state.num_slices = sf_build_threads_size(kmeans->threads);
  if (state.num_slices > max_slices)
    state.num_slices = (uint32_t)max_slices;
  *report = (sf_kmeans_report){0};
  sf_code code = allocate(&state, error);
  if (code == SF_OK)
    take_centroids(&state);
  size_t num_changed = 1;
  while (code == SF_OK && num_changed > 0 && report->iterations < kmeans->options->iterations)
    code = iterate_once(&state, report, &num_changed, error);
  report->num_distances = atomic_load(&state.num_looked_at) * kmeans->options->num_clusters;
  release(&state);
  return code;
}
