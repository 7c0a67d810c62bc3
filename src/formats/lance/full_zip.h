/*
 * The full-zip layout of file versions 2.1 and 2.2: a page of large values, each with its levels before it.
 *
 * Buffer 0 has, for each value, a control word (1, 2 or 4 bytes; none where all values are valid), for values of
 * variable width their length, and the value. A null of fixed width is stored all the same, one of variable width is
 * not. Values of variable width have a second buffer with where each begins in the first, and where the last one ends,
 * as integers of the fewest bytes that do.
 */
#ifndef SF_FORMATS_LANCE_FULL_ZIP_H
#define SF_FORMATS_LANCE_FULL_ZIP_H

#include "formats/lance/bytes.h"

#include "lance_page_layout.pb-c.h"

/* Fails on layouts that the three columns can't have: repetition, lists. */
sf_code sf_lance_full_zip_check(const Sf__Lance__FullZipLayout *layout, uint64_t num_rows, sf_error *error);

/* Bytes of a control word. */
size_t sf_lance_full_zip_control_size(const Sf__Lance__FullZipLayout *layout);

/* Bytes of an integer in the second buffer, of `length` bytes in all. */
sf_code sf_lance_full_zip_index_size(uint64_t length, uint64_t num_rows, size_t *size, sf_error *error);

/* Parses one value of variable width. `zipped` are the bytes from its beginning to the next one's. */
sf_code sf_lance_full_zip_value(const Sf__Lance__FullZipLayout *layout, sf_lance_bytes zipped, bool *is_null,
                                sf_lance_bytes *value, sf_error *error);

#endif
