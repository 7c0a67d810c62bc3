#include "cli/progress.h"

#include "base/time.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

/* More often than one can read. */
#define SHOW_EVERY_NANOSECONDS ((uint64_t)100 * 1000000)

void sf_cli_progress_start(sf_cli_progress *progress) {
  uint64_t now = sf_monotonic_nanoseconds();
  *progress = (sf_cli_progress){.is_shown = isatty(STDERR_FILENO), .started_at = now};
}

void sf_cli_progress_restart(sf_cli_progress *progress) {
  progress->started_at = sf_monotonic_nanoseconds();
}

double sf_cli_progress_seconds(const sf_cli_progress *progress) {
  return (double)(sf_monotonic_nanoseconds() - progress->started_at + 1) / 1e9;
}

bool sf_cli_progress_is_due(sf_cli_progress *progress, double *seconds) {
  if (!progress->is_shown)
    return false;
  uint64_t now = sf_monotonic_nanoseconds();
  *seconds = sf_cli_progress_seconds(progress);
  if (now - progress->shown_at < SHOW_EVERY_NANOSECONDS)
    return false;
  progress->shown_at = now;
  return true;
}

void sf_cli_progress_print(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("\r\x1b[K", stderr);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fflush(stderr);
}

void sf_cli_progress_clear(const sf_cli_progress *progress) {
  if (!progress->is_shown)
    return;
  fputs("\r\x1b[K", stderr);
  fflush(stderr);
}
