/* health: opens the snapshot, and prints its state and age. */
#include "cli/commands.h"

static sf_code print_health(sf_cli_session *session, sf_error *error) {
  SF_TRY(sf_cli_session_open(session, error));
  const sf_cli_number *threshold = &session->arguments.staleness_threshold;
  sf_health *health = NULL;
  SF_TRY(sf_reader_health(session->reader, threshold->is_set ? threshold->value : -1, &health, error));
  const sf_cli_field fields[] = {
      sf_cli_text_field("status", sf_health_status_name(health->status)),
      sf_cli_text_field("manifest_ref", health->manifest_ref),
      sf_cli_age_field("manifest_age_seconds", health->manifest_age_seconds),
      sf_cli_integer_field("num_shards", health->num_shards),
      sf_cli_flag_field("is_closed", health->is_closed),
  };
  sf_code code = sf_cli_output_single(&session->output, fields, sizeof(fields) / sizeof(fields[0]), error);
  sf_free(health);
  return code;
}

static sf_cli_status run_command(sf_cli_session *session) {
  sf_error error;
  return sf_cli_session_status(session, print_health(session, &error), &error);
}

const sf_cli_command sf_cli_health_command = {
    .name = "health",
    .summary = "check that the live snapshot opens, and show its age",
    .description =
        "Opens the snapshot and prints status, manifest_ref, manifest_age_seconds, num_shards and is_closed.\n"
        "The status is healthy, or degraded if the manifest is older than the threshold. The exit status is 0 for\n"
        "both, and 1 if the snapshot can't be opened.\n",
    .takes = SF_CLI_TAKES_READER | SF_CLI_TAKES_STALENESS,
    .run = run_command,
};
