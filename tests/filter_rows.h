/*
 * A shard that is made of lines of text: each is the payload of a row, whose id is its number or, for odd ones, "row" and its number.
 * An empty line is a row without a payload, one with a single "-" a row that was deleted. A header alone: fuzzers use it, too.
 */
#ifndef SF_TESTS_FILTER_ROWS_H
#define SF_TESTS_FILTER_ROWS_H

#include "filter/filter.h"

#include <stdio.h>
#include <string.h>

typedef struct filter_rows {
  sf_shard base; /* first: the format is passed it */
  sf_vector_segment segment;
  const char *lines;
  size_t length;
} filter_rows;

static inline sf_code read_filter_rows(sf_shard *shard, sf_row_visitor *visitor, const sf_cancellation *cancellation,
                                       sf_error *error) {
  const filter_rows *rows = (const filter_rows *)shard;
  const char *line = rows->lines;
  const char *end = rows->lines + rows->length;
  SF_TRY(sf_cancellation_check(cancellation, error));
  for (uint64_t row = 0; row < rows->segment.num_rows; row++) {
    const char *newline = line == end ? end : memchr(line, '\n', (size_t)(end - line));
    size_t length = (size_t)((newline == NULL ? end : newline) - line);
    char id[32];
    sf_row_text text = {.id_type = SF_ID_INTEGER, .id_integer = (int64_t)row};
    if (row % 2 == 1)
      text = (sf_row_text){.id_type = SF_ID_STRING,
                           .id_string = id,
                           .id_length = (size_t)snprintf(id, sizeof(id), "row%llu", (unsigned long long)row)};
    text.payload = length == 0 ? NULL : line;
    text.payload_length = length;
    bool is_deleted = length == 1 && *line == '-';
    line = newline == NULL || newline == end ? end : newline + 1;
    if (!is_deleted)
      SF_TRY(visitor->visit(visitor, row, &text, error));
  }
  return SF_OK;
}

static const sf_shard_format filter_rows_format = {.name = "lines", .read_rows = read_filter_rows};

/* Not to be moved afterwards. Borrows the lines. */
static inline void make_filter_rows(filter_rows *rows, const char *lines, size_t length) {
  *rows = (filter_rows){.base = {.format = &filter_rows_format, .num_segments = 1}, .lines = lines, .length = length};
  rows->segment.num_rows = 1;
  for (size_t i = 0; i < length; i++)
    rows->segment.num_rows += lines[i] == '\n';
  rows->base.segments = &rows->segment;
  rows->base.row_span = rows->segment.num_rows;
}

#endif
