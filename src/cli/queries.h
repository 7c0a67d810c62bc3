/* Where query vectors come from: a .npy file, an option, or lines of standard input. */
#ifndef SF_CLI_QUERIES_H
#define SF_CLI_QUERIES_H

#include "base/memory.h"
#include "cli/session.h"
#include "shardyfusion/search.h"
#include "snapshot/npy.h"

typedef enum sf_cli_query_state {
  SF_CLI_QUERY_READY,
  SF_CLI_QUERY_LATER, /* standard input has no whole line yet: fill when its descriptor is readable */
  SF_CLI_QUERY_END,
  SF_CLI_QUERY_FAILED,
} sf_cli_query_state;

typedef struct sf_cli_query {
  size_t number; /* of the row or line, from 0 */
  const double *values;
  size_t dim;
} sf_cli_query;

typedef struct sf_cli_queries {
  size_t next;
  size_t end; /* of a file: the row behind the last */
  sf_npy array;
  const char *text;  /* of --query */
  bool is_stream;    /* standard input */
  bool stream_ended; /* nothing more comes */
  sf_buffer lines;   /* read, from `line_start` on not yet handed out */
  size_t line_start;
  size_t line_number;   /* of the next line, from 1; blank ones count */
  double *values;       /* of the query handed out last */
  sf_cli_status status; /* of SF_CLI_QUERY_FAILED */
  sf_error error;
} sf_cli_queries;

/* What --query and --query-file say. Reports what is wrong. Free in either case. */
sf_cli_status sf_cli_queries_open(const char *command, sf_cli_session *session, sf_cli_queries *queries);
void sf_cli_queries_free(sf_cli_queries *queries);

/* The next query; its values live until the call after. What failed is in `error`: SF_CLI_USAGE for a line that is no
 * query, SF_CLI_FAILED for what can't be read. */
sf_cli_query_state sf_cli_queries_next(sf_cli_queries *queries, sf_cli_query *query);

/* Reads once from standard input. */
void sf_cli_queries_fill(sf_cli_queries *queries);

/* Reports the failure of sf_cli_queries_next; its status. */
sf_cli_status sf_cli_queries_report(const char *command, const sf_cli_queries *queries);

/* The library's request for a query, with the options of the command; everything is borrowed from both. */
sf_search_request sf_cli_request(const sf_cli_arguments *arguments, const sf_cli_query *query);

#endif
