/* Finding rows by their ids, for formats that keep no index of them: one pass over the ids of a shard. */
#ifndef SF_FORMATS_FIND_ROWS_H
#define SF_FORMATS_FIND_ROWS_H

#include "formats/shard.h"

/* As sf_shard_find_rows. */
sf_code sf_find_rows_by_reading(sf_shard *shard, const sf_row_id *ids, size_t count, uint64_t *rows,
                                const sf_cancellation *cancellation, sf_error *error);

#endif
