/* The best k of neighbours that come in any order, in memory that the caller owns. */
#ifndef SF_QUERY_TOP_K_H
#define SF_QUERY_TOP_K_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A neighbour within a shard. Ordered by score, then by row. */
typedef struct sf_neighbour {
  double score; /* exact, in the shard's convention; never NaN */
  uint64_t row; /* number in the shard */
} sf_neighbour;

/* Whether `a` comes before `b`: by score, then by row. */
bool sf_neighbour_before(const sf_neighbour *a, const sf_neighbour *b);

/* Once it is full, a binary heap whose root is the worst. Not to be shared between threads. */
typedef struct sf_top_k {
  sf_neighbour *neighbours; /* borrowed: room for `capacity` */
  size_t count;
  size_t capacity; /* at least 1 */
} sf_top_k;

/* Takes the neighbour if it is among the best `capacity` so far. */
void sf_top_k_add(sf_top_k *top_k, sf_neighbour neighbour);

/* The worst of those kept; NULL as long as there is room for any. */
const sf_neighbour *sf_top_k_worst(const sf_top_k *top_k);

/* Puts `neighbours` into ascending order. Nothing may be added afterwards. */
void sf_top_k_sort(sf_top_k *top_k);

#endif
