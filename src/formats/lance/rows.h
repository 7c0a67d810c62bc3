/* Ids and payloads of rows. */
#ifndef SF_FORMATS_LANCE_ROWS_H
#define SF_FORMATS_LANCE_ROWS_H

#include "cache/row_directory.h"
#include "formats/lance/dataset.h"

typedef struct sf_lance_rows {
  const sf_lance_fragment *fragments;
  size_t num_fragments;
  const sf_row_directory *directory; /* which has the ids; NULL: they are read */
} sf_lance_rows;

/* Puts the rows into the sink, in order. A row without an id is an error. From any thread. */
sf_code sf_lance_rows_fetch(const sf_lance_rows *from, const uint64_t *rows, size_t count, sf_row_sink *sink,
                            sf_error *error);

/* Reads all live rows, in order. */
sf_code sf_lance_rows_read(const sf_lance_rows *from, sf_row_visitor *visitor, const sf_cancellation *cancellation,
                           sf_error *error);

/* Reads every row that a search could return, and fails on ids that are not UTF-8 and payloads that are no JSON
 * objects. */
sf_code sf_lance_rows_check(const sf_lance_rows *from, const sf_cancellation *cancellation, sf_error *error);

#endif
