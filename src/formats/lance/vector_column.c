#include "formats/lance/vector_column.h"

#include "formats/lance/array_encoding.h"
#include "formats/lance/constant.h"
#include "formats/lance/full_zip.h"
#include "formats/lance/mini_block.h"

#include <math.h>

/* A page that is decoded is in memory as it is stored, so its buffers are bounded by the file; what general
 * compression may make of them is bounded by the schemes themselves (128 KiB out of 4 bytes). */
#define MAX_EXPANSION 32768

/* Bytes that the items of all rows take; false when that is more than there can be. */
static bool item_bytes(const sf_lance_vector_page *vectors, uint64_t *row_bytes, uint64_t *all_bytes) {
  *row_bytes = (uint64_t)vectors->dim * sf_lance_item_size(vectors->item_type);
  return !__builtin_mul_overflow(*row_bytes, vectors->page->num_rows, all_bytes) && *all_bytes <= INT64_MAX;
}

static sf_code fail_size(const sf_lance_vector_page *vectors, uint64_t length, sf_error *error) {
  return SF_LANCE_BAD(error, "%llu bytes don't hold %llu vectors of %u items", (unsigned long long)length,
                      (unsigned long long)vectors->page->num_rows, vectors->dim);
}

static bool can_be_plain(const sf_lance_vector_page *vectors) {
  return vectors->item_type == SF_LANCE_FLOAT32 && vectors->offset % sizeof(float) == 0;
}

/* Where decoded rows go, a batch at a time. */
typedef struct batch_sink {
  const sf_cancellation *cancellation;
  sf_lance_rows_callback callback;
  void *user_data;
  float *values;   /* of a batch */
  size_t capacity; /* rows */
} batch_sink;

#define BATCH_BYTES ((size_t)1 << 20)

static size_t rows_in_batch(const sf_lance_vector_page *vectors, size_t rows_left) {
  size_t rows = BATCH_BYTES / (vectors->dim * sizeof(float));
  if (rows == 0)
    rows = 1;
  return rows < rows_left ? rows : rows_left;
}

static void erase_row(const sf_lance_vector_page *vectors, float *values, size_t row) {
  for (size_t i = 0; i < vectors->dim; i++)
    values[row * vectors->dim + i] = NAN;
}

static sf_code emit(const batch_sink *sink, uint64_t first_row, const float *values, size_t count, sf_error *error) {
  SF_TRY(sf_cancellation_check(sink->cancellation, error));
  return sink->callback(first_row, values, count, sink->user_data, error);
}

/* ------------------------------------------------------------------------------------------------------ Version 2.0 */

static sf_code open_array(sf_lance_vector_page *vectors, sf_error *error) {
  const sf_lance_page *page = vectors->page;
  sf_lance_array_vectors parts;
  size_t buffer;
  uint64_t row_bytes;
  uint64_t all_bytes;
  SF_TRY(sf_lance_array_vectors_find(page, vectors->dim, sf_lance_item_size(vectors->item_type), &parts, error));
  if (parts.values == NULL) {
    vectors->kind = SF_LANCE_VECTORS_NULL;
    return SF_OK;
  }
  SF_TRY(sf_lance_array_flat_buffer(parts.values, &buffer, error));
  if (buffer >= page->num_buffers)
    return SF_LANCE_BAD(error, "buffer %zu is not among the page's %zu", buffer, page->num_buffers);
  bool compressed = parts.values->compression != NULL;
  uint64_t limit = page->buffer_sizes[buffer];
  if (compressed && __builtin_mul_overflow(limit, (uint64_t)MAX_EXPANSION, &limit))
    limit = UINT64_MAX;
  if (!item_bytes(vectors, &row_bytes, &all_bytes) || all_bytes > limit)
    return fail_size(vectors, page->buffer_sizes[buffer], error);
  vectors->offset = page->buffer_offsets[buffer];
  vectors->kind = !compressed && can_be_plain(vectors) ? SF_LANCE_VECTORS_PLAIN : SF_LANCE_VECTORS_ENCODED;
  return SF_OK;
}

static sf_code array_nulls(const sf_lance_vector_page *vectors, const sf_lance_array_vectors *parts,
                           const sf_cancellation *cancellation, uint8_t *nulls, sf_error *error) {
  size_t num_rows = (size_t)vectors->page->num_rows;
  sf_lance_slice bits = {0};
  sf_code code = SF_OK;
  if (parts->validity != NULL) {
    code = sf_lance_array_bitmap(vectors->column, vectors->page, parts->validity, num_rows, cancellation, &bits, error);
    for (size_t row = 0; code == SF_OK && row < num_rows; row++)
      if (!sf_lance_bit(bits.bytes.data, row))
        sf_lance_set_bit(nulls, row);
    sf_lance_slice_release(&bits);
  }
  if (code == SF_OK && parts->item_validity != NULL) {
    size_t num_items = num_rows * vectors->dim; /* fits: open_array has seen the bytes for them */
    code = sf_lance_array_bitmap(vectors->column, vectors->page, parts->item_validity, num_items, cancellation, &bits,
                                 error);
    for (size_t item = 0; code == SF_OK && item < num_items; item++)
      if (!sf_lance_bit(bits.bytes.data, item))
        sf_lance_set_bit(nulls, item / vectors->dim);
    sf_lance_slice_release(&bits);
  }
  return code;
}

static sf_code decode_array(const sf_lance_vector_page *vectors, const batch_sink *sink, sf_error *error) {
  sf_lance_array_vectors parts;
  sf_lance_slice bytes = {0};
  uint64_t row_bytes;
  uint64_t all_bytes;
  SF_TRY(
      sf_lance_array_vectors_find(vectors->page, vectors->dim, sf_lance_item_size(vectors->item_type), &parts, error));
  if (!item_bytes(vectors, &row_bytes, &all_bytes))
    return fail_size(vectors, 0, error);
  size_t num_rows = (size_t)vectors->page->num_rows;
  uint8_t *nulls = sf_calloc(num_rows / 8 + 1, 1);
  sf_code code = nulls == NULL ? sf_fail_memory(error, "a bitmap of vectors") : SF_OK;
  if (code == SF_OK)
    code = array_nulls(vectors, &parts, sink->cancellation, nulls, error);
  if (code == SF_OK)
    code = sf_lance_array_flat_bytes(vectors->column, vectors->page, parts.values, all_bytes, sink->cancellation,
                                     &bytes, error);
  for (size_t row = 0; code == SF_OK && row < num_rows;) {
    size_t count = rows_in_batch(vectors, num_rows - row);
    sf_lance_convert_items(vectors->item_type, bytes.bytes.data + row * row_bytes, count * vectors->dim, sink->values);
    for (size_t i = 0; i < count; i++)
      if (sf_lance_bit(nulls, row + i))
        erase_row(vectors, sink->values, i);
    code = emit(sink, row, sink->values, count, error);
    row += count;
  }
  sf_lance_slice_release(&bytes);
  free(nulls);
  return code;
}

/* --------------------------------------------------------------------------------------------- Versions 2.1 and 2.2 */

/* Vectors are a fixed-size list of flat items, whatever the layout. */
static sf_code check_list(const sf_lance_vector_page *vectors, const Sf__Lance__CompressiveEncoding *encoding,
                          bool *has_validity, sf_error *error) {
  if (encoding == NULL || encoding->compression_case != SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION_FIXED_SIZE_LIST)
    return SF_LANCE_BAD(error, "%s encoding is not supported for vectors", sf_lance_encoding_name(encoding));
  const Sf__Lance__FixedSizeList *list = encoding->fixed_size_list;
  const Sf__Lance__CompressiveEncoding *items = list->values;
  if (list->items_per_value != vectors->dim)
    return SF_LANCE_BAD(error, "vectors of %llu items, expected %u", (unsigned long long)list->items_per_value,
                        vectors->dim);
  if (items == NULL || items->compression_case != SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION_FLAT ||
      items->flat->data != NULL)
    return SF_LANCE_BAD(error, "%s encoding is not supported for the items of vectors", sf_lance_encoding_name(items));
  if (items->flat->bits_per_value != sf_lance_item_size(vectors->item_type) * 8)
    return SF_LANCE_BAD(error, "items of %llu bits, expected %zu", (unsigned long long)items->flat->bits_per_value,
                        sf_lance_item_size(vectors->item_type) * 8);
  *has_validity = list->has_validity != 0;
  return SF_OK;
}

/* Whether one of `count` items is null, the first of which has bit `first`. */
static bool has_null_item(const uint8_t *validity, size_t first, size_t count) {
  for (size_t item = first; item < first + count; item++)
    if (!sf_lance_bit(validity, item))
      return true;
  return false;
}

static sf_code open_full_zip(sf_lance_vector_page *vectors, sf_error *error) {
  const sf_lance_page *page = vectors->page;
  const Sf__Lance__FullZipLayout *layout = page->layout->full_zip;
  bool has_validity;
  uint64_t row_bytes;
  uint64_t all_bytes;
  SF_TRY(sf_lance_full_zip_check(layout, page->num_rows, error));
  SF_TRY(check_list(vectors, layout->value_compression, &has_validity, error));
  if (layout->details_case != SF__LANCE__FULL_ZIP_LAYOUT__DETAILS_BITS_PER_VALUE || page->num_buffers < 1)
    return SF_LANCE_BAD(error, "vectors in a full-zip page of variable width are not supported");
  if (!item_bytes(vectors, &row_bytes, &all_bytes) || all_bytes > page->buffer_sizes[0])
    return fail_size(vectors, page->buffer_sizes[0], error);
  bool is_zipped = has_validity || sf_lance_full_zip_control_size(layout) > 0;
  vectors->offset = page->buffer_offsets[0];
  vectors->kind = !is_zipped && can_be_plain(vectors) ? SF_LANCE_VECTORS_PLAIN : SF_LANCE_VECTORS_ENCODED;
  return SF_OK;
}

/* Rows of a control word, a bitmap of the items, and the items. */
static sf_code decode_full_zip(const sf_lance_vector_page *vectors, const batch_sink *sink, sf_error *error) {
  const Sf__Lance__FullZipLayout *layout = vectors->page->layout->full_zip;
  size_t num_rows = (size_t)vectors->page->num_rows;
  size_t dim = vectors->dim;
  bool has_validity;
  SF_TRY(check_list(vectors, layout->value_compression, &has_validity, error));
  size_t control_size = sf_lance_full_zip_control_size(layout);
  size_t validity_size = has_validity ? (dim + 7) / 8 : 0;
  size_t row_size = control_size + validity_size + dim * sf_lance_item_size(vectors->item_type);
  size_t length;
  if (!sf_multiply_size(row_size, num_rows, &length) || length > vectors->page->buffer_sizes[0])
    return fail_size(vectors, vectors->page->buffer_sizes[0], error);
  sf_lance_slice slice = {0};
  sf_code code = sf_lance_page_read(vectors->column, vectors->page, 0, 0, length, sink->cancellation, &slice, error);
  for (size_t row = 0; code == SF_OK && row < num_rows;) {
    size_t count = rows_in_batch(vectors, num_rows - row);
    for (size_t i = 0; i < count; i++) {
      const uint8_t *bytes = slice.bytes.data + (row + i) * row_size;
      sf_lance_convert_items(vectors->item_type, bytes + control_size + validity_size, dim, sink->values + i * dim);
      if ((control_size > 0 && sf_lance_load(bytes, control_size) != 0) ||
          (has_validity && has_null_item(bytes + control_size, 0, dim)))
        erase_row(vectors, sink->values, i);
    }
    code = emit(sink, row, sink->values, count, error);
    row += count;
  }
  sf_lance_slice_release(&slice);
  return code;
}

static sf_code open_mini_block(sf_lance_vector_page *vectors, sf_error *error) {
  const sf_lance_page *page = vectors->page;
  const Sf__Lance__MiniBlockLayout *layout = page->layout->mini_block;
  bool has_validity;
  uint64_t row_bytes;
  uint64_t all_bytes;
  SF_TRY(sf_lance_mini_block_check(layout, page->num_rows, error));
  SF_TRY(check_list(vectors, layout->value_compression, &has_validity, error));
  if (layout->dictionary != NULL || page->num_buffers < 2 || layout->num_buffers != 1u + has_validity)
    return SF_LANCE_BAD(error, "vectors in a mini-block page of %zu buffers, with %llu in a chunk, are not supported",
                        page->num_buffers, (unsigned long long)layout->num_buffers);
  if (!item_bytes(vectors, &row_bytes, &all_bytes) || all_bytes > page->buffer_sizes[1])
    return fail_size(vectors, page->buffer_sizes[1], error);
  vectors->kind = SF_LANCE_VECTORS_ENCODED;
  return SF_OK;
}

/* Erases the rows that the chunk's levels or the bitmap of its items call null. */
static sf_code erase_nulls(const sf_lance_vector_page *vectors, const sf_lance_chunk *chunk, size_t num_rows,
                           float *values, sf_error *error) {
  const Sf__Lance__CompressiveEncoding *level_encoding = vectors->page->layout->mini_block->def_compression;
  if (chunk->num_buffers == 2)
    for (size_t row = 0; row < num_rows; row++)
      if (has_null_item(chunk->buffers[0].data, row * vectors->dim, vectors->dim))
        erase_row(vectors, values, row);
  if (level_encoding == NULL)
    return SF_OK;
  uint8_t *levels = sf_calloc(num_rows, 2);
  if (levels == NULL)
    return sf_fail_memory(error, "definition levels");
  sf_code code = sf_lance_chunk_levels(level_encoding, chunk, num_rows, levels, error);
  for (size_t row = 0; code == SF_OK && row < num_rows; row++)
    if (sf_load_u16(levels + row * 2) != 0)
      erase_row(vectors, values, row);
  free(levels);
  return code;
}

/* Appends a chunk's decoded vectors to the batch. */
static sf_code decode_chunk(const sf_lance_vector_page *vectors, const sf_lance_chunk_place *place,
                            sf_lance_bytes bytes, float *values, sf_error *error) {
  const Sf__Lance__MiniBlockLayout *layout = vectors->page->layout->mini_block;
  size_t num_items = place->num_values * vectors->dim;
  sf_lance_chunk chunk;
  SF_TRY(sf_lance_chunk_parse(bytes, layout->def_compression != NULL, layout->num_buffers, layout->has_large_chunk != 0,
                              &chunk, error));
  sf_lance_bytes items = chunk.buffers[chunk.num_buffers - 1];
  if (items.length != num_items * sf_lance_item_size(vectors->item_type) ||
      (chunk.num_buffers == 2 && chunk.buffers[0].length < (num_items + 7) / 8))
    return SF_LANCE_BAD(error, "%zu bytes don't hold %zu vectors", items.length, place->num_values);
  sf_lance_convert_items(vectors->item_type, items.data, num_items, values);
  return erase_nulls(vectors, &chunk, place->num_values, values, error);
}

/* Makes room for `rows` rows more in the batch, by passing on its rows, and by growing it. */
static sf_code make_room(const sf_lance_vector_page *vectors, batch_sink *sink, size_t rows, uint64_t *first_row,
                         size_t *num_rows, sf_error *error) {
  if (*num_rows > 0 && *num_rows + rows > sink->capacity) {
    SF_TRY(emit(sink, *first_row, sink->values, *num_rows, error));
    *first_row += *num_rows;
    *num_rows = 0;
  }
  if (rows <= sink->capacity)
    return SF_OK;
  float *values = sf_reallocarray(sink->values, rows * vectors->dim, sizeof(*values));
  if (values == NULL)
    return sf_fail_memory(error, "a batch of vectors");
  sink->values = values;
  sink->capacity = rows;
  return SF_OK;
}

static sf_code decode_chunks(const sf_lance_vector_page *vectors, const sf_lance_chunk_table *table,
                             sf_lance_bytes bytes, batch_sink *sink, sf_error *error) {
  sf_lance_chunk_place place;
  uint64_t first_row = 0;
  size_t num_rows = 0;
  sf_lance_chunk_table_first(table, &place);
  if (table->num_chunks == 0)
    return SF_OK;
  do {
    sf_lance_bytes chunk = {bytes.data + place.offset, (size_t)place.length};
    /* The page has bytes for its rows, but a single chunk might not for those that it claims. */
    if (place.num_values > chunk.length / sf_lance_item_size(vectors->item_type) / vectors->dim)
      return SF_LANCE_BAD(error, "chunk %zu: %zu bytes don't hold %zu vectors", place.index, chunk.length,
                          place.num_values);
    SF_TRY(make_room(vectors, sink, place.num_values, &first_row, &num_rows, error));
    if (decode_chunk(vectors, &place, chunk, sink->values + num_rows * vectors->dim, error) != SF_OK)
      return sf_error_prefix(error, "chunk %zu", place.index);
    num_rows += place.num_values;
  } while (sf_lance_chunk_table_next(table, &place));
  return emit(sink, first_row, sink->values, num_rows, error);
}

static sf_code decode_mini_block(const sf_lance_vector_page *vectors, batch_sink *sink, sf_error *error) {
  const sf_lance_page *page = vectors->page;
  sf_lance_slice words = {0};
  sf_lance_slice chunks = {0};
  sf_lance_chunk_table table = {0};
  sf_code code = sf_lance_page_read_all(vectors->column, page, 0, sink->cancellation, &words, error);
  if (code == SF_OK)
    code = sf_lance_chunk_table_init(&table, words.bytes, page->layout->mini_block->has_large_chunk != 0,
                                     page->num_rows, page->buffer_sizes[1], error);
  if (code == SF_OK)
    code = sf_lance_page_read_all(vectors->column, page, 1, sink->cancellation, &chunks, error);
  if (code == SF_OK)
    code = decode_chunks(vectors, &table, chunks.bytes, sink, error);
  sf_lance_chunk_table_free(&table);
  sf_lance_slice_release(&words);
  sf_lance_slice_release(&chunks);
  return code;
}

static sf_code open_constant(sf_lance_vector_page *vectors, sf_error *error) {
  bool all_null;
  SF_TRY(sf_lance_constant_check(vectors->page, &all_null, error));
  if (!all_null)
    return SF_LANCE_BAD(error, "vectors that are all the same, in the constant layout, are not supported");
  vectors->kind = SF_LANCE_VECTORS_NULL;
  return SF_OK;
}

static sf_code open_layout(sf_lance_vector_page *vectors, sf_error *error) {
  switch (vectors->page->layout->layout_case) {
  case SF__LANCE__PAGE_LAYOUT__LAYOUT_MINI_BLOCK:
    return open_mini_block(vectors, error);
  case SF__LANCE__PAGE_LAYOUT__LAYOUT_FULL_ZIP:
    return open_full_zip(vectors, error);
  case SF__LANCE__PAGE_LAYOUT__LAYOUT_CONSTANT:
    return open_constant(vectors, error);
  case SF__LANCE__PAGE_LAYOUT__LAYOUT_BLOB:
    return SF_LANCE_BAD(error, "the blob layout is not supported");
  case SF__LANCE__PAGE_LAYOUT__LAYOUT_SPARSE:
    return SF_LANCE_BAD(error, "the sparse layout is not supported");
  default:
    return SF_LANCE_BAD(error, "a layout of an unknown kind is not supported");
  }
}

/* ------------------------------------------------------------------------------------------------------------ Pages */

sf_code sf_lance_vector_page_open(const sf_lance_column *column, const sf_lance_page *page, uint32_t dim,
                                  sf_lance_item_type item_type, sf_lance_vector_page *vectors, sf_error *error) {
  *vectors = (sf_lance_vector_page){.column = column, .page = page, .dim = dim, .item_type = item_type};
  sf_code code = SF_OK;
  if (page->num_rows == 0)
    vectors->kind = SF_LANCE_VECTORS_NULL;
  else if (page->array != NULL)
    code = open_array(vectors, error);
  else
    code = open_layout(vectors, error);
  return code == SF_OK ? SF_OK : sf_lance_page_error(column, page, error);
}

static sf_code decode_page(const sf_lance_vector_page *vectors, batch_sink *sink, sf_error *error) {
  if (vectors->page->array != NULL)
    return decode_array(vectors, sink, error);
  if (vectors->page->layout->layout_case == SF__LANCE__PAGE_LAYOUT__LAYOUT_FULL_ZIP)
    return decode_full_zip(vectors, sink, error);
  return decode_mini_block(vectors, sink, error);
}

sf_code sf_lance_vector_page_decode(const sf_lance_vector_page *vectors, const sf_cancellation *cancellation,
                                    sf_lance_rows_callback callback, void *user_data, sf_error *error) {
  if (vectors->kind == SF_LANCE_VECTORS_NULL)
    return SF_OK;
  batch_sink sink = {.cancellation = cancellation, .callback = callback, .user_data = user_data};
  sink.capacity = rows_in_batch(vectors, (size_t)vectors->page->num_rows);
  sink.values = sf_calloc(sink.capacity * vectors->dim, sizeof(*sink.values));
  if (sink.values == NULL)
    return sf_fail_memory(error, "a batch of vectors");
  sf_code code = decode_page(vectors, &sink, error);
  free(sink.values);
  return code == SF_OK ? SF_OK : sf_lance_page_error(vectors->column, vectors->page, error);
}

sf_code sf_lance_vector_page_nulls(const sf_lance_vector_page *vectors, const sf_cancellation *cancellation,
                                   uint8_t *nulls, sf_error *error) {
  if (vectors->page->array == NULL)
    return SF_OK; /* a plain full-zip page has none */
  sf_lance_array_vectors parts;
  sf_code code =
      sf_lance_array_vectors_find(vectors->page, vectors->dim, sf_lance_item_size(vectors->item_type), &parts, error);
  if (code == SF_OK)
    code = array_nulls(vectors, &parts, cancellation, nulls, error);
  return code == SF_OK ? SF_OK : sf_lance_page_error(vectors->column, vectors->page, error);
}
