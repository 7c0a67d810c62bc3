/* fetch: rows by their ids. */
#include "base/json_text.h"
#include "base/memory.h"
#include "cli/commands.h"
#include "cli/response.h"
#include "shardyfusion/search.h"

#include <string.h>

/* Each word is looked up as an integer, if it is one, and as text: two ids for each, the first of which counts. */
static sf_row_id *make_ids(const sf_cli_arguments *arguments) {
  sf_row_id *ids = sf_calloc(2 * arguments->num_ids, sizeof(*ids));
  for (size_t i = 0; ids != NULL && i < arguments->num_ids; i++) {
    const char *word = arguments->ids[i];
    sf_row_id text = {.type = SF_ID_STRING, .string = word, .length = strlen(word)};
    ids[2 * i] = ids[2 * i + 1] = text;
    if (sf_json_text_to_int64((sf_json_text){word, text.length}, &ids[2 * i].integer))
      ids[2 * i].type = SF_ID_INTEGER;
  }
  return ids;
}

static sf_code print_rows(sf_cli_session *session, const sf_search_response *response, sf_error *error) {
  const sf_cli_arguments *arguments = &session->arguments;
  for (size_t i = 0; i < arguments->num_ids; i++) {
    const sf_search_result *row = sf_search_response_result(response, 2 * i);
    if (row->is_missing)
      row = sf_search_response_result(response, 2 * i + 1);
    const sf_cli_field id = sf_cli_text_field("id", arguments->ids[i]);
    SF_TRY(sf_cli_print_row(&session->output, &id, row->is_missing ? NULL : row, arguments->vectors, error));
  }
  return sf_cli_output_end_table(&session->output, error);
}

static sf_code fetch(sf_cli_session *session, const sf_row_id *ids, sf_error *error) {
  const sf_cli_arguments *arguments = &session->arguments;
  sf_fetch_request request = SF_FETCH_REQUEST_INIT;
  request.ids = ids;
  request.num_ids = 2 * arguments->num_ids;
  request.has_shard_ids = arguments->shard_ids.is_set;
  request.shard_ids = arguments->shard_ids.values;
  request.num_shard_ids = arguments->shard_ids.count;
  request.include_vectors = arguments->vectors;
  request.omit_payloads = arguments->no_payloads;
  sf_operation *operation = NULL;
  SF_TRY(sf_reader_fetch_submit(session->reader, &request, session->queue, NULL, &operation, error));
  sf_code code = sf_cli_session_wait(session, operation, error);
  sf_search_response *response = code == SF_OK ? sf_operation_take_response(operation) : NULL;
  sf_operation_release(operation);
  if (code == SF_OK)
    code = print_rows(session, response, error);
  sf_search_response_free(response);
  return code;
}

static sf_code fetch_rows(sf_cli_session *session, sf_error *error) {
  SF_TRY(sf_cli_session_open(session, error));
  sf_row_id *ids = make_ids(&session->arguments);
  sf_code code = ids == NULL ? sf_fail_memory(error, "ids") : fetch(session, ids, error);
  free(ids);
  return code;
}

static sf_cli_status run_command(sf_cli_session *session) {
  sf_error error;
  if (session->arguments.num_ids == 0)
    return sf_cli_report_usage("fetch", "an id is missing: shardyfusion fetch ROOT ID...");
  return sf_cli_session_status(session, fetch_rows(session, &error), &error);
}

const sf_cli_command sf_cli_fetch_command = {
    .name = "fetch",
    .summary = "print rows by their ids",
    .operands = " ID...",
    .description = "Prints a line for each ID, in their order: id, found, shard_id and payload. An ID that is an "
                   "integer is that integer\n"
                   "or, where no row has it, the text. IDs that begin with - come after --.\n",
    .takes = SF_CLI_TAKES_IDS | SF_CLI_TAKES_SHARDS | SF_CLI_TAKES_ROWS | SF_CLI_TAKES_READER,
    .run = run_command,
};
