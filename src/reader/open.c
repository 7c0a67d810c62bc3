/*
 * Opening a reader: its options are read, its storage opened and its executor made or shared; then the snapshot that
 * `_CURRENT` points to, or the one that the options name, is loaded and served.
 */
#include "base/time.h"
#include "reader/manifest_source.h"
#include "reader/options.h"
#include "reader/serve.h"

static sf_code load_first(sf_reader *reader, const sf_manifest_source *given, const sf_cancellation *cancellation,
                          sf_error *error) {
  uint64_t started = sf_monotonic_nanoseconds();
  const sf_snapshot_load_options options = {.max_fallback_attempts = reader->max_fallback_attempts,
                                            .given = given,
                                            .log = &reader->log,
                                            .events = &reader->events};
  sf_snapshot *snapshot = NULL;
  SF_TRY(sf_snapshot_load(reader->storage, &options, cancellation, &snapshot, error));
  SF_TRY(sf_reader_serve(reader, snapshot, cancellation, error));
  sf_reader_report(reader, (sf_event){.type = SF_EVENT_READER_INITIALIZED}, started);
  return SF_OK;
}

static sf_code create_executor(const sf_reader_options *options, sf_executor **executor, sf_error *error) {
  sf_executor_options wanted = SF_EXECUTOR_OPTIONS_INIT;
  wanted.num_workers = options->num_workers;
  wanted.num_loaders = options->num_loaders;
  wanted.thread_nice = options->thread_nice;
  return sf_executor_create_with(&wanted, executor, error);
}

static sf_code open_resources(sf_reader *reader, const char *root, const sf_reader_options *options, sf_error *error) {
  SF_TRY(sf_reader_options_open_storage(options, root, &reader->storage, error));
  SF_TRY(sf_reader_options_cache_dir(options, reader->storage->root, &reader->cache_dir, error));
  SF_TRY(sf_shard_resources_create(&reader->resources, error));
  SF_TRY(sf_shard_format_check(options->shard_format, error));
  reader->shard_format = sf_strdup(options->shard_format);
  if (reader->shard_format == NULL && options->shard_format != NULL)
    return sf_fail_memory(error, "reader");
  if (options->executor == NULL)
    return create_executor(options, &reader->executor, error);
  SF_TRY(sf_executor_check(options->executor, error));
  sf_executor_retain(options->executor);
  reader->executor = options->executor;
  return SF_OK;
}

static sf_code open_reader(const char *root, const sf_reader_options *given, const sf_cancellation *cancellation,
                           sf_reader **opened, sf_error *error) {
  sf_reader_options options;
  sf_reader *reader = NULL;
  SF_TRY(sf_reader_options_read(given, &options, error));
  if (options.manifest != NULL)
    SF_TRY(sf_manifest_source_check(options.manifest, error));
  SF_TRY(sf_reader_create(&options, &reader, error));
  sf_code code = open_resources(reader, root, &options, error);
  if (code == SF_OK)
    code = load_first(reader, options.manifest, cancellation, error);
  if (code == SF_OK)
    *opened = reader;
  else
    sf_reader_free(reader);
  return code;
}

sf_code sf_reader_open(const char *root, const sf_reader_options *options, sf_reader **reader, sf_error *error) {
  return open_reader(root, options, NULL, reader, error);
}

/* ------------------------------------------------------------------------------------------------------ Asynchronously */

typedef struct open_context {
  char *root;
  sf_reader_options options;
} open_context;

static void free_context(void *context) {
  open_context *opening = context;
  sf_reader_options_copy_free(&opening->options);
  free(opening->root);
  free(opening);
}

static void free_opened(void *value, size_t count) {
  (void)count;
  sf_reader_free(value);
}

static const sf_outcome_kind opened_reader = {.name = "reader", .free = free_opened};

static sf_code run(void *context, const sf_cancellation *cancellation, sf_outcome *outcome, sf_error *error) {
  const open_context *opening = context;
  sf_reader *reader = NULL;
  sf_code code = open_reader(opening->root, &opening->options, cancellation, &reader, error);
  *outcome = (sf_outcome){.kind = &opened_reader, .value = reader};
  return code;
}

sf_reader *sf_operation_take_reader(sf_operation *operation) {
  return sf_operation_take(operation, &opened_reader, NULL);
}

sf_code sf_reader_open_submit(const char *root, const sf_reader_options *options, sf_executor *executor,
                              sf_completion_queue *queue, void *user_data, sf_operation **operation, sf_error *error) {
  static const sf_job_functions functions = {.run = run, .free_context = free_context};
  if (root == NULL)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "snapshot root: expected a path or a URL, found nothing");
  open_context *opening = sf_calloc(1, sizeof(*opening));
  if (opening == NULL)
    return sf_fail_memory(error, "operation");
  sf_code code = sf_reader_options_copy(options, &opening->options, error);
  if (code != SF_OK) {
    free(opening);
    return code;
  }
  opening->root = sf_strdup(root);
  if (opening->root == NULL) {
    free_context(opening);
    return sf_fail_memory(error, "operation");
  }
  return sf_job_submit(executor, queue, user_data, &functions, opening, operation, error);
}
