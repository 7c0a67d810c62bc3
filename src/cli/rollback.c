/* rollback: points `_CURRENT` to another published manifest. */
#include "cli/commands.h"
#include "shardyfusion/build.h"

static sf_code roll_back(sf_cli_session *session, sf_error *error) {
  sf_operation *operation = NULL;
  SF_TRY(sf_snapshot_rollback_submit(session->arguments.root, &session->options, session->arguments.target,
                                     session->executor, session->queue, NULL, &operation, error));
  sf_code code = sf_cli_session_wait(session, operation, error);
  char *manifest_ref = sf_operation_take_rollback(operation);
  sf_operation_release(operation);
  if (code == SF_OK) {
    const sf_cli_field fields[] = {sf_cli_text_field("manifest_ref", manifest_ref)};
    code = sf_cli_output_single(&session->output, fields, 1, error);
  }
  sf_free(manifest_ref);
  return code;
}

static sf_cli_status run_command(sf_cli_session *session) {
  sf_error error;
  return sf_cli_session_status(session, roll_back(session, &error), &error);
}

const sf_cli_command sf_cli_rollback_command = {
    .name = "rollback",
    .summary = "make another published snapshot the live one",
    .description =
        "Points _CURRENT to another published manifest, as listed by history, and prints its reference. --to previous\n"
        "selects the newest that is older than the live one. Its routing artifacts must load and its shards must "
        "exist.\n",
    .takes = SF_CLI_TAKES_ROLLBACK,
    .run = run_command,
};
