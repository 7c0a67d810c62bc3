/* Random numbers that are the same on every run, unless asked for others: SplitMix64 (Steele, Lea & Flood, 2014). */
#ifndef SF_TESTS_RANDOM_H
#define SF_TESTS_RANDOM_H

#include <stdint.h>
#include <stdlib.h>

/* Where a test's random numbers begin: elsewhere for each SHARDYFUSION_SEED in the environment. `make soak` tries many. */
static inline uint64_t random_seed(uint64_t test) {
  const char *seed = getenv("SHARDYFUSION_SEED");
  return test + 1000 * (seed == NULL ? 0 : strtoull(seed, NULL, 10));
}

static inline uint64_t random_bits(uint64_t *state) {
  *state += 0x9E3779B97F4A7C15U;
  uint64_t bits = *state;
  bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9U;
  bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBU;
  return bits ^ (bits >> 31);
}

/* In [0, count). */
static inline uint64_t random_below(uint64_t *state, uint64_t count) {
  return random_bits(state) % count;
}

/* In [-1, 1). */
static inline float random_component(uint64_t *state) {
  return (float)(random_bits(state) >> 40) * 0x1p-23F - 1;
}

#endif
