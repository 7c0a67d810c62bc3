/* Writes JSON objects as text. */
#ifndef SF_BASE_JSON_WRITER_H
#define SF_BASE_JSON_WRITER_H

#include "base/memory.h"

/* Appends a string in quotes, escaped. Bytes that are not UTF-8 become U+FFFD. False when memory is out. */
bool sf_json_append_string(sf_buffer *buffer, const char *text, size_t length);

/* An object that is being written. A failure is kept for sf_json_writer_end. */
typedef struct sf_json_writer {
  sf_buffer text;
  bool needs_comma;
  bool is_out_of_memory;
} sf_json_writer;

void sf_json_writer_begin(sf_json_writer *writer);
/* Write members; a NULL text as null. */
void sf_json_write_text(sf_json_writer *writer, const char *name, const char *text);
void sf_json_write_integer(sf_json_writer *writer, const char *name, int64_t integer);
/* `json` is the text of a value, which must be valid JSON. */
void sf_json_write_json(sf_json_writer *writer, const char *name, const char *json);
/* Begins a member that is an object: the members up to sf_json_write_end are its own. */
void sf_json_write_begin(sf_json_writer *writer, const char *name);
void sf_json_write_end(sf_json_writer *writer);
/* Appends the object to `text`, and ends the writer, also on failure. */
sf_code sf_json_writer_end(sf_json_writer *writer, const char *what, sf_buffer *text, sf_error *error);

#endif
