/* index: makes lists for the live snapshot, and publishes it anew. */
#include "cli/commands.h"
#include "cli/progress.h"
#include "shardyfusion/build.h"

#include <stdio.h>

static bool show_progress(const sf_index_progress *progress, void *user_data) {
  sf_cli_progress *line = user_data;
  double seconds;
  if (!sf_cli_progress_is_due(line, &seconds))
    return true;
  if (progress->phase == SF_INDEX_MAKING)
    sf_cli_progress_print("index: shard %u of %u, %llu rows, %.0f rows/s", (unsigned)progress->shards_done,
                          (unsigned)progress->shards_total, (unsigned long long)progress->rows,
                          (double)progress->rows / seconds);
  else
    sf_cli_progress_print("index: %s, %.0f s", sf_index_phase_name(progress->phase), seconds);
  return true;
}

static sf_index_options take_options(sf_cli_session *session, sf_cli_progress *progress) {
  const sf_cli_build_arguments *given = &session->arguments.build;
  sf_index_options options = SF_INDEX_OPTIONS_INIT;
  options.cache_dir = session->options.cache_dir;
  options.num_lists = session->arguments.num_lists.is_set ? (uint32_t)session->arguments.num_lists.value : 0;
  options.seed = given->seed.is_set ? (uint64_t)given->seed.value : 0;
  options.max_memory_bytes = given->max_memory.is_set ? (uint64_t)given->max_memory.value << 20 : 0;
  options.num_threads = given->threads.is_set ? (uint32_t)given->threads.value : 0;
  options.force = session->arguments.force;
  options.s3 = session->options.s3;
  options.log = session->options.log;
  options.log_user_data = session->options.log_user_data;
  options.progress = show_progress;
  options.progress_user_data = progress;
  return options;
}

static sf_code print_result(sf_cli_session *session, const sf_index_result *result, sf_error *error) {
  const sf_cli_field fields[] = {
      sf_cli_text_field("manifest_ref", result->manifest_ref),
      sf_cli_integer_field("num_shards", (int64_t)result->num_shards),
      sf_cli_integer_field("num_rows", (int64_t)result->num_rows),
      sf_cli_integer_field("num_lists", (int64_t)result->num_lists),
      sf_cli_integer_field("num_bytes", (int64_t)result->num_bytes),
      sf_cli_number_field("seconds", result->seconds),
  };
  if (!result->is_published)
    fputs("shardyfusion: index: the snapshot has lists; --force makes them anew\n", stderr);
  return sf_cli_output_single(&session->output, fields, sizeof(fields) / sizeof(fields[0]), error);
}

static sf_code make_index(sf_cli_session *session, sf_error *error) {
  sf_operation *operation = NULL;
  sf_cli_progress progress;
  const sf_index_options options = take_options(session, &progress);
  sf_cli_progress_start(&progress);
  SF_TRY(sf_snapshot_index_submit(session->arguments.root, &options, session->executor, session->queue, NULL,
                                  &operation, error));
  sf_code code = sf_cli_session_wait(session, operation, error);
  sf_index_result *result = sf_operation_take_index_result(operation);
  sf_operation_release(operation);
  sf_cli_progress_clear(&progress);
  if (code == SF_OK)
    code = print_result(session, result, error);
  sf_free(result);
  return code;
}

static sf_cli_status run_command(sf_cli_session *session) {
  sf_error error;
  return sf_cli_session_status(session, make_index(session, &error), &error);
}

const sf_cli_command sf_cli_index_command = {
    .name = "index",
    .summary = "make lists for the snapshot, for searches with a recall",
    .description =
        "Makes lists of the rows of each shard, stores them beside the shards, and publishes a manifest that names "
        "them.\n"
        "Searches with --recall then read lists at once instead of making them. The shards stay as they are, and "
        "until\n"
        "the end, and if anything fails, so does the live snapshot. Prints a summary.\n",
    .takes = SF_CLI_TAKES_INDEX,
    .run = run_command,
};
