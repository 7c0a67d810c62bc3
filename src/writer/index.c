/* Making lists for a snapshot: the public calls. */
#include "async/operation.h"
#include "base/options.h"
#include "base/process.h"
#include "reader/options.h"
#include "storage/s3/options.h"
#include "writer/index_run.h"

const char *sf_index_phase_name(sf_index_phase phase) {
  static const char *const names[] = {"making", "calibrating", "publishing"};
  return (unsigned)phase < sizeof(names) / sizeof(names[0]) ? names[phase] : "unknown";
}

void sf_index_options_init(sf_index_options *options) {
  *options = (sf_index_options)SF_INDEX_OPTIONS_INIT;
}

static sf_code read_options(const sf_index_options *given, sf_index_options *options, sf_error *error) {
  static const uint64_t default_memory = (uint64_t)512 << 20;
  sf_index_options_init(options);
  if (given != NULL)
    SF_TRY(sf_options_read(given, SF_SIZE_WITH(sf_index_options, log_user_data), options,
                           "index options: expected them", error));
  if (options->num_threads == 0)
    options->num_threads = sf_usable_cpus();
  if (options->max_memory_bytes == 0)
    options->max_memory_bytes = default_memory;
  return SF_OK;
}

static sf_code index_root(const char *root, const sf_index_options *options, const sf_cancellation *cancellation,
                          sf_index_result **result, sf_error *error) {
  const sf_storage_options storage_options = {
      .s3 = options->s3, .log = options->log, .log_user_data = options->log_user_data};
  const sf_reader_options reader_options = {.cache_dir = options->cache_dir};
  sf_index_params params = {.options = *options,
                            .log = {.callback = options->log, .user_data = options->log_user_data},
                            .cancellation = cancellation};
  char *cache_dir = NULL;
  SF_TRY(sf_storage_open(root, &storage_options, &params.storage, error));
  sf_code code = sf_reader_options_cache_dir(&reader_options, params.storage->root, &cache_dir, error);
  params.cache_dir = cache_dir;
  if (code == SF_OK)
    code = sf_index_run(&params, result, error);
  sf_storage_close(params.storage);
  free(cache_dir);
  return code;
}

sf_code sf_snapshot_index(const char *root, const sf_index_options *given, sf_index_result **result, sf_error *error) {
  sf_index_options options;
  SF_TRY(read_options(given, &options, error));
  return index_root(root, &options, NULL, result, error);
}

typedef struct index_context {
  char *root;
  char *cache_dir;
  sf_index_options options; /* with a copy of its s3, and of its cache_dir */
} index_context;

static void free_context(void *context) {
  index_context *freed = context;
  sf_s3_options_free(freed->options.s3);
  free(freed->cache_dir);
  free(freed->root);
  free(freed);
}

static const sf_outcome_kind index_result = {.name = "index result", .free = sf_outcome_free_block};

static sf_code run(void *context, const sf_cancellation *cancellation, sf_outcome *outcome, sf_error *error) {
  const index_context *of = context;
  sf_index_result *result = NULL;
  sf_code code = index_root(of->root, &of->options, cancellation, &result, error);
  *outcome = (sf_outcome){.kind = &index_result, .value = result};
  return code;
}

sf_index_result *sf_operation_take_index_result(sf_operation *operation) {
  return sf_operation_take(operation, &index_result, NULL);
}

sf_code sf_snapshot_index_submit(const char *root, const sf_index_options *given, sf_executor *executor,
                                 sf_completion_queue *queue, void *user_data, sf_operation **operation,
                                 sf_error *error) {
  static const sf_job_functions functions = {.run = run, .free_context = free_context};
  index_context *context = sf_calloc(1, sizeof(*context));
  sf_s3_options *s3 = NULL;
  if (context == NULL)
    return sf_fail_memory(error, "operation");
  sf_code code = read_options(given, &context->options, error);
  if (code == SF_OK)
    code = sf_s3_options_copy(context->options.s3, &s3, error);
  context->options.s3 = s3;
  if (code == SF_OK) {
    context->root = sf_strdup(root);
    context->cache_dir = sf_strdup(context->options.cache_dir);
    if ((root != NULL && context->root == NULL) || (context->options.cache_dir != NULL && context->cache_dir == NULL))
      code = sf_fail_memory(error, "operation");
    context->options.cache_dir = context->cache_dir;
  }
  if (code != SF_OK) {
    free_context(context);
    return code;
  }
  return sf_job_submit(executor, queue, user_data, &functions, context, operation, error);
}
