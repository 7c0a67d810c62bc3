/*
 * The open shards of a snapshot: each loaded once however many ask, lent to searches, and closed least recently used
 * first when there are more than allowed. A shard that is lent is never closed.
 */
#ifndef SF_QUERY_SERVED_SNAPSHOT_H
#define SF_QUERY_SERVED_SNAPSHOT_H

#include "async/executor.h"
#include "base/report.h"
#include "formats/shard.h"
#include "query/scan_registry.h"
#include "snapshot/snapshot.h"

typedef struct sf_served_snapshot sf_served_snapshot;

/* What shards are loaded with. All borrowed for as long as the cache lives; cache_dir is copied. */
typedef struct sf_served_snapshot_params {
  sf_storage *storage;
  sf_shard_resources *resources;
  sf_executor *executor;
  const sf_snapshot *snapshot;
  const char *cache_dir;
  uint32_t max_shards;             /* 0: no bound */
  uint64_t max_cache_bytes;        /* of the local cache on disk; 0: no bound */
  const sf_log *log;               /* NULL: silent */
  const char *shard_format;        /* the only one to look for; NULL: any */
  const sf_event_listener *events; /* NULL: nobody listens */
  /* Called when the cache is gone, from the thread that dropped the last reference. */
  void (*freed)(void *context);
  void *freed_context;
} sf_served_snapshot_params;

/* Reference counted, with one for the caller. Whoever takes shards holds a reference until they are given back; a load
 * that is under way holds one of its own. */
sf_code sf_served_snapshot_create(const sf_served_snapshot_params *source, sf_served_snapshot **cache, sf_error *error);
void sf_served_snapshot_retain(sf_served_snapshot *cache);
void sf_served_snapshot_release(sf_served_snapshot *cache);
const sf_snapshot *sf_served_snapshot_metadata(const sf_served_snapshot *cache);
/* Where searches of these shards find one another; lives as long as the cache. */
sf_scan_registry *sf_served_snapshot_scans(const sf_served_snapshot *cache);

/* Whoever waits for a shard; embedded. */
typedef struct sf_shard_waiter {
  struct sf_shard_waiter *next;
  /* Called once, by a loading thread with no lock held. With SF_OK the shard is lent to the waiter; else it is NULL. */
  void (*loaded)(struct sf_shard_waiter *waiter, sf_shard *shard, sf_code code, const sf_error *error);
} sf_shard_waiter;

/* Lends the shard when it is loaded: *shard. Otherwise *shard is NULL, and the waiter will be called. */
sf_code sf_served_snapshot_acquire(sf_served_snapshot *cache, uint32_t db_id, sf_shard_waiter *waiter, sf_shard **shard,
                                   sf_error *error);
/* Gives a lent shard back. */
void sf_served_snapshot_return(sf_served_snapshot *cache, uint32_t db_id);
/* True when the waiter will not be called; false when it was, or is about to be. A load that nobody waits for is given
 * up. */
bool sf_served_snapshot_stop_waiting(sf_served_snapshot *cache, uint32_t db_id, sf_shard_waiter *waiter);

#endif
