/*
 * How many lists give which recall: measured with some of the snapshot's own rows as queries, each left out of its own answer.
 * The exact results of each lie in lists, and those have places in the order in which the query would read lists; the share
 * of results that lie in the first n of them, on average, is the recall of n lists.
 *
 * What is measured on a sample is above its mean by chance as often as below, and rows that were trained on are a little nearer to
 * their lists than others: a target is raised by the standard error that a sample of so many single results has, and for one
 * result, where that is the error, by twice as much.
 */
#ifndef SF_QUERY_LIST_CALIBRATION_H
#define SF_QUERY_LIST_CALIBRATION_H

#include "formats/shard.h"
#include "lists/lists.h"
#include "snapshot/manifest_lists.h"

/* The most results that lists are used for. */
#define SF_CALIBRATED_MAX_TOP_K 100

/* All shards of a snapshot. Those without rows have neither a shard nor lists. */
typedef struct sf_calibration_params {
  sf_shard *const *shards;
  const sf_lists *const *lists;
  size_t num_shards;
  uint32_t dim;
  uint32_t num_threads; /* 0: 1 */
  uint64_t seed;
} sf_calibration_params;

sf_code sf_list_calibrate(const sf_calibration_params *params, const sf_cancellation *cancellation,
                          sf_list_calibration *calibration, sf_error *error);

/* How many lists a search for top_k results reads to find that share of them; 0: it is to be exact. */
size_t sf_list_calibration_count(const sf_list_calibration *calibration, double recall, size_t top_k);

#endif
