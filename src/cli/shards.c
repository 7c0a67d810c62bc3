/* shards: lists the shards of the live snapshot. */
#include "cli/commands.h"

static sf_code print_details(sf_cli_session *session, const sf_shard_detail *details, size_t count, sf_error *error) {
  for (size_t i = 0; i < count; i++) {
    const sf_shard_detail *shard = sf_shard_detail_at(details, i);
    const sf_cli_field fields[] = {
        sf_cli_integer_field("db_id", shard->db_id),
        sf_cli_text_field("db_url", shard->db_url),
        sf_cli_integer_field("vector_count", shard->vector_count),
        sf_cli_text_field("checkpoint_id", shard->checkpoint_id),
    };
    SF_TRY(sf_cli_output_record(&session->output, fields, sizeof(fields) / sizeof(fields[0]), error));
  }
  return sf_cli_output_end_table(&session->output, error);
}

static sf_code print_shards(sf_cli_session *session, sf_error *error) {
  SF_TRY(sf_cli_session_open(session, error));
  sf_shard_detail *details = NULL;
  size_t count = 0;
  SF_TRY(sf_reader_shard_details(session->reader, &details, &count, error));
  sf_code code = print_details(session, details, count, error);
  sf_free(details);
  return code;
}

static sf_cli_status run_command(sf_cli_session *session) {
  sf_error error;
  return sf_cli_session_status(session, print_shards(session, &error), &error);
}

const sf_cli_command sf_cli_shards_command = {
    .name = "shards",
    .summary = "list the shards of the live snapshot",
    .description = "Prints db_id, db_url, vector_count and checkpoint_id of each shard; a shard without rows has no\n"
                   "db_url.\n",
    .takes = SF_CLI_TAKES_READER,
    .run = run_command,
};
