#include "vectors/lazy_quantized.h"

#include "base/files.h"
#include "base/memory.h"
#include "vectors/lazy_norms.h"
#include "vectors/metrics.h"
#include "vectors/vector_statistics.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

/* Of a window. Who takes it from VISITED to BEING_CODED writes its groups, and then releases it as CODED. */
enum { UNSEEN, VISITED, BEING_CODED, CODED };

/* Of all: who takes it from NOT_BEGUN to BEING_BEGUN writes what follows it here, and releases it as one of the others. */
enum { NOT_BEGUN, BEING_BEGUN, BEGUN, IMPOSSIBLE };

struct sf_lazy_quantized {
  const float *vectors;
  size_t num_rows;
  uint32_t dim;
  const uint8_t *excluded; /* NULL: none */
  sf_open_nameless_file open_file;
  char *location;
  atomic_uchar *states; /* of each window */
  _Atomic uint64_t num_not_finite;
  atomic_uchar progress;
  void *mapping;
  size_t mapping_length;
  uint8_t *groups[SF_QUANTIZED_KINDS]; /* in it */
  float *centre;
  sf_quantized codes;
};

bool sf_lazy_quantized_serve(size_t num_rows, uint32_t dim) {
  return sf_quantized_is_worth_it(num_rows, dim) && sf_rows_per_chunk(dim) % SF_QUANTIZED_GROUP_ROWS == 0;
}

sf_lazy_quantized *sf_lazy_quantized_create(const float *vectors, size_t num_rows, uint32_t dim, sf_metric metric,
                                            const uint8_t *excluded, sf_open_nameless_file open_file,
                                            const char *location) {
  sf_lazy_quantized *codes = sf_calloc(1, sizeof(*codes));
  if (codes == NULL)
    return NULL;
  *codes = (sf_lazy_quantized){.vectors = vectors,
                               .num_rows = num_rows,
                               .dim = dim,
                               .excluded = excluded,
                               .open_file = open_file,
                               .codes.metric = metric};
  codes->location = sf_strdup(location);
  codes->centre = sf_calloc(dim, sizeof(float));
  codes->states = sf_calloc(sf_num_chunks(codes->num_rows, codes->dim), sizeof(*codes->states)); /* all UNSEEN */
  if (codes->location == NULL || codes->centre == NULL || codes->states == NULL) {
    sf_lazy_quantized_free(codes);
    return NULL;
  }
  return codes;
}

void sf_lazy_quantized_free(sf_lazy_quantized *codes) {
  if (codes == NULL)
    return;
  if (codes->mapping != NULL)
    munmap(codes->mapping, codes->mapping_length);
  free(codes->location);
  free(codes->centre);
  free(codes->states);
  free(codes);
}

const sf_quantized *sf_lazy_quantized_get(const sf_lazy_quantized *codes) {
  return atomic_load_explicit(&codes->progress, memory_order_acquire) == BEGUN ? &codes->codes : NULL;
}

bool sf_lazy_quantized_has(const sf_lazy_quantized *codes, size_t window) {
  return atomic_load_explicit(&codes->states[window], memory_order_acquire) == CODED;
}

/* Room for all groups. All of the file is allocated at once: writing to a mapping on a full disk would be a SIGBUS. */
static void *map_groups(const sf_lazy_quantized *codes, size_t length) {
  int descriptor;
  if (codes->open_file(codes->location, &descriptor, NULL) != SF_OK)
    return NULL;
  void *mapping = MAP_FAILED;
  if (sf_allocate_file(descriptor, codes->location, length, NULL) == SF_OK)
    mapping = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  close(descriptor);
  return mapping == MAP_FAILED ? NULL : mapping;
}

/* Whether windows can be coded now. */
static bool begin(sf_lazy_quantized *codes) {
  unsigned char expected = NOT_BEGUN;
  if (!atomic_compare_exchange_strong_explicit(&codes->progress, &expected, BEING_BEGUN, memory_order_acquire,
                                               memory_order_acquire))
    return expected == BEGUN;
  const sf_metric metric = codes->codes.metric;
  size_t num_groups = (size_t)sf_quantized_num_groups(codes->num_rows);
  size_t short_size = (size_t)sf_quantized_group_size(SF_QUANTIZED_2BIT, codes->dim, metric);
  size_t length;
  if (sf_multiply_size(num_groups, short_size + (size_t)sf_quantized_group_size(SF_QUANTIZED_4BIT, codes->dim, metric),
                       &length))
    codes->mapping = map_groups(codes, length);
  if (codes->mapping != NULL) {
    codes->mapping_length = length;
    codes->groups[SF_QUANTIZED_2BIT] = codes->mapping;
    codes->groups[SF_QUANTIZED_4BIT] = codes->groups[SF_QUANTIZED_2BIT] + num_groups * short_size;
    sf_quantized_choose_centre(codes->vectors, codes->num_rows, codes->dim, metric, codes->centre);
    codes->codes.centre = codes->centre;
    for (sf_quantized_kind kind = 0; kind < SF_QUANTIZED_KINDS; kind++)
      codes->codes.groups[kind] = codes->groups[kind];
  }
  atomic_store_explicit(&codes->progress, codes->mapping != NULL ? BEGUN : IMPOSSIBLE, memory_order_release);
  return codes->mapping != NULL;
}

static void quantize_chunk(sf_lazy_quantized *codes, size_t window) {
  const sf_metric metric = codes->codes.metric;
  size_t rows = sf_rows_per_chunk(codes->dim);
  size_t begin = window * rows;
  size_t left = codes->num_rows - begin;
  uint8_t *groups[SF_QUANTIZED_KINDS];
  for (sf_quantized_kind kind = 0; kind < SF_QUANTIZED_KINDS; kind++)
    groups[kind] = codes->groups[kind] +
                   begin / SF_QUANTIZED_GROUP_ROWS * (size_t)sf_quantized_group_size(kind, codes->dim, metric);
  const float *vectors = codes->vectors + begin * codes->dim;
  size_t count = left < rows ? left : rows;
  sf_quantized_make_groups(vectors, count, codes->dim, metric, codes->centre, groups);
  if (!sf_scoring_of_metric(metric)->is_of_differences)
    return;
  uint64_t num_not_finite = sf_count_not_finite(vectors, count, codes->dim, codes->excluded, begin);
  if (num_not_finite > 0)
    atomic_fetch_add_explicit(&codes->num_not_finite, num_not_finite, memory_order_relaxed);
}

uint64_t sf_lazy_quantized_num_not_finite(const sf_lazy_quantized *codes) {
  return atomic_load_explicit(&codes->num_not_finite, memory_order_relaxed);
}

void sf_lazy_quantized_visit(sf_lazy_quantized *codes, size_t window) {
  atomic_uchar *state = &codes->states[window];
  unsigned char seen = UNSEEN;
  if (atomic_compare_exchange_strong_explicit(state, &seen, VISITED, memory_order_relaxed, memory_order_relaxed) ||
      seen != VISITED || !begin(codes))
    return;
  if (!atomic_compare_exchange_strong_explicit(state, &seen, BEING_CODED, memory_order_relaxed, memory_order_relaxed))
    return;
  quantize_chunk(codes, window);
  atomic_store_explicit(state, CODED, memory_order_release);
}

void sf_lazy_quantized_complete(sf_lazy_quantized *codes, const sf_cancellation *cancellation) {
  size_t windows = sf_num_chunks(codes->num_rows, codes->dim);
  for (size_t i = 0; i < windows && !sf_cancellation_requested(cancellation); i++) {
    sf_lazy_quantized_visit(codes, i);
    sf_lazy_quantized_visit(codes, i);
  }
}
