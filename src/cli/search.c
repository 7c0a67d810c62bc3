/* search: submits queries as they are read, and prints the responses in their order. */
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/queries.h"
#include "cli/response.h"

#include <unistd.h>

/*
 * Searches are sent ahead, up to MAX_UNDER_WAY of them, and their answers printed in the order of the queries. Standard
 * input is read only when a line can be searched at once, and answers go out before it is waited for: a program that
 * writes a line and waits for its answer gets it.
 */
enum { MAX_UNDER_WAY = 32 };

typedef struct search_slot {
  sf_operation *operation;
  size_t query_number;
  bool is_done;
  sf_error refusal; /* why there is no operation: the search failed before it began */
} search_slot;

/* The searches under way, a ring: `count` slots from `first` on. */
typedef struct search_run {
  sf_cli_session *session;
  sf_cli_queries queries;
  sf_cli_query_state state; /* of the queries, as last asked for */
  search_slot slots[MAX_UNDER_WAY];
  size_t first;
  size_t count;
  size_t num_printed;
  sf_cli_progress progress;
} search_run;

/* A search that is refused takes its turn like the others: the answers to those before it come first. */
static void submit(search_run *run, const sf_cli_query *query) {
  search_slot *slot = &run->slots[(run->first + run->count) % MAX_UNDER_WAY];
  sf_search_request request = sf_cli_request(&run->session->arguments, query);
  slot->query_number = query->number;
  slot->operation = NULL;
  slot->is_done = sf_reader_search_submit(run->session->reader, &request, run->session->queue, slot, &slot->operation,
                                          &slot->refusal) != SF_OK;
  run->count++;
}

/* Sends searches ahead until the ring is full or no query is at hand. */
static void submit_ahead(search_run *run) {
  sf_cli_query query;
  while (run->count < MAX_UNDER_WAY && (run->state == SF_CLI_QUERY_READY || run->state == SF_CLI_QUERY_LATER)) {
    run->state = sf_cli_queries_next(&run->queries, &query);
    if (run->state != SF_CLI_QUERY_READY)
      break;
    submit(run, &query);
  }
}

static void note_completion(const sf_operation *operation) {
  search_slot *slot = sf_operation_user_data(operation);
  slot->is_done = true;
}

static void note_completions(search_run *run) {
  const sf_operation *operation;
  while ((operation = sf_completion_queue_pop(run->session->queue)) != NULL)
    note_completion(operation);
}

/* Where answers go to the terminal they are progress enough. */
static void show_progress(search_run *run) {
  double seconds;
  size_t total = run->queries.end;
  if (run->session->output.is_terminal || !sf_cli_progress_is_due(&run->progress, &seconds))
    return;
  if (total > 0)
    sf_cli_progress_print("search: query %zu of %zu, %.0f queries/s", run->num_printed, total,
                          (double)run->num_printed / seconds);
  else
    sf_cli_progress_print("search: query %zu, %.0f queries/s", run->num_printed, (double)run->num_printed / seconds);
}

static sf_code print_response(search_run *run, const search_slot *slot, sf_error *error) {
  if (slot->operation == NULL) {
    *error = slot->refusal;
    return error->code;
  }
  SF_TRY(sf_operation_result(slot->operation, error));
  sf_search_response *response = sf_operation_take_response(slot->operation);
  sf_code code = sf_cli_print_response(&run->session->output, slot->query_number, response, run->num_printed == 0,
                                       run->session->arguments.explain, error);
  sf_search_response_free(response);
  run->num_printed++;
  show_progress(run);
  return code;
}

static void drop_first(search_run *run) {
  search_slot *slot = &run->slots[run->first];
  if (slot->operation != NULL)
    sf_operation_release(slot->operation);
  run->first = (run->first + 1) % MAX_UNDER_WAY;
  run->count--;
}

/* Prints the answers that are next in order, as far as they are there. */
static sf_code print_ready(search_run *run, sf_error *error) {
  note_completions(run);
  while (run->count > 0 && run->slots[run->first].is_done) {
    search_slot *slot = &run->slots[run->first];
    sf_code code = print_response(run, slot, error);
    drop_first(run);
    SF_TRY(code);
  }
  return SF_OK;
}

static sf_code wait_for_more(search_run *run, sf_error *error) {
  bool wants_input = run->state == SF_CLI_QUERY_LATER && run->count < MAX_UNDER_WAY;
  bool is_readable = false;
  SF_TRY(sf_cli_output_flush(error));
  SF_TRY(sf_cli_session_poll(run->session, wants_input ? STDIN_FILENO : -1, &is_readable, error));
  if (is_readable)
    sf_cli_queries_fill(&run->queries);
  return sf_cli_session_check(run->session, error);
}

static sf_code search_all(search_run *run, sf_error *error) {
  for (;;) {
    submit_ahead(run);
    SF_TRY(print_ready(run, error));
    bool has_ended = run->state == SF_CLI_QUERY_END || run->state == SF_CLI_QUERY_FAILED;
    if (run->count == 0 && has_ended)
      return SF_OK;
    bool is_next_done = run->count > 0 && run->slots[run->first].is_done;
    bool can_submit = run->state == SF_CLI_QUERY_READY && run->count < MAX_UNDER_WAY;
    if (!is_next_done && !can_submit)
      SF_TRY(wait_for_more(run, error));
  }
}

/* After a failure: what is still under way is cancelled, and awaited. */
static void drop_all(search_run *run) {
  for (size_t i = 0; i < run->count; i++) {
    const search_slot *slot = &run->slots[(run->first + i) % MAX_UNDER_WAY];
    if (slot->operation != NULL)
      sf_operation_cancel(slot->operation);
  }
  while (run->count > 0) {
    const search_slot *slot = &run->slots[run->first];
    while (!slot->is_done)
      note_completion(sf_completion_queue_wait(run->session->queue, -1));
    drop_first(run);
  }
}

static sf_cli_status run_search(search_run *run) {
  sf_cli_session *session = run->session;
  sf_error error;
  sf_code code = sf_cli_session_open(session, &error);
  sf_cli_progress_start(&run->progress);
  if (code == SF_OK)
    code = search_all(run, &error);
  drop_all(run);
  if (!session->output.is_terminal)
    sf_cli_progress_clear(&run->progress);
  if (code != SF_OK)
    return sf_cli_session_status(session, code, &error);
  return run->state == SF_CLI_QUERY_FAILED ? sf_cli_queries_report("search", &run->queries) : SF_CLI_SUCCESS;
}

static sf_cli_status run_command(sf_cli_session *session) {
  search_run run = {.session = session};
  sf_cli_status status = sf_cli_queries_open("search", session, &run.queries);
  if (status == SF_CLI_SUCCESS)
    status = run_search(&run);
  sf_cli_queries_free(&run.queries);
  return status;
}

const sf_cli_command sf_cli_search_command = {
    .name = "search",
    .summary = "find the nearest neighbours of queries",
    .description =
        "Prints the nearest neighbours of each query, exact within the shards that are searched: query (its row or\n"
        "line, counted from 0), results (id, score and payload of each, nearest first), num_shards_queried and\n"
        "latency_ms. If a query fails, the command prints the results of the queries before it and stops.\n",
    .takes = SF_CLI_TAKES_QUERY | SF_CLI_TAKES_SEARCH | SF_CLI_TAKES_FILTER | SF_CLI_TAKES_SHARDS | SF_CLI_TAKES_ROWS |
             SF_CLI_TAKES_ROUTING | SF_CLI_TAKES_READER,
    .run = run_command,
};
