/*
 * Merges the sorted rows that tasks found, as they come in, into the best rows of the whole search: a two-way merge of
 * sorted lists that keeps as many as the collector allows. The result does not depend on the order in which tasks end.
 */
#ifndef SF_QUERY_MERGE_H
#define SF_QUERY_MERGE_H

#include "query/collector.h"

typedef struct sf_merged_row {
  double score;
  uint64_t row; /* number in its shard */
  uint32_t shard_id;
  uint32_t shard_index; /* the shard's position within the search */
} sf_merged_row;

/* Ordered by score, then shard id, then row. Zero-initialise but for `params`; one thread at a time. */
typedef struct sf_merge {
  sf_merged_row *items;
  sf_merged_row *spare; /* what the next merge writes; then the two are swapped */
  size_t count;
  size_t capacity;                   /* of both */
  const sf_collector_params *params; /* borrowed */
} sf_merge;

void sf_merge_free(sf_merge *merged);

/* Merges rows of a shard, which are ascending; *num_taken of them are among the merged rows now. False when memory is out:
 * the merged rows stay as they were. */
bool sf_merge_add(sf_merge *merged, uint32_t shard_id, uint32_t shard_index, const sf_scored_row *rows, size_t count,
                  size_t *num_taken);

/* No row that scores higher can be among the results: +infinity until there are as many as the collector allows. */
double sf_merge_threshold(const sf_merge *merged);

#endif
