/* Rows that may be among the best by their keys, in the order in which they came, until they are scored exactly. */
#ifndef SF_QUERY_CANDIDATES_H
#define SF_QUERY_CANDIDATES_H

#include "base/error.h"

typedef struct sf_candidate {
  float key; /* NaN: unknown */
  size_t row;
} sf_candidate;

typedef struct sf_candidates {
  sf_candidate *items;
  size_t count;
  size_t capacity;
} sf_candidates;

/* Room for what a search of the `top_k` best among `num_rows` rows wants at most: a small multiple of the lesser. */
sf_code sf_candidates_init(sf_candidates *candidates, size_t top_k, size_t num_rows, sf_error *error);
void sf_candidates_free(sf_candidates *candidates);

/* The k-th smallest key (k from 1 to count), where an unknown one counts as the largest. In time linear in the count,
 * whatever the keys. */
float sf_candidates_kth_distance(const sf_candidates *candidates, size_t k);

/* Drops those whose key is above the limit; unknown ones stay. */
void sf_candidates_drop_above(sf_candidates *candidates, float limit);

#endif
