/* A file's lines, one after the other; "-" is standard input. A byte order mark at its beginning is no part of the first. */
#ifndef SF_CLI_LINES_H
#define SF_CLI_LINES_H

#include "base/memory.h"

/* Waits until a descriptor has something to read, or fails: because a signal came, say. */
typedef sf_code (*sf_cli_lines_wait)(void *context, int descriptor, sf_error *error);

typedef struct sf_cli_lines {
  const char *path; /* borrowed; as messages name it. NULL: not open */
  int descriptor;
  sf_buffer bytes; /* read from the file */
  size_t position; /* what lies before it was given out */
  bool has_ended;
  uint64_t bytes_read;    /* from the file */
  uint64_t number;        /* of the last line, counted from 1 */
  sf_cli_lines_wait wait; /* NULL: reading blocks */
  void *wait_context;
} sf_cli_lines;

sf_code sf_cli_lines_open(sf_cli_lines *lines, const char *path, sf_error *error);
/* The size of a regular file; 0 for anything else. */
uint64_t sf_cli_lines_total_bytes(const sf_cli_lines *lines);
/* A zeroed one is allowed. */
void sf_cli_lines_close(sf_cli_lines *lines);

/* The next line, without its end, NUL-terminated; borrowed until the next call. *line is NULL behind the last. */
sf_code sf_cli_lines_next(sf_cli_lines *lines, char **line, size_t *length, sf_error *error);

#endif
