/* A column of strings, read value by value: the parts of a page beside its values are read once and kept. */
#ifndef SF_FORMATS_LANCE_STRING_COLUMN_H
#define SF_FORMATS_LANCE_STRING_COLUMN_H

#include "formats/lance/page_cache.h"

typedef struct sf_lance_string_column sf_lance_string_column;

/* Takes over `column`, also when it fails. */
sf_code sf_lance_string_column_open(sf_lance_column *column, sf_lance_string_column **strings, sf_error *error);
void sf_lance_string_column_close(sf_lance_string_column *strings); /* NULL is allowed */

uint64_t sf_lance_string_column_rows(const sf_lance_string_column *strings);

/* The value of a row of the file. It is valid UTF-8, in memory of the column or of `cache`, until the next call with
 * that cache. From several threads at once, each with its own cache. */
sf_code sf_lance_string_column_get(sf_lance_string_column *strings, uint64_t row, sf_lance_page_cache *cache,
                                   bool *is_null, sf_lance_bytes *string, sf_error *error);

#endif
