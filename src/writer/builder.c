#include "writer/builder.h"

#include "async/operation.h"
#include "base/files.h"
#include "base/memory.h"
#include "base/process.h"
#include "snapshot/publish.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

const char *sf_build_phase_name(sf_build_phase phase) {
  switch (phase) {
  case SF_BUILD_TRAINING:
    return "training";
  case SF_BUILD_WRITING:
    return "writing";
  case SF_BUILD_FINISHING:
    return "finishing";
  case SF_BUILD_PUBLISHING:
    return "publishing";
  }
  return "unknown";
}

sf_code sf_builder_check(const sf_builder *builder, sf_error *error) {
  if (builder == NULL)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "builder: expected one, found NULL");
  SF_TRY(sf_process_check(builder->process, "the builder", error));
  if (!builder->has_failed)
    return SF_OK;
  return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "the builder has %s: make another",
                 builder->driver.is_published ? "finished" : "failed");
}

sf_code sf_builder_report_progress(sf_builder *builder, sf_error *error) {
  SF_TRY(sf_cancellation_check(builder->cancellation, error));
  builder->state.size = sizeof(builder->state);
  if (builder->progress == NULL || builder->progress(&builder->state, builder->progress_user_data))
    return SF_OK;
  return sf_fail(error, SF_CANCELLED_ERROR, "the build was stopped");
}

/* ---------------------------------------------------------------------------------------------------------- Opening */

/* The run ids that a listing names, one after the other, each with a NUL. */
typedef struct run_ids {
  sf_buffer texts;
  bool out_of_memory;
} run_ids;

static bool add_run_id(const char *name, void *user_data) {
  static const char separator[] = "run_id=";
  run_ids *ids = user_data;
  const char *found = strstr(name, separator);
  if (found == NULL)
    return true;
  const char *run_id = found + sizeof(separator) - 1;
  ids->out_of_memory =
      !sf_buffer_append(&ids->texts, run_id, strcspn(run_id, "/")) || !sf_buffer_append(&ids->texts, "", 1);
  return !ids->out_of_memory;
}

static sf_code list_run_ids(sf_storage *storage, const char *folder, const sf_cancellation *cancellation, run_ids *ids,
                            sf_error *error) {
  SF_TRY(sf_storage_list(storage, folder, cancellation, add_run_id, ids, error));
  return ids->out_of_memory ? sf_fail_memory(error, "names of runs") : SF_OK;
}

static bool has_run_id(const run_ids *ids, const char *run_id) {
  for (size_t at = 0; at < ids->texts.length;) {
    const char *text = (const char *)ids->texts.data + at;
    if (strcmp(text, run_id) == 0)
      return true;
    at += strlen(text) + 1;
  }
  return false;
}

static void warn_of_leftovers(const sf_builder *builder, const run_ids *written, const run_ids *published) {
  size_t count = 0;
  for (size_t at = 0; at < written->texts.length;) {
    const char *run_id = (const char *)written->texts.data + at;
    count += !has_run_id(published, run_id);
    at += strlen(run_id) + 1;
  }
  if (count > 0)
    sf_log_message(
        &builder->log, SF_LOG_WARNING,
        "%s: there are shards of %zu runs that were never published, or are still under way: a cleanup shows "
        "and removes them",
        builder->storage->root, count);
}

/* The run id must be new; and what killed builds left should be known. */
static sf_code look_at_runs(sf_builder *builder, sf_error *error) {
  run_ids written = {0};
  run_ids published = {0};
  sf_code code = list_run_ids(builder->storage, "shards/", builder->cancellation, &written, error);
  if (code == SF_OK)
    code = list_run_ids(builder->storage, "manifests/", builder->cancellation, &published, error);
  if (code == SF_OK)
    warn_of_leftovers(builder, &written, &published);
  if (code == SF_OK)
    code = list_run_ids(builder->storage, "vector_meta/", builder->cancellation, &written, error);
  if (code == SF_OK && (has_run_id(&written, builder->run_id) || has_run_id(&published, builder->run_id)))
    code =
        sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "run_id: expected one that is new at %s, found %s, which is there",
                builder->storage->root, builder->run_id);
  sf_buffer_free(&written.texts);
  sf_buffer_free(&published.texts);
  return code;
}

static sf_code note_new_folders(sf_builder *builder, sf_error *error) {
  static const char *const names[] = {"manifests", "runs", "shards", "vector_meta"};
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
    SF_TRY(sf_new_folders_note_child(&builder->new_folders, builder->storage->root, names[i], error));
  return sf_new_folders_note(&builder->new_folders, builder->storage->root, error);
}

/* Makes a folder that is new. Another build that fails can remove the one above as long as it is empty. */
static sf_code make_new_folder(const char *above, const char *path, sf_error *error) {
  enum { MAX_TRIES = 100 };
  int failure = ENOENT;
  for (int i = 0; i < MAX_TRIES && failure == ENOENT; i++) {
    SF_TRY(sf_make_folders(above, error));
    failure = mkdir(path, 0777) == 0 ? 0 : errno;
  }
  return failure == 0 ? SF_OK : sf_fail_errno(error, "make the folder", path, failure);
}

/* A root that is a directory: shards are written where they belong. Of builds with one run id, one makes the folder. */
sf_code sf_builder_open_directory(sf_builder *builder, const char *staging_dir, sf_error *error) {
  char *above = sf_format("%s/shards", builder->storage->root);
  builder->shards_directory = sf_format("%s/%s", builder->storage->root, builder->shards_key);
  sf_code code = above == NULL || builder->shards_directory == NULL ? sf_fail_memory(error, "path of the shards")
                                                                    : note_new_folders(builder, error);
  if (code == SF_OK)
    code = make_new_folder(above, builder->shards_directory, error);
  if (code != SF_OK) {
    /* It is another's then, to leave alone. */
    free(builder->shards_directory);
    builder->shards_directory = NULL;
  }
  free(above);
  if (code == SF_OK && staging_dir != NULL)
    code = sf_staging_open(staging_dir, builder->run_id, &builder->log, &builder->staging, error);
  builder->temporary_directory = builder->staging.path != NULL ? builder->staging.path : builder->shards_directory;
  return code;
}

static sf_code open_remote(sf_builder *builder, const char *staging_dir, sf_error *error) {
  SF_TRY(sf_staging_open(staging_dir, builder->run_id, &builder->log, &builder->staging, error));
  builder->temporary_directory = builder->staging.path;
  builder->shards_directory = sf_format("%s/shards", builder->staging.path);
  return builder->shards_directory != NULL ? SF_OK : sf_fail_memory(error, "path of the shards");
}

static sf_code choose_names(sf_builder *builder, const sf_build_options *options, sf_error *error) {
  char uuid[SF_UUID_SIZE];
  if (options->run_id != NULL)
    SF_TRY(sf_run_id_check(options->run_id, error));
  else
    SF_TRY(sf_uuid_make(uuid, error));
  builder->run_id = sf_strdup(options->run_id != NULL ? options->run_id : uuid);
  builder->s3_prefix = options->s3_prefix != NULL ? sf_strdup(options->s3_prefix) : sf_root_url(builder->storage);
  builder->shards_key = builder->run_id == NULL ? NULL : sf_format("shards/run_id=%s", builder->run_id);
  if (builder->s3_prefix == NULL || builder->shards_key == NULL)
    return sf_fail_memory(error, "names of the build");
  for (size_t length = strlen(builder->s3_prefix); length > 0 && builder->s3_prefix[length - 1] == '/'; length--)
    builder->s3_prefix[length - 1] = '\0';
  return builder->s3_prefix[0] != '\0'
             ? SF_OK
             : sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "s3_prefix: expected a URL, found nothing");
}

/* What needs the caller's options: afterwards the builder has copies. Nothing is asked of the storage yet. */
static sf_code prepare_builder(sf_builder *builder, const char *root, const sf_build_options *options,
                               sf_error *error) {
  const sf_storage_options storage_options = {
      .s3 = options->s3, .log = options->log, .log_user_data = options->log_user_data};
  SF_TRY(sf_build_plan_make(options, &builder->plan, error));
  SF_TRY(sf_storage_open(root, &storage_options, &builder->storage, error));
  return choose_names(builder, options, error);
}

static sf_code open_builder(sf_builder *builder, const char *staging_dir, sf_error *error) {
  if (builder->role == SF_BUILD_ROUTER) {
    SF_TRY(sf_builder_open_router(builder, staging_dir, error));
    return sf_build_threads_create(builder->plan.num_threads, &builder->threads, error);
  }
  SF_TRY(look_at_runs(builder, error));
  if (builder->role == SF_BUILD_DRIVER)
    SF_TRY(sf_builder_open_driver(builder, error));
  else if (builder->storage->vtable->is_remote)
    SF_TRY(open_remote(builder, staging_dir, error));
  else
    SF_TRY(sf_builder_open_directory(builder, staging_dir, error));
  SF_TRY(sf_run_record_begin(&builder->record, builder->storage, builder->run_id, builder->s3_prefix,
                             builder->cancellation, error));
  SF_TRY(sf_heartbeat_start(&builder->record, builder->storage, &builder->log, SF_RUN_RENEWAL_SECONDS * 1000,
                            &builder->heartbeat, error));
  return sf_build_threads_create(builder->plan.num_threads, &builder->threads, error);
}

static sf_code make_builder(const char *root, const sf_build_options *options, sf_builder **made, sf_error *error) {
  if (options->executor != NULL)
    SF_TRY(sf_executor_check(options->executor, error));
  sf_builder *builder = sf_calloc(1, sizeof(*builder));
  if (builder == NULL)
    return sf_fail_memory(error, "builder");
  *builder = (sf_builder){.process = sf_process_id(),
                          .role = options->role,
                          .staging.lock = -1,
                          .log = {.callback = options->log, .user_data = options->log_user_data},
                          .progress = options->progress,
                          .progress_user_data = options->progress_user_data,
                          .executor = options->executor,
                          .check.random.state = options->seed,
                          .allows_no_rows = options->allow_no_rows,
                          .leaves_unpublished = options->leave_unpublished,
                          .state.phase = SF_BUILD_WRITING};
  if (builder->executor != NULL)
    sf_executor_retain(builder->executor);
  sf_code code = prepare_builder(builder, root, options, error);
  if (code == SF_OK)
    *made = builder;
  else
    sf_builder_free(builder);
  return code;
}

sf_code sf_builder_create(const char *root, const sf_build_options *given, sf_builder **created, sf_error *error) {
  sf_build_options options;
  sf_builder *builder = NULL;
  SF_TRY(sf_build_options_read(given, &options, error));
  SF_TRY(make_builder(root, &options, &builder, error));
  sf_code code = open_builder(builder, options.staging_dir, error);
  if (code == SF_OK)
    *created = builder;
  else
    sf_builder_free(builder);
  return code;
}

typedef struct creation {
  sf_builder *builder; /* NULL: handed over */
  char *staging_dir;
} creation;

static void free_created(void *value, size_t count) {
  (void)count;
  sf_builder_free(value);
}

static const sf_outcome_kind created_builder = {.name = "builder", .free = free_created};

static sf_code run_creation(void *context, const sf_cancellation *cancellation, sf_outcome *outcome, sf_error *error) {
  creation *running = context;
  sf_builder *builder = running->builder;
  builder->cancellation = cancellation;
  sf_code code = open_builder(builder, running->staging_dir, error);
  builder->cancellation = NULL;
  if (code == SF_OK) {
    *outcome = (sf_outcome){.kind = &created_builder, .value = builder};
    running->builder = NULL;
  }
  return code;
}

sf_builder *sf_operation_take_builder(sf_operation *operation) {
  return sf_operation_take(operation, &created_builder, NULL);
}

/* What a creation that failed has written goes with its builder, before the operation is done. */
static void free_creation(void *context) {
  creation *freed = context;
  sf_builder_free(freed->builder);
  free(freed->staging_dir);
  free(freed);
}

sf_code sf_builder_create_submit(const char *root, const sf_build_options *given, sf_completion_queue *queue,
                                 void *user_data, sf_operation **operation, sf_error *error) {
  static const sf_job_functions functions = {.run = run_creation, .free_context = free_creation};
  sf_build_options options;
  SF_TRY(sf_build_options_read(given, &options, error));
  creation *submitted = sf_calloc(1, sizeof(*submitted));
  if (submitted == NULL)
    return sf_fail_memory(error, "operation");
  submitted->staging_dir = sf_strdup(options.staging_dir);
  sf_code code = options.staging_dir != NULL && submitted->staging_dir == NULL
                     ? sf_fail_memory(error, "operation")
                     : make_builder(root, &options, &submitted->builder, error);
  if (code != SF_OK) {
    free_creation(submitted);
    return code;
  }
  return sf_job_submit(options.executor, queue, user_data, &functions, submitted, operation, error);
}

/* ---------------------------------------------------------------------------------------------------------- Freeing */

/* How long removing may take: between two steps, and in all. A caller that stopped a build,
 * or whose store no longer answers, waits no longer: the log names what is left, and a cleanup removes it. */
#define REMOVAL_PATIENCE_NANOSECONDS ((uint64_t)1500000000)
#define REMOVAL_NANOSECONDS ((uint64_t)30000000000)

/* Passes the cancellation of the operation that removes on to the removal's own, which has a time limit. */
typedef struct removal {
  sf_cancellation_hook hook; /* first: the hook is the removal */
  sf_cancellation cancellation;
} removal;

static void pass_on(sf_cancellation_hook *hook) {
  sf_cancellation_request(&((removal *)hook)->cancellation);
}

static sf_code remove_folder(const sf_builder *builder, char *folder, const sf_cancellation *cancellation,
                             sf_error *error) {
  if (folder == NULL)
    return sf_fail_memory(error, "key of a folder");
  sf_code code = sf_storage_remove_all(builder->storage, folder, cancellation, error);
  free(folder);
  return code;
}

/* Multipart uploads whose begin or end got no response. One can outlive its abort while the store takes a part of it: they are
 * listed until there are none. A store that does not allow the listing is no failure. */
static void abort_uploads(const sf_builder *builder, const sf_cancellation *cancellation) {
  enum { MAX_ROUNDS = 4 };
  uint64_t count = 1;
  char *shards = sf_format("%s/", builder->shards_key);
  for (int round = 0; shards != NULL && round < MAX_ROUNDS && count > 0; round++)
    if (sf_storage_unfinished_writes(builder->storage, shards, true, cancellation, &count, NULL) != SF_OK)
      break;
  free(shards);
}

/* Only what can be there: who interrupts a build waits for each request. The manifest first: none refers to what is gone. */
static sf_code remove_written(const sf_builder *builder, const sf_cancellation *cancellation, sf_error *error) {
  bool is_remote = builder->storage->vtable->is_remote;
  bool has_uploaded = is_remote && (builder->state.phase >= SF_BUILD_FINISHING || builder->role == SF_BUILD_DRIVER);
  if (builder->driver.manifest_folder != NULL)
    SF_TRY(sf_storage_remove_all(builder->storage, builder->driver.manifest_folder, cancellation, error));
  if (has_uploaded || (!is_remote && builder->shards_directory != NULL))
    SF_TRY(remove_folder(builder, sf_format("%s/", builder->shards_key), cancellation, error));
  if (has_uploaded)
    abort_uploads(builder, cancellation);
  if (builder->state.phase == SF_BUILD_PUBLISHING)
    SF_TRY(remove_folder(builder, sf_format("vector_meta/run_id=%s/", builder->run_id), cancellation, error));
  return sf_run_record_remove(&builder->record, builder->storage, cancellation, error);
}

static void remove_leftovers(sf_builder *builder, const sf_cancellation *outer) {
  removal running = {.hook = {.wake = pass_on}};
  sf_error error = {0};
  sf_cancellation_limit(&running.cancellation, REMOVAL_PATIENCE_NANOSECONDS, REMOVAL_NANOSECONDS);
  sf_cancellation_add_hook(outer, &running.hook);
  sf_code code = remove_written(builder, &running.cancellation, &error);
  sf_cancellation_remove_hook(outer, &running.hook);
  sf_new_folders_remove(&builder->new_folders);
  if (code != SF_OK)
    sf_log_message(&builder->log, SF_LOG_WARNING,
                   "%s: what the build %s wrote is left behind, for a cleanup to remove: %s", builder->storage->root,
                   builder->run_id,
                   code == SF_CANCELLED_ERROR ? "removing it took too long, or was stopped" : error.message);
}

static void free_slice(sf_build_slice *slice) {
  free(slice->rows);
  free(slice->shard_ids);
  free(slice->hashes);
  free(slice->rewritten);
  free(slice->converted);
}

static void free_rows(sf_builder *builder) {
  sf_worker_pool_free(builder->workers);
  sf_partition_writer_free(builder->partition);
  free(builder->scratch);
  sf_assigner_free(builder->assigner);
  sf_unique_ids_free(builder->ids);
  sf_spool_free(builder->spool);
  free(builder->sample);
  free_slice(&builder->slice);
  sf_routing_check_free(&builder->check);
}

/* `outer` can stop the removal of what was written. */
static void free_builder(sf_builder *builder, const sf_cancellation *outer) {
  free_rows(builder);
  sf_heartbeat_stop(builder->heartbeat);
  sf_build_threads_free(builder->threads);
  if (!builder->driver.is_published && builder->storage != NULL && builder->shards_key != NULL &&
      (builder->record.key != NULL || builder->shards_directory != NULL))
    remove_leftovers(builder, outer);
  sf_driver_free(&builder->driver);
  sf_run_record_free(&builder->record);
  sf_new_folders_free(&builder->new_folders);
  sf_staging_close(&builder->staging);
  sf_storage_close(builder->storage);
  sf_build_plan_free(&builder->plan);
  if (builder->executor != NULL)
    sf_executor_release(builder->executor);
  free(builder->run_id);
  free(builder->s3_prefix);
  free(builder->shards_key);
  free(builder->shards_directory);
  free(builder->ids_name);
  free(builder->row_word);
  free(builder);
}

/* A fork's child has none of the threads, and what was written is its parent's. */
static bool may_free(const sf_builder *builder) {
  return builder != NULL && sf_process_check(builder->process, "the builder", NULL) == SF_OK;
}

void sf_builder_free(sf_builder *builder) {
  if (may_free(builder))
    free_builder(builder, NULL);
}

typedef struct freeing {
  sf_builder *builder; /* NULL: freed */
} freeing;

static sf_code run_freeing(void *context, const sf_cancellation *cancellation, sf_outcome *outcome, sf_error *error) {
  (void)outcome, (void)error;
  freeing *running = context;
  free_builder(running->builder, cancellation);
  running->builder = NULL;
  return SF_OK;
}

/* Of one that was never run, because it was cancelled before, or could not be submitted. */
static void free_freeing(void *context) {
  freeing *freed = context;
  sf_builder_free(freed->builder);
  free(freed);
}

sf_code sf_builder_free_submit(sf_builder *builder, sf_completion_queue *queue, void *user_data,
                               sf_operation **operation, sf_error *error) {
  static const sf_job_functions functions = {.run = run_freeing, .free_context = free_freeing};
  if (builder == NULL)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "builder: expected one, found NULL");
  SF_TRY(sf_process_check(builder->process, "the builder", error));
  freeing *submitted = sf_calloc(1, sizeof(*submitted));
  if (submitted == NULL) {
    sf_builder_free(builder);
    return sf_fail_memory(error, "operation");
  }
  submitted->builder = builder;
  return sf_job_submit(builder->executor, queue, user_data, &functions, submitted, operation, error);
}
