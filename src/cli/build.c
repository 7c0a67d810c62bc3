/* build: reads options and routing artifacts, and has a builder write the rows. */
#include "cli/build_rows.h"
#include "cli/commands.h"
#include "cli/mapped_array.h"

#include "base/memory.h"
#include <stdio.h>
#include <string.h>

/* Routing artifacts from files, for as long as the builder takes to copy them. */
typedef struct artifacts {
  float *centroids;
  float *hyperplanes;
} artifacts;

/* How many rows are written, of how many, how fast; then how many shards are complete, and how fast that goes. */
static bool show_progress(const sf_build_progress *progress, void *user_data) {
  sf_cli_build_progress *build = user_data;
  double seconds;
  if (build->phase != progress->phase) {
    build->phase = progress->phase;
    sf_cli_progress_start(&build->line);
    build->line.shown_at = build->line.started_at; /* no rate before there is a time to divide by */
  }
  if (!sf_cli_progress_is_due(&build->line, &seconds))
    return true;
  const char *phase = sf_build_phase_name(progress->phase);
  double rows = (double)progress->rows;
  double mib = (double)progress->bytes_done / (1 << 20);
  if (progress->phase == SF_BUILD_FINISHING)
    sf_cli_progress_print("%s: shard %u of %u, %.1f MiB, %.1f MiB/s", phase, (unsigned)progress->shards_done,
                          (unsigned)progress->shards_total, mib, mib / seconds);
  else if (progress->phase != SF_BUILD_WRITING)
    sf_cli_progress_print("%s: %.0f s", phase, seconds);
  else if (build->total_rows > 0)
    sf_cli_progress_print("%s: %.0f of %.0f rows (%.0f %%), %.0f rows/s", phase, rows, (double)build->total_rows,
                          100 * rows / (double)build->total_rows, rows / seconds);
  else if (build->total_bytes > 0)
    sf_cli_progress_print("%s: %.0f rows (%.0f %% of the file), %.0f rows/s", phase, rows,
                          100 * (double)build->bytes_read / (double)build->total_bytes, rows / seconds);
  else
    sf_cli_progress_print("%s: %.0f rows, %.0f rows/s", phase, rows, rows / seconds);
  return true;
}

/* ---------------------------------------------------------------------------------------------------------- Options */

static float *narrow(const sf_npy *array) {
  size_t count = array->num_rows * array->num_columns;
  float *values = sf_calloc(count, sizeof(float));
  for (size_t i = 0; values != NULL && i < count; i++)
    values[i] = (float)array->values[i];
  return values;
}

/* A whole array, small enough to be a routing artifact, as float32. */
static sf_code load_artifact(const char *path, float **values, size_t *num_rows, size_t *dim, sf_error *error) {
  sf_cli_mapped_array mapped;
  sf_npy array = {0};
  SF_TRY(sf_cli_map_array(path, &mapped, error));
  sf_code code = sf_npy_parse(mapped.bytes, mapped.length, path, &array, error);
  if (code == SF_READER_STATE_ERROR)
    code = sf_error_recode(error, SF_CONFIG_VALIDATION_ERROR);
  char found[96];
  sf_npy_describe(&mapped.layout, found, sizeof(found));
  if (code == SF_OK && (array.num_dimensions != 2 || array.num_rows == 0))
    code = sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "%s: expected an array of two dimensions with rows, found %s",
                   path, found);
  if (code == SF_OK && (*values = narrow(&array)) == NULL)
    code = sf_fail_memory(error, path);
  *num_rows = array.num_rows;
  *dim = array.num_columns;
  sf_npy_free(&array);
  sf_cli_unmap_array(&mapped);
  return code;
}

/* Centroids also say how many shards there are. */
static sf_code load_artifacts(const sf_cli_build_arguments *build, artifacts *loaded, sf_build_options *options,
                              sf_error *error) {
  size_t num_rows = 0;
  size_t dim = 0;
  if (build->centroids != NULL) {
    SF_TRY(load_artifact(build->centroids, &loaded->centroids, &num_rows, &dim, error));
    if (build->num_dbs.is_set && (uint64_t)build->num_dbs.value != num_rows)
      return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "%s: expected %lld rows, as --num-dbs has it, found %zu",
                     build->centroids, (long long)build->num_dbs.value, num_rows);
    options->centroids = loaded->centroids;
    options->num_dbs = (uint32_t)num_rows;
  } else if (build->hyperplanes != NULL) {
    SF_TRY(load_artifact(build->hyperplanes, &loaded->hyperplanes, &num_rows, &dim, error));
    if (build->num_hash_bits.is_set && (uint64_t)build->num_hash_bits.value != num_rows)
      return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "%s: expected %lld rows, as --num-hash-bits has it, found %zu",
                     build->hyperplanes, (long long)build->num_hash_bits.value, num_rows);
    options->hyperplanes = loaded->hyperplanes;
    options->num_hash_bits = (uint32_t)num_rows;
  }
  options->dim = (uint32_t)dim;
  return SF_OK;
}

static uint32_t number_or_default(const sf_cli_integer *integer) {
  return integer->is_set ? (uint32_t)integer->value : 0;
}

static sf_build_options take_options(const sf_cli_session *session) {
  const sf_cli_build_arguments *build = &session->arguments.build;
  sf_build_options options = SF_BUILD_OPTIONS_INIT;
  options.metric = build->metric != 0 ? (sf_metric)(build->metric - 1) : SF_METRIC_COSINE;
  options.strategy = build->strategy != 0 ? (sf_sharding_strategy)(build->strategy - 1) : SF_SHARDING_CLUSTER;
  options.backend = build->backend > 1 ? "sqlite-vec" : "lance";
  options.num_dbs = number_or_default(&build->num_dbs);
  options.num_probes = number_or_default(&build->num_probes);
  options.num_hash_bits = number_or_default(&build->num_hash_bits);
  options.training_rows = build->training_rows.is_set ? (uint64_t)build->training_rows.value : 0;
  options.training_iterations = number_or_default(&build->training_iterations);
  options.cel_expr = build->cel_expr;
  options.cel_columns = build->cel_columns;
  options.routing_values = build->routing_values;
  options.seed = build->seed.is_set ? (uint64_t)build->seed.value : 0;
  options.max_memory_bytes = build->max_memory.is_set ? (uint64_t)build->max_memory.value << 20 : 0;
  options.num_threads = number_or_default(&build->threads);
  options.s3_prefix = build->s3_prefix;
  options.run_id = build->run_id;
  options.staging_dir = build->staging_dir;
  options.s3 = session->options.s3;
  options.log = session->options.log;
  options.log_user_data = session->options.log_user_data;
  options.executor = session->executor;
  options.keep_integer_ids = true;
  options.emit_sidecar = build->sidecar;
  return options;
}

/* --------------------------------------------------------------------------------------------------------- Building */

static sf_code create_builder(sf_cli_session *session, sf_cli_build_progress *progress, sf_builder **builder,
                              sf_error *error) {
  artifacts loaded = {0};
  sf_build_options options = take_options(session);
  options.progress = show_progress;
  options.progress_user_data = progress;
  sf_operation *operation = NULL;
  sf_code code = load_artifacts(&session->arguments.build, &loaded, &options, error);
  if (code == SF_OK)
    code = sf_builder_create_submit(session->arguments.root, &options, session->queue, NULL, &operation, error);
  if (code == SF_OK) {
    code = sf_cli_session_wait(session, operation, error);
    *builder = sf_operation_take_builder(operation);
    sf_operation_release(operation);
  }
  free(loaded.centroids);
  free(loaded.hyperplanes);
  return code;
}

static sf_code finish(sf_cli_session *session, sf_builder *builder, sf_build_result **result, sf_error *error) {
  sf_operation *operation = NULL;
  SF_TRY(sf_builder_finish_submit(builder, session->queue, NULL, &operation, error));
  sf_code code = sf_cli_session_wait(session, operation, error);
  *result = sf_operation_take_build_result(operation);
  sf_operation_release(operation);
  return code;
}

static sf_code build(sf_cli_session *session, sf_build_result **result, sf_error *error) {
  sf_cli_build_progress progress = {.phase = SF_BUILD_TRAINING};
  sf_builder *builder = NULL;
  sf_cli_progress_start(&progress.line);
  sf_code code = create_builder(session, &progress, &builder, error);
  if (code == SF_OK)
    code = session->arguments.build.jsonl != NULL ? sf_cli_build_from_jsonl(session, builder, &progress, error)
                                                  : sf_cli_build_from_arrays(session, builder, &progress, error);
  if (code == SF_OK)
    code = finish(session, builder, result, error);
  sf_cli_progress_clear(&progress.line);
  sf_builder_free(builder);
  return code;
}

static sf_code print_result(sf_cli_session *session, const sf_build_result *result, sf_error *error) {
  const sf_cli_field fields[] = {
      sf_cli_text_field("run_id", result->run_id),
      sf_cli_text_field("manifest_ref", result->manifest_ref),
      sf_cli_integer_field("num_rows", (int64_t)result->num_rows),
      sf_cli_integer_field("dim", result->dim),
      sf_cli_integer_field("num_dbs", result->num_dbs),
      sf_cli_integer_field("num_shards", result->num_shards),
      sf_cli_integer_field("num_bytes", (int64_t)result->num_bytes),
      sf_cli_number_field("training_seconds", result->training_seconds),
      sf_cli_number_field("writing_seconds", result->writing_seconds),
      sf_cli_number_field("finishing_seconds", result->finishing_seconds),
      sf_cli_number_field("publishing_seconds", result->publishing_seconds),
  };
  return sf_cli_output_single(&session->output, fields, sizeof(fields) / sizeof(fields[0]), error);
}

static sf_cli_status run_command(sf_cli_session *session) {
  sf_error error;
  sf_build_result *result = NULL;
  sf_code code = build(session, &result, &error);
  if (code == SF_OK)
    code = print_result(session, result, &error);
  sf_free(result);
  return sf_cli_session_status(session, code, &error);
}

const sf_cli_command sf_cli_build_command = {
    .name = "build",
    .summary = "write a new snapshot and make it the live one",
    .description =
        "Writes the rows of --vectors (with --ids, --payloads and so on) or of --jsonl into shards and publishes them\n"
        "as a new snapshot. Until then, and if anything fails, the live snapshot is unchanged. Prints a summary.\n",
    .takes = SF_CLI_TAKES_BUILD,
    .run = run_command,
};
