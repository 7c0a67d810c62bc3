/* The commands. A new one is one file and one line in the table of main.c. */
#ifndef SF_CLI_COMMANDS_H
#define SF_CLI_COMMANDS_H

#include "cli/session.h"

typedef struct sf_cli_command {
  const char *name;
  const char *summary;     /* a line in the list of commands */
  const char *operands;    /* behind ROOT, with a blank before; NULL: none */
  const char *description; /* what --help says, in lines that end in a newline */
  unsigned takes;          /* groups of options */
  sf_cli_status (*run)(sf_cli_session *session);
} sf_cli_command;

extern const sf_cli_command sf_cli_search_command;
extern const sf_cli_command sf_cli_fetch_command;
extern const sf_cli_command sf_cli_count_command;
extern const sf_cli_command sf_cli_info_command;
extern const sf_cli_command sf_cli_shards_command;
extern const sf_cli_command sf_cli_health_command;
extern const sf_cli_command sf_cli_route_command;
extern const sf_cli_command sf_cli_history_command;
extern const sf_cli_command sf_cli_verify_command;
extern const sf_cli_command sf_cli_build_command;
extern const sf_cli_command sf_cli_index_command;
extern const sf_cli_command sf_cli_cleanup_command;
extern const sf_cli_command sf_cli_rollback_command;

#endif
