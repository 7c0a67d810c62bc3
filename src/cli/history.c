/* history: lists the published manifests. */
#include "cli/commands.h"

static sf_code print_manifests(sf_cli_session *session, const sf_published_manifest *manifests, size_t count,
                               sf_error *error) {
  for (size_t i = 0; i < count; i++) {
    const sf_published_manifest *manifest = sf_published_manifest_at(manifests, i);
    const sf_cli_field fields[] = {
        sf_cli_text_field("ref", manifest->ref),
        sf_cli_text_field("run_id", manifest->run_id),
        sf_cli_text_field("published_at", manifest->published_at),
        sf_cli_flag_field("is_live", manifest->is_live),
    };
    SF_TRY(sf_cli_output_record(&session->output, fields, sizeof(fields) / sizeof(fields[0]), error));
  }
  return sf_cli_output_end_table(&session->output, error);
}

static sf_code print_history(sf_cli_session *session, sf_error *error) {
  const sf_cli_integer *limit = &session->arguments.limit;
  sf_operation *operation = NULL;
  SF_TRY(sf_snapshot_history_submit(session->arguments.root, &session->options,
                                    limit->is_set ? (size_t)limit->value : 0, session->executor, session->queue, NULL,
                                    &operation, error));
  sf_code code = sf_cli_session_wait(session, operation, error);
  if (code == SF_OK) {
    size_t count = 0;
    sf_published_manifest *manifests = sf_operation_take_history(operation, &count);
    code = print_manifests(session, manifests, count, error);
    sf_free(manifests);
  }
  sf_operation_release(operation);
  return code;
}

static sf_cli_status run_command(sf_cli_session *session) {
  sf_error error;
  return sf_cli_session_status(session, print_history(session, &error), &error);
}

const sf_cli_command sf_cli_history_command = {
    .name = "history",
    .summary = "list the published manifests, newest first",
    .description = "Prints ref, run_id and published_at of each published manifest, newest first, and whether it is "
                   "the live one,\n"
                   "to which _CURRENT points.\n",
    .takes = SF_CLI_TAKES_LIMIT,
    .run = run_command,
};
