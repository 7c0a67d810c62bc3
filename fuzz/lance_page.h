/*
 * Lays a page of a Lance column out in memory, as the fuzzers of its encodings need it. The input is
 *
 *   u8 what (bit 0: vectors, else strings; bit 1: versions 2.1 and 2.2, else 2.0; bits 4 and 5: type of the items)
 *   u8 dimension | u16 rows | u16 length of the encoding | u8 number of buffers | u16 length of each |
 *   encoding | buffers
 */
#ifndef SF_FUZZ_LANCE_PAGE_H
#define SF_FUZZ_LANCE_PAGE_H

#include "formats/lance/data_file.h"
#include "formats/lance/string_column.h"
#include "formats/lance/vector_column.h"
#include "formats/lance/wire.h"

#include <stdlib.h>

#define MAX_BUFFERS 8

typedef struct fuzzed_page {
  sf_lance_data_file file;
  sf_lance_column column;
  uint64_t offsets[MAX_BUFFERS];
  uint64_t sizes[MAX_BUFFERS];
  bool has_vectors;
  uint32_t dim;
  sf_lance_item_type item_type;
} fuzzed_page;

static inline bool unpack_layout(sf_lance_bytes encoding, bool is_layout, sf_lance_page *page) {
  sf_error error;
  if (is_layout)
    return sf_lance_wire_unpack(&sf__lance__page_layout__descriptor, encoding, "encoding", &page->layout, &error) ==
           SF_OK;
  return sf_lance_wire_unpack(&sf__lance__array_encoding__descriptor, encoding, "encoding", &page->array, &error) ==
         SF_OK;
}

static inline bool place_buffers(fuzzed_page *fuzzed, sf_cursor *cursor, const uint8_t *lengths, size_t num_buffers) {
  size_t total = sf_cursor_remaining(cursor);
  size_t offset = 0;
  for (size_t i = 0; i < num_buffers; i++) {
    size_t length = sf_load_u16(lengths + i * 2);
    fuzzed->offsets[i] = offset;
    fuzzed->sizes[i] = length < total - offset ? length : total - offset;
    offset += (size_t)fuzzed->sizes[i];
  }
  sf_error error;
  sf_lance_bytes bytes = {sf_cursor_take(cursor, total), total};
  return sf_lance_object_open_bytes(bytes, "fuzzed.lance", &fuzzed->file.object, &error) == SF_OK;
}

/* False where the input is no page; close whatever happened. */
static inline bool open_fuzzed_page(const uint8_t *data, size_t size, fuzzed_page *fuzzed) {
  sf_cursor cursor = sf_cursor_over(data, size);
  uint8_t what;
  uint8_t dim;
  uint16_t num_rows;
  uint16_t encoding_length;
  uint8_t num_buffers;
  *fuzzed = (fuzzed_page){0};
  if (!sf_cursor_u8(&cursor, &what) || !sf_cursor_u8(&cursor, &dim) || !sf_cursor_u16(&cursor, &num_rows) ||
      !sf_cursor_u16(&cursor, &encoding_length) || !sf_cursor_u8(&cursor, &num_buffers) || num_buffers > MAX_BUFFERS ||
      dim == 0)
    return false;
  const uint8_t *lengths = sf_cursor_take(&cursor, (size_t)num_buffers * 2);
  const uint8_t *encoding = lengths == NULL ? NULL : sf_cursor_take(&cursor, encoding_length);
  if (encoding == NULL || !place_buffers(fuzzed, &cursor, lengths, num_buffers))
    return false;
  fuzzed->has_vectors = (what & 1) != 0;
  fuzzed->dim = dim;
  fuzzed->item_type = (sf_lance_item_type)(what >> 4 & 3);
  fuzzed->column.file = &fuzzed->file;
  fuzzed->column.name = "fuzzed";
  fuzzed->column.num_rows = num_rows;
  fuzzed->column.pages = calloc(1, sizeof(*fuzzed->column.pages));
  if (fuzzed->column.pages == NULL)
    abort();
  fuzzed->column.num_pages = 1;
  fuzzed->column.pages[0] = (sf_lance_page){.num_rows = num_rows,
                                            .num_buffers = num_buffers,
                                            .buffer_offsets = fuzzed->offsets,
                                            .buffer_sizes = fuzzed->sizes};
  return unpack_layout((sf_lance_bytes){encoding, encoding_length}, (what & 2) != 0, &fuzzed->column.pages[0]);
}

static inline void close_fuzzed_page(fuzzed_page *fuzzed) {
  sf_lance_column_close(&fuzzed->column);
  sf_lance_data_file_close(&fuzzed->file);
}

/* Every byte that a reader hands out must be there: the sanitizers look. */
static inline void touch(const void *bytes, size_t length) {
  static volatile uint8_t sum;
  for (size_t i = 0; i < length; i++)
    sum = (uint8_t)(sum + ((const uint8_t *)bytes)[i]);
}

static inline sf_code touch_rows(uint64_t first_row, const float *values, size_t count, void *user_data,
                                 sf_error *error) {
  (void)error;
  const sf_lance_vector_page *page = user_data;
  if (first_row + count > page->page->num_rows)
    abort();
  touch(values, count * page->dim * sizeof(float));
  return SF_OK;
}

static inline void read_vectors(const sf_lance_column *column, uint32_t dim, sf_lance_item_type type) {
  sf_error error;
  for (size_t i = 0; i < column->num_pages; i++) {
    sf_lance_vector_page page;
    if (sf_lance_vector_page_open(column, &column->pages[i], dim, type, &page, &error) != SF_OK)
      continue;
    (void)sf_lance_vector_page_decode(&page, NULL, touch_rows, &page, &error);
    if (page.kind != SF_LANCE_VECTORS_PLAIN)
      continue;
    size_t num_rows = (size_t)page.page->num_rows;
    uint8_t *nulls = calloc(num_rows / 8 + 1, 1);
    if (nulls == NULL)
      abort();
    (void)sf_lance_vector_page_nulls(&page, NULL, nulls, &error);
    const uint8_t *mapped =
        sf_lance_object_mapped(column->file->object, page.offset, (uint64_t)num_rows * dim * sizeof(float));
    if (mapped == NULL)
      abort();
    touch(mapped, num_rows * dim * sizeof(float));
    free(nulls);
  }
}

/* Takes the column over. */
static inline void read_strings(sf_lance_column *column) {
  sf_error error;
  sf_lance_string_column *strings;
  if (sf_lance_string_column_open(column, &strings, &error) != SF_OK)
    return;
  sf_lance_page_cache cache = {0};
  uint64_t num_rows = sf_lance_string_column_rows(strings);
  for (uint64_t row = 0; row < num_rows && row < 3000; row++) {
    bool is_null;
    sf_lance_bytes string;
    if (sf_lance_string_column_get(strings, row, &cache, &is_null, &string, &error) == SF_OK && !is_null)
      touch(string.data, string.length);
  }
  sf_lance_page_cache_free(&cache);
  sf_lance_string_column_close(strings);
}

#endif
