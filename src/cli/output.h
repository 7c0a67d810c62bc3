/*
 * What goes to standard output: JSON Lines, or tables.
 *
 * A line is written whole or not at all. Every write is checked: a full disk or a closed pipe is an error.
 */
#ifndef SF_CLI_OUTPUT_H
#define SF_CLI_OUTPUT_H

#include "base/memory.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum sf_cli_field_kind {
  SF_CLI_FIELD_NULL,
  SF_CLI_FIELD_INTEGER,
  SF_CLI_FIELD_NUMBER,
  SF_CLI_FIELD_TEXT,
  SF_CLI_FIELD_FLAG,
  SF_CLI_FIELD_JSON, /* text that is JSON already */
} sf_cli_field_kind;

typedef struct sf_cli_field {
  const char *name;
  sf_cli_field_kind kind;
  int64_t integer;
  double number;
  const char *text;
  size_t length;
  bool flag;
  bool is_age; /* a number of seconds, or null, which a table shows in words */
} sf_cli_field;

sf_cli_field sf_cli_integer_field(const char *name, int64_t integer);
sf_cli_field sf_cli_number_field(const char *name, double number);
/* `name` ends in "_seconds", which a table leaves out. A negative age is unknown: null. */
sf_cli_field sf_cli_age_field(const char *name, double seconds);
/* NULL text gives a null. */
sf_cli_field sf_cli_text_field(const char *name, const char *text);
sf_cli_field sf_cli_bytes_field(const char *name, const char *text, size_t length);
sf_cli_field sf_cli_flag_field(const char *name, bool flag);
sf_cli_field sf_cli_json_field(const char *name, const char *text, size_t length);

/* A table under way: the cells of its rows, one after the other. */
typedef struct sf_cli_table {
  char **cells; /* the first num_columns are the headings */
  bool *is_numeric;
  size_t num_columns;
  size_t num_cells;
  size_t capacity;
} sf_cli_table;

typedef struct sf_cli_output {
  bool is_table;
  bool is_terminal;
  size_t width; /* columns of the terminal; 0: no bound */
  sf_cli_table table;
} sf_cli_output;

/* `format` is an sf_cli_format; the default depends on whether standard output is a terminal. */
sf_cli_output sf_cli_output_of(int format);
void sf_cli_output_free(sf_cli_output *output);

/* One object: a line of JSON, or a row of the table under way. All records of a table have the same fields. */
sf_code sf_cli_output_record(sf_cli_output *output, const sf_cli_field *fields, size_t count, sf_error *error);
/* One object that stands alone: a line of JSON, or a table of names and values. */
sf_code sf_cli_output_single(sf_cli_output *output, const sf_cli_field *fields, size_t count, sf_error *error);
/* Prints the table under way, if there is one, and begins another. */
sf_code sf_cli_output_end_table(sf_cli_output *output, sf_error *error);
/* `line` and a newline, as they are. */
sf_code sf_cli_output_line(const sf_buffer *line, sf_error *error);
/* Sends on what is held back. Call it before waiting, and at the end. */
sf_code sf_cli_output_flush(sf_error *error);

/* Whether a write to standard output failed because the reader of the pipe has closed it. */
bool sf_cli_output_reader_is_gone(void);

/* Appends {"name": value, …}. False when memory is out. */
bool sf_cli_append_object(sf_buffer *buffer, const sf_cli_field *fields, size_t count);
/* As a cell of a table shows it; to free(), NULL when memory is out. */
char *sf_cli_format_cell(const sf_cli_field *field);

#endif
