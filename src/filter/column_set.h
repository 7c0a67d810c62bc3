/*
 * The columns that a filter reads of one shard: mapped from the shard's folder of the local cache, or made in one pass over the
 * shard's rows and put there. Where the cache can't be written to, they are made in memory, each time anew.
 */
#ifndef SF_FILTER_COLUMN_SET_H
#define SF_FILTER_COLUMN_SET_H

#include "cache/cached_block.h"
#include "filter/column.h"
#include "filter/filter.h"
#include "filter/paths.h"

/* The most columns of a shard that the local cache has: expressions name paths, and callers can think of any number. More than
 * a set can have. */
#define SF_MAX_SHARD_COLUMNS 64

/* Zero-initialise. */
typedef struct sf_column_set {
  size_t count; /* of the paths */
  sf_column columns[SF_MAX_FILTER_PATHS];
  sf_cached_block blocks[SF_MAX_FILTER_PATHS]; /* empty: not there yet */
  size_t num_made;                             /* of them */
} sf_column_set;

/* Opens the column of each path. The caller frees the set in any case. */
sf_code sf_column_set_open(const sf_filter_paths *paths, const sf_filter_params *params,
                           const sf_cancellation *cancellation, sf_column_set *set, sf_error *error);
void sf_column_set_free(sf_column_set *set);

#endif
