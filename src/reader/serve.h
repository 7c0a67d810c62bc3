/*
 * Serving a snapshot: from its metadata to the one that new searches acquire, which opening and refreshing end with; and
 * the log messages and events about it.
 */
#ifndef SF_READER_SERVE_H
#define SF_READER_SERVE_H

#include "reader/reader.h"

/* Serves a loaded snapshot from now on, with its shards preloaded where the reader's options say so. Searches under way keep
 * the old one. The snapshot is taken over: freed on failure. */
sf_code sf_reader_serve(sf_reader *reader, sf_snapshot *snapshot, const sf_cancellation *cancellation, sf_error *error);

/* Logs and emits an event about the snapshot that is or was served, with its duration since `started` (nanoseconds of the
 * monotonic clock), reference and shards. Called without locks. */
void sf_reader_report(sf_reader *reader, sf_event event, uint64_t started);

#endif
