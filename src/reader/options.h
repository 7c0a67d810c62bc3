/* Options as callers give them, and what they mean. */
#ifndef SF_READER_OPTIONS_H
#define SF_READER_OPTIONS_H

#include "shardyfusion/reader.h"
#include "storage/storage.h"

/* A copy of the caller's options (NULL: the defaults). A caller that was compiled against an older header knows fewer
 * members: the rest keep their defaults. */
sf_code sf_reader_options_read(const sf_reader_options *given, sf_reader_options *options, sf_error *error);

/* A copy that owns its strings and holds its executor, for work that outlives the call. */
sf_code sf_reader_options_copy(const sf_reader_options *given, sf_reader_options *copy, sf_error *error);
void sf_reader_options_copy_free(sf_reader_options *copy);

/* The folder of the local cache, for the caller to free: the one that was given, or one below $XDG_CACHE_HOME (or
 * ~/.cache), named after the root. Where there is none of these it is "", which is well until a shard is loaded. */
sf_code sf_reader_options_cache_dir(const sf_reader_options *options, const char *root, char **folder, sf_error *error);

/* Opens the storage of a root as the options say. */
sf_code sf_reader_options_open_storage(const sf_reader_options *options, const char *root, sf_storage **storage,
                                       sf_error *error);

uint32_t sf_reader_options_fallback_attempts(const sf_reader_options *options);

#endif
