/*
 * shardyfusion: nearest-neighbour search over sharded vector snapshots.
 *
 * A snapshot is a pointer, a manifest, routing artifacts and shards below one root (a directory, or an object store's
 * prefix). A reader opens the live snapshot, routes each query to shards, and returns the nearest neighbours, exact within
 * the shards that are searched.
 *
 * Conventions
 * - Every function that can fail returns an sf_code and fills the caller's sf_error (which may be NULL).
 * - Out-parameters are valid on success only, unless a comment says otherwise. On failure they are unchanged, except that
 *   handles may be set to NULL.
 * - Any handle may be used from any thread unless its comment says otherwise.
 * - Every blocking call has an asynchronous twin, `..._submit`, which returns an sf_operation immediately.
 * - Strings are UTF-8 and NUL-terminated unless they come with a length.
 * - Options structs begin with `size`. Initialise them with their `_INIT` macro, so that fields added later keep the ABI.
 * - After a fork, the child can't use the handles that it inherits: calls fail with SF_READER_STATE_ERROR or return NULL
 *   or false, and functions that free a handle leave it unchanged. Nothing hangs.
 * - Vectors are contiguous rows of `dim` components in native byte order.
 */
#ifndef SHARDYFUSION_H
#define SHARDYFUSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SF_VERSION_MAJOR 0
#define SF_VERSION_MINOR 1
#define SF_VERSION_PATCH 0
#define SF_VERSION_STRING "0.1.0"

#if defined(_WIN32)
#define SF_API
#elif defined(__GNUC__)
#define SF_API __attribute__((visibility("default")))
#else
#define SF_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The `_INIT` macros below expand to these: they set `size`, at most one other member whose default is not zero, and zero
 * everything else. C++ has designated initializers only since C++20, and its compilers warn when they omit members.
 */
#ifdef __cplusplus
extern "C++" {
namespace shardyfusion {
template <typename Struct> inline Struct initialized() {
  Struct made = Struct();
  made.size = sizeof(Struct);
  return made;
}
template <typename Struct, typename Member, typename Value>
inline Struct initialized_with(Member Struct::*member, Value value) {
  Struct made = initialized<Struct>();
  made.*member = value;
  return made;
}
} // namespace shardyfusion
}
#define SF_INITIALIZER(type) ::shardyfusion::initialized<type>()
#define SF_INITIALIZER_WITH(type, member, value) ::shardyfusion::initialized_with<type>(&type::member, value)
#else
#define SF_INITIALIZER(type)                                                                                           \
  { .size = sizeof(type) }
#define SF_INITIALIZER_WITH(type, member, value)                                                                       \
  { .size = sizeof(type), .member = value }
#endif

/* ---------------------------------------------------------------------------------------------------------- Errors */

/*
 * The table of all errors: X(constant, number, public name, public name of the base or "", retryable).
 * The command prints the public name; language bindings generate their exceptions from this table.
 */
#define SF_ERROR_TABLE(X)                                                                                              \
  X(SF_ERROR, 1, "ShardyfusionError", "", false)                                                                       \
  X(SF_READER_STATE_ERROR, 2, "ReaderStateError", "ShardyfusionError", false)                                          \
  X(SF_MANIFEST_PARSE_ERROR, 3, "ManifestParseError", "ShardyfusionError", false)                                      \
  X(SF_DB_ADAPTER_ERROR, 4, "DbAdapterError", "ShardyfusionError", false)                                              \
  X(SF_CONFIG_VALIDATION_ERROR, 5, "ConfigValidationError", "ShardyfusionError", false)                                \
  X(SF_UNKNOWN_ROUTING_TOKEN_ERROR, 6, "UnknownRoutingTokenError", "ShardyfusionError", false)                         \
  X(SF_S3_TRANSIENT_ERROR, 7, "S3TransientError", "ShardyfusionError", true)                                           \
  X(SF_MANIFEST_STORE_ERROR, 8, "ManifestStoreError", "ShardyfusionError", true)                                       \
  X(SF_POOL_EXHAUSTED_ERROR, 9, "PoolExhaustedError", "ShardyfusionError", true)                                       \
  X(SF_CANCELLED_ERROR, 10, "CancelledError", "", false)                                                               \
  X(SF_TIMEOUT_ERROR, 11, "TimeoutError", "", false)                                                                   \
  X(SF_OUT_OF_MEMORY_ERROR, 12, "MemoryError", "", false)

typedef enum sf_code {
  SF_OK = 0,
#define SF_ERROR_CONSTANT(constant, number, name, base, retryable) constant = number,
  SF_ERROR_TABLE(SF_ERROR_CONSTANT)
#undef SF_ERROR_CONSTANT
} sf_code;

/* Why a call failed. Owned by the caller; owns no memory itself, so it can be copied and discarded freely. */
typedef struct sf_error {
  sf_code code;
  bool retryable;     /* the same call may succeed later */
  char message[1024]; /* names the object, what was expected and what was found */
} sf_error;

/* The public name, such as "ReaderStateError"; "OK" for SF_OK. Static storage. */
SF_API const char *sf_code_name(sf_code code);
SF_API bool sf_code_retryable(sf_code code);

/* The version of the library at run time, such as "0.1.0"; SF_VERSION_STRING is that of the header at compile time. */
SF_API const char *sf_version(void);

/* The distance kernels in use ("avx512vnni", "avx512", "avx2", "neon", "portable"). The environment
 * variable SHARDYFUSION_KERNEL forces one. */
SF_API const char *sf_kernel_name(void);

/* ------------------------------------------------------------------------------------------------------------- Log */

typedef enum sf_log_level { SF_LOG_DEBUG = 0, SF_LOG_INFO = 1, SF_LOG_WARNING = 2, SF_LOG_ERROR = 3 } sf_log_level;

/* Called from any thread, never with a lock held. `message` is valid until the callback returns. */
typedef void (*sf_log_callback)(sf_log_level level, const char *message, void *user_data);

/* ---------------------------------------------------------------------------------------------------------- Events */

typedef enum sf_event_type {
  SF_EVENT_READER_INITIALIZED = 0, /* a reader opened its first snapshot: manifest_ref, run_id, num_shards */
  SF_EVENT_READER_REFRESHED = 1,   /* a refresh ended: changed, manifest_ref, run_id, num_shards; code, message */
  SF_EVENT_READER_CLOSED = 2,      /* a reader was closed: manifest_ref */
  SF_EVENT_SEARCH = 3,             /* a search ended: top_k, num_results, num_shards; code, message */
  SF_EVENT_SHARD_SEARCH = 4,       /* a search finished scanning a shard: shard_id, num_rows, num_not_finite */
  SF_EVENT_SHARD_LOAD = 5,         /* a shard was loaded: shard_id, num_rows, num_not_finite; code, message */
  SF_EVENT_FALLBACK = 6,           /* a manifest is malformed, older ones are tried: manifest_ref, code, message */
} sf_event_type;
SF_API const char *sf_event_type_name(sf_event_type type); /* "reader_initialized", ..., "fallback" */

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
} sf_event;

/* Called from any thread, never with a lock held, before the operation that caused the event finishes. The event and its
 * strings are valid until the callback returns. */
typedef void (*sf_event_callback)(const sf_event *event, void *user_data);

/* -------------------------------------------------------------------------------- Worker threads and asynchronous work */

/*
 * A share of the process's threads: bounds how many of them scan and load at once for the readers that use it. A reader
 * creates its own executor unless it is given one.
 *
 * All executors of a process share one set of threads: as many for scanning as the largest executor may use (by default
 * one for each CPU), up to 16 more than that for loading, and up to 64 for opening, refreshing and closing. Threads start
 * when there is work and end after 5 seconds without any. Executors that have work take turns. The threads block all
 * signals.
 *
 * Closing a reader releases its executor. Releasing the last executor ends the threads: the releasing thread waits for
 * them, unless it is one of them.
 *
 * The threads run at the priority of the process; `thread_nice` lowers it. A scanning thread yields its CPU to other
 * threads about once a millisecond, so that an event loop still runs while searches use every CPU.
 *
 * Reference counted: readers and operations hold references; sf_executor_release drops the caller's.
 */
typedef struct sf_executor sf_executor;

typedef struct sf_executor_options {
  size_t size;          /* sizeof(sf_executor_options) */
  uint32_t num_workers; /* most threads that scan at once; 0: one for each CPU that the process may use */
  uint32_t num_loaders; /* most threads that load at once; 0: 16 */
  /* Added to the process's nice value for these threads, up to 19 (on macOS, any value above 0 selects the "utility"
   * class). The threads then get little CPU time beside busy processes at the normal priority. 0: the value of the
   * environment variable SHARDYFUSION_THREAD_NICE, or no change. */
  uint32_t thread_nice;
} sf_executor_options;

#define SF_EXECUTOR_OPTIONS_INIT SF_INITIALIZER(sf_executor_options)

/* The same as SF_EXECUTOR_OPTIONS_INIT, for languages without macros. */
SF_API void sf_executor_options_init(sf_executor_options *options);

/* `options` may be NULL. */
SF_API sf_code sf_executor_create_with(const sf_executor_options *options, sf_executor **executor, sf_error *error);
/* As sf_executor_create_with, with these two options and the defaults for the rest. */
SF_API sf_code sf_executor_create(uint32_t num_workers, uint32_t num_loaders, sf_executor **executor, sf_error *error);
SF_API void sf_executor_release(sf_executor *executor);

/*
 * Receives finished operations. Its file descriptor is readable while there are any, for poll, epoll, kqueue, libuv or
 * libevent. One wake-up serves all operations that finished since the queue was last emptied.
 */
typedef struct sf_completion_queue sf_completion_queue;
typedef struct sf_operation sf_operation;

SF_API sf_code sf_completion_queue_create(sf_completion_queue **queue, sf_error *error);
/* Borrowed: don't read from it or close it. */
SF_API int sf_completion_queue_fd(const sf_completion_queue *queue);
/* Returns the next finished operation, in the order in which they finished, or NULL. Never blocks. The caller gets no new
 * reference: this is the operation that submit returned, which the caller still has to release. After it has returned
 * NULL, the descriptor is not readable. */
SF_API sf_operation *sf_completion_queue_pop(sf_completion_queue *queue);
/* As pop, but waits up to timeout_ms (negative: no limit). */
SF_API sf_operation *sf_completion_queue_wait(sf_completion_queue *queue, int64_t timeout_ms);
/* Operations in flight finish without being queued. The caller's references to them stay valid. */
SF_API void sf_completion_queue_free(sf_completion_queue *queue);

/* True once the operation has finished, with any outcome. */
SF_API bool sf_operation_is_done(const sf_operation *operation);
/* Waits up to timeout_ms (negative: no limit); true when finished. */
SF_API bool sf_operation_wait(sf_operation *operation, int64_t timeout_ms);
/* Requests cancellation and returns immediately. The operation finishes with SF_CANCELLED_ERROR at its next checkpoint, or
 * with its normal outcome if it is past the last one. May be called any number of times, also after it has finished. */
SF_API void sf_operation_cancel(sf_operation *operation);
/* The outcome of a finished operation: SF_OK, or the error's code with `error` filled. */
SF_API sf_code sf_operation_result(const sf_operation *operation, sf_error *error);
SF_API void *sf_operation_user_data(const sf_operation *operation);
/* Drops the submitter's reference and frees a result that was not taken. An operation that is still in flight is cancelled
 * and never arrives at its queue. */
SF_API void sf_operation_release(sf_operation *operation);

/* ------------------------------------------------------------------------------------------------- Object storage (S3) */

/* Whether the bucket's name is part of the host or of the path. */
typedef enum sf_s3_addressing_style {
  /* Host, except for endpoints that are an IP address or have a port, and for buckets with dots: path. */
  SF_S3_ADDRESSING_AUTO = 0,
  SF_S3_ADDRESSING_VIRTUAL = 1,
  SF_S3_ADDRESSING_PATH = 2,
} sf_s3_addressing_style;

/* The request that a credential callback answers. */
typedef struct sf_s3_credential_request sf_s3_credential_request;

/* Finds credentials and passes them to sf_s3_supply_credentials before it returns SF_OK. Called from any thread, one call
 * at a time for one reader: when there are no credentials yet, when they are about to expire, and when the store reports
 * that they have expired. */
typedef sf_code (*sf_s3_credential_callback)(sf_s3_credential_request *request, void *user_data, sf_error *error);

/* For credential callbacks. Copies everything. `session_token` may be NULL. `expires_at` is in seconds since 1970; 0: the
 * credentials don't expire. */
SF_API sf_code sf_s3_supply_credentials(sf_s3_credential_request *request, const char *access_key_id,
                                        const char *secret_access_key, const char *session_token, int64_t expires_at,
                                        sf_error *error);

/* How to access snapshots below s3://bucket/prefix. Members that are NULL or 0 come from the environment, then from the
 * profile in AWS's configuration files, then from the defaults given here. Must be valid only until the call returns. */
typedef struct sf_s3_options {
  size_t size;              /* sizeof(sf_s3_options) */
  const char *endpoint_url; /* NULL: AWS's endpoint for the region */
  const char *region_name;  /* NULL: us-east-1, or the region that the store redirects to */
  sf_s3_addressing_style addressing_style;
  const char *ca_path;            /* file or directory of trusted certificate authorities; NULL: the system's */
  bool no_verify_ssl;             /* accept any certificate: unsafe, allows man-in-the-middle attacks */
  double connect_timeout_seconds; /* 0: 5 */
  double read_timeout_seconds;    /* time without progress; 0: 15 */
  uint32_t max_attempts;          /* including the first; 0: 6 */
  uint32_t max_connections;       /* 0: 16 */
  const char *profile;            /* NULL: AWS_PROFILE, then "default" */
  bool anonymous;                 /* send unsigned requests; can't be combined with keys or callback */
  const char *access_key_id;      /* requires secret_access_key; session_token may be NULL */
  const char *secret_access_key;
  const char *session_token;
  sf_s3_credential_callback credential_callback; /* instead of keys */
  void *credential_user_data;
  bool requester_pays; /* agree to pay for requests and transfer: send x-amz-request-payer with each request */
} sf_s3_options;

#define SF_S3_OPTIONS_INIT SF_INITIALIZER(sf_s3_options)

/* The same as SF_S3_OPTIONS_INIT, for languages without macros. */
SF_API void sf_s3_options_init(sf_s3_options *options);

/* ---------------------------------------------------------------------------------------------------------- Reader */

typedef enum sf_metric { SF_METRIC_COSINE = 0, SF_METRIC_L2 = 1, SF_METRIC_DOT_PRODUCT = 2 } sf_metric;
SF_API const char *sf_metric_name(sf_metric metric); /* "cosine", "l2", "dot_product" */

typedef enum sf_sharding_strategy {
  SF_SHARDING_CLUSTER = 0,
  SF_SHARDING_LSH = 1,
  SF_SHARDING_EXPLICIT = 2,
  SF_SHARDING_CEL = 3,
} sf_sharding_strategy;
SF_API const char *sf_sharding_strategy_name(sf_sharding_strategy strategy); /* "cluster", "lsh", "explicit", "cel" */

/* Reports the progress of an object's download, in bytes. Called from the thread that waits for the object, so from several
 * threads at a time for several objects; never with a lock held. `object` is valid until the callback returns. */
typedef void (*sf_download_callback)(const char *object, uint64_t bytes_done, uint64_t bytes_total, void *user_data);

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

/* ---------------------------------------------------------------------------------------------------------- Search */

/* SF_FLOAT16 is only for rows that are added to a builder, not for queries. */
typedef enum sf_element_type { SF_FLOAT32 = 0, SF_FLOAT64 = 1, SF_FLOAT16 = 2 } sf_element_type;

typedef struct sf_search_request {
  size_t size; /* sizeof(sf_search_request) */
  /* `dim` finite components. float64 is rounded to float32, the precision of the stored vectors. */
  const void *query;
  size_t dim;
  sf_element_type query_type;
  int64_t top_k; /* at least 1 */
  /* Replaces routing when has_shard_ids is set; ids that the manifest doesn't have are dropped. */
  bool has_shard_ids;
  const int64_t *shard_ids;
  size_t num_shard_ids;
  /* Replaces the manifest's number of probes when has_num_probes is set; at least 1. */
  bool has_num_probes;
  int64_t num_probes;
  /* A JSON object with the variables of the CEL routing expression, or NULL. Where vectors are stored with key-value data,
   * this is the expression that shards the keys; keys that are sharded by hash have none. Bytes are
   * {"__bytes_hex__": "00ff"}. */
  const char *routing_context;
} sf_search_request;

#define SF_SEARCH_REQUEST_INIT SF_INITIALIZER_WITH(sf_search_request, top_k, 10)

SF_API void sf_search_request_init(sf_search_request *request);

typedef enum sf_id_type { SF_ID_INTEGER = 0, SF_ID_STRING = 1 } sf_id_type;

typedef struct sf_search_result {
  sf_id_type id_type;
  int64_t id_integer;    /* SF_ID_INTEGER */
  const char *id_string; /* SF_ID_STRING: UTF-8, id_length bytes (which may include NULs) and a terminating NUL */
  size_t id_length;
  double score; /* lower is closer; never NaN */
  /* The text as stored, or NULL for none. Writers store a JSON object, but the text is not checked: it may contain NaN,
   * Infinity and -Infinity, which Python's json.dumps writes. NUL-terminated. */
  const char *payload;
  size_t payload_length;
  uint32_t shard_id;
} sf_search_result;

/* The neighbours of one query. Immutable; owned by the caller that received it. */
typedef struct sf_search_response sf_search_response;

SF_API size_t sf_search_response_count(const sf_search_response *response);
/* `count` results, nearest first; valid as long as the response. */
SF_API const sf_search_result *sf_search_response_results(const sf_search_response *response);
SF_API uint32_t sf_search_response_num_shards_queried(const sf_search_response *response);
SF_API double sf_search_response_latency_ms(const sf_search_response *response);
SF_API void sf_search_response_free(sf_search_response *response);

/* Finds the top_k nearest neighbours, exact within the shards that are searched. The request and everything that it points
 * to must be valid only until the call returns, also for submit. */
SF_API sf_code sf_reader_search(sf_reader *reader, const sf_search_request *request, sf_search_response **response,
                                sf_error *error);
SF_API sf_code sf_reader_search_submit(sf_reader *reader, const sf_search_request *request, sf_completion_queue *queue,
                                       void *user_data, sf_operation **operation, sf_error *error);
/* Takes the response from a finished search, once; NULL if it failed or was already taken. The caller frees it. */
SF_API sf_search_response *sf_operation_take_response(sf_operation *operation);

/* Runs `count` searches together. All or none: the first failure (in request order) fails the batch. Stores `count`
 * pointers in `responses`; the caller frees each. */
SF_API sf_code sf_reader_batch_search(sf_reader *reader, const sf_search_request *requests, size_t count,
                                      sf_search_response **responses, sf_error *error);
SF_API sf_code sf_reader_batch_search_submit(sf_reader *reader, const sf_search_request *requests, size_t count,
                                             sf_completion_queue *queue, void *user_data, sf_operation **operation,
                                             sf_error *error);
/* Takes the `count` responses from a finished batch, as sf_reader_batch_search stores them; false if it failed or they
 * were already taken. */
SF_API bool sf_operation_take_responses(sf_operation *operation, sf_search_response **responses, size_t count);

/* The shards that a query is routed to, in order; the caller frees `*shard_ids` with sf_free. Reads only `query`,
 * `shard_ids`, `num_probes` and `routing_context` of the request. Never blocks on storage. */
SF_API sf_code sf_reader_route(sf_reader *reader, const sf_search_request *request, uint32_t **shard_ids, size_t *count,
                               sf_error *error);
SF_API void sf_free(void *memory);

/* ------------------------------------------------------------------------------------------------ The served snapshot */

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

/* One for each of num_dbs, by db_id. One block, including its strings; the caller frees it with sf_free. */
SF_API sf_code sf_reader_shard_details(sf_reader *reader, sf_shard_detail **details, size_t *count, sf_error *error);

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

/* Published manifests, newest first, at most `limit` (0: all). One block; the caller frees it with sf_free. */
SF_API sf_code sf_snapshot_history(const char *root, const sf_reader_options *options, size_t limit,
                                   sf_published_manifest **manifests, size_t *count, sf_error *error);
SF_API sf_code sf_snapshot_history_submit(const char *root, const sf_reader_options *options, size_t limit,
                                          sf_executor *executor, sf_completion_queue *queue, void *user_data,
                                          sf_operation **operation, sf_error *error);
SF_API sf_published_manifest *sf_operation_take_history(sf_operation *operation, size_t *count);

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

/* -------------------------------------------------------------------------------------------------------- Building */

/*
 * A builder writes a snapshot: it adds rows in batches, writes each to the shard that a reader would route it to, and
 * publishes them all at once when it finishes. Until then, and if anything fails, the root's live snapshot is unchanged.
 *
 * With strategy cluster and without given centroids, it trains centroids from a sample of the rows before it writes any.
 * Either call sf_builder_train before the first row is added (for example with all rows of a mapped array, from which it
 * draws a sample), or the builder keeps the rows that are added in a temporary file until there are enough of them or it
 * is finished.
 *
 * A builder may be used by one thread at a time. After a failure it can only be freed.
 */
typedef struct sf_builder sf_builder;

typedef enum sf_build_phase {
  SF_BUILD_TRAINING = 0,   /* finding centroids */
  SF_BUILD_WRITING = 1,    /* rows go into shards */
  SF_BUILD_FINISHING = 2,  /* shards are completed, and uploaded where the root is remote */
  SF_BUILD_PUBLISHING = 3, /* the manifest and `_CURRENT` are written */
} sf_build_phase;
SF_API const char *sf_build_phase_name(sf_build_phase phase); /* "training", ..., "publishing" */

/* The progress of a build. Members that don't belong to the phase keep their last value. */
typedef struct sf_build_progress {
  size_t size; /* sizeof(sf_build_progress) in the library at run time */
  sf_build_phase phase;
  uint64_t rows;         /* written so far */
  uint32_t shards_done;  /* completed and uploaded */
  uint32_t shards_total; /* shards that have rows */
  uint64_t bytes_done;   /* size of the completed shards */
} sf_build_progress;

/* Called periodically from the thread that adds or finishes. Return false to stop: SF_CANCELLED_ERROR. */
typedef bool (*sf_build_callback)(const sf_build_progress *progress, void *user_data);

/* Must be valid only until sf_builder_create returns. Members that are 0 or NULL have the default given here. */
typedef struct sf_build_options {
  size_t size; /* sizeof(sf_build_options) */
  sf_metric metric;
  sf_sharding_strategy strategy;
  const char *backend;    /* "lance" (NULL) or "sqlite-vec", which does not support SF_METRIC_DOT_PRODUCT */
  uint32_t dim;           /* 0: that of the first rows */
  uint32_t num_dbs;       /* shards; 0: as many as there are centroids or routing_values */
  uint32_t num_probes;    /* the manifest's default for searches; 0: 1 */
  const float *centroids; /* cluster: num_dbs × dim, both set; NULL: trained */
  uint64_t training_rows; /* cluster: maximum rows to train with; 0: 100,000, or what fits in a quarter of the memory */
  uint32_t training_iterations; /* cluster: maximum iterations of k-means; 0: 25 */
  uint32_t num_hash_bits;       /* lsh, 1 to 4096; 0: 8, or more if num_dbs needs them */
  const float *hyperplanes;     /* lsh: num_hash_bits × dim, both set; NULL: drawn from a normal distribution */
  /* cel: required. Evaluates to one of routing_values or, without them, to a shard number: an int, a uint, or a decimal in a
   * string or bytes. */
  const char *cel_expr;
  const char *cel_columns;    /* cel: required: {"name": "int|string|bytes|double|bool|uint"} as JSON */
  const char *routing_values; /* cel: a JSON array of ints, strings and {"__bytes_hex__": "…"}; NULL: none */
  uint64_t seed;              /* for training and hyperplanes: the same rows, options and seed give the same shards */
  uint64_t max_memory_bytes;  /* approximate memory limit of the builder, without the caller's rows; 0: 512 MiB */
  uint32_t num_threads;       /* 0: one for each CPU */
  const char *s3_prefix;      /* URL that the references in the manifest begin with; NULL: the root's own */
  const char *run_id;         /* letters, digits, '-', '_' and '.'; unused at this root. NULL: a random UUID */
  /* Folder for shards to upload and for temporary files; files of killed builds in it are removed. NULL: the run's own
   * folder if the root is a directory, else $TMPDIR or /tmp. */
  const char *staging_dir;
  const sf_s3_options *s3;    /* for roots that begin with s3://; NULL: all from the environment */
  sf_build_callback progress; /* NULL: no callback */
  void *progress_user_data;
  sf_log_callback log; /* NULL: silent */
  void *log_user_data;
  sf_executor *executor; /* runs asynchronous calls; NULL: each call creates one */
  /* Lance shards store all ids as text. If this is set and all ids are integers, the manifest records it, and this library's
   * readers return them as integers. Other readers return text. */
  bool keep_integer_ids;
} sf_build_options;

#define SF_BUILD_OPTIONS_INIT SF_INITIALIZER(sf_build_options)

/* The same as SF_BUILD_OPTIONS_INIT, for languages without macros. */
SF_API void sf_build_options_init(sf_build_options *options);

/* Opens the root (which need not exist) and checks the options. Writes only a record of the run. */
SF_API sf_code sf_builder_create(const char *root, const sf_build_options *options, sf_builder **builder,
                                 sf_error *error);

/* As create, asynchronously; the options must be valid only until this returns. If it fails or is cancelled, it removes
 * what it wrote before it finishes. */
SF_API sf_code sf_builder_create_submit(const char *root, const sf_build_options *options, sf_completion_queue *queue,
                                        void *user_data, sf_operation **operation, sf_error *error);
/* Takes the builder from a finished creation, once; NULL if it failed or was already taken. */
SF_API sf_builder *sf_operation_take_builder(sf_operation *operation);

/* Rows to add; everything is borrowed for the call. Vectors are rounded to float32; one that is then not finite is
 * refused. */
typedef struct sf_row_batch {
  size_t size; /* sizeof(sf_row_batch) */
  size_t count;
  const void *vectors; /* count rows of dim components, aligned for their type */
  size_t dim;
  sf_element_type vector_type;
  size_t row_stride; /* bytes from one row to the next; 0: contiguous rows */
  /* Ids. A row whose string_ids entry is NULL uses its integer_ids entry; without either array, rows are numbered from 0
   * in the order in which they are added. No id may occur twice in a snapshot. Strings and integers differ, except in
   * Lance shards, whose ids are text. */
  const int64_t *integer_ids;
  const char *const *string_ids;
  const size_t *string_id_lengths;     /* NULL: string_ids are NUL-terminated */
  const char *const *payloads;         /* JSON objects, or NULL for a row without one; NULL: no payloads */
  const size_t *payload_lengths;       /* without the terminating NUL, which every payload needs; NULL: computed */
  const int64_t *shard_ids;            /* explicit: required, from 0 to num_dbs - 1 */
  const char *const *routing_contexts; /* cel: required: NUL-terminated JSON objects */
  /* Names for error messages: of the inputs, and of one row. NULL: "vectors", "ids", "payloads", "shard_ids",
   * "routing_contexts" and "row". */
  const char *vectors_name;
  const char *ids_name;
  const char *payloads_name;
  const char *shard_ids_name;
  const char *routing_contexts_name;
  const char *row_word;
  bool has_first_number;
  uint64_t first_number; /* number of the first row in messages; if not set: the number of rows added before */
} sf_row_batch;

#define SF_ROW_BATCH_INIT SF_INITIALIZER(sf_row_batch)

SF_API void sf_row_batch_init(sf_row_batch *batch);

/* Maximum number of rows of `dim` components that training uses; 0: the build trains no centroids. */
SF_API uint64_t sf_builder_training_rows(const sf_builder *builder, size_t dim);

/* Trains centroids from the vectors of `rows`: all of them, or a random sample if there are more than training_rows. Must
 * be called before the first row is added; does nothing if the build trains no centroids. */
SF_API sf_code sf_builder_train(sf_builder *builder, const sf_row_batch *rows, sf_error *error);
/* The builder and the rows must not be used until the operation has finished. */
SF_API sf_code sf_builder_train_submit(sf_builder *builder, const sf_row_batch *rows, sf_completion_queue *queue,
                                       void *user_data, sf_operation **operation, sf_error *error);

/* Adds rows, in order. An invalid row is SF_CONFIG_VALIDATION_ERROR (an unknown routing token:
 * SF_UNKNOWN_ROUTING_TOKEN_ERROR), and the message names the row. Any batch size is accepted; a few MiB work best. */
SF_API sf_code sf_builder_add(sf_builder *builder, const sf_row_batch *rows, sf_error *error);
/* The builder and the rows must not be used until the operation has finished. */
SF_API sf_code sf_builder_add_submit(sf_builder *builder, const sf_row_batch *rows, sf_completion_queue *queue,
                                     void *user_data, sf_operation **operation, sf_error *error);

typedef struct sf_built_shard {
  uint32_t db_id;
  const char *db_url; /* NULL: the shard has no rows */
  uint64_t num_rows;
  uint64_t num_bytes;
} sf_built_shard;

/* What was built. Allocated by the library only: later versions may add members at the end. */
typedef struct sf_build_result {
  const char *run_id;
  const char *manifest_ref;
  uint64_t num_rows;
  uint64_t num_bytes; /* size of all shards */
  uint32_t dim;
  uint32_t num_dbs;
  uint32_t num_shards;          /* shards that have rows */
  const sf_built_shard *shards; /* num_dbs elements, by db_id */
  double training_seconds;
  double writing_seconds;    /* in calls that add rows, without training */
  double finishing_seconds;  /* completing and uploading */
  double publishing_seconds; /* checking the routing, writing the manifest and `_CURRENT` */
} sf_build_result;

/* Completes the shards, checks that a reader routes as the builder did, writes the manifest and then makes it the live
 * one. *result is one block; the caller frees it with sf_free, and still has to free the builder. */
SF_API sf_code sf_builder_finish(sf_builder *builder, sf_build_result **result, sf_error *error);
/* The builder must not be used or freed until the operation has finished. */
SF_API sf_code sf_builder_finish_submit(sf_builder *builder, sf_completion_queue *queue, void *user_data,
                                        sf_operation **operation, sf_error *error);
/* Takes the result from a finished build, once; NULL if it failed or was already taken. */
SF_API sf_build_result *sf_operation_take_build_result(sf_operation *operation);

/* Frees the builder. If the build has not finished, removes what it wrote. Each request waits at most 1.5 seconds for the
 * store, and the removal takes at most 30 seconds: the log names what is left, and a cleanup removes it. NULL is
 * allowed. */
SF_API void sf_builder_free(sf_builder *builder);
/* As free, asynchronously. Always consumes the builder, also on failure. Cancelling it stops the removal. */
SF_API sf_code sf_builder_free_submit(sf_builder *builder, sf_completion_queue *queue, void *user_data,
                                      sf_operation **operation, sf_error *error);

/* --------------------------------------------------------------------------------------------- Maintenance of a root */

/* A run that has objects at a root but no manifest: it failed, was killed, or is still running. */
typedef struct sf_unreferenced_run {
  const char *run_id;
  uint64_t num_objects; /* including incomplete uploads */
  double age_seconds;   /* since its last activity; negative: unknown */
  bool is_due;          /* old enough to be removed */
  bool is_removed;
} sf_unreferenced_run;

/* Called for each such run once it has been handled. Return false to stop: SF_CANCELLED_ERROR. */
typedef bool (*sf_cleanup_callback)(const sf_unreferenced_run *run, void *user_data);

typedef struct sf_cleanup_options {
  size_t size; /* sizeof(sf_cleanup_options) */
  bool remove; /* false: a dry run that removes nothing */
  /* Younger runs are kept because they may still be running; unless this is 0, so are runs of unknown age. */
  double min_age_seconds;
  const sf_s3_options *s3;
  sf_cleanup_callback callback; /* NULL: no callback */
  void *callback_user_data;
  sf_log_callback log; /* NULL: silent */
  void *log_user_data;
} sf_cleanup_options;

#define SF_CLEANUP_OPTIONS_INIT SF_INITIALIZER_WITH(sf_cleanup_options, min_age_seconds, 86400)

SF_API void sf_cleanup_options_init(sf_cleanup_options *options);

/* Removes objects that no manifest refers to: shards and routing artifacts of runs that were never published and, in an
 * object store, their incomplete uploads. *num_runs is the number of runs that were removed, or would be in a dry run. */
SF_API sf_code sf_snapshot_cleanup(const char *root, const sf_cleanup_options *options, size_t *num_runs,
                                   sf_error *error);
SF_API sf_code sf_snapshot_cleanup_submit(const char *root, const sf_cleanup_options *options, sf_executor *executor,
                                          sf_completion_queue *queue, void *user_data, sf_operation **operation,
                                          sf_error *error);
SF_API size_t sf_operation_cleanup_runs(const sf_operation *operation);

/* Makes another published manifest the live one: `target` is a run id, a manifest's reference, or "previous" (the newest
 * that is older than the live one). Its routing artifacts must load and its shards must exist. The caller frees
 * *manifest_ref with sf_free. */
SF_API sf_code sf_snapshot_rollback(const char *root, const sf_reader_options *options, const char *target,
                                    char **manifest_ref, sf_error *error);
SF_API sf_code sf_snapshot_rollback_submit(const char *root, const sf_reader_options *options, const char *target,
                                           sf_executor *executor, sf_completion_queue *queue, void *user_data,
                                           sf_operation **operation, sf_error *error);
/* Takes the reference that a finished rollback made live, once; NULL if it failed or was already taken. */
SF_API char *sf_operation_take_rollback(sf_operation *operation);

#ifdef __cplusplus
}
#endif

#endif
