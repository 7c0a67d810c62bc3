/* A column of a batch that comes in lines of text: one for each row, kept while the batch is added. */
#ifndef SF_CLI_LINE_COLUMN_H
#define SF_CLI_LINE_COLUMN_H

#include "cli/lines.h"

typedef struct sf_cli_line_column {
  sf_cli_lines lines;
  sf_buffer texts; /* each with a NUL behind it */
  size_t *offsets;
  size_t *lengths;
  const char **pointers; /* of the batch, once it is read */
  size_t capacity;       /* rows of a batch */
} sf_cli_line_column;

/* `path` NULL: there is no such column, and the rest does nothing. */
sf_code sf_cli_line_column_open(sf_cli_line_column *column, const char *path, size_t max_rows, sf_error *error);
void sf_cli_line_column_close(sf_cli_line_column *column);

/* Reads the lines of `count` rows; fewer is a failure: `total` are expected in all, as `vectors` has rows. */
sf_code sf_cli_line_column_read(sf_cli_line_column *column, size_t count, size_t total, const char *vectors,
                                sf_error *error);
/* Fails where there are more lines. */
sf_code sf_cli_line_column_end(sf_cli_line_column *column, size_t total, const char *vectors, sf_error *error);

#endif
