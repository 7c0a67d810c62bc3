/*
 * The re-rank queue of a scan: rows that may be results by their approximate distances, in the order in which they came,
 * until they are scored exactly. When it fills up, the k-th smallest distance prunes it, which a radix selection finds in
 * linear time: a byte at a time, most significant first, after the order of the floats' bits.
 */
#ifndef SF_QUERY_CANDIDATES_H
#define SF_QUERY_CANDIDATES_H

#include "base/error.h"

typedef struct sf_candidate {
  float distance; /* approximate; NaN: unknown */
  size_t row;     /* of the segment */
} sf_candidate;

typedef struct sf_candidates {
  sf_candidate *items;
  size_t count;
  size_t capacity;
} sf_candidates;

/* Room for what a scan of `num_rows` rows for at most `max_results` wants at most: a small multiple of the lesser. */
sf_code sf_candidates_init(sf_candidates *candidates, size_t max_results, size_t num_rows, sf_error *error);
void sf_candidates_free(sf_candidates *candidates);

/* The k-th smallest distance (k from 1 to count), where an unknown one counts as the largest. In time linear in the count,
 * whatever the distances. */
float sf_candidates_kth_distance(const sf_candidates *candidates, size_t k);

/* Drops those whose distance is above the threshold; unknown ones stay. */
void sf_candidates_drop_above(sf_candidates *candidates, float threshold);

#endif
