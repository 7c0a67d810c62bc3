/*
 * A served snapshot: the open shards of a snapshot and the active scans of them. Each shard is loaded once, however many
 * searches need it, and acquired by searches; when more are open than allowed, the least recently used is closed. A shard
 * that is acquired is never closed. Any thread.
 */
#ifndef SF_QUERY_SERVED_SNAPSHOT_H
#define SF_QUERY_SERVED_SNAPSHOT_H

#include "async/executor.h"
#include "base/report.h"
#include "cache/cached_file.h"
#include "formats/shard.h"
#include "query/scan_registry.h"
#include "snapshot/snapshot.h"

typedef struct sf_served_snapshot sf_served_snapshot;
typedef struct sf_filter_bitmaps sf_filter_bitmaps; /* query/filter_bitmaps.h */
typedef struct sf_snapshot_lists sf_snapshot_lists; /* query/snapshot_lists.h */

/* What shards are loaded with. All borrowed for as long as it lives; cache_dir is copied. */
typedef struct sf_served_snapshot_params {
  sf_storage *storage;
  sf_shard_resources *resources;
  sf_executor *executor;
  const sf_snapshot *snapshot;
  const char *cache_dir;
  uint32_t max_shards;             /* 0: no bound */
  uint64_t max_cache_bytes;        /* of the local cache on disk; 0: no bound */
  uint64_t max_filter_bytes;       /* of the bitmaps of filters; 0: SF_DEFAULT_FILTER_BYTES */
  const sf_log *log;               /* NULL: silent */
  const char *shard_format;        /* the only one to look for; NULL: any */
  const sf_event_listener *events; /* NULL: no callback */
  /* Called once it is freed, by the thread that released the last reference. */
  void (*freed)(void *context);
  void *freed_context;
} sf_served_snapshot_params;

/* Counts references, and gives the caller one. A search that acquires shards holds one until it has returned them; a load
 * that is under way holds one of its own. */
sf_code sf_served_snapshot_create(const sf_served_snapshot_params *params, sf_served_snapshot **served,
                                  sf_error *error);
void sf_served_snapshot_retain(sf_served_snapshot *served);
void sf_served_snapshot_release(sf_served_snapshot *served);
const sf_snapshot *sf_served_snapshot_metadata(const sf_served_snapshot *served);
/* The registry of the active scans of these shards, through which searches share scans. Borrowed. */
sf_scan_registry *sf_served_snapshot_scans(const sf_served_snapshot *served);

/* Whether the storage that shards are read from makes requests; *traffic says how many there were. */
bool sf_served_snapshot_traffic(const sf_served_snapshot *served, sf_storage_traffic *traffic);

/* The bitmaps of filters for these shards. Borrowed. */
sf_filter_bitmaps *sf_served_snapshot_bitmaps(const sf_served_snapshot *served);

/* A search that waits for a shard; embedded. */
typedef struct sf_shard_waiter {
  struct sf_shard_waiter *next;
  /* Called once, by a loading thread with no lock held. With SF_OK the waiter has acquired the shard; else it is NULL. */
  void (*loaded)(struct sf_shard_waiter *waiter, sf_shard *shard, sf_code code, const sf_error *error);
} sf_shard_waiter;

/* Acquires the shard if it is loaded. Otherwise *shard is NULL, and the waiter will be called. */
sf_code sf_served_snapshot_acquire(sf_served_snapshot *served, uint32_t db_id, sf_shard_waiter *waiter,
                                   sf_shard **shard, sf_error *error);
/* Acquires a shard once more that the caller has acquired. */
void sf_served_snapshot_use_again(sf_served_snapshot *served, uint32_t db_id);
/* A shard that the caller has acquired. */
sf_shard *sf_served_snapshot_loaded(sf_served_snapshot *served, uint32_t db_id);
/* Its place in the local cache. `folder`, which the place borrows, is for the caller to free. */
sf_code sf_served_snapshot_place(const sf_served_snapshot *served, uint32_t db_id, char **folder, sf_cache_place *place,
                                 sf_error *error);
/* Acquires a shard if it is loaded; else NULL. */
sf_shard *sf_served_snapshot_acquire_loaded(sf_served_snapshot *served, uint32_t db_id);
/* Returns an acquired shard. */
void sf_served_snapshot_return(sf_served_snapshot *served, uint32_t db_id);
/* True when the waiter will not be called; false when it was, or is about to be. A load without a waiter is
 * cancelled. */
bool sf_served_snapshot_stop_waiting(sf_served_snapshot *served, uint32_t db_id, sf_shard_waiter *waiter);

/* For work in the background that holds a reference, and ends soon once it is cancelled: which happens when nothing else holds
 * one. */
void sf_served_snapshot_begin_indexing(sf_served_snapshot *served);
void sf_served_snapshot_end_indexing(sf_served_snapshot *served);
const sf_cancellation *sf_served_snapshot_indexing(const sf_served_snapshot *served);

sf_snapshot_lists *sf_served_snapshot_lists(const sf_served_snapshot *served);
sf_executor *sf_served_snapshot_executor(const sf_served_snapshot *served);
const sf_log *sf_served_snapshot_log(const sf_served_snapshot *served);
const sf_event_listener *sf_served_snapshot_events(const sf_served_snapshot *served);
sf_storage *sf_served_snapshot_storage(const sf_served_snapshot *served);

#endif
