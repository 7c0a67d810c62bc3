/*
 * The filters that a reader has compiled, by their expressions: as many of the most recently used as fit in a bound of memory.
 * One that a search uses stays as long as that. Any thread.
 */
#ifndef SF_READER_FILTER_CACHE_H
#define SF_READER_FILTER_CACHE_H

#include "filter/filter.h"

typedef struct sf_filter_cache sf_filter_cache;

sf_code sf_filter_cache_create(sf_filter_cache **cache, sf_error *error);
void sf_filter_cache_free(sf_filter_cache *cache); /* NULL is allowed */

/* The filter of an expression, compiled where it isn't known. The caller has one reference. */
sf_code sf_filter_cache_get(sf_filter_cache *cache, const char *expression, sf_filter **filter, sf_error *error);

#endif
