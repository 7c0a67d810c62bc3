/*
 * The state of one search, and its end. The files that run a search share it, each of which knows only those before it:
 * search_shards.c (its shards and their tasks), shared_scan.c (scanning together with other searches), scheduler.c (threads), search.c
 * (beginning, waiting and cancelling). Nothing else includes this.
 *
 * Lock order: a search's mutex, then the served snapshot's or the scan registry's, then the executor's. No thread holds
 * two searches' mutexes.
 */
#ifndef SF_QUERY_SEARCH_STATE_H
#define SF_QUERY_SEARCH_STATE_H

#include "query/filter_bitmaps.h"
#include "query/list_scan.h"
#include "query/lookup.h"
#include "query/merge.h"
#include "query/plan.h"
#include "query/pruning_threshold.h"
#include "query/search.h"
#include "query/search_account.h"

#include <pthread.h>
#include <stdatomic.h>

/* One shard of a search. The mutex of the search guards all that changes. */
typedef struct sf_shard_search {
  sf_shard_waiter waiter;    /* first: the served snapshot passes it to `loaded` */
  sf_scan_position position; /* registered while it has tasks to take, for other searches to scan along */
  sf_search *search;
  sf_shard *shard; /* acquired from the served snapshot; NULL before that, and once it is to be returned */
  uint32_t shard_id;
  uint32_t num_running;             /* tasks that are being scanned */
  bool is_waiting;                  /* the served snapshot will call the waiter */
  bool has_arrived;                 /* it waits for the other shards, among whose lists some are chosen */
  bool has_merged_rows;             /* rows of it were merged: its shard stays acquired until their ids are fetched */
  sf_plan plan;                     /* of the shard's rows; empty before it is acquired */
  struct sf_shard_search *next;     /* in the list of ready ones, or of those to return */
  struct sf_shard_search *previous; /* in the list of ready ones */
} sf_shard_search;

/* The filter of a shard's rows, where the search has one. The mutex of the search guards it. */
typedef struct sf_shard_filter {
  sf_bitmap_waiter waiter; /* first: the bitmaps pass it to `ready` */
  sf_shard_search *of;
  const sf_shard_bitmap *bitmap; /* acquired; NULL before that, and once it was returned */
  bool is_waiting;               /* the bitmaps will call the waiter */
} sf_shard_filter;

/* The lookup of rows in a shard, of a search for rows by their ids. The mutex of the search guards it. */
typedef struct sf_shard_lookup {
  sf_lookup_waiter waiter; /* first: the lookup passes it to `done` */
  sf_shard_search *of;
  bool is_waiting; /* the lookup will call the waiter */
} sf_shard_lookup;

/* What the event of a shard says. */
typedef struct sf_shard_event {
  uint64_t acquired; /* when its shard could be scanned, and when that was done; sf_monotonic_nanoseconds */
  uint64_t finished; /* 0: not yet */
  uint64_t num_rows; /* of the shard, as are those that are not finite, as far as is known when that was done */
  uint64_t num_not_finite;
} sf_shard_event;

struct sf_search {
  atomic_uint references;
  sf_cancellation cancellation;
  sf_served_snapshot *served; /* holds a reference until the search ends */
  sf_executor *executor;
  sf_query_vector query_vector;
  sf_collector_params collector; /* what it collects; all parts of the search borrow it */
  float *query;                  /* dim components, and as many for the scaled query after them */
  size_t num_shards;
  size_t max_in_flight;
  size_t offset; /* results to leave out, the nearest */
  bool wants_vectors;
  bool omits_payloads;
  sf_filter *filter;        /* NULL: all rows */
  sf_shard_filter *filters; /* of each shard; NULL without a filter */
  double recall;            /* sf_search_params.recall */
  bool counts_only;         /* how many rows match; nothing is scanned */
  sf_row_id *ids;           /* rows to look up; nothing is scanned. NULL: none */
  size_t num_ids;
  sf_shard_lookup *lookups; /* of each shard; NULL without ids */
  sf_found_rows *found;     /* in each shard; guarded by the mutex */
  const sf_event_listener *events;
  sf_shard_event *shard_events; /* of each shard; NULL: no callback */
  sf_search_callback done;
  void *context;
  sf_pruning_threshold pruning_threshold; /* needs no mutex */
  pthread_mutex_t mutex;                  /* guards all below, and the shards */
  pthread_cond_t changed;                 /* for sf_search_run: a task is ready, or the search has ended */
  atomic_uint num_changes;                /* changed with the mutex held */
  size_t next_shard;                      /* the first that was not started yet */
  size_t num_in_flight;                   /* shards that were started and are not finished */
  size_t num_workers;                     /* threads that scan for it, and take what is ready: it does not end before */
  size_t num_returning;                   /* threads that only return its shards: likewise */
  size_t num_queued_runs;                 /* worker runs that wait for a thread of the executor */
  sf_shard_search *first_ready;           /* those with tasks to take */
  sf_shard_search *last_ready;
  sf_shard_search *to_return; /* those whose shards are returned once the mutex is free */
  size_t num_lists;           /* to be chosen among all shards; 0: the search is exact */
  size_t num_arrived;         /* shards that wait for the others */
  sf_list_choice *choices;    /* num_lists of them, shard by shard; NULL before they are chosen */
  sf_list_scan *list_scans;   /* of each shard; NULL before */
  sf_merge merged;
  uint64_t num_found;        /* SF_COLLECT_RANGE: rows up to max_score */
  sf_search_account account; /* so far; its shards are NULL where no line for each is wanted */
  bool has_started;
  bool is_blocking;       /* a thread is in sf_search_run */
  bool is_caller_waiting; /* that thread waits for a task, or is about to scan */
  bool is_ending;         /* a thread completes it */
  bool has_ended;
  sf_code code;
  sf_error error;
  sf_search_response *response;
  sf_shard_search shards[];
};

/* Makes the response, returns what the search holds, emits its events and calls its callback. By the one thread that
 * scheduler.c found to be the last: no other touches the search but to look whether it has ended. */
void sf_search_complete(sf_search *search);

/* What a search for rows by their ids looks up. */
sf_lookup_params sf_search_lookup_params(const sf_search *search);

/* There may be a task for the caller, or the search has ended. */
void sf_search_notify_caller_locked(sf_search *search);

#endif
