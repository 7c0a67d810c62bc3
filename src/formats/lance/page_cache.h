/* State that is kept between values by a caller that reads many of them. Not shared between threads. */
#ifndef SF_FORMATS_LANCE_PAGE_CACHE_H
#define SF_FORMATS_LANCE_PAGE_CACHE_H

#include "formats/lance/data_file.h"
#include "formats/lance/mini_block.h"

typedef struct sf_lance_page_cache {
  const sf_cancellation *cancellation;
  /* The memory of the last value. */
  sf_lance_slice value;
  sf_buffer string;
  /* The last buffer of a 2.0 page that had to be decompressed. */
  const sf_lance_page *buffer_page;
  size_t buffer_index;
  sf_buffer buffer;
  /* The last chunk of a mini-block page. */
  const sf_lance_page *chunk_page; /* NULL: there is none */
  sf_lance_chunk_place chunk_place;
  sf_lance_slice chunk_bytes;
  sf_lance_chunk chunk;
  uint8_t *levels;  /* a u16 for each value; NULL: all are valid */
  uint8_t *indices; /* into the dictionary, index_size bytes each; NULL: the page has none */
  size_t index_size;
  sf_lance_strings strings; /* where the page has no dictionary */
} sf_lance_page_cache;

/* Zero-initialise, with the cancellation. */
void sf_lance_page_cache_free(sf_lance_page_cache *cache);
void sf_lance_page_cache_drop_chunk(sf_lance_page_cache *cache);

#endif
