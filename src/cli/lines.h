/* A file's lines, one after the other; "-" is standard input. */
#ifndef SF_CLI_LINES_H
#define SF_CLI_LINES_H

#include "base/memory.h"

#include <stdio.h>

typedef struct sf_cli_lines {
  const char *path; /* borrowed; as messages name it */
  FILE *file;
  char *line;
  size_t capacity;
  uint64_t number; /* of the last line, counted from 1 */
} sf_cli_lines;

sf_code sf_cli_lines_open(sf_cli_lines *lines, const char *path, sf_error *error);
/* A zeroed one is allowed. */
void sf_cli_lines_close(sf_cli_lines *lines);

/* The next line, without its end, NUL-terminated; borrowed until the next call. *line is NULL behind the last. */
sf_code sf_cli_lines_next(sf_cli_lines *lines, char **line, size_t *length, sf_error *error);

/* What messages call the file: its path, or "standard input". */
const char *sf_cli_lines_name(const char *path);

#endif
