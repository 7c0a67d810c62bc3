/* Roaring bitmaps in the portable serialization: https://github.com/RoaringBitmap/RoaringFormatSpec. */
#ifndef SF_FORMATS_LANCE_ROARING_H
#define SF_FORMATS_LANCE_ROARING_H

#include "formats/lance/bytes.h"

/* Checks all of a serialized bitmap, and counts its members. */
sf_code sf_lance_roaring_check(sf_lance_bytes bitmap, uint64_t *cardinality, sf_error *error);

/* Sets bit i of `bits` where first + i is in the (checked) bitmap, for i below count. */
void sf_lance_roaring_mark(sf_lance_bytes bitmap, uint64_t first, size_t count, uint8_t *bits);

#endif
