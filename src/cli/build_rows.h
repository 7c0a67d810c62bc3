/* Where a build's rows come from: arrays and lines beside one another, or JSON Lines. */
#ifndef SF_CLI_BUILD_ROWS_H
#define SF_CLI_BUILD_ROWS_H

#include "cli/session.h"

/* Gives all rows to the builder. */
sf_code sf_cli_build_from_arrays(sf_cli_session *session, sf_builder *builder, sf_error *error);
sf_code sf_cli_build_from_jsonl(sf_cli_session *session, sf_builder *builder, sf_error *error);

#endif
