/*
 * Rows by their ids. Each shard is looked in by a task of lane LOAD, which finds the rows that have one of the ids and fetches
 * what is wanted of them; the results of all shards are joined in the order of the ids. Who waits for a shard can stop: its
 * task then does nothing, or is cancelled.
 */
#ifndef SF_QUERY_LOOKUP_H
#define SF_QUERY_LOOKUP_H

#include "query/response.h"
#include "query/served_snapshot.h"

/* The ids as one block with their texts; NULL when memory is out. */
sf_row_id *sf_row_ids_copy(const sf_row_id *ids, size_t count);

/* What is looked up, the same in all shards. All is borrowed, as long as anyone waits. */
typedef struct sf_lookup_params {
  sf_served_snapshot *served;
  sf_executor *executor;
  const sf_row_id *ids;
  size_t num_ids;
  bool omits_payloads;
  uint32_t dim; /* of vectors to copy; 0: none are wanted */
  const sf_cancellation *cancellation;
} sf_lookup_params;

/* The rows of one shard that have one of the ids. */
typedef struct sf_found_rows {
  sf_search_response *rows; /* NULL: none */
  size_t *indexes;          /* of each of these, which of the ids it has; ascending */
} sf_found_rows;

void sf_found_rows_free(sf_found_rows *found);

/* Who waits for a shard to be looked in; embedded. */
typedef struct sf_lookup_waiter {
  struct lookup_run *run; /* set by sf_lookup_start */
  /* Called once, by a thread of lane LOAD with no lock held. With SF_OK the found rows are the waiter's. */
  void (*done)(struct sf_lookup_waiter *waiter, const sf_found_rows *found, sf_code code, const sf_error *error);
} sf_lookup_waiter;

/* Looks in a shard, which stays open as long as anyone waits. */
sf_code sf_lookup_start(const sf_lookup_params *params, sf_shard *shard, sf_lookup_waiter *waiter, sf_error *error);
/* True when the waiter will not be called; false when it was, or will be once the task has seen the cancellation. To be
 * called with the lock that `done` takes. */
bool sf_lookup_stop_waiting(sf_lookup_waiter *waiter);

/* One result for each id: of the first of the `num_shards` shards where it was found. The caller seals or frees it. */
sf_code sf_lookup_join(const sf_lookup_params *params, const sf_found_rows *found, uint32_t num_shards,
                       sf_search_response **response, sf_error *error);

#endif
