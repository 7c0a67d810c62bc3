/*
 * The account of a search: why it went to which shards, what it did with their rows, and when. Counters are kept for every search,
 * a task or a shard at a time; explain.h makes a text of them where someone asks.
 */
#ifndef SF_QUERY_SEARCH_ACCOUNT_H
#define SF_QUERY_SEARCH_ACCOUNT_H

#include "filter/filter.h"
#include "query/scan.h"
#include "snapshot/snapshot.h"

/* What chose the shards. */
typedef enum sf_route_reason {
  SF_ROUTED_TO_ALL,
  SF_ROUTED_BY_PROBES,  /* the nearest num_probes */
  SF_ROUTED_BY_CONTEXT, /* the request's routing_context */
  SF_ROUTED_BY_REQUEST, /* the request's shard_ids */
} sf_route_reason;

typedef struct sf_route_account {
  sf_route_reason reason;
  int64_t num_probes; /* SF_ROUTED_BY_PROBES; else 0 */
} sf_route_account;

/* Of a request that was routed. */
sf_route_account sf_route_account_of(const sf_snapshot *snapshot, const sf_route_request *request);

/* Nanoseconds of the monotonic clock; 0: it did not happen. Several shards are in several phases at once. */
typedef struct sf_search_times {
  uint64_t started;   /* the request was read */
  uint64_t begun;     /* its shards were asked for */
  uint64_t loaded;    /* the last of the shards came that were not loaded before */
  uint64_t filtering; /* it first waited for a bitmap */
  uint64_t filtered;  /* the last bitmap came that was waited for */
  uint64_t scanning;  /* the first task, or the first lookup, began */
  uint64_t scanned;   /* the last has ended */
  uint64_t ended;     /* the response was made */
} sf_search_times;

/* One shard of it, where the request asks for a line for each. Times as above. */
typedef struct sf_shard_account {
  uint64_t num_rows;
  uint64_t num_matching; /* 0 without a filter */
  uint64_t num_tasks;
  sf_scan_account scan;
  uint64_t started;
  uint64_t acquired;
  uint64_t filtered;
  uint64_t finished;
} sf_shard_account;

typedef struct sf_search_account {
  sf_sharding_strategy strategy;
  uint32_t num_dbs; /* of the snapshot */
  sf_route_account route;
  uint64_t num_rows;     /* live ones, of the shards */
  uint64_t num_matching; /* of them, with a filter */
  uint64_t num_results;
  sf_scan_account scan;
  uint64_t num_tasks;
  uint64_t num_shared_tasks; /* of them, with other searches */
  uint64_t num_threads;      /* the most at once */
  uint64_t num_loaded;       /* shards that were not loaded before */
  uint64_t num_known_bitmaps;
  uint64_t num_new_bitmaps; /* that it waited for */
  uint64_t num_columns;     /* that were decoded for them */
  uint64_t num_lists;       /* of all shards, where it reads some of them; else 0: it is exact */
  uint64_t num_lists_read;
  bool has_traffic;
  sf_storage_traffic traffic; /* the storage's, until the search has ended: that at its beginning */
  sf_search_times times;
  sf_filter *filter;   /* NULL: none */
  uint32_t *shard_ids; /* num_shards of them */
  uint32_t num_shards;
  sf_shard_account *shards; /* of each; NULL: not wanted */
} sf_search_account;

/* A copy with a reference of its own to the filter, and room for the shard ids, to be filled; the accounts of the shards are taken
 * over. NULL when memory is out. */
sf_search_account *sf_search_account_finish(const sf_search_account *account);
void sf_search_account_free(sf_search_account *account); /* NULL is allowed */

#endif
