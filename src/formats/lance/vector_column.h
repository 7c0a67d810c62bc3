/* The pages of a column of vectors: which are plain float32 and may be scanned in place, and how others are decoded. */
#ifndef SF_FORMATS_LANCE_VECTOR_COLUMN_H
#define SF_FORMATS_LANCE_VECTOR_COLUMN_H

#include "formats/lance/data_file.h"
#include "formats/lance/manifest.h"

typedef enum sf_lance_vectors_kind {
  SF_LANCE_VECTORS_NULL,    /* every row is null */
  SF_LANCE_VECTORS_PLAIN,   /* float32, one row after the other, at `offset` of the file */
  SF_LANCE_VECTORS_ENCODED, /* to be decoded */
} sf_lance_vectors_kind;

typedef struct sf_lance_vector_page {
  const sf_lance_column *column;
  const sf_lance_page *page;
  uint32_t dim;
  sf_lance_item_type item_type;
  sf_lance_vectors_kind kind;
  uint64_t offset;
} sf_lance_vector_page;

/* Reads a page's encoding, and checks that the bytes for its rows are there: a page that is not all null has at most
 * as many rows as its bytes can hold. */
sf_code sf_lance_vector_page_open(const sf_lance_column *column, const sf_lance_page *page, uint32_t dim,
                                  sf_lance_item_type item_type, sf_lance_vector_page *vectors, sf_error *error);

/* Rows [first_row, first_row + count) of a page, decoded; a vector that is null, or has a null item, is all NaN. */
typedef sf_code (*sf_lance_rows_callback)(uint64_t first_row, const float *values, size_t count, void *user_data,
                                          sf_error *error);

/* Decodes all rows of a page, in order, a MiB or a chunk at a time. */
sf_code sf_lance_vector_page_decode(const sf_lance_vector_page *vectors, const sf_cancellation *cancellation,
                                    sf_lance_rows_callback callback, void *user_data, sf_error *error);

/* Sets the bits of `nulls` (num_rows of them, zeroed by the caller) for rows that are null or have a null item. For
 * pages that are plain. */
sf_code sf_lance_vector_page_nulls(const sf_lance_vector_page *vectors, const sf_cancellation *cancellation,
                                   uint8_t *nulls, sf_error *error);

/* Items of another type as float32, each rounded to the nearest; numbers that are too large become infinite. `items`
 * need not be aligned. */
void sf_lance_convert_items(sf_lance_item_type type, const uint8_t *items, size_t count, float *values);

#endif
