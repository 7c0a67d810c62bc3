#include "vectors/lazy_quantized.h"

#include "base/assert.h"
#include "base/files.h"
#include "base/memory.h"
#include "vectors/lazy_norms.h"
#include "vectors/metrics.h"
#include "vectors/vector_statistics.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

/* Of a chunk. The thread that takes it from VISITED to BEING_QUANTIZED writes its groups, and then stores QUANTIZED
 * with release. */
enum { UNSEEN, VISITED, BEING_QUANTIZED, QUANTIZED };

/* Of all chunks together. The thread that takes it from NOT_BEGUN to BEING_BEGUN writes the fields after `progress`,
 * and then stores BEGUN or IMPOSSIBLE with release. */
enum { NOT_BEGUN, BEING_BEGUN, BEGUN, IMPOSSIBLE };

struct sf_lazy_quantized {
  const float *vectors;
  size_t num_rows;
  uint32_t dim;
  const uint8_t *excluded; /* NULL: none */
  sf_open_nameless_file open_file;
  char *location;
  atomic_uchar *states; /* one for each chunk */
  _Atomic uint64_t num_not_finite;
  atomic_uchar progress;
  void *mapping;
  size_t mapping_length;
  uint8_t *groups[SF_QUANTIZED_KINDS]; /* in the mapping */
  float *centre;
  sf_quantized quantized;
};

bool sf_lazy_quantized_serve(size_t num_rows, uint32_t dim) {
  return sf_quantized_is_worth_it(num_rows, dim) && sf_rows_per_chunk(dim) % SF_QUANTIZED_GROUP_ROWS == 0;
}

sf_lazy_quantized *sf_lazy_quantized_create(const float *vectors, size_t num_rows, uint32_t dim, sf_metric metric,
                                            const uint8_t *excluded, sf_open_nameless_file open_file,
                                            const char *location) {
  sf_lazy_quantized *lazy = sf_calloc(1, sizeof(*lazy));
  if (lazy == NULL)
    return NULL;
  *lazy = (sf_lazy_quantized){.vectors = vectors,
                              .num_rows = num_rows,
                              .dim = dim,
                              .excluded = excluded,
                              .open_file = open_file,
                              .quantized.metric = metric};
  lazy->location = sf_strdup(location);
  lazy->centre = sf_calloc(dim, sizeof(float));
  lazy->states = sf_calloc(sf_num_chunks(lazy->num_rows, lazy->dim), sizeof(*lazy->states)); /* all UNSEEN */
  if (lazy->location == NULL || lazy->centre == NULL || lazy->states == NULL) {
    sf_lazy_quantized_free(lazy);
    return NULL;
  }
  return lazy;
}

void sf_lazy_quantized_free(sf_lazy_quantized *lazy) {
  if (lazy == NULL)
    return;
  if (lazy->mapping != NULL)
    munmap(lazy->mapping, lazy->mapping_length);
  free(lazy->location);
  free(lazy->centre);
  free(lazy->states);
  free(lazy);
}

const sf_quantized *sf_lazy_quantized_get(const sf_lazy_quantized *lazy) {
  return atomic_load_explicit(&lazy->progress, memory_order_acquire) == BEGUN ? &lazy->quantized : NULL;
}

bool sf_lazy_quantized_has(const sf_lazy_quantized *lazy, size_t chunk) {
  SF_ASSERT(chunk < sf_num_chunks(lazy->num_rows, lazy->dim));
  return atomic_load_explicit(&lazy->states[chunk], memory_order_acquire) == QUANTIZED;
}

/* Room for all groups. The whole file is allocated at once: writing to a hole on a full disk would be a SIGBUS. */
static void *map_groups(const sf_lazy_quantized *lazy, size_t length) {
  int descriptor;
  if (lazy->open_file(lazy->location, &descriptor, NULL) != SF_OK)
    return NULL;
  void *mapping = MAP_FAILED;
  if (sf_allocate_file(descriptor, lazy->location, length, NULL) == SF_OK)
    mapping = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  close(descriptor);
  return mapping == MAP_FAILED ? NULL : mapping;
}

/* Whether chunks can be quantized: makes room for them once. */
static bool begin(sf_lazy_quantized *lazy) {
  unsigned char expected = NOT_BEGUN;
  if (!atomic_compare_exchange_strong_explicit(&lazy->progress, &expected, BEING_BEGUN, memory_order_acquire,
                                               memory_order_acquire))
    return expected == BEGUN;
  const sf_metric metric = lazy->quantized.metric;
  size_t num_groups = (size_t)sf_quantized_num_groups(lazy->num_rows);
  size_t size_2bit = (size_t)sf_quantized_group_size(SF_QUANTIZED_2BIT, lazy->dim, metric);
  size_t length;
  if (sf_multiply_size(num_groups, size_2bit + (size_t)sf_quantized_group_size(SF_QUANTIZED_4BIT, lazy->dim, metric),
                       &length))
    lazy->mapping = map_groups(lazy, length);
  if (lazy->mapping != NULL) {
    lazy->mapping_length = length;
    lazy->groups[SF_QUANTIZED_2BIT] = lazy->mapping;
    lazy->groups[SF_QUANTIZED_4BIT] = lazy->groups[SF_QUANTIZED_2BIT] + num_groups * size_2bit;
    sf_quantized_choose_centre(lazy->vectors, lazy->num_rows, lazy->dim, metric, lazy->centre);
    lazy->quantized.centre = lazy->centre;
    for (sf_quantized_kind kind = 0; kind < SF_QUANTIZED_KINDS; kind++)
      lazy->quantized.groups[kind] = lazy->groups[kind];
  }
  atomic_store_explicit(&lazy->progress, lazy->mapping != NULL ? BEGUN : IMPOSSIBLE, memory_order_release);
  return lazy->mapping != NULL;
}

static void quantize_chunk(sf_lazy_quantized *lazy, size_t chunk) {
  const sf_metric metric = lazy->quantized.metric;
  size_t rows = sf_rows_per_chunk(lazy->dim);
  size_t begin = chunk * rows;
  SF_ASSERT(begin % SF_QUANTIZED_GROUP_ROWS == 0 && begin < lazy->num_rows);
  size_t left = lazy->num_rows - begin;
  uint8_t *groups[SF_QUANTIZED_KINDS];
  for (sf_quantized_kind kind = 0; kind < SF_QUANTIZED_KINDS; kind++)
    groups[kind] =
        lazy->groups[kind] + begin / SF_QUANTIZED_GROUP_ROWS * (size_t)sf_quantized_group_size(kind, lazy->dim, metric);
  const float *vectors = lazy->vectors + begin * lazy->dim;
  size_t count = left < rows ? left : rows;
  sf_quantized_make_groups(vectors, count, lazy->dim, metric, lazy->centre, groups);
  if (!sf_scoring_of_metric(metric)->is_of_differences)
    return;
  uint64_t num_not_finite = sf_count_not_finite(vectors, count, lazy->dim, lazy->excluded, begin);
  if (num_not_finite > 0)
    atomic_fetch_add_explicit(&lazy->num_not_finite, num_not_finite, memory_order_relaxed);
}

uint64_t sf_lazy_quantized_num_not_finite(const sf_lazy_quantized *lazy) {
  return atomic_load_explicit(&lazy->num_not_finite, memory_order_relaxed);
}

void sf_lazy_quantized_visit(sf_lazy_quantized *lazy, size_t chunk) {
  SF_ASSERT(chunk < sf_num_chunks(lazy->num_rows, lazy->dim));
  atomic_uchar *state = &lazy->states[chunk];
  unsigned char seen = UNSEEN;
  if (atomic_compare_exchange_strong_explicit(state, &seen, VISITED, memory_order_relaxed, memory_order_relaxed) ||
      seen != VISITED || !begin(lazy))
    return;
  if (!atomic_compare_exchange_strong_explicit(state, &seen, BEING_QUANTIZED, memory_order_relaxed,
                                               memory_order_relaxed))
    return;
  quantize_chunk(lazy, chunk);
  atomic_store_explicit(state, QUANTIZED, memory_order_release);
}

void sf_lazy_quantized_complete(sf_lazy_quantized *lazy, const sf_cancellation *cancellation) {
  size_t num_chunks = sf_num_chunks(lazy->num_rows, lazy->dim);
  for (size_t i = 0; i < num_chunks && !sf_cancellation_requested(cancellation); i++) {
    sf_lazy_quantized_visit(lazy, i);
    sf_lazy_quantized_visit(lazy, i);
  }
}
