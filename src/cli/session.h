/* What a command works with: its arguments, threads, an open snapshot, and signals that end it cleanly. */
#ifndef SF_CLI_SESSION_H
#define SF_CLI_SESSION_H

#include "cli/arguments.h"
#include "cli/download_progress.h"
#include "cli/output.h"
#include "shardyfusion/build.h"
#include "shardyfusion/reader.h"

typedef struct sf_cli_session {
  sf_cli_arguments arguments;
  sf_cli_output output;
  sf_cli_download_progress progress;
  sf_reader_options options;
  sf_executor *executor;
  sf_completion_queue *queue;
  sf_reader *reader; /* after sf_cli_session_open */
  int signal_fd;     /* readable when a signal asked the program to end */
  int signal_number; /* the signal that came, or 0 */
} sf_cli_session;

/* Takes over `arguments`. End the session whether or not it started. */
sf_code sf_cli_session_start(sf_cli_session *session, const sf_cli_arguments *arguments, sf_error *error);
void sf_cli_session_end(sf_cli_session *session);

/* Opens the snapshot. */
sf_code sf_cli_session_open(sf_cli_session *session, sf_error *error);

/* Waits until `operation`, the only one under way, has finished; its outcome. A signal cancels it. */
sf_code sf_cli_session_wait(sf_cli_session *session, sf_operation *operation, sf_error *error);
/* The same for an operation without a result: also releases it. */
sf_code sf_cli_session_wait_and_release(sf_cli_session *session, sf_operation *operation, sf_error *error);

/* Waits until something happens: an operation finishes, a signal comes, or `fd` (-1: none) is readable. Sets
 * signal_number. The completions are for the caller to pop. */
sf_code sf_cli_session_poll(sf_cli_session *session, int fd, bool *fd_is_readable, sf_error *error);

/* Looks whether a signal has come since; SF_CANCELLED_ERROR if so. Never blocks. */
sf_code sf_cli_session_look(sf_cli_session *session, sf_error *error);

/* SF_CANCELLED_ERROR if a signal has come. */
sf_code sf_cli_session_check(const sf_cli_session *session, sf_error *error);

/* Reports what went wrong; the status to exit with: a signal's if one came. SF_OK gives SF_CLI_SUCCESS. */
sf_cli_status sf_cli_session_status(const sf_cli_session *session, sf_code code, const sf_error *error);

/* Adds rows to a builder, and trains it, on the session's threads, while this one waits for them and for signals. */
sf_code sf_cli_session_add_rows(sf_cli_session *session, sf_builder *builder, const sf_row_batch *rows,
                                sf_error *error);
sf_code sf_cli_session_train(sf_cli_session *session, sf_builder *builder, const sf_row_batch *rows, sf_error *error);

#endif
