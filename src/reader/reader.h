/* A reader: the snapshot it serves, and what is under way on it. */
#ifndef SF_READER_READER_H
#define SF_READER_READER_H

#include "async/operation.h"
#include "base/event.h"
#include "base/log.h"
#include "base/thread.h"
#include "query/search.h"

/* Something under way that closing waits for, or cancels; embedded. */
typedef struct sf_activity {
  struct sf_activity *previous;
  struct sf_activity *next;
  /* Together they ask it to stop. The first is called with the reader's mutex held, and keeps alive what it returns; the
   * second is called with that, and no lock, and lets it go. */
  void *(*begin_cancel)(struct sf_activity *activity);
  void (*finish_cancel)(void *token);
  bool is_cancelled;
} sf_activity;

struct sf_reader {
  sf_storage *storage;
  sf_shard_resources *resources;
  sf_executor *executor;
  char *cache_dir;
  uint32_t max_concurrency;
  uint32_t max_cached_shards;
  uint64_t max_cache_bytes;
  uint32_t max_fallback_attempts;
  bool preload_shards;
  sf_log log;
  sf_event_listener events;
  char *shard_format;            /* the only one to look for; NULL: any */
  long process;                  /* that opened it: a fork's child has none of its threads */
  pthread_mutex_t refresh_mutex; /* one refresh at a time; taken before `mutex` */
  pthread_mutex_t mutex;         /* guards all below */
  pthread_cond_t changed;        /* an activity ended, or a snapshot was let go */
  bool is_closed;
  sf_served_snapshot *served; /* the snapshot that new searches see, with its shards; NULL once closed */
  uint32_t num_jobs;          /* operations that were submitted and will use the reader */
  uint32_t num_snapshots;     /* that are alive: the served one, and older ones that searches still use */
  sf_activity activities;     /* head of a ring */
  char *manifest_ref;         /* of the snapshot that is or was served; outlives it for sf_reader_health */
  double published_seconds;
  uint32_t num_shards;
  sf_error refresh_error; /* why the last refresh kept the old snapshot; SF_OK: it did not */
};

/* Fails unless the reader is open, in the process that opened it. */
sf_code sf_reader_check_open(const sf_reader *reader, sf_error *error);

/* The snapshot that is served, with a reference for the caller. Fails when the reader is closed. */
sf_code sf_reader_take_served(sf_reader *reader, sf_served_snapshot **served, sf_error *error);

/* Enters something under way; fails when the reader is closed. */
sf_code sf_reader_begin_activity(sf_reader *reader, sf_activity *activity, sf_error *error);
void sf_reader_end_activity(sf_reader *reader, sf_activity *activity);

#endif
