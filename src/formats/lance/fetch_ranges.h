/* Ranges of an object, fetched several at a time. */
#ifndef SF_FORMATS_LANCE_FETCH_RANGES_H
#define SF_FORMATS_LANCE_FETCH_RANGES_H

#include "formats/lance/object.h"

/* Fetches in pieces of 2 MiB, 8 at a time, into the file that `descriptor` writes to, at their own offsets; `path` is
 * its name in messages. Its threads have ended when it returns. */
sf_code sf_lance_fetch_ranges(const sf_lance_object *object, const sf_lance_range *ranges, size_t num_ranges,
                              int descriptor, const char *path, const sf_cancellation *cancellation, sf_error *error);

#endif
