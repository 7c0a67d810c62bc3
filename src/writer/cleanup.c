/* Removing what no manifest refers to. */
#include "async/operation.h"
#include "base/options.h"
#include "base/report.h"
#include "base/time.h"
#include "shardyfusion/build.h"
#include "storage/s3/options.h"
#include "writer/root_runs.h"

#include <math.h>
#include <string.h>

/* Files on their way to their names, in storages that are directories. */
static const char temporary_prefix[] = ".put-";

void sf_cleanup_options_init(sf_cleanup_options *options) {
  *options = (sf_cleanup_options)SF_CLEANUP_OPTIONS_INIT;
}

static sf_code read_options(const sf_cleanup_options *given, sf_cleanup_options *options, sf_error *error) {
  sf_cleanup_options_init(options);
  if (given == NULL)
    return SF_OK;
  SF_TRY(sf_options_read(given, SF_SIZE_WITH(sf_cleanup_options, log_user_data), options,
                         "cleanup options: expected them", error));
  if (!(options->min_age_seconds >= 0))
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "min_age_seconds: expected at least 0, found %g",
                   options->min_age_seconds);
  return SF_OK;
}

/* --------------------------------------------------------------------------------------------------------- Counting */

/* What is below a folder: objects are counted, folders are kept to be looked into. */
typedef struct counting {
  sf_storage *storage;
  const sf_cancellation *cancellation;
  const char *prefix;
  sf_buffer folders; /* names, each with a NUL */
  uint64_t num_objects;
  bool out_of_memory;
} counting;

static bool count_name(const char *name, void *user_data) {
  counting *of = user_data;
  size_t length = strlen(name);
  if (length == 0 || name[length - 1] != '/')
    of->num_objects++;
  else
    of->out_of_memory = !sf_buffer_append(&of->folders, name, length + 1);
  return !of->out_of_memory;
}

static sf_code count_objects(sf_storage *storage, const char *prefix, const sf_cancellation *cancellation,
                             uint64_t *num_objects, sf_error *error) {
  counting of = {.storage = storage};
  sf_code code = sf_storage_list(storage, prefix, cancellation, count_name, &of, error);
  if (code == SF_OK && of.out_of_memory)
    code = sf_fail_memory(error, "objects of a run");
  *num_objects += of.num_objects;
  for (size_t at = 0; at < of.folders.length && code == SF_OK;) {
    const char *name = (const char *)of.folders.data + at;
    char *below = sf_format("%s%s", prefix, name);
    code = below == NULL ? sf_fail_memory(error, "objects of a run")
                         : count_objects(storage, below, cancellation, num_objects, error);
    free(below);
    at += strlen(name) + 1;
  }
  sf_buffer_free(&of.folders);
  return code;
}

/* --------------------------------------------------------------------------------------------------------- Removing */

/* Stores may not let us look for them: objects can be removed all the same. */
static sf_code clean_unfinished_in(sf_storage *storage, const char *folder, const char *run_id,
                                   const sf_cleanup_options *options, bool remove, const sf_cancellation *cancellation,
                                   uint64_t *count, sf_error *error) {
  const sf_log log = {.callback = options->log, .user_data = options->log_user_data};
  sf_error failure;
  char *prefix = sf_format("%s/run_id=%s/", folder, run_id);
  if (prefix == NULL)
    return sf_fail_memory(error, "objects of a run");
  sf_code code = sf_storage_unfinished_writes(storage, prefix, remove, cancellation, count, &failure);
  if (code == SF_CANCELLED_ERROR || code == SF_OUT_OF_MEMORY_ERROR)
    code = sf_fail(error, code, "%s", failure.message);
  else if (code != SF_OK)
    sf_log_message(&log, SF_LOG_WARNING, "%s/%s: unfinished uploads are left as they are: %s", storage->root, prefix,
                   failure.message);
  free(prefix);
  return code == SF_CANCELLED_ERROR || code == SF_OUT_OF_MEMORY_ERROR ? code : SF_OK;
}

static sf_code clean_unfinished_writes(sf_storage *storage, const char *run_id, const sf_cleanup_options *options,
                                       bool remove, const sf_cancellation *cancellation, uint64_t *count,
                                       sf_error *error) {
  uint64_t of_lists = 0;
  SF_TRY(clean_unfinished_in(storage, "shards", run_id, options, remove, cancellation, count, error));
  SF_TRY(clean_unfinished_in(storage, "lists", run_id, options, remove, cancellation, &of_lists, error));
  *count += of_lists;
  return SF_OK;
}

static sf_code clean_run(sf_storage *storage, const sf_root_run *run, const sf_cleanup_options *options,
                         const sf_cancellation *cancellation, size_t *num_runs, sf_error *error) {
  double age = run->updated_seconds < 0 ? -1 : fmax(0, sf_wall_clock_seconds() - run->updated_seconds);
  sf_unreferenced_run found = {.run_id = run->run_id, .age_seconds = age};
  found.is_due = options->min_age_seconds <= 0 || age >= options->min_age_seconds;
  found.is_removed = found.is_due && options->remove;
  SF_TRY(clean_unfinished_writes(storage, run->run_id, options, found.is_removed, cancellation, &found.num_objects,
                                 error));
  for (size_t i = 0; i < run->num_folders; i++)
    SF_TRY(count_objects(storage, run->folders[i], cancellation, &found.num_objects, error));
  for (size_t i = 0; i < run->num_folders && found.is_removed; i++)
    SF_TRY(sf_storage_remove_all(storage, run->folders[i], cancellation, error));
  *num_runs += found.is_due;
  if (options->callback != NULL && !options->callback(&found, options->callback_user_data))
    return sf_fail(error, SF_CANCELLED_ERROR, "the cleanup was stopped");
  return SF_OK;
}

/* A killed writer's temporary files, by name. */
typedef struct temporary_files {
  sf_buffer names; /* each with a NUL */
  bool out_of_memory;
} temporary_files;

static bool take_temporary(const char *name, void *user_data) {
  temporary_files *files = user_data;
  if (strncmp(name, temporary_prefix, sizeof(temporary_prefix) - 1) == 0)
    files->out_of_memory = !sf_buffer_append(&files->names, name, strlen(name) + 1);
  return !files->out_of_memory;
}

static sf_code remove_temporary_files(sf_storage *storage, const char *folder, const sf_cancellation *cancellation,
                                      sf_error *error) {
  temporary_files files = {0};
  sf_code code = sf_storage_list(storage, folder, cancellation, take_temporary, &files, error);
  if (code == SF_OK && files.out_of_memory)
    code = sf_fail_memory(error, "temporary files");
  for (size_t at = 0; at < files.names.length && code == SF_OK;) {
    const char *name = (const char *)files.names.data + at;
    char *key = sf_format("%s%s", folder, name);
    code =
        key == NULL ? sf_fail_memory(error, "temporary files") : sf_storage_remove(storage, key, cancellation, error);
    free(key);
    at += strlen(name) + 1;
  }
  sf_buffer_free(&files.names);
  return code;
}

/* Those of referenced runs and of the root, and folders that have nothing else, as a killed indexing leaves one for its manifest.
 * Their age is not known: they go when everything may. */
static sf_code remove_all_temporary_files(sf_storage *storage, const sf_root_runs *runs,
                                          const sf_cleanup_options *options, const sf_cancellation *cancellation,
                                          sf_error *error) {
  if (!options->remove || options->min_age_seconds > 0 || storage->vtable->is_remote)
    return SF_OK;
  for (size_t i = 0; i < runs->count; i++)
    for (size_t folder = 0; folder < runs->runs[i].num_folders; folder++) {
      SF_TRY(remove_temporary_files(storage, runs->runs[i].folders[folder], cancellation, error));
      SF_TRY(sf_storage_remove(storage, runs->runs[i].folders[folder], cancellation, error));
    }
  return remove_temporary_files(storage, "", cancellation, error);
}

static sf_code clean(sf_storage *storage, const sf_cleanup_options *options, const sf_cancellation *cancellation,
                     size_t *num_runs, sf_error *error) {
  sf_root_runs runs;
  size_t count = 0;
  SF_TRY(sf_root_runs_read(storage, cancellation, &runs, error));
  sf_code code = SF_OK;
  for (size_t i = 0; i < runs.count && code == SF_OK; i++)
    if (!runs.runs[i].is_referenced)
      code = clean_run(storage, &runs.runs[i], options, cancellation, &count, error);
  if (code == SF_OK)
    code = remove_all_temporary_files(storage, &runs, options, cancellation, error);
  sf_root_runs_free(&runs);
  if (code == SF_OK && num_runs != NULL)
    *num_runs = count;
  return code;
}

/* ------------------------------------------------------------------------------------------------------------ Calls */

static sf_code clean_root(const char *root, const sf_cleanup_options *options, const sf_cancellation *cancellation,
                          size_t *num_runs, sf_error *error) {
  const sf_storage_options storage_options = {
      .s3 = options->s3, .log = options->log, .log_user_data = options->log_user_data};
  sf_storage *storage;
  SF_TRY(sf_storage_open(root, &storage_options, &storage, error));
  sf_code code = clean(storage, options, cancellation, num_runs, error);
  sf_storage_close(storage);
  return code;
}

sf_code sf_snapshot_cleanup(const char *root, const sf_cleanup_options *given, size_t *num_runs, sf_error *error) {
  sf_cleanup_options options;
  SF_TRY(read_options(given, &options, error));
  return clean_root(root, &options, NULL, num_runs, error);
}

typedef struct cleanup_context {
  char *root;
  sf_cleanup_options options; /* with a copy of its s3 */
} cleanup_context;

static void free_context(void *context) {
  cleanup_context *freed = context;
  sf_s3_options_free(freed->options.s3);
  free(freed->root);
  free(freed);
}

static const sf_outcome_kind removed_runs = {.name = "number of runs that a cleanup removed"};

static sf_code run(void *context, const sf_cancellation *cancellation, sf_outcome *outcome, sf_error *error) {
  const cleanup_context *of = context;
  *outcome = (sf_outcome){.kind = &removed_runs};
  return clean_root(of->root, &of->options, cancellation, &outcome->count, error);
}

size_t sf_operation_cleanup_runs(const sf_operation *operation) {
  return sf_operation_count(operation, &removed_runs);
}

sf_code sf_snapshot_cleanup_submit(const char *root, const sf_cleanup_options *given, sf_executor *executor,
                                   sf_completion_queue *queue, void *user_data, sf_operation **operation,
                                   sf_error *error) {
  static const sf_job_functions functions = {.run = run, .free_context = free_context};
  sf_cleanup_options options;
  sf_s3_options *s3 = NULL;
  SF_TRY(read_options(given, &options, error));
  SF_TRY(sf_s3_options_copy(options.s3, &s3, error));
  cleanup_context *context = sf_calloc(1, sizeof(*context));
  char *copy = sf_strdup(root);
  if (context == NULL || (root != NULL && copy == NULL)) {
    sf_s3_options_free(s3);
    free(context);
    free(copy);
    return sf_fail_memory(error, "operation");
  }
  *context = (cleanup_context){.root = copy, .options = options};
  context->options.s3 = s3;
  return sf_job_submit(executor, queue, user_data, &functions, context, operation, error);
}
