/* Random numbers that a seed decides: the same on every machine. */
#ifndef SF_BASE_RANDOM_H
#define SF_BASE_RANDOM_H

#include <stdint.h>

/* SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014). */
typedef struct sf_random {
  uint64_t state;
} sf_random;

static inline uint64_t sf_random_next(sf_random *random) {
  uint64_t bits = random->state += 0x9E3779B97F4A7C15u;
  bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9u;
  bits = (bits ^ bits >> 27) * 0x94D049BB133111EBu;
  return bits ^ bits >> 31;
}

/* From 0 to bound − 1, for a bound of at least 1; what is uneven about it is below 2⁻³² for bounds below 2³². */
static inline uint64_t sf_random_below(sf_random *random, uint64_t bound) {
  return sf_random_next(random) % bound;
}

/* In (0, 1]. */
static inline double sf_random_unit(sf_random *random) {
  return (double)((sf_random_next(random) >> 11) + 1) * 0x1p-53;
}

#endif
