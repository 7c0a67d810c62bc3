/*
 * Pages of file version 2.0: trees of array encodings with the page's buffers as leaves. A single value is found
 * without decoding the page, unless general compression is in the way.
 */
#ifndef SF_FORMATS_LANCE_ARRAY_ENCODING_H
#define SF_FORMATS_LANCE_ARRAY_ENCODING_H

#include "formats/lance/data_file.h"
#include "formats/lance/page_cache.h"

/* String `row` of the page. NULL: `*is_null`. `string` is in the cache's buffers, until the next call with it. */
sf_code sf_lance_array_string(const sf_lance_column *column, const sf_lance_page *page, uint64_t row,
                              sf_lance_page_cache *cache, bool *is_null, sf_lance_bytes *string, sf_error *error);

/* The parts of a page of vectors. */
typedef struct sf_lance_array_vectors {
  bool all_null;
  const Sf__Lance__FlatArray *values;            /* NULL where all are null */
  const Sf__Lance__ArrayEncoding *validity;      /* a bitmap of the vectors; NULL: none is null */
  const Sf__Lance__ArrayEncoding *item_validity; /* a bitmap of the items; NULL: none is null */
  bool all_items_null;
} sf_lance_array_vectors;

/* Takes a page of vectors of `dim` items of `item_size` bytes apart. */
sf_code sf_lance_array_vectors_find(const sf_lance_page *page, uint32_t dim, size_t item_size,
                                    sf_lance_array_vectors *vectors, sf_error *error);

/* The buffer of a flat encoding: which of the page's. */
sf_code sf_lance_array_flat_buffer(const Sf__Lance__FlatArray *flat, size_t *buffer, sf_error *error);

/* All bytes of a flat encoding of `length` bytes, decompressed where they must be. */
sf_code sf_lance_array_flat_bytes(const sf_lance_column *column, const sf_lance_page *page,
                                  const Sf__Lance__FlatArray *flat, uint64_t length,
                                  const sf_cancellation *cancellation, sf_lance_slice *slice, sf_error *error);

/* A bitmap of `num_bits` validity bits. */
sf_code sf_lance_array_bitmap(const sf_lance_column *column, const sf_lance_page *page,
                              const Sf__Lance__ArrayEncoding *validity, uint64_t num_bits,
                              const sf_cancellation *cancellation, sf_lance_slice *slice, sf_error *error);

#endif
