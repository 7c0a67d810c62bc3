/* Building and publishing a snapshot, and the maintenance of a root. */
#ifndef SHARDYFUSION_BUILD_H
#define SHARDYFUSION_BUILD_H

#include "async.h"
#include "reader.h"
#include "storage.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --------------------------------------------------------------------------------------------------------- Building */

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

/* What a builder does of a build: distributed.h. */
typedef enum sf_build_role {
  SF_BUILD_ALONE = 0,  /* all of it */
  SF_BUILD_DRIVER = 1, /* trains and publishes; takes no rows */
  SF_BUILD_ROUTER = 2, /* routes the rows of one partition; run_id is the driver's */
} sf_build_role;

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
  sf_build_role role; /* with another than SF_BUILD_ALONE, keep_integer_ids is not looked at */
  /* A build without rows publishes an empty snapshot, with a warning, instead of failing. Needs `dim`, and centroids for
   * cluster. */
  bool allow_no_rows;
  /* Neither the manifest nor `_CURRENT` is written: the caller publishes the result's manifest, in a store of its own. Cleanups of
   * the root keep what such a run wrote. */
  bool leave_unpublished;
  /* Bytes of a database page in sqlite-vec shards, a power of 2 from 4096 to 65536; 0: 4096, or 16384 for large vectors. */
  uint32_t page_size;
  /* Writes `shard.sidecar` beside each `shard.db`: its interior pages and chains of overflow pages, for readers that fetch ranges of the
   * database. In an object store it is bound to the database's ETag; in a directory to nothing, and careful readers decline it. This
   * library's readers need none. With another backend than sqlite-vec, it is refused. */
  bool emit_sidecar;
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
  uint64_t num_bytes; /* without its sidecar */
  uint32_t attempt;
  const char *checkpoint_id; /* names the shard's content; NULL: the shard has no rows */
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
  const sf_built_shard *shards; /* num_dbs elements, by db_id: read them with sf_build_result_shard */
  double training_seconds;
  double writing_seconds;     /* in calls that add rows, without training */
  double finishing_seconds;   /* completing and uploading */
  double publishing_seconds;  /* checking the routing, writing the manifest and `_CURRENT` */
  const char *run_record_ref; /* URL of the run's record */
  const void *manifest;       /* manifest_length bytes: a SQLite database */
  size_t manifest_length;
} sf_build_result;

/* The shard `db_id`, valid as long as the result; NULL from num_dbs on. */
SF_API const sf_built_shard *sf_build_result_shard(const sf_build_result *result, uint32_t db_id);

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

/* -------------------------------------------------------------------------------------------- Maintenance of a root */

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

typedef enum sf_index_phase {
  SF_INDEX_MAKING = 0,      /* the lists of each shard */
  SF_INDEX_CALIBRATING = 1, /* measuring how many lists give which recall */
  SF_INDEX_PUBLISHING = 2,  /* the manifest and `_CURRENT` are written */
} sf_index_phase;
SF_API const char *sf_index_phase_name(sf_index_phase phase); /* "making", ..., "publishing" */

/* The progress of an indexing. Members that don't belong to the phase keep their last value. */
typedef struct sf_index_progress {
  size_t size; /* sizeof(sf_index_progress) in the library at run time */
  sf_index_phase phase;
  uint32_t shards_done;
  uint32_t shards_total; /* shards that have rows */
  uint64_t rows;         /* in lists so far */
} sf_index_progress;

/* Called before each shard and each phase, from a thread of the library's. Return false to stop: SF_CANCELLED_ERROR. */
typedef bool (*sf_index_callback)(const sf_index_progress *progress, void *user_data);

/* Members that are 0 or NULL have the default given here. Must be valid only until the call returns. */
typedef struct sf_index_options {
  size_t size;                /* sizeof(sf_index_options) */
  const char *cache_dir;      /* as in sf_reader_options: shards are read through it, and lists are left in it */
  uint32_t num_lists;         /* of each shard; 0: about four times the square root of its rows */
  uint64_t seed;              /* the same rows, options and seed give the same lists */
  uint64_t max_memory_bytes;  /* approximate memory limit, without what is mapped; 0: 512 MiB */
  uint32_t num_threads;       /* 0: one for each CPU */
  bool force;                 /* also where the snapshot has lists: they are made anew */
  const sf_s3_options *s3;    /* for roots that begin with s3://; NULL: all from the environment */
  sf_index_callback progress; /* NULL: no callback */
  void *progress_user_data;
  sf_log_callback log; /* NULL: silent */
  void *log_user_data;
} sf_index_options;

#define SF_INDEX_OPTIONS_INIT SF_INITIALIZER(sf_index_options)

SF_API void sf_index_options_init(sf_index_options *options);

/* What was made. Allocated by the library only: later versions may add members at the end. */
typedef struct sf_index_result {
  const char *manifest_ref; /* of the manifest that is live now */
  bool is_published;        /* false: the snapshot had lists, and nothing was done; the figures below are 0 */
  uint32_t num_shards;      /* shards that have rows */
  uint64_t num_rows;        /* in lists */
  uint64_t num_lists;
  uint64_t num_bytes; /* of all lists' objects */
  double seconds;
} sf_index_result;

/* Makes lists for the live snapshot, whoever wrote it, for searches with a recall: an object beside each shard, and a new
 * manifest that names them. The shards and the run id stay as they are. Until `_CURRENT` is replaced at the end, and if anything
 * fails, the live snapshot is unchanged; it also fails if another became live meanwhile. The caller frees *result with sf_free. */
SF_API sf_code sf_snapshot_index(const char *root, const sf_index_options *options, sf_index_result **result,
                                 sf_error *error);
SF_API sf_code sf_snapshot_index_submit(const char *root, const sf_index_options *options, sf_executor *executor,
                                        sf_completion_queue *queue, void *user_data, sf_operation **operation,
                                        sf_error *error);
/* Takes the result from a finished indexing, once; NULL if it failed or was already taken. */
SF_API sf_index_result *sf_operation_take_index_result(sf_operation *operation);

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
