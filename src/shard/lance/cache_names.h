/* Files of a Lance shard in its folder of the local cache. */
#ifndef SF_SHARD_LANCE_CACHE_NAMES_H
#define SF_SHARD_LANCE_CACHE_NAMES_H

/* "<cache_dir>/lance-<hash of the data file's name>.<kind>", for the caller to free; NULL when memory is out. A hash,
 * because the name comes from a manifest, and the folder is flat. */
char *sf_lance_cache_path(const char *cache_dir, const char *name, const char *kind);

#endif
