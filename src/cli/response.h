/* The answer to a query, as JSON or as a table. */
#ifndef SF_CLI_RESPONSE_H
#define SF_CLI_RESPONSE_H

#include "cli/output.h"
#include "shardyfusion/search.h"

/* Prints the whole answer or, when it fails, nothing. A stored payload that is not JSON is an SF_DB_ADAPTER_ERROR. */
sf_code sf_cli_print_response(sf_cli_output *output, size_t query_number, const sf_search_response *response,
                              bool is_first, bool explains, sf_error *error);

/* Prints a row that was fetched: its id, found, shard_id, payload, and its vector where vectors are wanted. NULL: none
 * has the id, and the rest is null. */
sf_code sf_cli_print_row(sf_cli_output *output, const sf_cli_field *id, const sf_search_result *row, bool has_vectors,
                         sf_error *error);

#endif
