#include "formats/lance/page_cache.h"

#include <stdlib.h>

void sf_lance_page_cache_drop_chunk(sf_lance_page_cache *cache) {
  cache->chunk_page = NULL;
  sf_lance_slice_release(&cache->chunk_bytes);
  free(cache->levels);
  free(cache->indices);
  cache->levels = NULL;
  cache->indices = NULL;
  sf_lance_strings_free(&cache->strings);
}

void sf_lance_page_cache_free(sf_lance_page_cache *cache) {
  sf_lance_page_cache_drop_chunk(cache);
  sf_lance_slice_release(&cache->value);
  sf_buffer_free(&cache->string);
  sf_buffer_free(&cache->buffer);
}
