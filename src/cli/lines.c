#include "cli/lines.h"

#include <errno.h>
#include <string.h>

/* A line may be a vector of 65,536 components, and a payload. */
#define MAX_LINE_BYTES ((size_t)256 << 20)

const char *sf_cli_lines_name(const char *path) {
  return strcmp(path, "-") == 0 ? "standard input" : path;
}

sf_code sf_cli_lines_open(sf_cli_lines *lines, const char *path, sf_error *error) {
  bool is_stdin = strcmp(path, "-") == 0;
  *lines = (sf_cli_lines){.path = sf_cli_lines_name(path), .file = is_stdin ? stdin : fopen(path, "rbe")};
  return lines->file != NULL ? SF_OK : sf_fail(error, SF_ERROR, "%s: %s", path, strerror(errno));
}

void sf_cli_lines_close(sf_cli_lines *lines) {
  if (lines->file != NULL && lines->file != stdin)
    fclose(lines->file);
  free(lines->line);
  *lines = (sf_cli_lines){0};
}

static sf_code make_room(sf_cli_lines *lines, size_t length, sf_error *error) {
  if (length + 2 < lines->capacity)
    return SF_OK;
  if (length > MAX_LINE_BYTES)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "%s: line %llu: expected at most %zu bytes", lines->path,
                   (unsigned long long)lines->number, MAX_LINE_BYTES);
  size_t capacity = lines->capacity == 0 ? 4096 : lines->capacity * 2;
  char *line = sf_reallocarray(lines->line, capacity, 1);
  if (line == NULL)
    return sf_fail_memory(error, lines->path);
  lines->line = line;
  lines->capacity = capacity;
  return SF_OK;
}

/* A NUL within a line stays: it is for who reads the line to refuse. */
sf_code sf_cli_lines_next(sf_cli_lines *lines, char **line, size_t *length, sf_error *error) {
  size_t count = 0;
  int character = getc_unlocked(lines->file);
  *line = NULL;
  if (character == EOF && !ferror(lines->file))
    return SF_OK;
  lines->number++;
  for (; character != EOF && character != '\n'; character = getc_unlocked(lines->file)) {
    SF_TRY(make_room(lines, count, error));
    lines->line[count++] = (char)character;
  }
  SF_TRY(make_room(lines, count, error));
  if (ferror(lines->file))
    return sf_fail(error, SF_ERROR, "%s: %s", lines->path, strerror(errno));
  if (count > 0 && lines->line[count - 1] == '\r')
    count--;
  lines->line[count] = '\0';
  *line = lines->line;
  *length = count;
  return SF_OK;
}
