/*
 * A line of progress on standard error, written over itself, when that is a terminal.
 *
 * Not for several threads at once: the caller serialises.
 */
#ifndef SF_CLI_PROGRESS_H
#define SF_CLI_PROGRESS_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct sf_cli_progress {
  bool is_shown; /* standard error is a terminal */
  uint64_t started_at;
  uint64_t shown_at;
} sf_cli_progress;

/* The first line is due at once. */
void sf_cli_progress_start(sf_cli_progress *progress);

/* Whether the line is shown and old enough to be written anew. `seconds` is the time since the start. */
bool sf_cli_progress_is_due(sf_cli_progress *progress, double *seconds);
/* Counts from now, for another thing that is shown on the same line. */
void sf_cli_progress_restart(sf_cli_progress *progress);

/* The time since the start, more than 0. */
double sf_cli_progress_seconds(const sf_cli_progress *progress);

/* Writes the line. */
void sf_cli_progress_print(const char *format, ...) SF_PRINTF(1, 2);

/* Removes the line, before anything else is printed. */
void sf_cli_progress_clear(const sf_cli_progress *progress);

#endif
