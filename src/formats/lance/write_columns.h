/* Rows on their way into a data file: gathered to pages of some MiB, in the encodings of file version 2.0. */
#ifndef SF_FORMATS_LANCE_WRITE_COLUMNS_H
#define SF_FORMATS_LANCE_WRITE_COLUMNS_H

#include "formats/lance/write_file.h"

/* Vectors of the page that is being filled. */
typedef struct sf_lance_vector_page_writer {
  uint8_t *vectors; /* room for max_rows */
  size_t row_bytes;
  size_t num_rows;
  size_t max_rows;
} sf_lance_vector_page_writer;

/* Adds a page of float32 vectors, `num_rows` times `dim`, to a column of the file. */
sf_code sf_lance_add_vector_page(sf_lance_file_writer *file, size_t column, void *vectors, size_t num_rows,
                                 uint32_t dim, sf_error *error);
/* A page of one number of 64 bits. */
sf_code sf_lance_add_number_page(sf_lance_file_writer *file, size_t column, uint64_t number, sf_error *error);

sf_code sf_lance_vector_pages_init(sf_lance_vector_page_writer *page, uint32_t dim, sf_error *error);
void sf_lance_vector_pages_free(sf_lance_vector_page_writer *page);

/* Adds a vector; a full page is written to the file. */
sf_code sf_lance_vector_pages_add(sf_lance_vector_page_writer *page, const float *vector, sf_lance_file_writer *file,
                                  sf_error *error);
/* Writes the page as it is, if there are rows in it. */
sf_code sf_lance_vector_pages_flush(sf_lance_vector_page_writer *page, sf_lance_file_writer *file, sf_error *error);

/* Strings of the page that is being filled. Zero-initialise. */
typedef struct sf_lance_string_page_writer {
  sf_buffer ends; /* of each row, u64 */
  sf_buffer bytes;
  size_t num_rows;
} sf_lance_string_page_writer;

void sf_lance_string_pages_free(sf_lance_string_page_writer *page);

/* Adds a string; NULL: a null. A full page is written to the file before. */
sf_code sf_lance_string_pages_add(sf_lance_string_page_writer *page, sf_lance_column_role column, const char *text,
                                  size_t length, sf_lance_file_writer *file, sf_error *error);
sf_code sf_lance_string_pages_flush(sf_lance_string_page_writer *page, sf_lance_column_role column,
                                    sf_lance_file_writer *file, sf_error *error);

#endif
