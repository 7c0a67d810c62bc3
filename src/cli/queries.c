#include "cli/queries.h"

#include "base/files.h"
#include "cli/query_text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_SIZE = 1 << 16, MAX_LINE_LENGTH = 1 << 24 };

/* ------------------------------------------------------------------------------------------------------ Query files */

/* What is read may come from a terminal or a pipe: a signal ends the wait. */
static sf_code wait_for_bytes(sf_cli_session *session, int fd, sf_error *error) {
  bool is_readable = false;
  while (!is_readable) {
    SF_TRY(sf_cli_session_poll(session, fd, &is_readable, error));
    SF_TRY(sf_cli_session_check(session, error));
  }
  return SF_OK;
}

static sf_code read_all(sf_cli_session *session, const char *path, int fd, sf_buffer *contents, sf_error *error) {
  for (;;) {
    SF_TRY(wait_for_bytes(session, fd, error));
    if (!sf_buffer_reserve(contents, READ_SIZE))
      return sf_fail_memory(error, path);
    ssize_t count = read(fd, contents->data + contents->length, READ_SIZE);
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return sf_fail(error, sf_errno_code(errno, SF_ERROR), "%s: %s", path, strerror(errno));
    if (count == 0)
      return SF_OK;
    contents->length += (size_t)count;
  }
}

static sf_code load_file(sf_cli_session *session, const char *path, sf_npy *array, sf_error *error) {
  bool is_stdin = strcmp(path, "-") == 0;
  int fd = is_stdin ? STDIN_FILENO : sf_open_named_file(path);
  if (fd < 0)
    return sf_fail(error, sf_errno_code(errno, SF_ERROR), "%s: %s", path, strerror(errno));
  sf_buffer contents = {0};
  const char *name = is_stdin ? "standard input" : path;
  sf_code code = read_all(session, name, fd, &contents, error);
  if (!is_stdin)
    close(fd);
  if (code == SF_OK)
    code = sf_npy_parse(contents.data, contents.length, name, array, error);
  /* To the parser a misshapen file is a broken snapshot; here it is what the user asked with. */
  if (code == SF_READER_STATE_ERROR)
    code = sf_error_recode(error, SF_CONFIG_VALIDATION_ERROR);
  sf_buffer_free(&contents);
  return code;
}

static sf_cli_status open_file(const char *command, sf_cli_session *session, sf_cli_queries *queries) {
  const sf_cli_arguments *arguments = &session->arguments;
  sf_error error;
  sf_code code = load_file(session, arguments->query_file, &queries->array, &error);
  if (code != SF_OK)
    return sf_cli_session_status(session, code, &error);
  queries->end = queries->array.num_rows;
  if (!arguments->row.is_set)
    return SF_CLI_SUCCESS;
  if ((uint64_t)arguments->row.value >= queries->array.num_rows)
    return sf_cli_report_usage(command, "--row %lld: %s has %zu rows, counted from 0", (long long)arguments->row.value,
                               arguments->query_file, queries->array.num_rows);
  queries->next = (size_t)arguments->row.value;
  queries->end = queries->next + 1;
  return SF_CLI_SUCCESS;
}

static sf_cli_query_state next_row(sf_cli_queries *queries, sf_cli_query *query) {
  if (queries->next == queries->end)
    return SF_CLI_QUERY_END;
  query->number = queries->next++;
  query->values = queries->array.values + query->number * queries->array.num_columns;
  query->dim = queries->array.num_columns;
  return SF_CLI_QUERY_READY;
}

/* -------------------------------------------------------------------------------------------- The query on the line */

static sf_cli_query_state next_text(sf_cli_queries *queries, const char *text, size_t length, sf_cli_query *query) {
  free(queries->values);
  queries->values = NULL;
  sf_code code = sf_cli_query_parse(text, length, &queries->values, &query->dim, &queries->error);
  if (code != SF_OK) {
    queries->status = code == SF_CONFIG_VALIDATION_ERROR ? SF_CLI_USAGE : SF_CLI_FAILED;
    return SF_CLI_QUERY_FAILED;
  }
  query->values = queries->values;
  query->number = queries->next++;
  return SF_CLI_QUERY_READY;
}

static sf_cli_status check_text(const char *command, const char *text) {
  sf_error error;
  double *values = NULL;
  size_t count;
  sf_code code = sf_cli_query_parse(text, strlen(text), &values, &count, &error);
  free(values);
  if (code == SF_CONFIG_VALIDATION_ERROR)
    return sf_cli_report_usage(command, "--query: %s", error.message);
  return code == SF_OK ? SF_CLI_SUCCESS : sf_cli_report(&error);
}

/* --------------------------------------------------------------------------------------------------- Standard input */

static sf_cli_query_state fail_stream(sf_cli_queries *queries, sf_code code, const char *message) {
  sf_fail(&queries->error, code, "standard input: %s", message);
  queries->status = code == SF_CONFIG_VALIDATION_ERROR ? SF_CLI_USAGE : SF_CLI_FAILED;
  return SF_CLI_QUERY_FAILED;
}

void sf_cli_queries_fill(sf_cli_queries *queries) {
  sf_buffer *lines = &queries->lines;
  if (queries->line_start > 0) {
    lines->length -= queries->line_start;
    memmove(lines->data, lines->data + queries->line_start, lines->length);
    queries->line_start = 0;
  }
  if (!sf_buffer_reserve(lines, READ_SIZE)) {
    fail_stream(queries, SF_OUT_OF_MEMORY_ERROR, "out of memory");
    return;
  }
  ssize_t count = read(STDIN_FILENO, lines->data + lines->length, READ_SIZE);
  if (count > 0)
    lines->length += (size_t)count;
  else if (count == 0)
    queries->stream_ended = true;
  else if (errno != EINTR && errno != EAGAIN)
    fail_stream(queries, sf_errno_code(errno, SF_ERROR), strerror(errno));
}

/* The next line, NUL-terminated in place; the last one needs no newline. */
static sf_cli_query_state next_line(sf_cli_queries *queries, char **line, size_t *length) {
  if (queries->status != SF_CLI_SUCCESS)
    return SF_CLI_QUERY_FAILED;
  size_t left = queries->lines.length - queries->line_start;
  char *start = (char *)queries->lines.data + queries->line_start;
  char *newline = left == 0 ? NULL : memchr(start, '\n', left);
  if (newline == NULL && left > MAX_LINE_LENGTH)
    return fail_stream(queries, SF_CONFIG_VALIDATION_ERROR, "a line of more than 16 MiB");
  if (newline == NULL && !queries->stream_ended)
    return SF_CLI_QUERY_LATER;
  if (newline == NULL && left == 0)
    return SF_CLI_QUERY_END;
  *line = start;
  *length = newline == NULL ? left : (size_t)(newline - start);
  /* Behind the last line there is room: filling reserved more than it read. */
  start[*length] = '\0';
  queries->line_start += *length + (newline != NULL);
  queries->line_number++;
  return SF_CLI_QUERY_READY;
}

static sf_cli_query_state next_from_stream(sf_cli_queries *queries, sf_cli_query *query) {
  char *line;
  size_t length;
  sf_cli_query_state state;
  do {
    state = next_line(queries, &line, &length);
    if (state != SF_CLI_QUERY_READY)
      return state;
  } while (strspn(line, " \t\r") == length);
  state = next_text(queries, line, length, query);
  if (state == SF_CLI_QUERY_FAILED)
    sf_error_prefix(&queries->error, "standard input, line %zu", queries->line_number);
  return state;
}

/* ------------------------------------------------------------------------------------------------------ All of them */

sf_cli_status sf_cli_queries_open(const char *command, sf_cli_session *session, sf_cli_queries *queries) {
  const sf_cli_arguments *arguments = &session->arguments;
  *queries = (sf_cli_queries){0};
  if (arguments->query_file != NULL)
    return open_file(command, session, queries);
  queries->is_stream = strcmp(arguments->query, "-") == 0;
  if (queries->is_stream)
    return SF_CLI_SUCCESS;
  queries->text = arguments->query;
  return check_text(command, queries->text);
}

sf_cli_query_state sf_cli_queries_next(sf_cli_queries *queries, sf_cli_query *query) {
  if (queries->is_stream)
    return next_from_stream(queries, query);
  if (queries->text == NULL)
    return next_row(queries, query);
  if (queries->next > 0)
    return SF_CLI_QUERY_END;
  return next_text(queries, queries->text, strlen(queries->text), query);
}

sf_cli_status sf_cli_queries_report(const char *command, const sf_cli_queries *queries) {
  if (queries->status == SF_CLI_USAGE)
    return sf_cli_report_usage(command, "%s", queries->error.message);
  return sf_cli_report(&queries->error);
}

void sf_cli_queries_free(sf_cli_queries *queries) {
  sf_npy_free(&queries->array);
  sf_buffer_free(&queries->lines);
  free(queries->values);
  *queries = (sf_cli_queries){0};
}

sf_search_request sf_cli_request(const sf_cli_arguments *arguments, const sf_cli_query *query) {
  sf_search_request request;
  sf_search_request_init(&request);
  request.query = query->values;
  request.query_type = SF_FLOAT64;
  request.dim = query->dim;
  if (arguments->top_k.is_set)
    request.top_k = arguments->top_k.value;
  request.has_num_probes = arguments->num_probes.is_set;
  request.num_probes = arguments->num_probes.value;
  request.has_shard_ids = arguments->shard_ids.is_set;
  request.shard_ids = arguments->shard_ids.values;
  request.num_shard_ids = arguments->shard_ids.count;
  request.routing_context = arguments->routing_context;
  request.filter = arguments->filter;
  request.has_max_score = arguments->max_score.is_set;
  request.max_score = arguments->max_score.value;
  request.has_recall = arguments->recall.is_set;
  request.recall = arguments->recall.value;
  request.all_in_range = arguments->all;
  request.max_results = arguments->max_results.value;
  request.offset = arguments->offset.value;
  request.include_vectors = arguments->vectors;
  request.omit_payloads = arguments->no_payloads;
  request.explain = arguments->explain;
  return request;
}
