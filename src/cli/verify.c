/* verify: reads every object of the live snapshot, and prints what is wrong. */
#include "cli/commands.h"
#include "cli/progress.h"

#include <stdio.h>

typedef struct verify_run {
  sf_cli_output *output;
  sf_error *error; /* of writing */
  sf_code code;
  sf_cli_progress progress;
  size_t num_objects;
} verify_run;

static sf_code print_finding(sf_cli_output *output, const sf_verify_finding *finding, sf_error *error) {
  const sf_cli_field fields[] = {
      sf_cli_text_field("object", finding->object),
      sf_cli_text_field("status", finding->code == SF_OK ? "ok" : sf_code_name(finding->code)),
      sf_cli_text_field("message", finding->message),
  };
  SF_TRY(sf_cli_output_record(output, fields, sizeof(fields) / sizeof(fields[0]), error));
  return sf_cli_output_flush(error);
}

/* Runs on the thread that verifies, while the main thread does nothing but wait for it. */
static bool take_finding(const sf_verify_finding *finding, size_t done, size_t total, void *user_data) {
  verify_run *run = user_data;
  run->num_objects++;
  sf_cli_progress_clear(&run->progress);
  run->code = print_finding(run->output, finding, run->error);
  if (run->progress.is_shown)
    sf_cli_progress_print("verify: object %zu of %zu, %.1f objects/s", done, total,
                          (double)done / sf_cli_progress_seconds(&run->progress));
  return run->code == SF_OK;
}

static sf_code verify(sf_cli_session *session, size_t *num_failed, sf_error *error) {
  sf_error write_error;
  verify_run run = {
      .output = &session->output,
      .error = &write_error,
  };
  sf_cli_progress_start(&run.progress);
  sf_operation *operation = NULL;
  SF_TRY(sf_snapshot_verify_submit(session->arguments.root, &session->options, take_finding, &run, session->executor,
                                   session->queue, NULL, &operation, error));
  sf_code code = sf_cli_session_wait(session, operation, error);
  *num_failed = sf_operation_verify_failed(operation);
  sf_operation_release(operation);
  sf_cli_progress_clear(&run.progress);
  if (run.code != SF_OK) {
    *error = write_error;
    return run.code;
  }
  SF_TRY(code);
  SF_TRY(sf_cli_output_end_table(&session->output, error));
  fprintf(stderr, "shardyfusion: verify: %zu objects read, %zu invalid\n", run.num_objects, *num_failed);
  return SF_OK;
}

static sf_cli_status run_command(sf_cli_session *session) {
  sf_error error;
  size_t num_failed = 0;
  sf_cli_status status = sf_cli_session_status(session, verify(session, &num_failed, &error), &error);
  return status == SF_CLI_SUCCESS && num_failed > 0 ? SF_CLI_FAILED : status;
}

const sf_cli_command sf_cli_verify_command = {
    .name = "verify",
    .summary = "read every object of the snapshot and check it",
    .description =
        "Reads every object of the live snapshot from storage, regardless of the cache, and prints its status: ok, or\n"
        "the error that a reader would report. The exit status is 1 if an object is invalid.\n",
    .takes = SF_CLI_TAKES_READER,
    .run = run_command,
};
