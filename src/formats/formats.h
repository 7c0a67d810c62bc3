/*
 * The table of shard formats: how each is detected, read and written, and what it keeps open for a reader's shards. A
 * new format is a file with its sf_shard_format, and a line here.
 */
#ifndef SF_FORMATS_FORMATS_H
#define SF_FORMATS_FORMATS_H

#include "cache/cache_use.h"
#include "cache/cached_file.h"
#include "formats/shard.h"
#include "formats/shard_writer.h"

/* Every format, in the order in which they are looked for. */
#define SF_FORMAT_TABLE(X)                                                                                             \
  X(sf_sqlite_vec_format)                                                                                              \
  X(sf_lance_format)

#define SF_DECLARE_FORMAT(format) extern const sf_shard_format format;
SF_FORMAT_TABLE(SF_DECLARE_FORMAT)

#define SF_COUNT_FORMAT(format) +1
enum { SF_NUM_FORMATS = 0 SF_FORMAT_TABLE(SF_COUNT_FORMAT) };

extern const sf_shard_format *const sf_formats[SF_NUM_FORMATS];

/* NULL where no format has that name. */
const sf_shard_format *sf_format_find(const char *name);

struct sf_shard_resources {
  sf_cache_users *cache_users;     /* what of the local cache the open shards use */
  void *of_format[SF_NUM_FORMATS]; /* what each format made; NULL: it makes nothing */
};

/* The shard's folder of the cache. */
static inline sf_cache_place sf_shard_cache_place(const sf_shard_params *params) {
  return (sf_cache_place){.cache_dir = params->cache_dir,
                          .db_url = params->db_url,
                          .checkpoint_id = params->checkpoint_id,
                          .max_cache_bytes = params->max_cache_bytes};
}

/* What the format's create_resources made. */
void *sf_shard_resources_of(const sf_shard_resources *resources, const sf_shard_format *format);

/* Closes what is open but not in use, so that its file descriptors can be taken by others. False when nothing was. */
bool sf_shard_resources_shrink(const sf_shard_resources *resources);

#endif
