/* Loading all shards of a snapshot before it is served. */
#ifndef SF_READER_PRELOAD_H
#define SF_READER_PRELOAD_H

#include "query/served_snapshot.h"

/* Loads the first `max_shards` shards that have rows (0: all), and waits for them. The first failure stops it. */
sf_code sf_preload_shards(sf_served_snapshot *served, uint32_t max_shards, const sf_cancellation *cancellation,
                          sf_error *error);

#endif
