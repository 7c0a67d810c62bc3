#include "formats/lance/write_columns.h"

#include <string.h>

#define VECTOR_PAGE_BYTES ((size_t)4 << 20)
#define STRING_PAGE_BYTES ((size_t)512 << 10)
#define STRING_PAGE_ROWS ((size_t)1 << 16)

/* An end with it is a null's: ends of a page are far below. */
#define NULL_MARK ((uint64_t)1 << 63)

/* ------------------------------------------------------------------------------------------------------- Encodings */

/* Values of a fixed width in buffer `index` of the page. */
typedef struct flat_encoding {
  Sf__Lance__Buffer buffer;
  Sf__Lance__FlatArray flat;
  Sf__Lance__ArrayEncoding array;
} flat_encoding;

static Sf__Lance__ArrayEncoding *describe_flat(flat_encoding *encoding, uint32_t index, uint64_t bits_per_value) {
  encoding->buffer = (Sf__Lance__Buffer)SF__LANCE__BUFFER__INIT;
  encoding->flat = (Sf__Lance__FlatArray)SF__LANCE__FLAT_ARRAY__INIT;
  encoding->array = (Sf__Lance__ArrayEncoding)SF__LANCE__ARRAY_ENCODING__INIT;
  encoding->buffer.has_buffer_index = index != 0;
  encoding->buffer.buffer_index = index;
  encoding->flat.has_bits_per_value = true;
  encoding->flat.bits_per_value = bits_per_value;
  encoding->flat.buffer = &encoding->buffer;
  encoding->array.array_encoding_case = SF__LANCE__ARRAY_ENCODING__ARRAY_ENCODING_FLAT;
  encoding->array.flat = &encoding->flat;
  return &encoding->array;
}

/* Values none of which is null. */
typedef struct no_nulls_encoding {
  Sf__Lance__NoNulls no_nulls;
  Sf__Lance__NullableArray nullable;
  Sf__Lance__ArrayEncoding array;
} no_nulls_encoding;

static Sf__Lance__ArrayEncoding *describe_no_nulls(no_nulls_encoding *encoding, Sf__Lance__ArrayEncoding *values) {
  encoding->no_nulls = (Sf__Lance__NoNulls)SF__LANCE__NO_NULLS__INIT;
  encoding->nullable = (Sf__Lance__NullableArray)SF__LANCE__NULLABLE_ARRAY__INIT;
  encoding->array = (Sf__Lance__ArrayEncoding)SF__LANCE__ARRAY_ENCODING__INIT;
  encoding->no_nulls.values = values;
  encoding->nullable.nullability_case = SF__LANCE__NULLABLE_ARRAY__NULLABILITY_NO_NULLS;
  encoding->nullable.no_nulls = &encoding->no_nulls;
  encoding->array.array_encoding_case = SF__LANCE__ARRAY_ENCODING__ARRAY_ENCODING_NULLABLE;
  encoding->array.nullable = &encoding->nullable;
  return &encoding->array;
}

/* --------------------------------------------------------------------------------------------------------- Vectors */

sf_code sf_lance_add_vector_page(sf_lance_file_writer *file, size_t column, void *vectors, size_t num_rows,
                                 uint32_t dim, sf_error *error) {
  flat_encoding components;
  no_nulls_encoding items;
  no_nulls_encoding lists;
  Sf__Lance__FixedSizeListArray list = SF__LANCE__FIXED_SIZE_LIST_ARRAY__INIT;
  Sf__Lance__ArrayEncoding array = SF__LANCE__ARRAY_ENCODING__INIT;
  list.has_dimension = true;
  list.dimension = dim;
  list.items = describe_no_nulls(&items, describe_flat(&components, 0, 8 * sizeof(float)));
  array.array_encoding_case = SF__LANCE__ARRAY_ENCODING__ARRAY_ENCODING_FIXED_SIZE_LIST;
  array.fixed_size_list = &list;
  sf_buffer buffer = {.data = vectors, .length = num_rows * dim * sizeof(float)};
  return sf_lance_file_add_page(file, column, &buffer, 1, num_rows, describe_no_nulls(&lists, &array), error);
}

sf_code sf_lance_add_number_page(sf_lance_file_writer *file, size_t column, uint64_t number, sf_error *error) {
  flat_encoding flat;
  no_nulls_encoding values;
  uint8_t bytes[8];
  for (size_t i = 0; i < sizeof(bytes); i++)
    bytes[i] = (uint8_t)(number >> (8 * i));
  sf_buffer buffer = {.data = bytes, .length = sizeof(bytes)};
  return sf_lance_file_add_page(file, column, &buffer, 1, 1, describe_no_nulls(&values, describe_flat(&flat, 0, 64)),
                                error);
}

sf_code sf_lance_vector_pages_init(sf_lance_vector_page_writer *page, uint32_t dim, sf_error *error) {
  size_t row_bytes = (size_t)dim * sizeof(float);
  size_t max_rows = row_bytes < VECTOR_PAGE_BYTES ? VECTOR_PAGE_BYTES / row_bytes : 1;
  *page = (sf_lance_vector_page_writer){.row_bytes = row_bytes, .max_rows = max_rows};
  page->vectors = sf_calloc(max_rows, row_bytes);
  return page->vectors != NULL ? SF_OK : sf_fail_memory(error, "a page of vectors");
}

void sf_lance_vector_pages_free(sf_lance_vector_page_writer *page) {
  free(page->vectors);
  *page = (sf_lance_vector_page_writer){0};
}

sf_code sf_lance_vector_pages_flush(sf_lance_vector_page_writer *page, sf_lance_file_writer *file, sf_error *error) {
  if (page->num_rows == 0)
    return SF_OK;
  SF_TRY(sf_lance_add_vector_page(file, SF_LANCE_VECTOR, page->vectors, page->num_rows,
                                  (uint32_t)(page->row_bytes / sizeof(float)), error));
  page->num_rows = 0;
  return SF_OK;
}

sf_code sf_lance_vector_pages_add(sf_lance_vector_page_writer *page, const float *vector, sf_lance_file_writer *file,
                                  sf_error *error) {
  memcpy(page->vectors + page->num_rows * page->row_bytes, vector, page->row_bytes);
  page->num_rows++;
  return page->num_rows < page->max_rows ? SF_OK : sf_lance_vector_pages_flush(page, file, error);
}

/* --------------------------------------------------------------------------------------------------------- Strings */

void sf_lance_string_pages_free(sf_lance_string_page_writer *page) {
  sf_buffer_free(&page->ends);
  sf_buffer_free(&page->bytes);
  *page = (sf_lance_string_page_writer){0};
}

/* A null's end is told by an addend that no end of the page reaches. */
static void adjust_nulls(sf_lance_string_page_writer *page, uint64_t null_adjustment) {
  for (size_t row = 0; row < page->num_rows; row++) {
    uint64_t end;
    uint8_t *place = page->ends.data + row * sizeof(end);
    memcpy(&end, place, sizeof(end));
    if ((end & NULL_MARK) == 0)
      continue;
    end = (end & ~NULL_MARK) + null_adjustment;
    memcpy(place, &end, sizeof(end));
  }
}

/* After a string larger than a page, no more memory is kept than for a page. */
static void empty(sf_buffer *buffer) {
  buffer->length = 0;
  if (buffer->capacity > STRING_PAGE_BYTES + 1)
    sf_buffer_free(buffer);
}

sf_code sf_lance_string_pages_flush(sf_lance_string_page_writer *page, sf_lance_column_role column,
                                    sf_lance_file_writer *file, sf_error *error) {
  if (page->num_rows == 0)
    return SF_OK;
  flat_encoding ends;
  flat_encoding bytes;
  no_nulls_encoding indices;
  Sf__Lance__BinaryArray binary = SF__LANCE__BINARY_ARRAY__INIT;
  Sf__Lance__ArrayEncoding array = SF__LANCE__ARRAY_ENCODING__INIT;
  binary.has_null_adjustment = true;
  binary.null_adjustment = page->bytes.length + 1;
  binary.indices = describe_no_nulls(&indices, describe_flat(&ends, 0, 64));
  binary.bytes = describe_flat(&bytes, 1, 8);
  array.array_encoding_case = SF__LANCE__ARRAY_ENCODING__ARRAY_ENCODING_BINARY;
  array.binary = &binary;
  adjust_nulls(page, binary.null_adjustment);
  const sf_buffer buffers[2] = {page->ends, page->bytes};
  SF_TRY(sf_lance_file_add_page(file, column, buffers, 2, page->num_rows, &array, error));
  empty(&page->ends);
  empty(&page->bytes);
  page->num_rows = 0;
  return SF_OK;
}

/* All at once: a growing buffer would end up twice as large as a page. */
static bool reserve(sf_lance_string_page_writer *page) {
  return sf_buffer_reserve(&page->ends, STRING_PAGE_ROWS * sizeof(uint64_t)) &&
         sf_buffer_reserve(&page->bytes, STRING_PAGE_BYTES);
}

sf_code sf_lance_string_pages_add(sf_lance_string_page_writer *page, sf_lance_column_role column, const char *text,
                                  size_t length, sf_lance_file_writer *file, sf_error *error) {
  size_t room = page->bytes.length < STRING_PAGE_BYTES ? STRING_PAGE_BYTES - page->bytes.length : 0;
  if (page->num_rows == STRING_PAGE_ROWS || (length > room && page->num_rows > 0))
    SF_TRY(sf_lance_string_pages_flush(page, column, file, error));
  if (page->num_rows == 0 && !reserve(page))
    return sf_fail_memory(error, "a page of strings");
  if (text != NULL && !sf_buffer_append(&page->bytes, text, length))
    return sf_fail_memory(error, "a page of strings");
  uint64_t end = page->bytes.length | (text == NULL ? NULL_MARK : 0);
  if (!sf_lance_append_integer(&page->ends, end, sizeof(end)))
    return sf_fail_memory(error, "a page of strings");
  page->num_rows++;
  return SF_OK;
}
