/* cleanup: lists and removes what no manifest refers to. */
#include "cli/commands.h"
#include "shardyfusion/build.h"

#include <stdio.h>

typedef struct cleanup_run {
  sf_cli_output *output;
  sf_error *error; /* of writing */
  sf_code code;
} cleanup_run;

static sf_code print_run(const cleanup_run *to, const sf_unreferenced_run *run) {
  const sf_cli_field fields[] = {
      sf_cli_text_field("run_id", run->run_id),          sf_cli_integer_field("num_objects", (int64_t)run->num_objects),
      sf_cli_age_field("age_seconds", run->age_seconds), sf_cli_flag_field("is_due", run->is_due),
      sf_cli_flag_field("is_removed", run->is_removed),
  };
  return sf_cli_output_record(to->output, fields, sizeof(fields) / sizeof(fields[0]), to->error);
}

/* Runs on the thread that cleans up, while the main thread does nothing but wait for it. */
static bool take_run(const sf_unreferenced_run *run, void *user_data) {
  cleanup_run *to = user_data;
  to->code = print_run(to, run);
  return to->code == SF_OK;
}

static sf_cleanup_options take_options(const sf_cli_session *session, cleanup_run *to) {
  const sf_cli_arguments *arguments = &session->arguments;
  sf_cleanup_options options = SF_CLEANUP_OPTIONS_INIT;
  options.remove = arguments->remove;
  if (arguments->older_than.is_set)
    options.min_age_seconds = arguments->older_than.value;
  options.s3 = session->options.s3;
  options.callback = take_run;
  options.callback_user_data = to;
  options.log = session->options.log;
  options.log_user_data = session->options.log_user_data;
  return options;
}

static sf_code clean(sf_cli_session *session, sf_error *error) {
  sf_error write_error;
  cleanup_run to = {.output = &session->output, .error = &write_error};
  const sf_cleanup_options options = take_options(session, &to);
  sf_operation *operation = NULL;
  SF_TRY(sf_snapshot_cleanup_submit(session->arguments.root, &options, session->executor, session->queue, NULL,
                                    &operation, error));
  sf_code code = sf_cli_session_wait(session, operation, error);
  size_t num_runs = sf_operation_cleanup_runs(operation);
  sf_operation_release(operation);
  if (to.code != SF_OK) {
    *error = write_error;
    return to.code;
  }
  SF_TRY(code);
  SF_TRY(sf_cli_output_end_table(&session->output, error));
  fprintf(stderr,
          options.remove ? "shardyfusion: cleanup: %zu runs removed\n"
                         : "shardyfusion: cleanup: %zu runs would be removed with --yes\n",
          num_runs);
  return SF_OK;
}

static sf_cli_status run_command(sf_cli_session *session) {
  sf_error error;
  return sf_cli_session_status(session, clean(session, &error), &error);
}

const sf_cli_command sf_cli_cleanup_command = {
    .name = "cleanup",
    .summary = "remove objects of builds that were never published",
    .description =
        "Lists the runs that have objects at ROOT to which no manifest refers; --yes removes them. Keeps runs that "
        "may\n"
        "still be running: those younger than --older-than and, unless it is 0, those of unknown age. Published\n"
        "snapshots are never removed.\n",
    .takes = SF_CLI_TAKES_CLEANUP,
    .run = run_command,
};
