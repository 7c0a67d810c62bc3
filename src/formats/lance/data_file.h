/*
 * A Lance data file of version 2.0, 2.1 or 2.2: the footer, the tables it points to, and the metadata of columns.
 *
 *   pages … | column metadata … | table of column metadata | table of global buffers | footer
 *
 * Footer, 40 bytes: u64 start of the column metadata, u64 table of the columns, u64 table of global buffers, u32 number
 * of global buffers, u32 number of columns, u16 major and u16 minor version, "LANC". Version 2.0 calls itself 0.3.
 */
#ifndef SF_FORMATS_LANCE_DATA_FILE_H
#define SF_FORMATS_LANCE_DATA_FILE_H

#include "formats/lance/object.h"

#include "lance_array_encoding.pb-c.h"
#include "lance_file.pb-c.h"
#include "lance_page_layout.pb-c.h"

typedef enum sf_lance_file_version { SF_LANCE_FILE_2_0, SF_LANCE_FILE_2_1, SF_LANCE_FILE_2_2 } sf_lance_file_version;

typedef struct sf_lance_data_file {
  sf_lance_object *object; /* owned */
  sf_lance_file_version version;
  uint32_t num_columns;
  uint64_t column_table; /* pairs of u64: position and size */
} sf_lance_data_file;

/* Takes over `object`, also when it fails. */
sf_code sf_lance_data_file_open(sf_lance_object *object, const sf_cancellation *cancellation, sf_lance_data_file *file,
                                sf_error *error);
void sf_lance_data_file_close(sf_lance_data_file *file);

/* One page of a column. Its buffers are within the file. */
typedef struct sf_lance_page {
  uint64_t first_row; /* in the file */
  uint64_t num_rows;
  size_t num_buffers;
  const uint64_t *buffer_offsets; /* borrowed from the column's metadata */
  const uint64_t *buffer_sizes;
  Sf__Lance__ArrayEncoding *array; /* owned; version 2.0 */
  Sf__Lance__PageLayout *layout;   /* owned; versions 2.1 and 2.2 */
} sf_lance_page;

typedef struct sf_lance_column {
  const sf_lance_data_file *file;
  const char *name; /* borrowed */
  Sf__Lance__ColumnMetadata *metadata;
  sf_lance_page *pages;
  size_t num_pages;
  uint64_t num_rows;
} sf_lance_column;

/* Reads the metadata of column `index`. Failures name the file, the column and the page. */
sf_code sf_lance_column_open(const sf_lance_data_file *file, uint32_t index, const char *name,
                             const sf_cancellation *cancellation, sf_lance_column *column, sf_error *error);
void sf_lance_column_close(sf_lance_column *column);

/* The page that has a row, or NULL. */
const sf_lance_page *sf_lance_column_page(const sf_lance_column *column, uint64_t row);

/* Puts "file, column, page" before an error; returns its code. */
sf_code sf_lance_page_error(const sf_lance_column *column, const sf_lance_page *page, sf_error *error);

/* Bytes [offset, offset + length) of a page's buffer; a buffer that the page doesn't have is an error. */
sf_code sf_lance_page_read(const sf_lance_column *column, const sf_lance_page *page, size_t buffer, uint64_t offset,
                           uint64_t length, const sf_cancellation *cancellation, sf_lance_slice *slice,
                           sf_error *error);
sf_code sf_lance_page_read_all(const sf_lance_column *column, const sf_lance_page *page, size_t buffer,
                               const sf_cancellation *cancellation, sf_lance_slice *slice, sf_error *error);

#endif
