/* The best neighbours of a search over all of its shards: merged from the slices' results as they come. */
#ifndef SF_QUERY_MERGE_H
#define SF_QUERY_MERGE_H

#include "query/scan.h"

typedef struct sf_merged_row {
  double score;
  uint64_t row;
  uint32_t shard_id;
  uint32_t slot; /* the shard's number within the search */
} sf_merged_row;

/* Ordered by score, then shard id, then row: the order in which results come in can't be seen in it. */
typedef struct sf_merge {
  sf_merged_row *items;
  sf_merged_row *spare; /* where a merge goes; then the two change places */
  size_t count;
  size_t capacity; /* of both */
  size_t top_k;
} sf_merge;

void sf_merge_free(sf_merge *winners);

/* Merges a shard's neighbours (ascending); *num_taken of them are winners now. False when memory is out: the winners
 * stay as they were. */
bool sf_merge_add(sf_merge *winners, uint32_t shard_id, uint32_t slot, const sf_neighbour *neighbours, size_t count,
                  size_t *num_taken);

/* What a row must not score above to be among the winners: +infinity until there are top_k. */
double sf_merge_threshold(const sf_merge *winners);

#endif
