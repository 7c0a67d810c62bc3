/* How the program ends, and how it says what went wrong. */
#ifndef SF_CLI_STATUS_H
#define SF_CLI_STATUS_H

#include "base/error.h"

typedef int sf_cli_status;

enum {
  SF_CLI_SUCCESS = 0,
  SF_CLI_FAILED = 1,
  SF_CLI_USAGE = 2,
  SF_CLI_SIGNALLED = 128, /* plus the number of the signal */
};

/* "shardyfusion: <ErrorName>: message" on stderr; SF_CLI_FAILED. */
sf_cli_status sf_cli_report(const sf_error *error);

/* "shardyfusion: <kind>: message" on stderr, on one line. */
void sf_cli_print_message(const char *kind, const char *message);

/* "shardyfusion: usage: message" and where help is to be found (`command` may be NULL); SF_CLI_USAGE. */
sf_cli_status sf_cli_report_usage(const char *command, const char *format, ...) SF_PRINTF(2, 3);

/* The name that `mistyped` comes near to, or NULL. Ask `name_at` for names until it gives NULL. */
const char *sf_cli_suggest(const char *mistyped, const char *(*name_at)(size_t index, const void *user_data),
                           const void *user_data);

#endif
