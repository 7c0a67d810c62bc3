/*
 * Which lists a query reads: the nearest of all shards that it searches, by their centres. 4-bit vectors of the centres
 * choose somewhat more than are wanted, float32 the nearest of them.
 */
#ifndef SF_QUERY_LIST_CHOICE_H
#define SF_QUERY_LIST_CHOICE_H

#include "base/error.h"
#include "lists/lists.h"
#include "vectors/query_vector.h"

typedef struct sf_list_choice {
  float distance; /* by which lists are ordered: −cos, −dot or the squared distance from the centre */
  float product;  /* q·centre, as quantized vectors need it; not for distances of differences */
  uint32_t shard; /* which of the shards */
  uint32_t list;
} sf_list_choice;

/* The `wanted` nearest lists of `num_shards` shards, or all if there are fewer, nearest first. `choices` has room for
 * `wanted`. The shards are of the query's dim and metric; those that are NULL have no lists. */
sf_code sf_list_choice_find(const sf_query_vector *query, const sf_lists *const *shards, size_t num_shards,
                            size_t wanted, sf_list_choice *choices, size_t *count, sf_error *error);

#endif
