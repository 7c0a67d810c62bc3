/*
 * The constant layout of file versions 2.1 and 2.2: a page whose values are all the same string, or all null. Without
 * buffers, all are null. Else buffer 0 is the value (u32 number of Arrow buffers, u32 length of each, the buffers),
 * and, where there are nulls as well, buffer 2 has a definition level for each row.
 */
#ifndef SF_FORMATS_LANCE_CONSTANT_H
#define SF_FORMATS_LANCE_CONSTANT_H

#include "formats/lance/data_file.h"

typedef struct sf_lance_constant {
  bool all_null;
  sf_lance_slice value;  /* as it is stored */
  sf_lance_bytes string; /* in it */
  uint8_t *nulls;        /* bit r: row r is null; NULL: none is. Owned */
} sf_lance_constant;

/* Whether all rows of a page are null; fails on a layout of another kind of structure. */
sf_code sf_lance_constant_check(const sf_lance_page *page, bool *all_null, sf_error *error);

/* Zero-initialise `constant`; free whatever happened. */
sf_code sf_lance_constant_open(const sf_lance_column *column, const sf_lance_page *page,
                               const sf_cancellation *cancellation, sf_lance_constant *constant, sf_error *error);
void sf_lance_constant_free(sf_lance_constant *constant);

/* The string in a stored value. */
sf_code sf_lance_constant_string(sf_lance_bytes stored, sf_lance_bytes *string, sf_error *error);

#endif
