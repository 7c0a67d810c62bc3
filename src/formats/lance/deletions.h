/*
 * Which rows of a fragment are deleted: an Arrow IPC file with one column of 32-bit row offsets, or a Roaring bitmap of
 * them in the portable serialization (https://github.com/RoaringBitmap/RoaringFormatSpec).
 */
#ifndef SF_FORMATS_LANCE_DELETIONS_H
#define SF_FORMATS_LANCE_DELETIONS_H

#include "base/memory.h"
#include "formats/lance/bytes.h"

typedef struct sf_lance_deletions {
  bool is_bitmap;
  /* A Roaring bitmap, checked; or 32-bit row offsets, in any order. */
  sf_lance_bytes bytes;
  sf_buffer decompressed; /* owns `bytes`, where the file was compressed */
  uint64_t num_deleted;
} sf_lance_deletions;

/* Both borrow `file`. Zero-initialise `deletions`; free whatever happened. */
sf_code sf_lance_deletions_parse_arrow(sf_lance_bytes file, sf_lance_deletions *deletions, sf_error *error);
sf_code sf_lance_deletions_parse_bitmap(sf_lance_bytes file, sf_lance_deletions *deletions, sf_error *error);
void sf_lance_deletions_free(sf_lance_deletions *deletions);

/* Sets bit i of `excluded` where row first_row + i is deleted, for i below num_rows. Takes time in proportion to the
 * stored bytes and num_rows, not to the numbers in them. */
void sf_lance_deletions_mark(const sf_lance_deletions *deletions, uint64_t first_row, size_t num_rows,
                             uint8_t *excluded);

#endif
