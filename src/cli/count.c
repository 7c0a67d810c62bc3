/* count: how many rows match a filter. */
#include "cli/commands.h"
#include "shardyfusion/search.h"

static sf_code print_count(sf_cli_session *session, sf_error *error) {
  const sf_cli_arguments *arguments = &session->arguments;
  SF_TRY(sf_cli_session_open(session, error));
  sf_count_request request = SF_COUNT_REQUEST_INIT;
  request.filter = arguments->filter;
  request.has_shard_ids = arguments->shard_ids.is_set;
  request.shard_ids = arguments->shard_ids.values;
  request.num_shard_ids = arguments->shard_ids.count;
  sf_operation *operation = NULL;
  SF_TRY(sf_reader_count_submit(session->reader, &request, session->queue, NULL, &operation, error));
  sf_code code = sf_cli_session_wait(session, operation, error);
  const sf_cli_field field = sf_cli_integer_field("count", (int64_t)sf_operation_row_count(operation));
  sf_operation_release(operation);
  return code == SF_OK ? sf_cli_output_single(&session->output, &field, 1, error) : code;
}

static sf_cli_status run_command(sf_cli_session *session) {
  sf_error error;
  return sf_cli_session_status(session, print_count(session, &error), &error);
}

const sf_cli_command sf_cli_count_command = {
    .name = "count",
    .summary = "count the rows that match a filter",
    .description = "Prints how many rows of the live snapshot match --filter, or how many there are.\n",
    .takes = SF_CLI_TAKES_FILTER | SF_CLI_TAKES_SHARDS | SF_CLI_TAKES_READER,
    .run = run_command,
};
