/* Files of a Lance shard in its folder of the local cache. */
#ifndef SF_FORMATS_LANCE_CACHE_NAMES_H
#define SF_FORMATS_LANCE_CACHE_NAMES_H

#define SF_LANCE_CACHE_NAME_SIZE 64

/* "lance-<hash of the data file's name>.<kind>", where `kind` is a short word. A hash, because the name comes from a
 * manifest, and the folder is flat. */
void sf_lance_cache_name(const char *name, const char *kind, char cache_name[SF_LANCE_CACHE_NAME_SIZE]);

#endif
