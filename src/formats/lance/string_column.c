#include "formats/lance/string_column.h"

#include "formats/lance/array_encoding.h"
#include "formats/lance/constant.h"
#include "formats/lance/decoders.h"
#include "formats/lance/full_zip.h"
#include "formats/lance/utf8.h"

#include <pthread.h>

/* The parts of a page of versions 2.1 and 2.2 that are read once and kept. */
typedef struct string_page {
  bool ready;
  bool has_fsst;
  sf_lance_fsst_table fsst;
  size_t index_size; /* full-zip */
  /* Mini-block. */
  sf_lance_slice words;
  sf_lance_chunk_table chunks;
  bool has_dictionary;
  sf_lance_slice dictionary_bytes;
  sf_lance_strings dictionary;
  sf_lance_constant constant;
} string_page;

struct sf_lance_string_column {
  sf_lance_column column;
  string_page *pages;
  pthread_mutex_t mutex; /* guards pages that are not ready; a ready page no longer changes */
};

static void string_page_free(string_page *page) {
  sf_lance_chunk_table_free(&page->chunks);
  sf_lance_slice_release(&page->words);
  sf_lance_strings_free(&page->dictionary);
  sf_lance_slice_release(&page->dictionary_bytes);
  sf_lance_constant_free(&page->constant);
  *page = (string_page){0};
}

sf_code sf_lance_string_column_open(sf_lance_column *column, sf_lance_string_column **opened, sf_error *error) {
  sf_lance_string_column *strings = sf_calloc(1, sizeof(*strings));
  string_page *pages = sf_calloc(column->num_pages, sizeof(*pages));
  if (strings == NULL || pages == NULL || pthread_mutex_init(&strings->mutex, NULL) != 0) {
    free(strings);
    free(pages);
    sf_lance_column_close(column);
    return sf_fail_memory(error, "a column of strings");
  }
  strings->column = *column;
  strings->pages = pages;
  *column = (sf_lance_column){0};
  *opened = strings;
  return SF_OK;
}

void sf_lance_string_column_close(sf_lance_string_column *strings) {
  if (strings == NULL)
    return;
  for (size_t i = 0; i < strings->column.num_pages; i++)
    string_page_free(&strings->pages[i]);
  free(strings->pages);
  sf_lance_column_close(&strings->column);
  pthread_mutex_destroy(&strings->mutex);
  free(strings);
}

uint64_t sf_lance_string_column_rows(const sf_lance_string_column *strings) {
  return strings->column.num_rows;
}

/* -------------------------------------------------------------------------------------------------- Preparing pages */

static sf_code find_fsst(const Sf__Lance__CompressiveEncoding *encoding, string_page *kept, sf_error *error) {
  if (encoding != NULL && encoding->compression_case == SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION_GENERAL)
    encoding = encoding->general->values;
  if (encoding == NULL || encoding->compression_case != SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION_FSST)
    return SF_OK;
  kept->has_fsst = true;
  ProtobufCBinaryData table = encoding->fsst->symbol_table;
  return sf_lance_fsst_table_parse((sf_lance_bytes){table.data, table.len}, &kept->fsst, error);
}

static sf_code prepare_mini_block(const sf_lance_column *column, const sf_lance_page *page,
                                  const sf_cancellation *cancellation, string_page *kept, sf_error *error) {
  const Sf__Lance__MiniBlockLayout *layout = page->layout->mini_block;
  SF_TRY(sf_lance_mini_block_check(layout, page->num_rows, error));
  if (page->num_buffers < 2)
    return SF_LANCE_BAD(error, "%zu buffers in a mini-block page", page->num_buffers);
  SF_TRY(sf_lance_page_read_all(column, page, 0, cancellation, &kept->words, error));
  SF_TRY(sf_lance_chunk_table_init(&kept->chunks, kept->words.bytes, layout->has_large_chunk != 0, page->num_rows,
                                   page->buffer_sizes[1], error));
  if (layout->dictionary == NULL)
    return find_fsst(layout->value_compression, kept, error);
  kept->has_dictionary = true;
  SF_TRY(sf_lance_page_read_all(column, page, 2, cancellation, &kept->dictionary_bytes, error));
  return sf_lance_decode_string_block(layout->dictionary, kept->dictionary_bytes.bytes, layout->num_dictionary_items,
                                      &kept->dictionary, error);
}

static sf_code prepare_full_zip(const sf_lance_page *page, string_page *kept, sf_error *error) {
  const Sf__Lance__FullZipLayout *layout = page->layout->full_zip;
  SF_TRY(sf_lance_full_zip_check(layout, page->num_rows, error));
  if (layout->details_case != SF__LANCE__FULL_ZIP_LAYOUT__DETAILS_BITS_PER_OFFSET || page->num_buffers != 2)
    return SF_LANCE_BAD(error, "strings in a full-zip page of fixed width are not supported");
  SF_TRY(sf_lance_full_zip_index_size(page->buffer_sizes[1], page->num_rows, &kept->index_size, error));
  return find_fsst(layout->value_compression, kept, error);
}

static sf_code prepare_page(const sf_lance_column *column, const sf_lance_page *page,
                            const sf_cancellation *cancellation, string_page *kept, sf_error *error) {
  switch (page->layout->layout_case) {
  case SF__LANCE__PAGE_LAYOUT__LAYOUT_MINI_BLOCK:
    return prepare_mini_block(column, page, cancellation, kept, error);
  case SF__LANCE__PAGE_LAYOUT__LAYOUT_FULL_ZIP:
    return prepare_full_zip(page, kept, error);
  case SF__LANCE__PAGE_LAYOUT__LAYOUT_CONSTANT:
    return sf_lance_constant_open(column, page, cancellation, &kept->constant, error);
  case SF__LANCE__PAGE_LAYOUT__LAYOUT_BLOB:
    return SF_LANCE_BAD(error, "the blob layout is not supported");
  case SF__LANCE__PAGE_LAYOUT__LAYOUT_SPARSE:
    return SF_LANCE_BAD(error, "the sparse layout is not supported");
  default:
    return SF_LANCE_BAD(error, "a layout of an unknown kind is not supported");
  }
}

static sf_code ready_page(sf_lance_string_column *strings, const sf_lance_page *page,
                          const sf_cancellation *cancellation, string_page **kept, sf_error *error) {
  *kept = &strings->pages[page - strings->column.pages];
  pthread_mutex_lock(&strings->mutex);
  sf_code code = SF_OK;
  if (!(*kept)->ready) {
    code = prepare_page(&strings->column, page, cancellation, *kept, error);
    if (code == SF_OK)
      (*kept)->ready = true;
    else
      string_page_free(*kept);
  }
  pthread_mutex_unlock(&strings->mutex);
  return code;
}

/* ------------------------------------------------------------------------------------------------------ Mini-blocks */

static sf_code load_levels(const sf_lance_page *page, sf_lance_page_cache *cache, sf_error *error) {
  const Sf__Lance__MiniBlockLayout *layout = page->layout->mini_block;
  if (layout->def_compression == NULL)
    return SF_OK;
  size_t num_values = cache->chunk_place.num_values;
  cache->levels = sf_calloc(num_values, 2);
  if (cache->levels == NULL)
    return sf_fail_memory(error, "definition levels");
  return sf_lance_chunk_levels(layout->def_compression, &cache->chunk, num_values, cache->levels, error);
}

static sf_code load_values(const sf_lance_page *page, const string_page *kept, sf_lance_page_cache *cache,
                           sf_error *error) {
  const Sf__Lance__CompressiveEncoding *encoding = page->layout->mini_block->value_compression;
  size_t num_values = cache->chunk_place.num_values;
  if (!kept->has_dictionary) {
    if (cache->chunk.num_buffers != 1)
      return SF_LANCE_BAD(error, "%zu buffers in a chunk of strings", cache->chunk.num_buffers);
    return sf_lance_decode_string_chunk(encoding, cache->chunk.buffers[0], num_values, &cache->strings, error);
  }
  cache->index_size = sf_lance_value_bits(encoding) / 8;
  if (cache->index_size == 0 || cache->index_size > 8)
    return SF_LANCE_BAD(error, "%s encoding is not supported for dictionary indices", sf_lance_encoding_name(encoding));
  cache->indices = sf_calloc(num_values, cache->index_size);
  if (cache->indices == NULL)
    return sf_fail_memory(error, "dictionary indices");
  return sf_lance_decode_values(encoding, cache->chunk.buffers, cache->chunk.num_buffers, num_values, cache->index_size,
                                cache->indices, error);
}

/* Makes the chunk that has `row` the cache's. */
static sf_code load_chunk(const sf_lance_column *column, const sf_lance_page *page, const string_page *kept,
                          uint64_t row, sf_lance_page_cache *cache, sf_error *error) {
  if (cache->chunk_page == page && row >= cache->chunk_place.first_value &&
      row - cache->chunk_place.first_value < cache->chunk_place.num_values)
    return SF_OK;
  const Sf__Lance__MiniBlockLayout *layout = page->layout->mini_block;
  sf_lance_page_cache_drop_chunk(cache);
  sf_lance_chunk_table_find(&kept->chunks, row, &cache->chunk_place);
  SF_TRY(sf_lance_page_read(column, page, 1, cache->chunk_place.offset, cache->chunk_place.length, cache->cancellation,
                            &cache->chunk_bytes, error));
  sf_code code = sf_lance_chunk_parse(cache->chunk_bytes.bytes, layout->def_compression != NULL, layout->num_buffers,
                                      layout->has_large_chunk != 0, &cache->chunk, error);
  if (code == SF_OK)
    code = load_levels(page, cache, error);
  if (code == SF_OK)
    code = load_values(page, kept, cache, error);
  if (code != SF_OK) {
    code = sf_error_prefix(error, "chunk %zu", cache->chunk_place.index);
    sf_lance_page_cache_drop_chunk(cache);
    return code;
  }
  cache->chunk_page = page;
  return SF_OK;
}

/* Undoes FSST, where the page has it. */
static sf_code finish_string(const string_page *kept, sf_lance_page_cache *cache, sf_lance_bytes *string,
                             sf_error *error) {
  if (!kept->has_fsst)
    return SF_OK;
  cache->string.length = 0;
  SF_TRY(sf_lance_fsst_decode(&kept->fsst, *string, &cache->string, error));
  *string = (sf_lance_bytes){cache->string.data, cache->string.length};
  return SF_OK;
}

static sf_code get_from_mini_block(const sf_lance_column *column, const sf_lance_page *page, const string_page *kept,
                                   uint64_t row, sf_lance_page_cache *cache, bool *is_null, sf_lance_bytes *string,
                                   sf_error *error) {
  SF_TRY(load_chunk(column, page, kept, row, cache, error));
  size_t index = (size_t)(row - cache->chunk_place.first_value);
  *is_null = cache->levels != NULL && sf_load_u16(cache->levels + index * 2) != 0;
  if (*is_null)
    return SF_OK;
  if (!kept->has_dictionary) {
    SF_TRY(sf_lance_strings_get(&cache->strings, index, string, error));
    return finish_string(kept, cache, string, error);
  }
  uint64_t item = sf_lance_load(cache->indices + index * cache->index_size, cache->index_size);
  if (item >= kept->dictionary.num_strings)
    return SF_LANCE_BAD(error, "item %llu is not among the %zu of the dictionary", (unsigned long long)item,
                        kept->dictionary.num_strings);
  return sf_lance_strings_get(&kept->dictionary, (size_t)item, string, error);
}

/* --------------------------------------------------------------------------------------------------------- Full zip */

/* Decodes a single value: general compression, or FSST. */
static sf_code finish_value(const sf_lance_page *page, const string_page *kept, sf_lance_page_cache *cache,
                            sf_lance_bytes *string, sf_error *error) {
  const Sf__Lance__CompressiveEncoding *encoding = page->layout->full_zip->value_compression;
  switch (encoding != NULL ? encoding->compression_case : SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION__NOT_SET) {
  case SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION_VARIABLE:
    return SF_OK;
  case SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION_FSST:
    return finish_string(kept, cache, string, error);
  case SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION_GENERAL: {
    const Sf__Lance__BufferCompression *compression = encoding->general->compression;
    if (kept->has_fsst)
      return SF_LANCE_BAD(error, "FSST within general compression is not supported in full-zip pages");
    cache->string.length = 0;
    SF_TRY(sf_lance_decompress(compression != NULL ? compression->scheme : 0, *string, &cache->string, error));
    *string = (sf_lance_bytes){cache->string.data, cache->string.length};
    return SF_OK;
  }
  default:
    return SF_LANCE_BAD(error, "%s encoding is not supported for strings in full-zip pages",
                        sf_lance_encoding_name(encoding));
  }
}

static sf_code get_from_full_zip(const sf_lance_column *column, const sf_lance_page *page, const string_page *kept,
                                 uint64_t row, sf_lance_page_cache *cache, bool *is_null, sf_lance_bytes *string,
                                 sf_error *error) {
  size_t size = kept->index_size;
  sf_lance_slice_release(&cache->value);
  SF_TRY(sf_lance_page_read(column, page, 1, row * size, 2 * size, cache->cancellation, &cache->value, error));
  uint64_t begin = sf_lance_load(cache->value.bytes.data, size);
  uint64_t end = sf_lance_load(cache->value.bytes.data + size, size);
  if (begin > end)
    return SF_LANCE_BAD(error, "row %llu begins at %llu and ends at %llu", (unsigned long long)row,
                        (unsigned long long)begin, (unsigned long long)end);
  sf_lance_slice_release(&cache->value);
  SF_TRY(sf_lance_page_read(column, page, 0, begin, end - begin, cache->cancellation, &cache->value, error));
  SF_TRY(sf_lance_full_zip_value(page->layout->full_zip, cache->value.bytes, is_null, string, error));
  return *is_null ? SF_OK : finish_value(page, kept, cache, string, error);
}

/* ----------------------------------------------------------------------------------------------------------- Values */

static sf_code get_from_layout(sf_lance_string_column *strings, const sf_lance_page *page, uint64_t row,
                               sf_lance_page_cache *cache, bool *is_null, sf_lance_bytes *string, sf_error *error) {
  string_page *kept;
  SF_TRY(ready_page(strings, page, cache->cancellation, &kept, error));
  switch (page->layout->layout_case) {
  case SF__LANCE__PAGE_LAYOUT__LAYOUT_MINI_BLOCK:
    return get_from_mini_block(&strings->column, page, kept, row, cache, is_null, string, error);
  case SF__LANCE__PAGE_LAYOUT__LAYOUT_FULL_ZIP:
    return get_from_full_zip(&strings->column, page, kept, row, cache, is_null, string, error);
  default:
    *is_null = kept->constant.all_null || (kept->constant.nulls != NULL && sf_lance_bit(kept->constant.nulls, row));
    *string = kept->constant.string;
    return SF_OK;
  }
}

sf_code sf_lance_string_column_get(sf_lance_string_column *strings, uint64_t row, sf_lance_page_cache *cache,
                                   bool *is_null, sf_lance_bytes *string, sf_error *error) {
  const sf_lance_page *page = sf_lance_column_page(&strings->column, row);
  if (page == NULL)
    return SF_LANCE_BAD(error, "%s: column %s has no row %llu", sf_lance_object_name(strings->column.file->object),
                        strings->column.name, (unsigned long long)row);
  uint64_t row_in_page = row - page->first_row;
  *string = (sf_lance_bytes){0};
  sf_code code;
  if (page->array != NULL)
    code = sf_lance_array_string(&strings->column, page, row_in_page, cache, is_null, string, error);
  else
    code = get_from_layout(strings, page, row_in_page, cache, is_null, string, error);
  if (code == SF_OK && !*is_null && !sf_lance_is_utf8(*string))
    code = SF_LANCE_BAD(error, "row %llu is not valid UTF-8", (unsigned long long)row_in_page);
  return code == SF_OK ? SF_OK : sf_lance_page_error(&strings->column, page, error);
}
