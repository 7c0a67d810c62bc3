/*
 * A reader: the snapshot it serves, and the work under way on it. This is what opening, refreshing, searching and closing
 * share; each of them is a file of its own.
 *
 * The served snapshot is reference counted. A search acquires it once and keeps it to its end, so that a refresh replaces
 * it for later searches only. A blocking call or an operation that uses the reader is an activity: closing waits for the
 * activities, and cancels those that are not done in time.
 *
 * Lock order: `refresh_mutex`, then `mutex`; nothing is called with `mutex` held but the activities' begin_cancel, which
 * may request a cancellation (base/cancellation.h) or take a reference.
 */
#ifndef SF_READER_READER_H
#define SF_READER_READER_H

#include "async/operation.h"
#include "base/report.h"
#include "base/thread.h"
#include "query/search.h"
#include "reader/filter_cache.h"

/* Work under way that closing waits for, or cancels; embedded in what it belongs to. */
typedef struct sf_activity {
  struct sf_activity *previous;
  struct sf_activity *next;
  /* Cancelling takes two steps, because the activity may end as soon as the mutex is released. begin_cancel is called with
   * the reader's mutex held, and returns a token that stays valid; finish_cancel is called with it and no lock held, and
   * releases it. */
  void *(*begin_cancel)(struct sf_activity *activity);
  void (*finish_cancel)(void *token);
  bool is_cancelled;
} sf_activity;

struct sf_reader {
  /* Set when the reader is created. */
  char *cache_dir;
  char *shard_format; /* the only one to look for; NULL: any */
  uint32_t max_concurrency;
  uint32_t max_cached_shards;
  uint64_t max_cache_bytes;
  uint64_t max_filter_bytes;
  uint32_t max_fallback_attempts;
  bool preload_shards;
  sf_log log;
  sf_event_listener events;
  long process; /* that created it: a fork's child has none of its threads */

  pthread_mutex_t refresh_mutex; /* held during a refresh; taken before `mutex` */
  pthread_mutex_t mutex;         /* guards all below */
  pthread_cond_t changed;        /* an activity or a job ended, or a snapshot was freed */
  bool is_closed;
  /* Set once, and NULL once closed. An activity uses them without the mutex: closing releases them after the last one. */
  sf_storage *storage;
  sf_shard_resources *resources;
  sf_executor *executor;
  sf_filter_cache *filters;
  sf_served_snapshot *served; /* for new searches; NULL once closed */
  uint32_t num_jobs;          /* operations that were submitted and will use the reader */
  uint32_t num_snapshots;     /* not freed yet: the served one, and older ones that searches still use */
  sf_activity activities;     /* head of a ring */
  /* Of the snapshot that is or was served; they stay after closing, for sf_reader_health. */
  char *manifest_ref;
  double published_seconds;
  uint32_t num_shards;
  sf_error refresh_error; /* why the last refresh kept the old snapshot; SF_OK: it did not fail */
};

/* A reader without a storage, an executor or a snapshot. `options` have been read and checked. */
sf_code sf_reader_create(const sf_reader_options *options, sf_reader **reader, sf_error *error);

/* Frees a reader that has no activities, jobs or snapshots. */
void sf_reader_destroy(sf_reader *reader);

/* Releases the executor, the connections and the storage, once no activity uses them any more. */
void sf_reader_release_resources(sf_reader *reader);

/* Fails for NULL, and in another process than the one that created the reader. A closed reader passes. */
sf_code sf_reader_check_process(const sf_reader *reader, sf_error *error);

/* The snapshot that is served, with a reference for the caller. Fails when the reader is closed. */
sf_code sf_reader_acquire_served(sf_reader *reader, sf_served_snapshot **served, sf_error *error);

/* Adds an activity; fails when the reader is closed. */
sf_code sf_reader_begin_activity(sf_reader *reader, sf_activity *activity, sf_error *error);
void sf_reader_end_activity(sf_reader *reader, sf_activity *activity);

#endif
