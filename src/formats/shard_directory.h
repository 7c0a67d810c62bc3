/* The row directory of an open shard (cache/row_directory.h): opened once, when it is first needed. */
#ifndef SF_FORMATS_SHARD_DIRECTORY_H
#define SF_FORMATS_SHARD_DIRECTORY_H

#include "formats/shard.h"

/* Frees the directory. No other thread uses the shard. */
void sf_shard_close_directory(sf_shard *shard);

/* As sf_shard_find_rows. */
void sf_find_rows_in_directory(const sf_row_directory *directory, bool has_text_ids, const sf_row_id *ids, size_t count,
                               uint64_t *rows);

#endif
