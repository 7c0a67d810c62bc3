#include "query/candidates.h"

#include "base/memory.h"

#include <math.h>
#include <string.h>

/* Large enough that pruning frees a good part of it, so that its cost is spread over as many rows. */
enum { CAPACITY_FACTOR = 4, MIN_CAPACITY = 256 };

sf_code sf_candidates_init(sf_candidates *candidates, size_t max_results, size_t num_rows, sf_error *error) {
  size_t capacity;
  if (!sf_multiply_size(max_results, CAPACITY_FACTOR, &capacity) || capacity > num_rows)
    capacity = num_rows;
  if (capacity < MIN_CAPACITY)
    capacity = MIN_CAPACITY;
  sf_candidate *items = sf_reallocarray(NULL, capacity, sizeof(*items));
  if (items == NULL)
    return sf_fail_memory(error, "candidates of a search");
  *candidates = (sf_candidates){.items = items, .capacity = capacity};
  return SF_OK;
}

void sf_candidates_free(sf_candidates *candidates) {
  free(candidates->items);
  *candidates = (sf_candidates){0};
}

/* Numbers in the order of the distances: the bits of a float already are, once its sign is turned into an offset. */
static uint32_t rank_of_distance(float distance) {
  if (isnan(distance))
    return UINT32_MAX;
  uint32_t bits;
  memcpy(&bits, &distance, sizeof(bits));
  return bits & 0x80000000U ? ~bits : bits | 0x80000000U;
}

static float distance_of_rank(uint32_t rank) {
  if (rank == UINT32_MAX)
    return NAN;
  uint32_t bits = rank & 0x80000000U ? rank & 0x7FFFFFFFU : ~rank;
  float distance;
  memcpy(&distance, &bits, sizeof(distance));
  return distance;
}

/* Counts by their next byte the candidates whose ranks are equal to `prefix` from bit `shift + 8` on. */
static void count_bytes(const sf_candidates *candidates, uint32_t prefix, unsigned shift, size_t counts[256]) {
  memset(counts, 0, 256 * sizeof(counts[0]));
  for (size_t i = 0; i < candidates->count; i++) {
    uint32_t rank = rank_of_distance(candidates->items[i].distance);
    if ((uint64_t)rank >> (shift + 8) == (uint64_t)prefix >> (shift + 8))
      counts[(rank >> shift) & 0xFF]++;
  }
}

float sf_candidates_kth_distance(const sf_candidates *candidates, size_t k) {
  uint32_t prefix = 0;
  for (unsigned shift = 32; shift > 0;) {
    shift -= 8;
    size_t counts[256];
    count_bytes(candidates, prefix, shift, counts);
    uint32_t byte = 0;
    while (byte < 255 && k > counts[byte])
      k -= counts[byte++];
    prefix |= byte << shift;
  }
  return distance_of_rank(prefix);
}

void sf_candidates_drop_above(sf_candidates *candidates, float threshold) {
  size_t kept = 0;
  for (size_t i = 0; i < candidates->count; i++) {
    if (!(candidates->items[i].distance > threshold))
      candidates->items[kept++] = candidates->items[i];
  }
  candidates->count = kept;
}
