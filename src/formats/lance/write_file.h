/*
 * Writes a Lance file of version 2.0 (data_file.h says how one is laid out), of data or of an index: pages as they come,
 * of any column, and after them the tables of their offsets. Until then some hundred bytes are kept for each page.
 */
#ifndef SF_FORMATS_LANCE_WRITE_FILE_H
#define SF_FORMATS_LANCE_WRITE_FILE_H

#include "base/memory.h"
#include "formats/lance/manifest.h"

#include "lance_array_encoding.pb-c.h"

/* Where buffers begin: what Lance aligns them to, and enough to read float32 in place. */
#define SF_LANCE_ALIGNMENT 64

/* How a field's values lay in the first file version. */
enum { SF_LANCE_PLAIN = 1, SF_LANCE_OF_VARIABLE_LENGTH = 2 };

typedef struct sf_lance_written_column {
  sf_buffer metadata; /* of the pages so far */
  uint64_t num_rows;
} sf_lance_written_column;

/* Begin with sf_lance_file_create. */
typedef struct sf_lance_file_writer {
  char *path;
  int descriptor;
  uint64_t position;
  size_t num_columns;
  sf_lance_written_column columns[SF_LANCE_NUM_COLUMNS];
} sf_lance_file_writer;

/* Of up to SF_LANCE_NUM_COLUMNS columns. */
sf_code sf_lance_file_create(const char *path, size_t num_columns, sf_lance_file_writer *writer, sf_error *error);

/* A page of `num_rows` rows of a column: its buffers, to which the encoding refers by their numbers. */
sf_code sf_lance_file_add_page(sf_lance_file_writer *writer, size_t column, const sf_buffer *buffers,
                               size_t num_buffers, uint64_t num_rows, Sf__Lance__ArrayEncoding *encoding,
                               sf_error *error);

/* Writes the parts after the pages, and syncs. The first of the file's global buffers is its schema's message. *size is
 * the length of the file. */
sf_code sf_lance_file_finish(sf_lance_file_writer *writer, const sf_buffer *buffers, size_t num_buffers, uint64_t *size,
                             sf_error *error);

/* Closes the file, and frees. After any outcome; all zeros are allowed. */
void sf_lance_file_close(sf_lance_file_writer *writer);

/* Appends a message's bytes. */
sf_code sf_lance_append_message(sf_buffer *buffer, const void *message, sf_error *error);
/* The same within a google.protobuf.Any. */
sf_code sf_lance_append_any(sf_buffer *buffer, const char *type_url, const void *message, sf_error *error);

/* Little-endian numbers into a buffer. */
bool sf_lance_append_integer(sf_buffer *buffer, uint64_t value, size_t size);

#endif
