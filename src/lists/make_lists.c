#include "lists/make_lists.h"

#include "base/build_threads.h"
#include "base/memory.h"
#include "cache/cached_block.h"
#include "kmeans/kmeans.h"
#include "kmeans/nearest.h"
#include "lists/lists_layout.h"
#include "vectors/metrics.h"
#include "vectors/quantized_rows.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

enum {
  SAMPLED_PER_LIST = 24,
  ITERATIONS = 8,
  ROWS_PER_PART = 4096, /* that a thread assigns at a time */
};

static const double LISTS_PER_ROOT = 4;       /* of the number of rows */
static const double LEAST_ROWS_PER_LIST = 16; /* on average */
static const size_t MOST_SAMPLE_BYTES = (size_t)128 << 20;

typedef struct making {
  const sf_lists_params *params;
  const sf_cancellation *cancellation;
  sf_build_threads *threads;
  size_t num_rows;
  uint32_t *rows;        /* numbers of those that can be results */
  const float **vectors; /* of these */
  double max_norm;
  uint32_t num_lists;
  float *centroids; /* num_lists × dim */
  sf_nearest *nearest;
  uint32_t *list_of_row;
  uint32_t *by_list; /* places in `rows`, list by list */
  sf_lists_header header;
  sf_lists_layout layout;
  uint8_t *bytes;
  atomic_size_t next; /* part that a thread takes next */
  atomic_bool has_no_memory;
} making;

/* ---------------------------------------------------------------------------------------------------------------- Rows */

static uint64_t row_span(const sf_lists_params *params) {
  if (params->num_segments == 0)
    return 0;
  const sf_vector_segment *last = &params->segments[params->num_segments - 1];
  return last->first_row + last->num_rows;
}

/* *squared_norm is that of the row. */
static bool can_be_result(const sf_vector_segment *segment, size_t row, uint32_t dim, double *squared_norm) {
  *squared_norm = sf_exact_squared_norm(segment->vectors + row * dim, dim);
  return isfinite(*squared_norm) && (segment->excluded == NULL || (segment->excluded[row / 8] >> (row % 8) & 1) == 0);
}

bool sf_lists_has_rows(const sf_vector_segment *segments, size_t num_segments, uint32_t dim) {
  double squared_norm;
  for (size_t i = 0; i < num_segments; i++)
    for (size_t row = 0; row < segments[i].num_rows; row++)
      if (can_be_result(&segments[i], row, dim, &squared_norm))
        return true;
  return false;
}

static void add_rows(making *made, const sf_vector_segment *segment) {
  uint32_t dim = made->params->dim;
  for (size_t i = 0; i < segment->num_rows; i++) {
    const float *vector = segment->vectors + i * dim;
    double squared_norm;
    if (!can_be_result(segment, i, dim, &squared_norm))
      continue;
    made->rows[made->num_rows] = (uint32_t)(segment->first_row + i);
    made->vectors[made->num_rows++] = vector;
    made->max_norm = fmax(made->max_norm, sqrt(squared_norm));
  }
}

static sf_code find_rows(making *made, sf_error *error) {
  const sf_lists_params *params = made->params;
  uint64_t span = row_span(params);
  if (span > SF_LISTS_MAX_ROWS)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "lists of %s: expected at most %u rows, found %llu",
                   params->identity.db_url, (unsigned)SF_LISTS_MAX_ROWS, (unsigned long long)span);
  made->rows = sf_calloc((size_t)span, sizeof(*made->rows));
  made->vectors = sf_calloc((size_t)span, sizeof(*made->vectors));
  if (made->rows == NULL || made->vectors == NULL)
    return sf_fail_memory(error, "rows of lists");
  for (size_t i = 0; i < params->num_segments; i++) {
    SF_TRY(sf_cancellation_check(made->cancellation, error));
    add_rows(made, &params->segments[i]);
  }
  if (made->num_rows == 0)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "lists of %s: expected rows with finite vectors, found none",
                   params->identity.db_url);
  return SF_OK;
}

/* ----------------------------------------------------------------------------------------------------------- Centroids */

static uint32_t choose_num_lists(const making *made) {
  double wanted = made->params->num_lists > 0 ? made->params->num_lists : LISTS_PER_ROOT * sqrt((double)made->num_rows);
  double most = (double)made->num_rows / LEAST_ROWS_PER_LIST;
  if (made->params->num_lists > 0)
    most = (double)made->num_rows;
  return (uint32_t)fmax(1, fmin(fmin(wanted, most), SF_LISTS_MAX_LISTS));
}

static size_t choose_sample_size(const making *made) {
  size_t wanted = (size_t)made->num_lists * SAMPLED_PER_LIST;
  uint64_t bound = made->params->max_memory_bytes;
  size_t bytes = bound > 0 && bound / 4 < MOST_SAMPLE_BYTES ? (size_t)(bound / 4) : MOST_SAMPLE_BYTES;
  size_t most = bytes / (made->params->dim * sizeof(float));
  size_t least = made->num_lists;
  wanted = wanted < most ? wanted : most;
  wanted = wanted > least ? wanted : least;
  return wanted < made->num_rows ? wanted : made->num_rows;
}

static sf_code train(making *made, sf_error *error) {
  const sf_lists_params *params = made->params;
  const sf_kmeans_options options = {.num_clusters = made->num_lists,
                                     .metric = params->metric,
                                     .iterations = ITERATIONS,
                                     .draws_seeds = true,
                                     .seed = params->seed,
                                     .num_threads = params->num_threads};
  size_t count = choose_sample_size(made);
  size_t num_components;
  float *sample =
      sf_multiply_size(count, params->dim, &num_components) ? sf_calloc(num_components, sizeof(float)) : NULL;
  if (sample == NULL)
    return sf_fail_memory(error, "sample of rows");
  for (size_t i = 0; i < count; i++) {
    size_t row = (size_t)((double)i * (double)made->num_rows / (double)count);
    memcpy(sample + i * params->dim, made->vectors[row], params->dim * sizeof(float));
  }
  made->centroids = sf_calloc(made->num_lists, params->dim * sizeof(float));
  sf_code code = made->centroids == NULL ? sf_fail_memory(error, "centroids of lists") : SF_OK;
  if (code == SF_OK)
    code = sf_kmeans_train(&options, sample, count, params->dim, made->centroids, NULL, made->cancellation, error);
  free(sample);
  return code;
}

/* ----------------------------------------------------------------------------------------------------------- Assignment */

static double exact_distance(const void *context, const float *row, uint32_t id) {
  const making *made = context;
  const float *centroid = made->centroids + (size_t)id * made->params->dim;
  if (sf_scoring_of_metric(made->params->metric)->is_of_differences)
    return sf_exact_squared_l2(row, centroid, made->params->dim);
  return -sf_exact_dot(row, centroid, made->params->dim);
}

static void assign_part(making *made, size_t part, float *scratch, sf_nearest_answer *answers) {
  const sf_nearest_rule rule = {.distance = exact_distance, .context = made};
  size_t max_rows = sf_nearest_max_rows(made->nearest);
  size_t end = (part + 1) * ROWS_PER_PART < made->num_rows ? (part + 1) * ROWS_PER_PART : made->num_rows;
  for (size_t first = part * ROWS_PER_PART; first < end; first += max_rows) {
    size_t count = end - first < max_rows ? end - first : max_rows;
    sf_nearest_find(made->nearest, &rule, made->vectors + first, NULL, count, scratch, answers);
    for (size_t i = 0; i < count; i++)
      made->list_of_row[first + i] = answers[i].id;
  }
}

static void assign_parts(void *context, uint32_t thread) {
  (void)thread;
  making *made = context;
  float *scratch = sf_calloc(sf_nearest_scratch_size(made->nearest), sizeof(float));
  sf_nearest_answer *answers = sf_calloc(sf_nearest_max_rows(made->nearest), sizeof(*answers));
  size_t num_parts = (made->num_rows + ROWS_PER_PART - 1) / ROWS_PER_PART;
  if (scratch == NULL || answers == NULL)
    atomic_store(&made->has_no_memory, true);
  while (!atomic_load(&made->has_no_memory) && !sf_cancellation_requested(made->cancellation)) {
    size_t part = atomic_fetch_add(&made->next, 1);
    if (part >= num_parts)
      break;
    assign_part(made, part, scratch, answers);
  }
  free(scratch);
  free(answers);
}

/* Runs a function on all threads, which take parts from `next` on. */
static sf_code run(making *made, sf_thread_function work, sf_error *error) {
  atomic_store(&made->next, 0);
  sf_build_threads_run(made->threads, work, made);
  SF_TRY(sf_cancellation_check(made->cancellation, error));
  return atomic_load(&made->has_no_memory) ? sf_fail_memory(error, "lists") : SF_OK;
}

static sf_code assign(making *made, sf_error *error) {
  bool is_of_differences = sf_scoring_of_metric(made->params->metric)->is_of_differences;
  SF_TRY(sf_nearest_create(made->num_lists, made->params->dim, is_of_differences, &made->nearest, error));
  sf_nearest_set_points(made->nearest, made->centroids);
  made->list_of_row = sf_calloc(made->num_rows, sizeof(*made->list_of_row));
  made->by_list = sf_calloc(made->num_rows, sizeof(*made->by_list));
  if (made->list_of_row == NULL || made->by_list == NULL)
    return sf_fail_memory(error, "rows of lists");
  return run(made, assign_parts, error);
}

/* --------------------------------------------------------------------------------------------------------------- Bytes */

static sf_code allocate_bytes(making *made, sf_error *error) {
  uint32_t *sizes = sf_calloc(made->num_lists, sizeof(*sizes));
  if (sizes == NULL)
    return sf_fail_memory(error, "lists");
  for (size_t i = 0; i < made->num_rows; i++)
    sizes[made->list_of_row[i]]++;
  made->header = (sf_lists_header){.dim = made->params->dim,
                                   .metric = made->params->metric,
                                   .num_lists = made->num_lists,
                                   .num_rows = made->num_rows,
                                   .row_span = row_span(made->params),
                                   .max_norm = made->max_norm};
  uint64_t length = 0;
  for (uint32_t list = 0; list < made->num_lists; list++)
    length += sf_lists_block_size(made->header.dim, made->params->metric, sizes[list]);
  bool fits = sf_lists_lay_out(&made->header, &made->layout);
  made->header.length = length += made->layout.head_length;
  made->bytes = fits && length <= SIZE_MAX / 2 ? sf_block_allocate((size_t)length) : NULL;
  if (made->bytes == NULL) {
    free(sizes);
    return sf_fail_memory(error, "lists");
  }
  void *row_ends = made->bytes + made->layout.row_ends; /* sections are aligned */
  void *block_ends = made->bytes + made->layout.block_ends;
  uint32_t rows = 0;
  uint64_t end = 0;
  for (uint32_t list = 0; list < made->num_lists; list++) {
    ((uint32_t *)row_ends)[list] = rows += sizes[list];
    ((uint64_t *)block_ends)[list] = end += sf_lists_block_size(made->header.dim, made->params->metric, sizes[list]);
  }
  free(sizes);
  return SF_OK;
}

/* Rows list by list, ascending within each: from the last one on, each takes the last place that its list has left. */
static sf_code sort_rows(making *made, sf_error *error) {
  const void *row_ends = made->bytes + made->layout.row_ends;
  uint32_t *ends = sf_calloc(made->num_lists, sizeof(*ends));
  if (ends == NULL)
    return sf_fail_memory(error, "lists");
  memcpy(ends, row_ends, made->num_lists * sizeof(*ends));
  for (size_t i = made->num_rows; i-- > 0;) {
    made->by_list[--ends[made->list_of_row[i]]] = (uint32_t)i;
  }
  free(ends);
  return SF_OK;
}

/* What a list's rows are gathered in. */
typedef struct list_scratch {
  float *vectors;
  uint8_t *groups; /* 4-bit */
} list_scratch;

/* The same place among the bytes that are being made. */
static void *writable(making *made, const void *place) {
  return made->bytes + ((const uint8_t *)place - made->bytes);
}

static void quantize_list(making *made, const sf_lists *lists, uint32_t list, const list_scratch *scratch) {
  sf_list of = sf_lists_at(lists, list);
  const uint32_t *places = made->by_list + (lists->row_ends[list] - of.num_rows);
  uint32_t dim = lists->dim;
  void *centres = made->bytes + made->layout.centres;
  void *factors = made->bytes + made->layout.factors;
  float *centre = (float *)centres + (size_t)list * dim;
  uint32_t *numbers = writable(made, of.rows);
  for (uint32_t i = 0; i < of.num_rows; i++) {
    numbers[i] = made->rows[places[i]];
    memcpy(scratch->vectors + (size_t)i * dim, made->vectors[places[i]], dim * sizeof(float));
  }
  if (of.num_rows > 0)
    sf_quantized_choose_centre(scratch->vectors, of.num_rows, dim, lists->metric, centre);
  else
    memcpy(centre, made->centroids + (size_t)list * dim, dim * sizeof(float));
  double norm = sqrt(sf_exact_squared_norm(centre, dim));
  bool is_scaled = sf_scoring_of_metric(lists->metric)->is_normalised && norm > SF_QUANTIZED_NORM_MIN;
  ((float *)factors)[list] = is_scaled ? (float)(1 / norm) : 1;
  uint8_t *const both[SF_QUANTIZED_KINDS] = {
      [SF_QUANTIZED_2BIT] = writable(made, of.groups), [SF_QUANTIZED_4BIT] = scratch->groups};
  sf_quantized_make_groups(scratch->vectors, of.num_rows, dim, lists->metric, centre, both);
  sf_quantized_rows_of_groups(scratch->groups, of.num_rows, dim, lists->metric, writable(made, of.quantized_rows));
}

static bool allocate_scratch(const sf_lists *lists, list_scratch *scratch) {
  uint32_t most = 0;
  for (uint32_t list = 0; list < lists->num_lists; list++) {
    uint32_t rows = sf_lists_num_rows(lists, list);
    most = rows > most ? rows : most;
  }
  uint64_t group_bytes = sf_quantized_group_size(SF_QUANTIZED_4BIT, lists->dim, lists->metric);
  scratch->vectors = sf_calloc(most, lists->dim * sizeof(float));
  scratch->groups = sf_block_allocate((size_t)(sf_quantized_num_groups(most) * group_bytes));
  return scratch->vectors != NULL && scratch->groups != NULL;
}

static void quantize_lists(void *context, uint32_t thread) {
  (void)thread;
  making *made = context;
  sf_lists lists;
  list_scratch scratch;
  sf_lists_of_bytes(made->bytes, &made->header, &made->layout, &lists);
  if (!allocate_scratch(&lists, &scratch))
    atomic_store(&made->has_no_memory, true);
  while (!atomic_load(&made->has_no_memory) && !sf_cancellation_requested(made->cancellation)) {
    size_t list = atomic_fetch_add(&made->next, 1);
    if (list >= made->num_lists)
      break;
    quantize_list(made, &lists, (uint32_t)list, &scratch);
  }
  free(scratch.vectors);
  free(scratch.groups);
}

/* The centres, quantized: what lists are chosen by. */
static sf_code quantize_centres(making *made, sf_error *error) {
  uint32_t dim = made->params->dim;
  sf_metric metric = made->params->metric;
  const void *centres = made->bytes + made->layout.centres;
  void *centre = made->bytes + made->layout.centre_of_centres;
  uint64_t num_groups = sf_quantized_num_groups(made->num_lists);
  uint8_t *unused = sf_block_allocate((size_t)(num_groups * sf_quantized_group_size(SF_QUANTIZED_2BIT, dim, metric)));
  if (unused == NULL)
    return sf_fail_memory(error, "lists");
  uint8_t *const both[SF_QUANTIZED_KINDS] = {
      [SF_QUANTIZED_2BIT] = unused, [SF_QUANTIZED_4BIT] = made->bytes + made->layout.centre_groups};
  sf_quantized_choose_centre(centres, made->num_lists, dim, metric, centre);
  sf_quantized_make_groups(centres, made->num_lists, dim, metric, centre, both);
  free(unused);
  return SF_OK;
}

/* What is there at once when rows are quantized; the sample of the training is gone by then. */
static sf_code check_memory(const making *made, sf_error *error) {
  enum { BYTES_PER_ROW = 24 };
  uint32_t dim = made->params->dim;
  uint64_t most = made->params->max_memory_bytes;
  uint64_t of_rows = BYTES_PER_ROW * (uint64_t)made->num_rows;
  uint64_t of_lists = made->num_lists * (uint64_t)(2 * dim * sizeof(float)) +
                      sf_lists_block_size(dim, made->params->metric, made->num_rows);
  if (most == 0 || of_rows + of_lists <= most)
    return SF_OK;
  return sf_fail(
      error, SF_CONFIG_VALIDATION_ERROR,
      "lists of %s: expected to need at most %llu MiB of memory, as allowed, found that its %zu rows need %llu",
      made->params->identity.db_url, (unsigned long long)(most >> 20), made->num_rows,
      (unsigned long long)((of_rows + of_lists) >> 20) + 1);
}

static sf_code make(making *made, sf_error *error) {
  uint32_t num_threads = made->params->num_threads > 0 ? made->params->num_threads : 1;
  SF_TRY(find_rows(made, error));
  made->num_lists = choose_num_lists(made);
  SF_TRY(check_memory(made, error));
  SF_TRY(train(made, error));
  SF_TRY(sf_build_threads_create(num_threads, &made->threads, error));
  SF_TRY(assign(made, error));
  SF_TRY(allocate_bytes(made, error));
  SF_TRY(sort_rows(made, error));
  SF_TRY(run(made, quantize_lists, error));
  SF_TRY(quantize_centres(made, error));
  sf_lists_seal(made->bytes, &made->header, &made->layout, &made->params->identity);
  return SF_OK;
}

sf_code sf_lists_make(const sf_lists_params *params, const sf_cancellation *cancellation, void **bytes, size_t *length,
                      sf_error *error) {
  making made = {.params = params, .cancellation = cancellation};
  sf_code code = make(&made, error);
  if (code == SF_OK) {
    *bytes = made.bytes;
    *length = (size_t)made.header.length;
    made.bytes = NULL;
  }
  sf_build_threads_free(made.threads);
  sf_nearest_free(made.nearest);
  free(made.rows);
  free((void *)made.vectors);
  free(made.centroids);
  free(made.list_of_row);
  free(made.by_list);
  free(made.bytes);
  return code;
}
