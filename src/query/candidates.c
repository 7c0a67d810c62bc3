#include "query/candidates.h"

#include "base/memory.h"

#include <math.h>
#include <string.h>

/* So that dropping frees a good part, and the work of it is shared by as many rows. */
enum { CAPACITY_FACTOR = 4, MIN_CAPACITY = 256 };

sf_code sf_candidates_init(sf_candidates *candidates, size_t top_k, size_t num_rows, sf_error *error) {
  size_t capacity;
  if (!sf_multiply_size(top_k, CAPACITY_FACTOR, &capacity) || capacity > num_rows)
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

/* Numbers in the order of their keys: the bits of a float already are, once its sign is turned into an offset. */
static uint32_t rank_of_distance(float key) {
  if (isnan(key))
    return UINT32_MAX;
  uint32_t bits;
  memcpy(&bits, &key, sizeof(bits));
  return bits & 0x80000000U ? ~bits : bits | 0x80000000U;
}

static float distance_of_rank(uint32_t rank) {
  if (rank == UINT32_MAX)
    return NAN;
  uint32_t bits = rank & 0x80000000U ? rank & 0x7FFFFFFFU : ~rank;
  float key;
  memcpy(&key, &bits, sizeof(key));
  return key;
}

/* Of the candidates whose ranks begin as `prefix` does above `shift + 8` bits: how many have which next byte. */
static void count_bytes(const sf_candidates *candidates, uint32_t prefix, unsigned shift, size_t counts[256]) {
  memset(counts, 0, 256 * sizeof(counts[0]));
  for (size_t i = 0; i < candidates->count; i++) {
    uint32_t rank = rank_of_distance(candidates->items[i].key);
    if ((uint64_t)rank >> (shift + 8) == (uint64_t)prefix >> (shift + 8))
      counts[(rank >> shift) & 0xFF]++;
  }
}

/* Radix selection: a byte of the rank at a time, from the most significant. */
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

void sf_candidates_drop_above(sf_candidates *candidates, float limit) {
  size_t kept = 0;
  for (size_t i = 0; i < candidates->count; i++) {
    if (!(candidates->items[i].key > limit))
      candidates->items[kept++] = candidates->items[i];
  }
  candidates->count = kept;
}
