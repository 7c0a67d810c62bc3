/* route: prints the shards that queries go to. */
#include "cli/commands.h"
#include "cli/queries.h"

static sf_code print_route(sf_cli_session *session, const sf_cli_query *query, const uint32_t *shard_ids, size_t count,
                           sf_error *error) {
  sf_buffer route = {0};
  bool appended = sf_buffer_append_text(&route, "[");
  for (size_t i = 0; i < count && appended; i++)
    appended = sf_buffer_append_format(&route, "%s%u", i == 0 ? "" : ", ", shard_ids[i]);
  sf_code code = SF_OK;
  if (appended && sf_buffer_append_text(&route, "]")) {
    const sf_cli_field fields[] = {
        sf_cli_integer_field("query", (int64_t)query->number),
        sf_cli_json_field("route", (const char *)route.data, route.length),
    };
    code = sf_cli_output_record(&session->output, fields, sizeof(fields) / sizeof(fields[0]), error);
  } else {
    code = sf_fail_memory(error, "a route");
  }
  sf_buffer_free(&route);
  return code;
}

static sf_code route_query(sf_cli_session *session, const sf_cli_query *query, sf_error *error) {
  sf_search_request request = sf_cli_request(&session->arguments, query);
  uint32_t *shard_ids = NULL;
  size_t count = 0;
  SF_TRY(sf_reader_route(session->reader, &request, &shard_ids, &count, error));
  sf_code code = print_route(session, query, shard_ids, count, error);
  sf_free(shard_ids);
  return code;
}

/* Standard input has nothing whole yet: what was printed goes out, and more is awaited. */
static sf_code await_input(sf_cli_session *session, sf_cli_queries *queries, sf_error *error) {
  bool is_readable = false;
  SF_TRY(sf_cli_output_flush(error));
  SF_TRY(sf_cli_session_poll(session, 0, &is_readable, error));
  if (is_readable)
    sf_cli_queries_fill(queries);
  return sf_cli_session_check(session, error);
}

/* Until the queries end or fail: `*state` says which. */
static sf_code route_all(sf_cli_session *session, sf_cli_queries *queries, sf_cli_query_state *state, sf_error *error) {
  sf_cli_query query;
  for (;;) {
    *state = sf_cli_queries_next(queries, &query);
    if (*state == SF_CLI_QUERY_READY)
      SF_TRY(route_query(session, &query, error));
    else if (*state == SF_CLI_QUERY_LATER)
      SF_TRY(await_input(session, queries, error));
    else
      return sf_cli_output_end_table(&session->output, error);
  }
}

static sf_cli_status run_command(sf_cli_session *session) {
  sf_error error;
  sf_cli_queries queries;
  sf_cli_query_state state = SF_CLI_QUERY_END;
  sf_cli_status status = sf_cli_queries_open("route", session, &queries);
  if (status == SF_CLI_SUCCESS)
    status = sf_cli_session_status(session, sf_cli_session_open(session, &error), &error);
  if (status == SF_CLI_SUCCESS)
    status = sf_cli_session_status(session, route_all(session, &queries, &state, &error), &error);
  if (status == SF_CLI_SUCCESS && state == SF_CLI_QUERY_FAILED)
    status = sf_cli_queries_report("route", &queries);
  sf_cli_queries_free(&queries);
  return status;
}

const sf_cli_command sf_cli_route_command = {
    .name = "route",
    .summary = "print the shards that queries are routed to",
    .description = "Prints the shards that each query is routed to, in routing order.\n",
    .takes = SF_CLI_TAKES_QUERY | SF_CLI_TAKES_ROUTING | SF_CLI_TAKES_READER,
    .run = run_command,
};
