#include "cli/lines.h"

#include "base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A line may be a vector of 65,536 components, and a payload. */
#define MAX_LINE_BYTES ((size_t)256 << 20)
#define READ_BYTES ((size_t)1 << 16)

sf_code sf_cli_lines_open(sf_cli_lines *lines, const char *path, sf_error *error) {
  bool is_stdin = strcmp(path, "-") == 0;
  int descriptor = is_stdin ? STDIN_FILENO : sf_open_named_file(path);
  *lines = (sf_cli_lines){0};
  if (descriptor < 0)
    return sf_fail(error, sf_errno_code(errno, SF_ERROR), "%s: %s", path, strerror(errno));
  lines->path = is_stdin ? "standard input" : path;
  lines->descriptor = descriptor;
  return SF_OK;
}

uint64_t sf_cli_lines_total_bytes(const sf_cli_lines *lines) {
  struct stat status;
  bool is_file = fstat(lines->descriptor, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0;
  return is_file ? (uint64_t)status.st_size : 0;
}

void sf_cli_lines_close(sf_cli_lines *lines) {
  if (lines->path != NULL && lines->descriptor != STDIN_FILENO)
    close(lines->descriptor);
  sf_buffer_free(&lines->bytes);
  *lines = (sf_cli_lines){0};
}

/* Reads more behind what is there, after moving that to the front. */
static sf_code fill(sf_cli_lines *lines, sf_error *error) {
  sf_buffer *bytes = &lines->bytes;
  if (lines->position > 0) {
    bytes->length -= lines->position;
    memmove(bytes->data, bytes->data + lines->position, bytes->length);
    lines->position = 0;
  }
  if (bytes->length > MAX_LINE_BYTES)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "%s: line %llu: expected at most %zu bytes", lines->path,
                   (unsigned long long)(lines->number + 1), MAX_LINE_BYTES);
  if (!sf_buffer_reserve(bytes, READ_BYTES + 1)) /* and a NUL behind a last line without an end */
    return sf_fail_memory(error, lines->path);
  if (lines->wait != NULL)
    SF_TRY(lines->wait(lines->wait_context, lines->descriptor, error));
  ssize_t got;
  do
    got = read(lines->descriptor, bytes->data + bytes->length, READ_BYTES);
  while (got < 0 && errno == EINTR);
  if (got < 0)
    return sf_fail(error, sf_errno_code(errno, SF_ERROR), "%s: %s", lines->path, strerror(errno));
  bytes->length += (size_t)got;
  lines->bytes_read += (uint64_t)got;
  lines->has_ended = got == 0;
  return SF_OK;
}

/* The end of the next line: its newline, or the end of the file behind a line that has none; NULL when there is no more. */
static sf_code find_end(sf_cli_lines *lines, char **end, sf_error *error) {
  sf_buffer *bytes = &lines->bytes;
  size_t searched = 0;
  *end = NULL;
  while (true) {
    size_t from = lines->position + searched;
    if (from < bytes->length)
      *end = memchr(bytes->data + from, '\n', bytes->length - from);
    if (*end != NULL)
      return SF_OK;
    if (lines->has_ended) {
      *end = bytes->length > lines->position ? (char *)bytes->data + bytes->length : NULL;
      return SF_OK;
    }
    searched = bytes->length - lines->position;
    SF_TRY(fill(lines, error));
  }
}

/* A NUL within a line stays: it is for who reads the line to refuse. */
sf_code sf_cli_lines_next(sf_cli_lines *lines, char **line, size_t *length, sf_error *error) {
  char *end;
  *line = NULL;
  SF_TRY(find_end(lines, &end, error));
  if (end == NULL)
    return SF_OK;
  char *start = (char *)lines->bytes.data + lines->position;
  if (lines->number == 0 && end - start >= 3 && memcmp(start, "\xEF\xBB\xBF", 3) == 0)
    start += 3;
  size_t next = (size_t)(end - (char *)lines->bytes.data) + 1;
  lines->position = next < lines->bytes.length ? next : lines->bytes.length;
  lines->number++;
  if (end > start && end[-1] == '\r')
    end--;
  *end = '\0';
  *line = start;
  *length = (size_t)(end - start);
  return SF_OK;
}
