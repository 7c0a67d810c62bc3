/* info: prints what the live manifest says of the snapshot. */
#include "cli/commands.h"

static sf_code print_info(sf_cli_session *session, sf_error *error) {
  SF_TRY(sf_cli_session_open(session, error));
  sf_snapshot_info *info = NULL;
  SF_TRY(sf_reader_snapshot_info(session->reader, &info, error));
  const sf_cli_field fields[] = {
      sf_cli_text_field("run_id", info->run_id),
      sf_cli_integer_field("num_dbs", info->num_dbs),
      sf_cli_integer_field("dim", info->dim),
      sf_cli_text_field("metric", sf_metric_name(info->metric)),
      sf_cli_text_field("sharding", sf_sharding_strategy_name(info->sharding)),
      sf_cli_text_field("manifest_ref", info->manifest_ref),
      sf_cli_integer_field("total_vectors", info->total_vectors),
  };
  sf_code code = sf_cli_output_single(&session->output, fields, sizeof(fields) / sizeof(fields[0]), error);
  sf_free(info);
  return code;
}

static sf_cli_status run_command(sf_cli_session *session) {
  sf_error error;
  return sf_cli_session_status(session, print_info(session, &error), &error);
}

const sf_cli_command sf_cli_info_command = {
    .name = "info",
    .summary = "show the live snapshot",
    .description =
        "Prints run_id, num_dbs, dim, metric, sharding, manifest_ref and total_vectors of the live snapshot.\n",
    .takes = SF_CLI_TAKES_READER,
    .run = run_command,
};
