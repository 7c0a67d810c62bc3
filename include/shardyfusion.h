/*
 * shardyfusion: nearest-neighbour search over sharded vector snapshots.
 *
 * A snapshot is a pointer, a manifest, routing artifacts and shards below one root (a directory, or an object store's
 * prefix). A reader opens the live snapshot, routes a query to shards, and returns the exact nearest neighbours.
 *
 * Conventions
 * - Every function that can fail returns an sf_code and fills the caller's sf_error (which may be NULL).
 * - Out-parameters mean something on success only, unless a comment says otherwise: on failure they are left as they were,
 *   handles perhaps set to NULL.
 * - Any handle may be used from any thread unless its comment says otherwise.
 * - Every blocking call has an asynchronous twin, `..._submit`, which returns an sf_operation at once.
 * - Strings are UTF-8 and NUL-terminated unless a length stands beside them.
 * - Options structs begin with `size`; initialise them with their `_INIT` macro, so that fields added later keep the ABI.
 * - A fork's child can use none of the handles that it inherits: calls fail with SF_READER_STATE_ERROR, or give NULL or
 *   false, and those that free a handle leave it as it is. Nothing hangs.
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
 * What the `_INIT` macros below expand to: `size`, one member that is not zero by default, and zeros. C++ has designated
 * initializers since C++20 only, and its compilers warn of those that leave members out.
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
 * The one table of errors: X(constant, number, public name, base's public name or "", retryable).
 * The command line prints the public name; language bindings make their exceptions from it.
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

/* Why a call failed. Owned by the caller; holds no memory of its own, so it can be copied and dropped freely. */
typedef struct sf_error {
  sf_code code;
  bool retryable;     /* the same call may succeed later */
  char message[1024]; /* names the object, what was expected and what was found */
} sf_error;

/* "ReaderStateError" and the like; "OK" for SF_OK. Static storage. */
SF_API const char *sf_code_name(sf_code code);
SF_API bool sf_code_retryable(sf_code code);

/* "0.1.0": of the library that runs, where SF_VERSION_STRING is of the header that was compiled. */
SF_API const char *sf_version(void);

/* The distance kernels in use ("avx512vnni", "avx512", "avx2", "neon", "portable"). SHARDYFUSION_KERNEL in the environment
 * forces one. */
SF_API const char *sf_kernel_name(void);

/* ------------------------------------------------------------------------------------------------------------- Log */

typedef enum sf_log_level { SF_LOG_DEBUG = 0, SF_LOG_INFO = 1, SF_LOG_WARNING = 2, SF_LOG_ERROR = 3 } sf_log_level;

/* Called from any thread, never with a lock held. `message` lives until the callback returns. */
typedef void (*sf_log_callback)(sf_log_level level, const char *message, void *user_data);

/* ---------------------------------------------------------------------------------------------------------- Events */

typedef enum sf_event_type {
  SF_EVENT_READER_INITIALIZED = 0, /* a reader serves its first snapshot: manifest_ref, run_id, num_shards */
  SF_EVENT_READER_REFRESHED = 1,   /* a refresh ended: changed, manifest_ref, run_id, num_shards; code, message */
  SF_EVENT_READER_CLOSED = 2,      /* a reader was closed: manifest_ref */
  SF_EVENT_SEARCH = 3,             /* a search ended: top_k, num_results, num_shards; code, message */
  SF_EVENT_SHARD_SEARCH = 4,       /* a search is done with a shard: shard_id, num_rows, num_not_finite */
  SF_EVENT_SHARD_LOAD = 5,         /* a shard was loaded: shard_id, num_rows, num_not_finite; code, message */
  SF_EVENT_FALLBACK = 6,           /* a malformed manifest (manifest_ref, code, message) makes older ones be tried */
} sf_event_type;
SF_API const char *sf_event_type_name(sf_event_type type); /* "reader_initialized", ..., "fallback" */

/* Something that happened. What a type's comment does not name is 0 or NULL. */
typedef struct sf_event {
  size_t size; /* sizeof(sf_event), of the library that runs */
  sf_event_type type;
  sf_code code;        /* how it ended */
  const char *message; /* why it failed, or NULL */
  double duration_ms;  /* how long it took; of a shard's search, from when it was loaded to its last row's scan */
  const char *manifest_ref;
  const char *run_id;
  uint32_t num_shards;
  uint32_t shard_id;
  uint64_t num_rows;
  uint64_t num_results;
  int64_t top_k;
  bool changed;
  /* Rows of the shard that no search returns, because a component is NaN, infinite or null; num_rows leaves them out. Those of
   * a Lance shard that is searched in place show as it is searched: for cosine and dot products by the end of the first
   * search, for l2 of the second. */
  uint64_t num_not_finite;
} sf_event;

/* Called from any thread, never with a lock held, before the operation that it belongs to is finished. The event and its
 * strings live until the callback returns. */
typedef void (*sf_event_callback)(const sf_event *event, void *user_data);

/* -------------------------------------------------------------------------------- Worker threads and asynchronous work */

/*
 * A part of the process's threads: how many of them scan and load at once for the readers that share it. A reader has one
 * of its own unless it is given one.
 *
 * All executors of a process share its threads: as many for scanning as the widest of them may use (by default one for
 * each CPU), up to 16 more than that for loading, and up to 64 for opening, refreshing and closing. They start when there
 * is work and end after 5 seconds without any. Executors that have work take turns. The threads block all signals.
 *
 * A reader that is closed has let go of its executor; when the last executor is gone, so are the threads: whoever drops it
 * waits for them, unless it is one of them.
 *
 * They run at the priority of the process; `thread_nice` lowers it. A thread that scans offers its CPU to other threads
 * about once a millisecond, so that an event loop gets its turn while searches use every CPU.
 *
 * Reference counted: readers and operations hold it; sf_executor_release drops the caller's reference.
 */
typedef struct sf_executor sf_executor;

typedef struct sf_executor_options {
  size_t size;          /* sizeof(sf_executor_options) */
  uint32_t num_workers; /* threads that scan at once; 0: one for each CPU that the process may use */
  uint32_t num_loaders; /* threads that load at once; 0: 16 */
  /* What is added to the process's nice value for these threads, up to 19 (on macOS, more than 0 is the "utility" class).
   * Beside busy processes of the same priority they then get little. 0: what SHARDYFUSION_THREAD_NICE in the environment
   * says, or nothing. */
  uint32_t thread_nice;
} sf_executor_options;

#define SF_EXECUTOR_OPTIONS_INIT SF_INITIALIZER(sf_executor_options)

/* The same as SF_EXECUTOR_OPTIONS_INIT, for languages without macros. */
SF_API void sf_executor_options_init(sf_executor_options *options);

/* Options may be NULL. */
SF_API sf_code sf_executor_create_with(const sf_executor_options *options, sf_executor **executor, sf_error *error);
/* The same with two options given, and the defaults for the rest. */
SF_API sf_code sf_executor_create(uint32_t num_workers, uint32_t num_loaders, sf_executor **executor, sf_error *error);
SF_API void sf_executor_release(sf_executor *executor);

/*
 * Where finished operations arrive. Its file descriptor becomes readable when there are any: fit for poll, epoll,
 * kqueue, libuv, libevent. One wake-up serves all operations that finished since the last drain.
 */
typedef struct sf_completion_queue sf_completion_queue;
typedef struct sf_operation sf_operation;

SF_API sf_code sf_completion_queue_create(sf_completion_queue **queue, sf_error *error);
/* Borrowed: don't read from it or close it. */
SF_API int sf_completion_queue_fd(const sf_completion_queue *queue);
/* The next finished operation, in order of finishing, or NULL. Never blocks. The caller gets no new reference: it is
 * the operation that submit returned, which it still has to release. When it returns NULL the descriptor is quiet. */
SF_API sf_operation *sf_completion_queue_pop(sf_completion_queue *queue);
/* As pop, but waits up to timeout_ms (negative: without end). */
SF_API sf_operation *sf_completion_queue_wait(sf_completion_queue *queue, int64_t timeout_ms);
/* Operations still under way finish without being queued. The caller's references to them stay valid. */
SF_API void sf_completion_queue_free(sf_completion_queue *queue);

/* True once the operation has finished, whatever its outcome. */
SF_API bool sf_operation_is_done(const sf_operation *operation);
/* Waits up to timeout_ms (negative: without end); true when finished. */
SF_API bool sf_operation_wait(sf_operation *operation, int64_t timeout_ms);
/* Asks it to stop. It finishes with SF_CANCELLED_ERROR at its next checkpoint, or as it would have if it was past the
 * last one. Returns at once; may be called any number of times, also when it has finished. */
SF_API void sf_operation_cancel(sf_operation *operation);
/* The outcome of a finished operation; SF_OK or the code, with `error` filled. */
SF_API sf_code sf_operation_result(const sf_operation *operation, sf_error *error);
SF_API void *sf_operation_user_data(const sf_operation *operation);
/* Drops the submitter's reference and, with it, a result that was not taken. An operation that is still under way is
 * cancelled and never reaches its queue. */
SF_API void sf_operation_release(sf_operation *operation);

/* ------------------------------------------------------------------------------------------------- Object storage (S3) */

/* Where the bucket's name goes: into the host, or into the path. */
typedef enum sf_s3_addressing_style {
  /* The host, but the path for endpoints that are an address or have a port, and for buckets with dots. */
  SF_S3_ADDRESSING_AUTO = 0,
  SF_S3_ADDRESSING_VIRTUAL = 1,
  SF_S3_ADDRESSING_PATH = 2,
} sf_s3_addressing_style;

/* Where a credential callback puts what it found. */
typedef struct sf_s3_credential_request sf_s3_credential_request;

/* Finds credentials, and hands them over with sf_s3_supply_credentials before it returns SF_OK. Called from any thread,
 * one call at a time for one reader, when none are known, when those known are about to expire, and when the store says
 * that they have. */
typedef sf_code (*sf_s3_credential_callback)(sf_s3_credential_request *request, void *user_data, sf_error *error);

/* For credential callbacks; everything is copied. `session_token` NULL: none. `expires_at` in seconds since 1970, 0: they
 * don't expire. */
SF_API sf_code sf_s3_supply_credentials(sf_s3_credential_request *request, const char *access_key_id,
                                        const char *secret_access_key, const char *session_token, int64_t expires_at,
                                        sf_error *error);

/* How snapshots below s3://bucket/prefix are reached. What is NULL or 0 comes from the environment, then from the profile
 * of AWS's configuration files, then from the defaults named here. Needed only until the call that takes it returns. */
typedef struct sf_s3_options {
  size_t size;              /* sizeof(sf_s3_options) */
  const char *endpoint_url; /* NULL: AWS's own for the region */
  const char *region_name;  /* NULL: us-east-1, or where the store redirects to */
  sf_s3_addressing_style addressing_style;
  const char *ca_path;            /* file or directory of the certificate authorities to trust; NULL: the system's */
  bool no_verify_ssl;             /* take any certificate: whoever is in between can then read and change everything */
  double connect_timeout_seconds; /* 0: 5 */
  double read_timeout_seconds;    /* without progress; 0: 15 */
  uint32_t max_attempts;          /* the first one included; 0: 6 */
  uint32_t max_connections;       /* 0: 16 */
  const char *profile;            /* NULL: AWS_PROFILE, then "default" */
  bool anonymous;                 /* send unsigned requests; excludes keys and callback */
  const char *access_key_id;      /* with secret_access_key; session_token may stay NULL */
  const char *secret_access_key;
  const char *session_token;
  sf_s3_credential_callback credential_callback; /* instead of keys */
  void *credential_user_data;
  bool
      requester_pays; /* agree to pay for requests and transfer: the header x-amz-request-payer goes with each request */
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

/* How far the download of an object is. Called by the thread that waits for it, several at a time for several objects;
 * never with a lock held. `object` lives until the callback returns. */
typedef void (*sf_download_callback)(const char *object, uint64_t bytes_done, uint64_t bytes_total, void *user_data);

/* An open snapshot. */
typedef struct sf_reader sf_reader;

/* A manifest that the caller read, from wherever manifests are kept; routing artifacts and shards still lie below the
 * root. Needed only until the call that takes it returns. */
typedef struct sf_manifest_source {
  size_t size;       /* sizeof(sf_manifest_source) */
  const void *bytes; /* `length` of them: a SQLite database */
  size_t length;
  const char *ref;          /* what the reader calls it: a refresh to the same one changes nothing */
  double published_seconds; /* since 1970 */
} sf_manifest_source;

#define SF_MANIFEST_SOURCE_INIT SF_INITIALIZER(sf_manifest_source)

typedef struct sf_reader_options {
  size_t size; /* sizeof(sf_reader_options) */
  /* Folder of the local cache; made when missing. NULL: below $XDG_CACHE_HOME/shardyfusion, by the root. One that another user
   * could have filled is refused: see docs/c-api.md. Its files are mapped: truncating one kills the process (SIGBUS). */
  const char *cache_dir;
  /* Threads to use; NULL: the reader makes its own executor with num_workers, num_loaders and thread_nice, which mean
   * nothing otherwise. The reader takes a reference. */
  sf_executor *executor;
  uint32_t num_workers; /* 0: one for each CPU */
  uint32_t num_loaders; /* 0: 16 */
  /* The most shards that one search loads or scans at a time; 0: no bound. */
  uint32_t max_concurrency;
  /* How many older manifests to try when the live one does not parse; 0 turns fallback off, negative: the default, 3. */
  int32_t max_fallback_attempts;
  /* The most shards kept loaded, least recently used first out; 0: no bound. Shards in use are kept beyond it. */
  uint32_t max_cached_shards;
  /* Load all shards when opening and refreshing (as many as max_cached_shards allows). */
  bool preload_shards;
  sf_log_callback log; /* NULL: silent */
  void *log_user_data;
  const sf_s3_options *s3;       /* for roots that begin with s3://; NULL: all from the environment */
  sf_download_callback download; /* hears of shards that are downloaded; NULL: nobody does */
  void *download_user_data;
  sf_event_callback event; /* NULL: nobody listens */
  void *event_user_data;
  const char *shard_format;           /* the only one to look for: "sqlite-vec", "lance"; NULL: any */
  const sf_manifest_source *manifest; /* what to serve, instead of what `_CURRENT` points to; NULL: that */
  /* The most bytes of disk that the local cache takes, least recently used shards first out; 0: no bound. Shards that any
   * process has loaded are kept beyond it: max_cached_shards bounds those of this reader. */
  uint64_t max_cache_bytes;
  uint32_t thread_nice; /* as sf_executor_options has it */
} sf_reader_options;

#define SF_READER_OPTIONS_INIT SF_INITIALIZER_WITH(sf_reader_options, max_fallback_attempts, -1)

/* The same as SF_READER_OPTIONS_INIT, for languages without macros. */
SF_API void sf_reader_options_init(sf_reader_options *options);

/* Opens the live snapshot below `root`: a path (`~/` is $HOME), a `file://` or an `s3://bucket/prefix` URL. Options
 * may be NULL. */
SF_API sf_code sf_reader_open(const char *root, const sf_reader_options *options, sf_reader **reader, sf_error *error);
SF_API sf_code sf_reader_open_submit(const char *root, const sf_reader_options *options, sf_executor *executor,
                                     sf_completion_queue *queue, void *user_data, sf_operation **operation,
                                     sf_error *error);
/* The reader of a finished open, once; NULL if it failed or was taken. The caller closes and frees it. */
SF_API sf_reader *sf_operation_take_reader(sf_operation *operation);

/* Looks for a newer snapshot. *changed says whether one is now served. A snapshot that can't be loaded leaves the old
 * one serving, sets *changed to false and succeeds: the log and sf_health.refresh_error say why. */
SF_API sf_code sf_reader_refresh(sf_reader *reader, bool *changed, sf_error *error);
SF_API sf_code sf_reader_refresh_submit(sf_reader *reader, sf_completion_queue *queue, void *user_data,
                                        sf_operation **operation, sf_error *error);
/* As refresh, but to a manifest that the caller read. */
SF_API sf_code sf_reader_refresh_to(sf_reader *reader, const sf_manifest_source *manifest, bool *changed,
                                    sf_error *error);
SF_API sf_code sf_reader_refresh_to_submit(sf_reader *reader, const sf_manifest_source *manifest,
                                           sf_completion_queue *queue, void *user_data, sf_operation **operation,
                                           sf_error *error);
/* Of a finished refresh: whether a newer snapshot is now served. */
SF_API bool sf_operation_refresh_changed(const sf_operation *operation);

/* Refuses new work, waits up to timeout_ms (negative: without end) for work under way, then cancels what is left.
 * Idempotent. After it every other call fails with SF_READER_STATE_ERROR, sf_reader_health aside. */
SF_API sf_code sf_reader_close(sf_reader *reader, int64_t timeout_ms, sf_error *error);
SF_API sf_code sf_reader_close_submit(sf_reader *reader, int64_t timeout_ms, sf_completion_queue *queue,
                                      void *user_data, sf_operation **operation, sf_error *error);
/* Closes (cancelling work under way) and drops the caller's reference. */
SF_API void sf_reader_free(sf_reader *reader);

/* ---------------------------------------------------------------------------------------------------------- Search */

/* SF_FLOAT16 is for rows to add: a query can't have it. */
typedef enum sf_element_type { SF_FLOAT32 = 0, SF_FLOAT64 = 1, SF_FLOAT16 = 2 } sf_element_type;

typedef struct sf_search_request {
  size_t size; /* sizeof(sf_search_request) */
  /* `dim` components. float64 is rounded to float32, the precision of the stored vectors. */
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
  /* A JSON object of the variables of a CEL routing expression (of key-value data with vectors beside it: the one that
   * shards the keys, by hash none), or NULL. Bytes are {"__bytes_hex__": "00ff"}. */
  const char *routing_context;
} sf_search_request;

#define SF_SEARCH_REQUEST_INIT SF_INITIALIZER_WITH(sf_search_request, top_k, 10)

SF_API void sf_search_request_init(sf_search_request *request);

typedef enum sf_id_type { SF_ID_INTEGER = 0, SF_ID_STRING = 1 } sf_id_type;

typedef struct sf_search_result {
  sf_id_type id_type;
  int64_t id_integer;    /* SF_ID_INTEGER */
  const char *id_string; /* SF_ID_STRING: UTF-8, NUL-terminated, and id_length bytes long (it may hold NULs) */
  size_t id_length;
  double score; /* ascending: lower is closer; never NaN */
  /* The text as it was stored, or NULL for none: a JSON object if the writer was sound. It is not checked, and may hold
   * NaN, Infinity and -Infinity, which Python's json.dumps writes. A NUL is behind it. */
  const char *payload;
  size_t payload_length;
  uint32_t shard_id;
} sf_search_result;

/* The neighbours of one query. Immutable; owned by whoever took it. */
typedef struct sf_search_response sf_search_response;

SF_API size_t sf_search_response_count(const sf_search_response *response);
/* The results in order, `count` of them; live as long as the response. */
SF_API const sf_search_result *sf_search_response_results(const sf_search_response *response);
SF_API uint32_t sf_search_response_num_shards_queried(const sf_search_response *response);
SF_API double sf_search_response_latency_ms(const sf_search_response *response);
SF_API void sf_search_response_free(sf_search_response *response);

/* Searches. The request and what it points to need live only until the call returns, submit included. */
SF_API sf_code sf_reader_search(sf_reader *reader, const sf_search_request *request, sf_search_response **response,
                                sf_error *error);
SF_API sf_code sf_reader_search_submit(sf_reader *reader, const sf_search_request *request, sf_completion_queue *queue,
                                       void *user_data, sf_operation **operation, sf_error *error);
/* The response of a finished search, once; NULL if it failed or was taken. The caller frees it. */
SF_API sf_search_response *sf_operation_take_response(sf_operation *operation);

/* Runs `count` searches together. All or none: the first failure (in order) fails the batch. `responses` gets `count`
 * pointers, each for the caller to free. */
SF_API sf_code sf_reader_batch_search(sf_reader *reader, const sf_search_request *requests, size_t count,
                                      sf_search_response **responses, sf_error *error);
SF_API sf_code sf_reader_batch_search_submit(sf_reader *reader, const sf_search_request *requests, size_t count,
                                             sf_completion_queue *queue, void *user_data, sf_operation **operation,
                                             sf_error *error);
/* The responses of a finished batch, `count` of them, as sf_reader_batch_search gives them; false if it failed or they
 * were taken. */
SF_API bool sf_operation_take_responses(sf_operation *operation, sf_search_response **responses, size_t count);

/* The shards that a query is routed to, in order; `*shard_ids` is for the caller to free with sf_free. Only `query`,
 * `shard_ids`, `num_probes` and `routing_context` of the request are looked at. Never blocks on storage. */
SF_API sf_code sf_reader_route(sf_reader *reader, const sf_search_request *request, uint32_t **shard_ids, size_t *count,
                               sf_error *error);
SF_API void sf_free(void *memory);

/* ------------------------------------------------------------------------------------------------ What is being served */

typedef struct sf_snapshot_info {
  const char *run_id;
  uint32_t num_dbs;
  uint32_t dim;
  sf_metric metric;
  sf_sharding_strategy sharding;
  const char *manifest_ref;
  int64_t total_vectors;
} sf_snapshot_info;

/* One block, strings included, for the caller to free with sf_free. */
SF_API sf_code sf_reader_snapshot_info(sf_reader *reader, sf_snapshot_info **info, sf_error *error);

typedef struct sf_shard_detail {
  uint32_t db_id;
  const char *db_url; /* NULL: the shard has no rows */
  int64_t vector_count;
  const char *checkpoint_id; /* NULL: none */
} sf_shard_detail;

/* One for each of num_dbs, by db_id. One block, strings included, for the caller to free with sf_free. */
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

/* `staleness_threshold_seconds` negative: none. One block for the caller to free with sf_free. Works after close. */
SF_API sf_code sf_reader_health(sf_reader *reader, double staleness_threshold_seconds, sf_health **health,
                                sf_error *error);

/* ------------------------------------------------------------------------------------------------- Without a reader */

typedef struct sf_published_manifest {
  const char *ref;
  const char *run_id;
  const char *published_at; /* ISO 8601, UTC */
  bool is_live;             /* `_CURRENT` points to it */
} sf_published_manifest;

/* Published manifests, newest first, at most `limit` (0: all). One block for the caller to free with sf_free. */
SF_API sf_code sf_snapshot_history(const char *root, const sf_reader_options *options, size_t limit,
                                   sf_published_manifest **manifests, size_t *count, sf_error *error);
SF_API sf_code sf_snapshot_history_submit(const char *root, const sf_reader_options *options, size_t limit,
                                          sf_executor *executor, sf_completion_queue *queue, void *user_data,
                                          sf_operation **operation, sf_error *error);
SF_API sf_published_manifest *sf_operation_take_history(sf_operation *operation, size_t *count);

/* Reads one object of a snapshot: `reference` is "_CURRENT", or a reference as manifests and history have them. `*bytes` is
 * for the caller to free with sf_free; a NUL stands behind them. Missing is SF_MANIFEST_STORE_ERROR. */
SF_API sf_code sf_snapshot_read_object(const char *root, const sf_reader_options *options, const char *reference,
                                       void **bytes, size_t *length, sf_error *error);
SF_API sf_code sf_snapshot_read_object_submit(const char *root, const sf_reader_options *options, const char *reference,
                                              sf_executor *executor, sf_completion_queue *queue, void *user_data,
                                              sf_operation **operation, sf_error *error);
SF_API void *sf_operation_take_object(sf_operation *operation, size_t *length);

/* Whether bytes are a manifest that a reader could serve: SF_MANIFEST_PARSE_ERROR says what is amiss. `name` is what
 * messages call it. */
SF_API sf_code sf_manifest_check(const void *bytes, size_t length, const char *name, sf_error *error);

/* What a verification found: an object of the snapshot and, where it does not hold, why. */
typedef struct sf_verify_finding {
  const char *object;  /* its reference: `_CURRENT`, the manifest's, an artifact's, a shard's db_url */
  sf_code code;        /* SF_OK: it holds */
  const char *message; /* what was checked, or what does not hold */
} sf_verify_finding;

/* Called for each object as it is read, from the thread that verifies. Return false to stop: SF_CANCELLED_ERROR. */
typedef bool (*sf_verify_callback)(const sf_verify_finding *finding, size_t objects_done, size_t objects_total,
                                   void *user_data);

/* Reads every object of the live snapshot, whatever the cache holds. Succeeds when it could look at all of them:
 * *num_failed says how many do not hold. */
SF_API sf_code sf_snapshot_verify(const char *root, const sf_reader_options *options, sf_verify_callback callback,
                                  void *callback_user_data, size_t *num_failed, sf_error *error);
SF_API sf_code sf_snapshot_verify_submit(const char *root, const sf_reader_options *options,
                                         sf_verify_callback callback, void *callback_user_data, sf_executor *executor,
                                         sf_completion_queue *queue, void *user_data, sf_operation **operation,
                                         sf_error *error);
SF_API size_t sf_operation_verify_failed(const sf_operation *operation);

/* -------------------------------------------------------------------------------------------------------- Building */

/*
 * A builder writes a snapshot: rows are added in batches, go to the shards that a reader would route them to, and finishing
 * publishes them all at once. Until then, and when anything fails, the root's live snapshot stays what it was.
 *
 * Strategy cluster without centroids of its own needs a sample of the rows before it can place any. Either
 * sf_builder_train is given one (all rows of a mapped array, say, of which it draws a sample) before the first row is
 * added, or the rows are kept in a temporary file until there are enough of them, or no more come.
 *
 * A builder belongs to one thread at a time. After a failure there is nothing to do with it but to free it.
 */
typedef struct sf_builder sf_builder;

typedef enum sf_build_phase {
  SF_BUILD_TRAINING = 0,   /* finding centroids */
  SF_BUILD_WRITING = 1,    /* rows go into shards */
  SF_BUILD_FINISHING = 2,  /* shards are completed, and uploaded where the root is remote */
  SF_BUILD_PUBLISHING = 3, /* the manifest and `_CURRENT` are written */
} sf_build_phase;
SF_API const char *sf_build_phase_name(sf_build_phase phase); /* "training", ..., "publishing" */

/* How far a build is; what does not belong to the phase keeps its last value. */
typedef struct sf_build_progress {
  size_t size; /* sizeof(sf_build_progress), of the library that runs */
  sf_build_phase phase;
  uint64_t rows;         /* written so far */
  uint32_t shards_done;  /* completed, and uploaded */
  uint32_t shards_total; /* that have rows */
  uint64_t bytes_done;   /* of completed shards */
} sf_build_progress;

/* Called now and then by the thread that adds or finishes. Return false to stop: SF_CANCELLED_ERROR. */
typedef bool (*sf_build_callback)(const sf_build_progress *progress, void *user_data);

/* Needed only until sf_builder_create returns. What is 0 or NULL has the default named here. */
typedef struct sf_build_options {
  size_t size; /* sizeof(sf_build_options) */
  sf_metric metric;
  sf_sharding_strategy strategy;
  const char *backend;    /* NULL: "lance"; or "sqlite-vec", which does not take SF_METRIC_DOT_PRODUCT */
  uint32_t dim;           /* 0: as many components as the first rows have */
  uint32_t num_dbs;       /* shards; 0: as many as there are centroids or routing_values, which go before */
  uint32_t num_probes;    /* that the manifest names; 0: 1 */
  const float *centroids; /* cluster: num_dbs × dim, both given; NULL: trained */
  uint64_t training_rows; /* cluster: the most rows to train with; 0: 100,000, or what a quarter of the memory holds */
  uint32_t training_iterations; /* cluster: the most rounds of k-means; 0: 25 */
  uint32_t num_hash_bits;       /* lsh, 1 to 4096; 0: 8, or as many more as num_dbs needs */
  const float *hyperplanes;     /* lsh: num_hash_bits × dim, all given; NULL: drawn, normally distributed */
  /* cel: required. Gives one of routing_values, or without them a shard's number: an int, a uint, or a decimal in a string or
   * bytes. */
  const char *cel_expr;
  const char *cel_columns;    /* cel: required: {"name": "int|string|bytes|double|bool|uint"} as JSON */
  const char *routing_values; /* cel: a JSON array of ints, strings and {"__bytes_hex__": "…"}; NULL: none */
  uint64_t seed;              /* of training and hyperplanes: the same rows, options and seed give the same shards */
  uint64_t max_memory_bytes;  /* what the builder may use, about; 0: 512 MiB. What rows are read from is not counted */
  uint32_t num_threads;       /* 0: one for each CPU */
  const char *s3_prefix;      /* what references are written below; NULL: the root's own URL */
  const char *run_id;         /* letters, digits, '-', '_' and '.'; new at this root. NULL: a random UUID */
  /* For shards to upload, and for temporary files; NULL: the run's own folder where the root is a directory, else $TMPDIR
   * or /tmp. What killed builds left there is removed. */
  const char *staging_dir;
  const sf_s3_options *s3;    /* for roots that begin with s3://; NULL: all from the environment */
  sf_build_callback progress; /* NULL: nobody listens */
  void *progress_user_data;
  sf_log_callback log; /* NULL: silent */
  void *log_user_data;
  sf_executor *executor; /* that asynchronous calls run on; NULL: each makes one */
} sf_build_options;

#define SF_BUILD_OPTIONS_INIT SF_INITIALIZER(sf_build_options)

/* The same as SF_BUILD_OPTIONS_INIT, for languages without macros. */
SF_API void sf_build_options_init(sf_build_options *options);

/* Opens the root (which need not exist) and checks the options. Nothing is written but a record of the run. */
SF_API sf_code sf_builder_create(const char *root, const sf_build_options *options, sf_builder **builder,
                                 sf_error *error);

/* As create, but at once; the options are needed only until this returns. Cancelled, and when it fails, it has removed what it
 * wrote by the time that it is done. */
SF_API sf_code sf_builder_create_submit(const char *root, const sf_build_options *options, sf_completion_queue *queue,
                                        void *user_data, sf_operation **operation, sf_error *error);
/* The builder of a finished creation, once; NULL if it failed or was taken. */
SF_API sf_builder *sf_operation_take_builder(sf_operation *operation);

/* Rows to add, all borrowed for the call. Vectors are rounded to float32; one that is not finite then is refused. */
typedef struct sf_row_batch {
  size_t size; /* sizeof(sf_row_batch) */
  size_t count;
  const void *vectors; /* count rows of dim components, aligned as their type asks for */
  size_t dim;
  sf_element_type vector_type;
  size_t row_stride; /* bytes from one row to the next; 0: they are contiguous */
  /* Ids. A row whose string_ids entry is NULL has its integer_ids entry; without either array, rows are numbered from 0,
   * in the order in which they are added. No id may occur twice in a snapshot (strings and integers differ). */
  const int64_t *integer_ids;
  const char *const *string_ids;
  const size_t *string_id_lengths;     /* NULL: string_ids end in NUL */
  const char *const *payloads;         /* JSON objects; an entry that is NULL: none. NULL: none at all */
  const size_t *payload_lengths;       /* NULL: payloads end in NUL; else each also has a NUL behind it */
  const int64_t *shard_ids;            /* explicit: required, from 0 to num_dbs - 1 */
  const char *const *routing_contexts; /* cel: required: JSON objects that end in NUL */
  /* What messages call where the rows come from, and how they count them; NULL: "vectors", "ids", "payloads",
   * "shard_ids", "routing_contexts" and "row". */
  const char *vectors_name;
  const char *ids_name;
  const char *payloads_name;
  const char *shard_ids_name;
  const char *routing_contexts_name;
  const char *row_word;
  bool has_first_number;
  uint64_t first_number; /* of the first row, in messages; without it: as many as were added before */
} sf_row_batch;

#define SF_ROW_BATCH_INIT SF_INITIALIZER(sf_row_batch)

SF_API void sf_row_batch_init(sf_row_batch *batch);

/* How many rows of `dim` components training takes at most; 0: no centroids are to be trained. */
SF_API uint64_t sf_builder_training_rows(const sf_builder *builder, size_t dim);

/* Trains centroids from `rows`, of which only the vectors are looked at: all of them, or a random sample where there are
 * more than training_rows. Only before the first row is added; does nothing where no centroids are to be trained. */
SF_API sf_code sf_builder_train(sf_builder *builder, const sf_row_batch *rows, sf_error *error);
/* The builder and the rows must not be touched until the operation has finished. */
SF_API sf_code sf_builder_train_submit(sf_builder *builder, const sf_row_batch *rows, sf_completion_queue *queue,
                                       void *user_data, sf_operation **operation, sf_error *error);

/* Adds rows, in their order. What is wrong with one is SF_CONFIG_VALIDATION_ERROR (a routing token that is not known:
 * SF_UNKNOWN_ROUTING_TOKEN_ERROR), and the message says which. Batches of some MiB are best; any size is taken. */
SF_API sf_code sf_builder_add(sf_builder *builder, const sf_row_batch *rows, sf_error *error);
/* The builder and the rows must not be touched until the operation has finished. */
SF_API sf_code sf_builder_add_submit(sf_builder *builder, const sf_row_batch *rows, sf_completion_queue *queue,
                                     void *user_data, sf_operation **operation, sf_error *error);

typedef struct sf_built_shard {
  uint32_t db_id;
  const char *db_url; /* NULL: the shard has no rows */
  uint64_t num_rows;
  uint64_t num_bytes;
} sf_built_shard;

/* What was built. Members may be added at the end: it is always the library that makes one. */
typedef struct sf_build_result {
  const char *run_id;
  const char *manifest_ref;
  uint64_t num_rows;
  uint64_t num_bytes; /* of all shards */
  uint32_t dim;
  uint32_t num_dbs;
  uint32_t num_shards;          /* that have rows */
  const sf_built_shard *shards; /* num_dbs of them, by db_id */
  double training_seconds;
  double writing_seconds;    /* of the calls that add, less training */
  double finishing_seconds;  /* completing and uploading */
  double publishing_seconds; /* checking the routing, manifest, `_CURRENT` */
} sf_build_result;

/* Completes the shards, checks that a reader's routing is the one by which they were filled, writes the manifest and
 * then makes it the live one. *result is one block for the caller to free with sf_free. The builder is still to be
 * freed. */
SF_API sf_code sf_builder_finish(sf_builder *builder, sf_build_result **result, sf_error *error);
/* The builder must not be used, nor freed, until the operation has finished. */
SF_API sf_code sf_builder_finish_submit(sf_builder *builder, sf_completion_queue *queue, void *user_data,
                                        sf_operation **operation, sf_error *error);
/* The result of a finished build, once; NULL if it failed or was taken. */
SF_API sf_build_result *sf_operation_take_build_result(sf_operation *operation);

/* Frees, and removes what was written where the build has not finished. A store that does not answer is given 1.5 seconds
 * for each step, and removing takes 30 seconds at most: what is left then is named in the log, and a cleanup removes it. NULL
 * is allowed. */
SF_API void sf_builder_free(sf_builder *builder);
/* As free; the builder is gone whatever this returns. Cancelling it gives up the removal. */
SF_API sf_code sf_builder_free_submit(sf_builder *builder, sf_completion_queue *queue, void *user_data,
                                      sf_operation **operation, sf_error *error);

/* --------------------------------------------------------------------------------------------- Looking after a root */

/* A run that left objects at a root without a manifest: it failed, was killed, or is still under way. */
typedef struct sf_unreferenced_run {
  const char *run_id;
  uint64_t num_objects; /* uploads that were never completed among them */
  double age_seconds;   /* since it last gave a sign of life; negative: not known */
  bool is_due;          /* old enough to be removed */
  bool is_removed;
} sf_unreferenced_run;

/* Called for each such run, when it is done with. Return false to stop: SF_CANCELLED_ERROR. */
typedef bool (*sf_cleanup_callback)(const sf_unreferenced_run *run, void *user_data);

typedef struct sf_cleanup_options {
  size_t size; /* sizeof(sf_cleanup_options) */
  bool remove; /* else nothing is removed: a dry run */
  /* Runs younger than this, and those whose age is not known unless it is 0, may still be under way: they are left alone. */
  double min_age_seconds;
  const sf_s3_options *s3;
  sf_cleanup_callback callback; /* NULL: nobody listens */
  void *callback_user_data;
  sf_log_callback log; /* NULL: silent */
  void *log_user_data;
} sf_cleanup_options;

#define SF_CLEANUP_OPTIONS_INIT SF_INITIALIZER_WITH(sf_cleanup_options, min_age_seconds, 86400)

SF_API void sf_cleanup_options_init(sf_cleanup_options *options);

/* Removes what no manifest names: shards and routing artifacts of runs that were never published, and with a store their
 * unfinished uploads. *num_runs says how many
 * were removed, or would have been. */
SF_API sf_code sf_snapshot_cleanup(const char *root, const sf_cleanup_options *options, size_t *num_runs,
                                   sf_error *error);
SF_API sf_code sf_snapshot_cleanup_submit(const char *root, const sf_cleanup_options *options, sf_executor *executor,
                                          sf_completion_queue *queue, void *user_data, sf_operation **operation,
                                          sf_error *error);
SF_API size_t sf_operation_cleanup_runs(const sf_operation *operation);

/* Makes an older (or newer) published manifest the live one: `target` is a run id, a manifest's reference, or "previous",
 * the newest that is older than the live one. Its routing must load and its shards must be there. *manifest_ref is for
 * the caller to free with sf_free. */
SF_API sf_code sf_snapshot_rollback(const char *root, const sf_reader_options *options, const char *target,
                                    char **manifest_ref, sf_error *error);
SF_API sf_code sf_snapshot_rollback_submit(const char *root, const sf_reader_options *options, const char *target,
                                           sf_executor *executor, sf_completion_queue *queue, void *user_data,
                                           sf_operation **operation, sf_error *error);
/* The manifest that a finished rollback made live, once; NULL if it failed or was taken. */
SF_API char *sf_operation_take_rollback(sf_operation *operation);

#ifdef __cplusplus
}
#endif

#endif
