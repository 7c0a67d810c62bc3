#include "cli/output.h"

#include "base/json_writer.h"
#include "cli/arguments.h"
#include "cli/json_text.h"
#include "cli/table.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

sf_cli_field sf_cli_integer_field(const char *name, int64_t integer) {
  return (sf_cli_field){.name = name, .kind = SF_CLI_FIELD_INTEGER, .integer = integer};
}

sf_cli_field sf_cli_number_field(const char *name, double number) {
  return (sf_cli_field){.name = name, .kind = SF_CLI_FIELD_NUMBER, .number = number};
}

sf_cli_field sf_cli_age_field(const char *name, double seconds) {
  return (sf_cli_field){
      .name = name, .kind = seconds < 0 ? SF_CLI_FIELD_NULL : SF_CLI_FIELD_NUMBER, .number = seconds, .is_age = true};
}

sf_cli_field sf_cli_bytes_field(const char *name, const char *text, size_t length) {
  sf_cli_field_kind kind = text == NULL ? SF_CLI_FIELD_NULL : SF_CLI_FIELD_TEXT;
  return (sf_cli_field){.name = name, .kind = kind, .text = text, .length = length};
}

sf_cli_field sf_cli_text_field(const char *name, const char *text) {
  return sf_cli_bytes_field(name, text, text == NULL ? 0 : strlen(text));
}

sf_cli_field sf_cli_flag_field(const char *name, bool flag) {
  return (sf_cli_field){.name = name, .kind = SF_CLI_FIELD_FLAG, .flag = flag};
}

sf_cli_field sf_cli_json_field(const char *name, const char *text, size_t length) {
  sf_cli_field field = sf_cli_bytes_field(name, text, length);
  if (text != NULL)
    field.kind = SF_CLI_FIELD_JSON;
  return field;
}

/* ------------------------------------------------------------------------------------------------------------- JSON */

static bool append_value(sf_buffer *buffer, const sf_cli_field *field) {
  switch (field->kind) {
  case SF_CLI_FIELD_NULL:
    return sf_buffer_append_text(buffer, "null");
  case SF_CLI_FIELD_INTEGER:
    return sf_buffer_append_format(buffer, "%lld", (long long)field->integer);
  case SF_CLI_FIELD_NUMBER:
    return sf_cli_json_append_double(buffer, field->number);
  case SF_CLI_FIELD_TEXT:
    return sf_json_append_string(buffer, field->text, field->length);
  case SF_CLI_FIELD_FLAG:
    return sf_buffer_append_text(buffer, field->flag ? "true" : "false");
  case SF_CLI_FIELD_JSON:
    return sf_buffer_append(buffer, field->text, field->length);
  }
  return false;
}

bool sf_cli_append_object(sf_buffer *buffer, const sf_cli_field *fields, size_t count) {
  bool appended = sf_buffer_append_text(buffer, "{");
  for (size_t i = 0; i < count && appended; i++)
    appended = (i == 0 || sf_buffer_append_text(buffer, ", ")) &&
               sf_json_append_string(buffer, fields[i].name, strlen(fields[i].name)) &&
               sf_buffer_append_text(buffer, ": ") && append_value(buffer, &fields[i]);
  return appended && sf_buffer_append_text(buffer, "}");
}

/* ---------------------------------------------------------------------------------------------------------- Writing */

static sf_code fail_write(sf_error *error) {
  return sf_fail(error, sf_errno_code(errno, SF_ERROR), "standard output: %s", strerror(errno));
}

sf_code sf_cli_output_line(const sf_buffer *line, sf_error *error) {
  if (fwrite(line->data, 1, line->length, stdout) != line->length || putc('\n', stdout) == EOF)
    return fail_write(error);
  return SF_OK;
}

sf_code sf_cli_output_flush(sf_error *error) {
  return fflush(stdout) != 0 ? fail_write(error) : SF_OK;
}

/* The reading end of a pipe is closed when poll reports an error on the writing end. */
bool sf_cli_output_reader_is_gone(void) {
  struct pollfd end = {.fd = STDOUT_FILENO};
  return ferror(stdout) && poll(&end, 1, 0) == 1 && (end.revents & POLLERR) != 0;
}

static size_t terminal_width(void) {
  enum { DEFAULT_WIDTH = 80 };
  struct winsize size;
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
    return size.ws_col;
  return DEFAULT_WIDTH;
}

sf_cli_output sf_cli_output_of(int format) {
  bool is_terminal = isatty(STDOUT_FILENO);
  return (sf_cli_output){
      .is_table = format == SF_CLI_FORMAT_TABLE || (format == SF_CLI_FORMAT_DEFAULT && is_terminal),
      .is_terminal = is_terminal,
      .width = is_terminal ? terminal_width() : 0,
  };
}

void sf_cli_output_free(sf_cli_output *output) {
  sf_cli_table_free(&output->table);
}

/* ---------------------------------------------------------------------------------------------------------- Records */

/* The two largest units that an age has: "3 days 4 hours". */
static bool append_age(sf_buffer *cell, double seconds) {
  static const struct {
    const char *name;
    double seconds;
  } units[] = {{"day", 86400}, {"hour", 3600}, {"minute", 60}, {"second", 1}};
  enum { NUM_UNITS = sizeof(units) / sizeof(units[0]) };
  size_t first = 0;
  while (first + 1 < NUM_UNITS && seconds < units[first].seconds)
    first++;
  bool appended = true;
  for (size_t i = first; i < NUM_UNITS && i < first + 2 && appended; i++) {
    double count = floor(seconds / units[i].seconds);
    seconds -= count * units[i].seconds;
    if (i == first || count > 0)
      appended = sf_buffer_append_format(cell, "%s%.0f %s%s", i == first ? "" : " ", count, units[i].name,
                                         count == 1 ? "" : "s");
  }
  return appended;
}

/* The length of the name as a table shows it: an age in words is no longer in seconds. */
static size_t label_length(const sf_cli_field *field) {
  static const char suffix[] = "_seconds";
  size_t length = strlen(field->name);
  return field->is_age ? length - (sizeof(suffix) - 1) : length;
}

static char *format_label(const sf_cli_field *field) {
  char *label = sf_strdup(field->name);
  if (label != NULL)
    label[label_length(field)] = '\0';
  return label;
}

char *sf_cli_format_cell(const sf_cli_field *field) {
  sf_buffer cell = {0};
  bool formatted = false;
  if (field->kind == SF_CLI_FIELD_NULL)
    formatted = sf_buffer_append_text(&cell, "-");
  else if (field->is_age)
    formatted = append_age(&cell, field->number);
  else if (field->kind == SF_CLI_FIELD_NUMBER)
    formatted = sf_buffer_append_format(&cell, "%.6g", field->number);
  else if (field->kind == SF_CLI_FIELD_FLAG)
    formatted = sf_buffer_append_text(&cell, field->flag ? "yes" : "no");
  else if (field->kind == SF_CLI_FIELD_TEXT || field->kind == SF_CLI_FIELD_JSON)
    formatted = sf_cli_append_visible(&cell, field->text, field->length);
  else
    formatted = append_value(&cell, field);
  if (!formatted)
    sf_buffer_free(&cell);
  return (char *)cell.data;
}

static bool is_numeric(const sf_cli_field *field) {
  return field->kind == SF_CLI_FIELD_INTEGER || (field->kind == SF_CLI_FIELD_NUMBER && !field->is_age);
}

static sf_code add_row(sf_cli_table *table, const sf_cli_field *fields, size_t count, sf_error *error) {
  bool added = true;
  if (table->num_columns == 0) {
    added = sf_cli_table_begin(table, count);
    for (size_t i = 0; i < count && added; i++)
      added = sf_cli_table_add(table, format_label(&fields[i]), true);
  }
  for (size_t i = 0; i < count && added; i++)
    added = sf_cli_table_add(table, sf_cli_format_cell(&fields[i]),
                             is_numeric(&fields[i]) || fields[i].kind == SF_CLI_FIELD_NULL);
  return added ? SF_OK : sf_fail_memory(error, "a table");
}

static sf_code write_object(const sf_cli_field *fields, size_t count, sf_error *error) {
  sf_buffer line = {0};
  sf_code code =
      sf_cli_append_object(&line, fields, count) ? sf_cli_output_line(&line, error) : sf_fail_memory(error, "a line");
  sf_buffer_free(&line);
  return code;
}

sf_code sf_cli_output_record(sf_cli_output *output, const sf_cli_field *fields, size_t count, sf_error *error) {
  if (output->is_table)
    return add_row(&output->table, fields, count, error);
  return write_object(fields, count, error);
}

sf_code sf_cli_output_single(sf_cli_output *output, const sf_cli_field *fields, size_t count, sf_error *error) {
  if (!output->is_table)
    return write_object(fields, count, error);
  size_t longest = 0;
  for (size_t i = 0; i < count; i++)
    longest = label_length(&fields[i]) > longest ? label_length(&fields[i]) : longest;
  for (size_t i = 0; i < count; i++) {
    char *cell = sf_cli_format_cell(&fields[i]);
    if (cell == NULL)
      return sf_fail_memory(error, "a table");
    int printed = printf("%-*.*s  %s\n", (int)longest, (int)label_length(&fields[i]), fields[i].name, cell);
    free(cell);
    if (printed < 0)
      return fail_write(error);
  }
  return SF_OK;
}

sf_code sf_cli_output_end_table(sf_cli_output *output, sf_error *error) {
  bool printed = output->table.num_columns == 0 || sf_cli_table_print(&output->table, output->width, stdout);
  sf_code code = printed ? SF_OK : fail_write(error);
  sf_cli_table_free(&output->table);
  return code;
}
