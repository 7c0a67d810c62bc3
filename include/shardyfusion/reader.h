/* Readers: opening, refreshing and closing a snapshot, its description and health, and reading without a reader. */
#ifndef SHARDYFUSION_READER_H
#define SHARDYFUSION_READER_H

#include "async.h"
#include "storage.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ----------------------------------------------------------------------------------------------------------- Events */

typedef enum sf_event_type {
  SF_EVENT_READER_INITIALIZED = 0, /* a reader opened its first snapshot: manifest_ref, run_id, num_shards */
  SF_EVENT_READER_REFRESHED = 1,   /* a refresh ended: changed, manifest_ref, run_id, num_shards; code, message */
  SF_EVENT_READER_CLOSED = 2,      /* a reader was closed: manifest_ref */
  SF_EVENT_SEARCH = 3,             /* a search ended: top_k, num_results, num_shards; code, message */
  SF_EVENT_SHARD_SEARCH = 4,       /* a search finished scanning a shard: shard_id, num_rows, num_not_finite, top_k */
  SF_EVENT_SHARD_LOAD = 5,         /* a shard was loaded: shard_id, num_rows, num_not_finite; code, message */
  SF_EVENT_FALLBACK = 6,           /* a manifest is malformed, older ones are tried: manifest_ref, code, message */
  SF_EVENT_LISTS_LOAD = 7,         /* lists of a shard were opened or refused: shard_id, num_rows; code, message */
} sf_event_type;
SF_API const char *sf_event_type_name(sf_event_type type); /* "reader_initialized", ..., "lists_load" */

/* An event. Members that the comment of its type does not name are 0 or NULL. */
typedef struct sf_event {
  size_t size; /* sizeof(sf_event) in the library at run time */
  sf_event_type type;
  sf_code code;        /* the outcome */
  const char *message; /* why it failed, or NULL */
  double duration_ms;  /* for SF_EVENT_SHARD_SEARCH: from when the shard was loaded until its last row was scanned */
  const char *manifest_ref;
  const char *run_id;
  uint32_t num_shards;
  uint32_t shard_id;
  uint64_t num_rows;
  uint64_t num_results;
  int64_t top_k;
  bool changed;
  /* Rows of the shard that no search returns, because a component is NaN, infinite or null; num_rows does not count them.
   * In a Lance shard that is searched in place, searches find them: the count is complete after the first search for
   * cosine and dot products, after the second for l2. */
  uint64_t num_not_finite;
  /* For SF_EVENT_SEARCH with a filter: how many rows of the shards searched match, and how long the search waited for what says
   * so (0 where an earlier search with the same filter had left it). top_k is 0 where all rows up to max_score were wanted. */
  uint64_t num_matching;
  double filter_ms;
} sf_event;

/* Called from any thread, never with a lock held, before the operation that caused the event finishes. The event and its
 * strings are valid until the callback returns. */
typedef void (*sf_event_callback)(const sf_event *event, void *user_data);

/* ----------------------------------------------------------------------------------------------------------- Reader */

/* An open snapshot. */
typedef struct sf_reader sf_reader;

/* A manifest that the caller has read from its own storage; routing artifacts and shards are still read from below the
 * root. Must be valid only until the call returns. */
typedef struct sf_manifest_source {
  size_t size;       /* sizeof(sf_manifest_source) */
  const void *bytes; /* `length` bytes: a SQLite database */
  size_t length;
  const char *ref;          /* its reference: refreshing to the same reference changes nothing */
  double published_seconds; /* since 1970 */
} sf_manifest_source;

#define SF_MANIFEST_SOURCE_INIT SF_INITIALIZER(sf_manifest_source)

typedef struct sf_reader_options {
  size_t size; /* sizeof(sf_reader_options) */
  /* Folder of the local cache; created if missing. NULL: a folder for the root below $XDG_CACHE_HOME/shardyfusion. A folder
   * that other users may write to is refused: see docs/c-api.md. Its files are mapped: truncating one kills the process
   * (SIGBUS). */
  const char *cache_dir;
  /* The executor to use; the reader takes a reference. NULL: the reader creates its own with num_workers, num_loaders and
   * thread_nice, which are ignored otherwise. */
  sf_executor *executor;
  uint32_t num_workers; /* 0: one for each CPU */
  uint32_t num_loaders; /* 0: 16 */
  /* Maximum number of shards that one search loads or scans at a time; 0: no limit. */
  uint32_t max_concurrency;
  /* How many older manifests to try when the live one does not parse; 0: no fallback; negative: the default, 3. */
  int32_t max_fallback_attempts;
  /* Maximum number of loaded shards; the least recently used are evicted first. 0: no limit. Shards in use stay loaded even
   * above it. */
  uint32_t max_cached_shards;
  /* Load all shards when opening and refreshing (as many as max_cached_shards allows). */
  bool preload_shards;
  sf_log_callback log; /* NULL: silent */
  void *log_user_data;
  const sf_s3_options *s3;       /* for roots that begin with s3://; NULL: all from the environment */
  sf_download_callback download; /* progress of shard downloads; NULL: no callback */
  void *download_user_data;
  sf_event_callback event; /* NULL: no callback */
  void *event_user_data;
  const char *shard_format;           /* the only format to accept: "sqlite-vec" or "lance"; NULL: any */
  const sf_manifest_source *manifest; /* the manifest to serve; NULL: the one that `_CURRENT` points to */
  /* Maximum size of the local cache on disk in bytes; the least recently used shards are evicted first. 0: no limit. Shards
   * that any process has loaded are kept even above it: limit those of this reader with max_cached_shards. */
  uint64_t max_cache_bytes;
  uint32_t thread_nice; /* as in sf_executor_options */
  /* Memory for the results of filters: which rows of each shard match. The least recently used are evaluated anew when they are
   * needed again. 0: 64 MiB. */
  uint64_t max_filter_bytes;
} sf_reader_options;

#define SF_READER_OPTIONS_INIT SF_INITIALIZER_WITH(sf_reader_options, max_fallback_attempts, -1)

/* The same as SF_READER_OPTIONS_INIT, for languages without macros. */
SF_API void sf_reader_options_init(sf_reader_options *options);

/* Opens the live snapshot below `root`: a path (`~/` is $HOME), a `file://` URL or an `s3://bucket/prefix` URL. `options`
 * may be NULL. */
SF_API sf_code sf_reader_open(const char *root, const sf_reader_options *options, sf_reader **reader, sf_error *error);
SF_API sf_code sf_reader_open_submit(const char *root, const sf_reader_options *options, sf_executor *executor,
                                     sf_completion_queue *queue, void *user_data, sf_operation **operation,
                                     sf_error *error);
/* Takes the reader from a finished open, once; NULL if it failed or was already taken. The caller closes and frees it. */
SF_API sf_reader *sf_operation_take_reader(sf_operation *operation);

/* Checks for a newer snapshot; *changed says whether one is now served. If a newer snapshot can't be loaded, the old one
 * stays served, *changed is false and the call succeeds: the log and sf_health.refresh_error say why. */
SF_API sf_code sf_reader_refresh(sf_reader *reader, bool *changed, sf_error *error);
SF_API sf_code sf_reader_refresh_submit(sf_reader *reader, sf_completion_queue *queue, void *user_data,
                                        sf_operation **operation, sf_error *error);
/* As refresh, but to a manifest that the caller has read. */
SF_API sf_code sf_reader_refresh_to(sf_reader *reader, const sf_manifest_source *manifest, bool *changed,
                                    sf_error *error);
SF_API sf_code sf_reader_refresh_to_submit(sf_reader *reader, const sf_manifest_source *manifest,
                                           sf_completion_queue *queue, void *user_data, sf_operation **operation,
                                           sf_error *error);
/* For a finished refresh: whether a newer snapshot is now served. */
SF_API bool sf_operation_refresh_changed(const sf_operation *operation);

/* Refuses new work, waits up to timeout_ms (negative: no limit) for operations in flight, then cancels the rest.
 * Idempotent. Afterwards every call except sf_reader_health fails with SF_READER_STATE_ERROR. */
SF_API sf_code sf_reader_close(sf_reader *reader, int64_t timeout_ms, sf_error *error);
SF_API sf_code sf_reader_close_submit(sf_reader *reader, int64_t timeout_ms, sf_completion_queue *queue,
                                      void *user_data, sf_operation **operation, sf_error *error);
/* Closes the reader, cancelling operations in flight, and drops the caller's reference. */
SF_API void sf_reader_free(sf_reader *reader);

/* ---------------------------------------------------------------------------------------------- The served snapshot */

typedef struct sf_snapshot_info {
  const char *run_id;
  uint32_t num_dbs;
  uint32_t dim;
  sf_metric metric;
  sf_sharding_strategy sharding;
  const char *manifest_ref;
  int64_t total_vectors;
} sf_snapshot_info;

/* One block, including its strings; the caller frees it with sf_free. */
SF_API sf_code sf_reader_snapshot_info(sf_reader *reader, sf_snapshot_info **info, sf_error *error);

typedef struct sf_shard_detail {
  uint32_t db_id;
  const char *db_url; /* NULL: the shard has no rows */
  int64_t vector_count;
  const char *checkpoint_id; /* NULL: none */
} sf_shard_detail;

/* One for each of num_dbs, by db_id: read them with sf_shard_detail_at. One block, including its strings; the caller frees
 * it with sf_free. */
SF_API sf_code sf_reader_shard_details(sf_reader *reader, sf_shard_detail **details, size_t *count, sf_error *error);
/* The element at `index`, which is less than their count; valid as long as the block. */
SF_API const sf_shard_detail *sf_shard_detail_at(const sf_shard_detail *details, size_t index);

typedef enum sf_health_status { SF_HEALTHY = 0, SF_DEGRADED = 1, SF_UNHEALTHY = 2 } sf_health_status;
SF_API const char *sf_health_status_name(sf_health_status status); /* "healthy", "degraded", "unhealthy" */

typedef struct sf_health {
  sf_health_status status; /* degraded: older than the threshold; unhealthy: closed */
  const char *manifest_ref;
  double manifest_age_seconds; /* since the manifest was published */
  uint32_t num_shards;
  bool is_closed;
  const char *refresh_error; /* why the last refresh kept the old snapshot, or NULL */
} sf_health;

/* `staleness_threshold_seconds` negative: no threshold. One block; the caller frees it with sf_free. Works after close. */
SF_API sf_code sf_reader_health(sf_reader *reader, double staleness_threshold_seconds, sf_health **health,
                                sf_error *error);

/* ------------------------------------------------------------------------------------------------- Without a reader */

typedef struct sf_published_manifest {
  const char *ref;
  const char *run_id;
  const char *published_at; /* ISO 8601, UTC */
  bool is_live;             /* `_CURRENT` points to it */
} sf_published_manifest;

/* Published manifests, newest first, at most `limit` (0: all): read them with sf_published_manifest_at. One block; the
 * caller frees it with sf_free. */
SF_API sf_code sf_snapshot_history(const char *root, const sf_reader_options *options, size_t limit,
                                   sf_published_manifest **manifests, size_t *count, sf_error *error);
SF_API sf_code sf_snapshot_history_submit(const char *root, const sf_reader_options *options, size_t limit,
                                          sf_executor *executor, sf_completion_queue *queue, void *user_data,
                                          sf_operation **operation, sf_error *error);
/* Takes the manifests from a finished operation, once; NULL if it failed or they were already taken. */
SF_API sf_published_manifest *sf_operation_take_history(sf_operation *operation, size_t *count);
/* The element at `index`, which is less than their count; valid as long as the block. */
SF_API const sf_published_manifest *sf_published_manifest_at(const sf_published_manifest *manifests, size_t index);

/* Reads one object of a snapshot: `reference` is "_CURRENT", or a reference from a manifest or the history. The caller frees
 * `*bytes` with sf_free; a NUL is stored after them. A missing object is SF_MANIFEST_STORE_ERROR. */
SF_API sf_code sf_snapshot_read_object(const char *root, const sf_reader_options *options, const char *reference,
                                       void **bytes, size_t *length, sf_error *error);
SF_API sf_code sf_snapshot_read_object_submit(const char *root, const sf_reader_options *options, const char *reference,
                                              sf_executor *executor, sf_completion_queue *queue, void *user_data,
                                              sf_operation **operation, sf_error *error);
SF_API void *sf_operation_take_object(sf_operation *operation, size_t *length);

/* Checks that `bytes` are a manifest that a reader can serve; if not, SF_MANIFEST_PARSE_ERROR says why. Messages refer to
 * the manifest as `name`. */
SF_API sf_code sf_manifest_check(const void *bytes, size_t length, const char *name, sf_error *error);

/* The result of verifying one object of the snapshot. */
typedef struct sf_verify_finding {
  const char *object;  /* its reference: `_CURRENT`, the manifest's, an artifact's, a shard's db_url */
  sf_code code;        /* SF_OK: the object is valid */
  const char *message; /* what was checked, or what is wrong */
} sf_verify_finding;

/* Called for each object once it was read, from the verifying thread. Return false to stop: SF_CANCELLED_ERROR. */
typedef bool (*sf_verify_callback)(const sf_verify_finding *finding, size_t objects_done, size_t objects_total,
                                   void *user_data);

/* Reads every object of the live snapshot from storage, regardless of the cache. Succeeds if it could check all of them:
 * *num_failed is the number of invalid objects. */
SF_API sf_code sf_snapshot_verify(const char *root, const sf_reader_options *options, sf_verify_callback callback,
                                  void *callback_user_data, size_t *num_failed, sf_error *error);
SF_API sf_code sf_snapshot_verify_submit(const char *root, const sf_reader_options *options,
                                         sf_verify_callback callback, void *callback_user_data, sf_executor *executor,
                                         sf_completion_queue *queue, void *user_data, sf_operation **operation,
                                         sf_error *error);
SF_API size_t sf_operation_verify_failed(const sf_operation *operation);

#ifdef __cplusplus
}
#endif

#endif
