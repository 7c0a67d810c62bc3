/* The options of a reader, which the other operations on a snapshot root share: read, copied for work that outlives the call,
 * and applied. */
#ifndef SF_READER_OPTIONS_H
#define SF_READER_OPTIONS_H

#include "shardyfusion/reader.h"
#include "storage/storage.h"

/* The caller's options (NULL: the defaults) as this version has them (base/options.h); strings and handles stay borrowed. */
sf_code sf_reader_options_read(const sf_reader_options *given, sf_reader_options *options, sf_error *error);

/* A copy that owns its strings and retains its executor, for work that outlives the call. */
sf_code sf_reader_options_copy(const sf_reader_options *given, sf_reader_options *copy, sf_error *error);
void sf_reader_options_copy_free(sf_reader_options *copy);

/* The folder of the local cache, for the caller to free: the one that was given, or one below $XDG_CACHE_HOME (or
 * ~/.cache), named after a hash of the root. "" where there is none of these: only loading a shard fails then. */
sf_code sf_reader_options_cache_dir(const sf_reader_options *options, const char *root, char **folder, sf_error *error);

/* Opens the storage of a root with the options' settings and callbacks. */
sf_code sf_reader_options_open_storage(const sf_reader_options *options, const char *root, sf_storage **storage,
                                       sf_error *error);

/* The number of older manifests to try, with the default for a negative one. */
uint32_t sf_reader_options_fallback_attempts(const sf_reader_options *options);

#endif
