#include "cli/line_column.h"

#include <string.h>

sf_code sf_cli_line_column_open(sf_cli_line_column *column, const char *path, size_t max_rows, sf_error *error) {
  *column = (sf_cli_line_column){.capacity = max_rows};
  if (path == NULL)
    return SF_OK;
  column->offsets = sf_calloc(max_rows, sizeof(*column->offsets));
  column->lengths = sf_calloc(max_rows, sizeof(*column->lengths));
  column->pointers = sf_calloc(max_rows, sizeof(char *));
  if (column->offsets == NULL || column->lengths == NULL || column->pointers == NULL)
    return sf_fail_memory(error, path);
  return sf_cli_lines_open(&column->lines, path, error);
}

void sf_cli_line_column_close(sf_cli_line_column *column) {
  sf_cli_lines_close(&column->lines);
  sf_buffer_free(&column->texts);
  free(column->offsets);
  free(column->lengths);
  free(column->pointers);
  *column = (sf_cli_line_column){0};
}

static sf_code read_line(sf_cli_line_column *column, size_t row, size_t total, const char *vectors, sf_error *error) {
  char *line;
  size_t length = 0;
  SF_TRY(sf_cli_lines_next(&column->lines, &line, &length, error));
  if (line == NULL)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "%s: expected %zu lines, one for each row of %s, found %llu",
                   column->lines.path, total, vectors, (unsigned long long)column->lines.number);
  column->offsets[row] = column->texts.length;
  column->lengths[row] = length;
  return sf_buffer_append(&column->texts, line, length + 1) ? SF_OK : sf_fail_memory(error, column->lines.path);
}

sf_code sf_cli_line_column_read(sf_cli_line_column *column, size_t count, size_t total, const char *vectors,
                                sf_error *error) {
  if (column->lines.path == NULL)
    return SF_OK;
  column->texts.length = 0;
  for (size_t row = 0; row < count; row++)
    SF_TRY(read_line(column, row, total, vectors, error));
  for (size_t row = 0; row < count; row++)
    column->pointers[row] = (const char *)column->texts.data + column->offsets[row];
  return SF_OK;
}

sf_code sf_cli_line_column_end(sf_cli_line_column *column, size_t total, const char *vectors, sf_error *error) {
  char *line = NULL;
  size_t length;
  if (column->lines.path == NULL)
    return SF_OK;
  SF_TRY(sf_cli_lines_next(&column->lines, &line, &length, error));
  if (line == NULL)
    return SF_OK;
  return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "%s: expected %zu lines, one for each row of %s, found more",
                 column->lines.path, total, vectors);
}
