/* From a query and the options to a request of the library. */
#ifndef SF_CLI_REQUEST_H
#define SF_CLI_REQUEST_H

#include "cli/arguments.h"
#include "cli/queries.h"
#include "shardyfusion/search.h"

/* Everything is borrowed from both. */
sf_search_request sf_cli_request(const sf_cli_arguments *arguments, const sf_cli_query *query);

#endif
