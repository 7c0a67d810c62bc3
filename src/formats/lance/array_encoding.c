#include "formats/lance/array_encoding.h"

#include "formats/lance/decoders.h"

typedef Sf__Lance__ArrayEncoding array_tree;

/* Everything that reading a page needs. */
typedef struct page_reader {
  const sf_lance_column *column;
  const sf_lance_page *page;
  sf_lance_page_cache *cache;
} page_reader;

static const char *encoding_name(const array_tree *encoding) {
  switch (encoding != NULL ? encoding->array_encoding_case : SF__LANCE__ARRAY_ENCODING__ARRAY_ENCODING__NOT_SET) {
  case SF__LANCE__ARRAY_ENCODING__ARRAY_ENCODING_FLAT:
    return "flat";
  case SF__LANCE__ARRAY_ENCODING__ARRAY_ENCODING_NULLABLE:
    return "nullable";
  case SF__LANCE__ARRAY_ENCODING__ARRAY_ENCODING_FIXED_SIZE_LIST:
    return "fixed-size list";
  case SF__LANCE__ARRAY_ENCODING__ARRAY_ENCODING_LIST:
    return "list";
  case SF__LANCE__ARRAY_ENCODING__ARRAY_ENCODING_STRUCT:
    return "struct";
  case SF__LANCE__ARRAY_ENCODING__ARRAY_ENCODING_BINARY:
    return "binary";
  case SF__LANCE__ARRAY_ENCODING__ARRAY_ENCODING_DICTIONARY:
    return "dictionary";
  case SF__LANCE__ARRAY_ENCODING__ARRAY_ENCODING_FSST:
    return "FSST";
  case SF__LANCE__ARRAY_ENCODING__ARRAY_ENCODING_PACKED_STRUCT:
    return "packed struct";
  case SF__LANCE__ARRAY_ENCODING__ARRAY_ENCODING_BITPACKED:
    return "bit-packed";
  case SF__LANCE__ARRAY_ENCODING__ARRAY_ENCODING_FIXED_SIZE_BINARY:
    return "fixed-size binary";
  case SF__LANCE__ARRAY_ENCODING__ARRAY_ENCODING_BITPACKED_FOR_NON_NEG:
    return "bit-packed (non-negative)";
  case SF__LANCE__ARRAY_ENCODING__ARRAY_ENCODING_CONSTANT:
    return "constant";
  default:
    return "unknown";
  }
}

static sf_code fail_unsupported(const array_tree *encoding, const char *where, sf_error *error) {
  return SF_LANCE_BAD(error, "%s encoding is not supported for %s", encoding_name(encoding), where);
}

/* ---------------------------------------------------------------------------------------------------------- Buffers */

static sf_code page_buffer(const Sf__Lance__Buffer *buffer, size_t *index, sf_error *error) {
  static const char *const owners[] = {"page", "column", "file"};
  uint32_t type = buffer != NULL ? buffer->buffer_type : 0;
  if (buffer == NULL)
    return SF_LANCE_BAD(error, "an encoding has no buffer");
  if (type != 0)
    return SF_LANCE_BAD(error, "a buffer of the %s is not supported", type < 3 ? owners[type] : "unknown");
  *index = buffer->buffer_index;
  return SF_OK;
}

sf_code sf_lance_array_flat_buffer(const Sf__Lance__FlatArray *flat, size_t *buffer, sf_error *error) {
  return page_buffer(flat->buffer, buffer, error);
}

/* The scheme's number, or 0 for none. */
static sf_code compression_scheme(const Sf__Lance__FlatArray *flat, uint32_t *scheme, sf_error *error) {
  const char *name = flat->compression != NULL ? flat->compression->scheme : NULL;
  if (name == NULL || name[0] == '\0' || strcmp(name, "none") == 0)
    *scheme = 0;
  else if (strcmp(name, "zstd") == 0)
    *scheme = SF_LANCE_ZSTD;
  else if (strcmp(name, "lz4") == 0)
    *scheme = SF_LANCE_LZ4;
  else
    return SF_LANCE_BAD(error, "compression '%.40s' is not supported", name);
  return SF_OK;
}

static sf_code load_decompressed(const page_reader *reader, size_t index, uint32_t scheme, sf_error *error) {
  sf_lance_page_cache *cache = reader->cache;
  if (cache->buffer_page == reader->page && cache->buffer_index == index)
    return SF_OK;
  cache->buffer_page = NULL;
  cache->buffer.length = 0;
  sf_lance_slice slice = {0};
  sf_code code = sf_lance_page_read_all(reader->column, reader->page, index, cache->cancellation, &slice, error);
  if (code == SF_OK)
    code = sf_lance_decompress(scheme, slice.bytes, &cache->buffer, error);
  sf_lance_slice_release(&slice);
  if (code == SF_OK) {
    cache->buffer_page = reader->page;
    cache->buffer_index = index;
  }
  return code;
}

/* Bytes [offset, offset + length) of a flat array, into cache->value. */
static sf_code read_flat(const page_reader *reader, const Sf__Lance__FlatArray *flat, uint64_t offset, uint64_t length,
                         sf_lance_bytes *bytes, sf_error *error) {
  size_t index = 0;
  uint32_t scheme = 0;
  SF_TRY(page_buffer(flat->buffer, &index, error));
  SF_TRY(compression_scheme(flat, &scheme, error));
  if (scheme != 0) {
    SF_TRY(load_decompressed(reader, index, scheme, error));
    size_t available = reader->cache->buffer.length;
    if (offset > available || length > available - offset)
      return SF_LANCE_BAD(error, "%llu bytes at %llu lie outside the %zu decompressed bytes of buffer %zu",
                          (unsigned long long)length, (unsigned long long)offset, available, index);
    *bytes = (sf_lance_bytes){reader->cache->buffer.data + offset, (size_t)length};
    return SF_OK;
  }
  sf_lance_slice_release(&reader->cache->value);
  SF_TRY(sf_lance_page_read(reader->column, reader->page, index, offset, length, reader->cache->cancellation,
                            &reader->cache->value, error));
  *bytes = reader->cache->value.bytes;
  return SF_OK;
}

/* --------------------------------------------------------------------------------------------------------- Integers */

static sf_code flat_integers(const page_reader *reader, const Sf__Lance__FlatArray *flat, uint64_t first, size_t count,
                             uint64_t *values, sf_error *error) {
  size_t size = (size_t)(flat->bits_per_value / 8);
  if (flat->bits_per_value % 8 != 0 || size == 0 || size > 8)
    return SF_LANCE_BAD(error, "integers of %llu bits are not supported", (unsigned long long)flat->bits_per_value);
  uint32_t scheme = 0;
  SF_TRY(compression_scheme(flat, &scheme, error));
  if (scheme != 0)
    return SF_LANCE_BAD(error, "integers under general compression are not supported");
  sf_lance_bytes bytes;
  SF_TRY(read_flat(reader, flat, first * size, count * size, &bytes, error));
  for (size_t i = 0; i < count; i++)
    values[i] = sf_lance_load(bytes.data + i * size, size);
  return SF_OK;
}

static sf_code bit_packed_integers(const page_reader *reader, const Sf__Lance__BitpackedArray *packed, uint64_t first,
                                   size_t count, uint64_t *values, sf_error *error) {
  uint64_t width = packed->compressed_bits_per_value;
  if (width == 0 || width > 64)
    return SF_LANCE_BAD(error, "bit-packed integers of %llu bits", (unsigned long long)width);
  Sf__Lance__FlatArray flat = SF__LANCE__FLAT_ARRAY__INIT;
  flat.buffer = packed->buffer;
  uint64_t first_bit = first * width;
  uint64_t end_bit = (first + count) * width;
  sf_lance_bytes bytes;
  SF_TRY(read_flat(reader, &flat, first_bit / 8, (end_bit + 7) / 8 - first_bit / 8, &bytes, error));
  for (size_t i = 0; i < count; i++)
    SF_TRY(sf_lance_bit_packed_value(bytes, first_bit % 8 + i * width, (unsigned)width, packed->signed_ != 0,
                                     &values[i], error));
  return SF_OK;
}

static sf_code block_packed_integers(const page_reader *reader, const Sf__Lance__BitpackedForNonNegArray *packed,
                                     uint64_t first, size_t count, uint64_t *values, sf_error *error) {
  uint64_t width = packed->compressed_bits_per_value;
  uint64_t value_bits = packed->uncompressed_bits_per_value;
  if (value_bits > 64 || width > value_bits)
    return SF_LANCE_BAD(error, "bit-packed integers of %llu bits for %llu", (unsigned long long)width,
                        (unsigned long long)value_bits);
  Sf__Lance__FlatArray flat = SF__LANCE__FLAT_ARRAY__INIT;
  flat.buffer = packed->buffer;
  uint64_t block_length = SF_LANCE_PACKED_VALUES / 8 * width;
  uint8_t block[SF_LANCE_PACKED_VALUES * sizeof(uint64_t)];
  for (size_t i = 0; i < count; i++) {
    uint64_t index = first + i;
    sf_lance_bytes bytes;
    SF_TRY(read_flat(reader, &flat, index / SF_LANCE_PACKED_VALUES * block_length, block_length, &bytes, error));
    SF_TRY(sf_lance_unpack_block(bytes, (unsigned)value_bits, (unsigned)width, block, error));
    size_t size = (size_t)value_bits / 8;
    values[i] = sf_lance_load(block + index % SF_LANCE_PACKED_VALUES * size, size);
  }
  return SF_OK;
}

/* Integers [first, first + count) of an array without nulls. The caller keeps first + count far from overflow. */
static sf_code read_integers(const page_reader *reader, const array_tree *encoding, uint64_t first, size_t count,
                             uint64_t *values, sf_error *error) {
  while (encoding != NULL && encoding->array_encoding_case == SF__LANCE__ARRAY_ENCODING__ARRAY_ENCODING_NULLABLE &&
         encoding->nullable->nullability_case == SF__LANCE__NULLABLE_ARRAY__NULLABILITY_NO_NULLS)
    encoding = encoding->nullable->no_nulls->values;
  switch (encoding != NULL ? encoding->array_encoding_case : SF__LANCE__ARRAY_ENCODING__ARRAY_ENCODING__NOT_SET) {
  case SF__LANCE__ARRAY_ENCODING__ARRAY_ENCODING_FLAT:
    return flat_integers(reader, encoding->flat, first, count, values, error);
  case SF__LANCE__ARRAY_ENCODING__ARRAY_ENCODING_BITPACKED:
    return bit_packed_integers(reader, encoding->bitpacked, first, count, values, error);
  case SF__LANCE__ARRAY_ENCODING__ARRAY_ENCODING_BITPACKED_FOR_NON_NEG:
    return block_packed_integers(reader, encoding->bitpacked_for_non_neg, first, count, values, error);
  default:
    return fail_unsupported(encoding, "integers", error);
  }
}

/* ---------------------------------------------------------------------------------------------------------- Strings */

static sf_code read_string(const page_reader *reader, const array_tree *encoding, uint64_t row, bool *is_null,
                           sf_lance_bytes *string, sf_error *error);

static const Sf__Lance__FlatArray *byte_array(const array_tree *encoding) {
  while (encoding != NULL && encoding->array_encoding_case == SF__LANCE__ARRAY_ENCODING__ARRAY_ENCODING_NULLABLE &&
         encoding->nullable->nullability_case == SF__LANCE__NULLABLE_ARRAY__NULLABILITY_NO_NULLS)
    encoding = encoding->nullable->no_nulls->values;
  if (encoding == NULL || encoding->array_encoding_case != SF__LANCE__ARRAY_ENCODING__ARRAY_ENCODING_FLAT)
    return NULL;
  return encoding->flat;
}

/* Index i is where string i ends, plus the adjustment where it is null. The first begins at 0. */
static sf_code read_binary(const page_reader *reader, const Sf__Lance__BinaryArray *binary, uint64_t row, bool *is_null,
                           sf_lance_bytes *string, sf_error *error) {
  const Sf__Lance__FlatArray *bytes = byte_array(binary->bytes);
  if (bytes == NULL || bytes->bits_per_value != 8)
    return fail_unsupported(binary->bytes, "the bytes of strings", error);
  uint64_t ends[2] = {0, 0};
  if (row == 0)
    SF_TRY(read_integers(reader, binary->indices, 0, 1, &ends[1], error));
  else
    SF_TRY(read_integers(reader, binary->indices, row - 1, 2, ends, error));
  uint64_t adjustment = binary->null_adjustment;
  *is_null = ends[1] >= adjustment;
  if (*is_null)
    return SF_OK;
  uint64_t begin = ends[0] >= adjustment ? ends[0] - adjustment : ends[0];
  if (begin > ends[1])
    return SF_LANCE_BAD(error, "string %llu lies at %llu to %llu", (unsigned long long)row, (unsigned long long)begin,
                        (unsigned long long)ends[1]);
  return read_flat(reader, bytes, begin, ends[1] - begin, string, error);
}

static sf_code read_fixed_size_binary(const page_reader *reader, const Sf__Lance__FixedSizeBinaryArray *binary,
                                      uint64_t row, bool *is_null, sf_lance_bytes *string, sf_error *error) {
  const Sf__Lance__FlatArray *bytes = byte_array(binary->bytes);
  if (bytes == NULL)
    return fail_unsupported(binary->bytes, "the bytes of strings", error);
  uint64_t offset;
  *is_null = false;
  if (__builtin_mul_overflow(row, (uint64_t)binary->byte_width, &offset))
    return SF_LANCE_BAD(error, "string %llu of %u bytes each", (unsigned long long)row, binary->byte_width);
  return read_flat(reader, bytes, offset, binary->byte_width, string, error);
}

/* 0 is null, n is item n − 1. */
static sf_code read_dictionary(const page_reader *reader, const Sf__Lance__DictionaryArray *dictionary, uint64_t row,
                               bool *is_null, sf_lance_bytes *string, sf_error *error) {
  uint64_t index;
  SF_TRY(read_integers(reader, dictionary->indices, row, 1, &index, error));
  *is_null = index == 0;
  if (*is_null)
    return SF_OK;
  if (index > dictionary->num_dictionary_items)
    return SF_LANCE_BAD(error, "item %llu is not among the %u of the dictionary", (unsigned long long)index - 1,
                        dictionary->num_dictionary_items);
  return read_string(reader, dictionary->items, index - 1, is_null, string, error);
}

static sf_code read_fsst(const page_reader *reader, const Sf__Lance__FsstArray *fsst, uint64_t row, bool *is_null,
                         sf_lance_bytes *string, sf_error *error) {
  if (fsst->binary == NULL || fsst->binary->array_encoding_case == SF__LANCE__ARRAY_ENCODING__ARRAY_ENCODING_FSST)
    return fail_unsupported(fsst->binary, "FSST strings", error);
  sf_lance_fsst_table table;
  SF_TRY(sf_lance_fsst_table_parse((sf_lance_bytes){fsst->symbol_table.data, fsst->symbol_table.len}, &table, error));
  sf_lance_bytes compressed;
  SF_TRY(read_string(reader, fsst->binary, row, is_null, &compressed, error));
  if (*is_null)
    return SF_OK;
  sf_buffer *decoded = &reader->cache->string;
  decoded->length = 0;
  SF_TRY(sf_lance_fsst_decode(&table, compressed, decoded, error));
  *string = (sf_lance_bytes){decoded->data, decoded->length};
  return SF_OK;
}

static sf_code read_nullable(const page_reader *reader, const Sf__Lance__NullableArray *nullable, uint64_t row,
                             bool *is_null, sf_lance_bytes *string, sf_error *error) {
  switch (nullable->nullability_case) {
  case SF__LANCE__NULLABLE_ARRAY__NULLABILITY_NO_NULLS:
    return read_string(reader, nullable->no_nulls->values, row, is_null, string, error);
  case SF__LANCE__NULLABLE_ARRAY__NULLABILITY_ALL_NULLS:
    *is_null = true;
    return SF_OK;
  case SF__LANCE__NULLABLE_ARRAY__NULLABILITY_SOME_NULLS: {
    const Sf__Lance__FlatArray *validity = byte_array(nullable->some_nulls->validity);
    if (validity == NULL || validity->bits_per_value != 1)
      return fail_unsupported(nullable->some_nulls->validity, "validity", error);
    sf_lance_bytes byte;
    SF_TRY(read_flat(reader, validity, row / 8, 1, &byte, error));
    *is_null = !sf_lance_bit(byte.data, row % 8);
    return *is_null ? SF_OK : read_string(reader, nullable->some_nulls->values, row, is_null, string, error);
  }
  default:
    return SF_LANCE_BAD(error, "nullable encoding without a kind");
  }
}

static sf_code read_string(const page_reader *reader, const array_tree *encoding, uint64_t row, bool *is_null,
                           sf_lance_bytes *string, sf_error *error) {
  switch (encoding != NULL ? encoding->array_encoding_case : SF__LANCE__ARRAY_ENCODING__ARRAY_ENCODING__NOT_SET) {
  case SF__LANCE__ARRAY_ENCODING__ARRAY_ENCODING_NULLABLE:
    return read_nullable(reader, encoding->nullable, row, is_null, string, error);
  case SF__LANCE__ARRAY_ENCODING__ARRAY_ENCODING_BINARY:
    return read_binary(reader, encoding->binary, row, is_null, string, error);
  case SF__LANCE__ARRAY_ENCODING__ARRAY_ENCODING_FIXED_SIZE_BINARY:
    return read_fixed_size_binary(reader, encoding->fixed_size_binary, row, is_null, string, error);
  case SF__LANCE__ARRAY_ENCODING__ARRAY_ENCODING_DICTIONARY:
    return read_dictionary(reader, encoding->dictionary, row, is_null, string, error);
  case SF__LANCE__ARRAY_ENCODING__ARRAY_ENCODING_FSST:
    return read_fsst(reader, encoding->fsst, row, is_null, string, error);
  default:
    return fail_unsupported(encoding, "strings", error);
  }
}

/* Rows are bounded so that no position of a value, in bits, can overflow. */
#define MAX_PAGE_ROWS ((uint64_t)1 << 48)

sf_code sf_lance_array_string(const sf_lance_column *column, const sf_lance_page *page, uint64_t row,
                              sf_lance_page_cache *cache, bool *is_null, sf_lance_bytes *string, sf_error *error) {
  if (row >= MAX_PAGE_ROWS)
    return SF_LANCE_BAD(error, "row %llu is too far", (unsigned long long)row);
  page_reader reader = {column, page, cache};
  return read_string(&reader, page->array, row, is_null, string, error);
}

/* ---------------------------------------------------------------------------------------------------------- Vectors */

/* Takes the layers of nullability off an array. */
static sf_code unwrap_nullable(const array_tree **encoding, bool *all_null, const array_tree **validity,
                               sf_error *error) {
  while (*encoding != NULL && (*encoding)->array_encoding_case == SF__LANCE__ARRAY_ENCODING__ARRAY_ENCODING_NULLABLE) {
    const Sf__Lance__NullableArray *nullable = (*encoding)->nullable;
    switch (nullable->nullability_case) {
    case SF__LANCE__NULLABLE_ARRAY__NULLABILITY_NO_NULLS:
      *encoding = nullable->no_nulls->values;
      break;
    case SF__LANCE__NULLABLE_ARRAY__NULLABILITY_SOME_NULLS:
      if (*validity != NULL)
        return SF_LANCE_BAD(error, "two layers of validity over one array");
      *validity = nullable->some_nulls->validity;
      *encoding = nullable->some_nulls->values;
      break;
    case SF__LANCE__NULLABLE_ARRAY__NULLABILITY_ALL_NULLS:
      *all_null = true;
      return SF_OK;
    default:
      return SF_LANCE_BAD(error, "nullable encoding without a kind");
    }
  }
  return SF_OK;
}

sf_code sf_lance_array_vectors_find(const sf_lance_page *page, uint32_t dim, size_t item_size,
                                    sf_lance_array_vectors *vectors, sf_error *error) {
  *vectors = (sf_lance_array_vectors){0};
  const array_tree *encoding = page->array;
  SF_TRY(unwrap_nullable(&encoding, &vectors->all_null, &vectors->validity, error));
  if (vectors->all_null)
    return SF_OK;
  if (encoding == NULL || encoding->array_encoding_case != SF__LANCE__ARRAY_ENCODING__ARRAY_ENCODING_FIXED_SIZE_LIST)
    return fail_unsupported(encoding, "vectors", error);
  const Sf__Lance__FixedSizeListArray *list = encoding->fixed_size_list;
  if (list->dimension != dim)
    return SF_LANCE_BAD(error, "vectors of %u items, expected %u", list->dimension, dim);
  const array_tree *items = list->items;
  SF_TRY(unwrap_nullable(&items, &vectors->all_items_null, &vectors->item_validity, error));
  if (vectors->all_items_null)
    return SF_OK;
  if (items == NULL || items->array_encoding_case != SF__LANCE__ARRAY_ENCODING__ARRAY_ENCODING_FLAT)
    return fail_unsupported(items, "the items of vectors", error);
  if (items->flat->bits_per_value != item_size * 8)
    return SF_LANCE_BAD(error, "items of %llu bits, expected %zu", (unsigned long long)items->flat->bits_per_value,
                        item_size * 8);
  vectors->values = items->flat;
  return SF_OK;
}

sf_code sf_lance_array_flat_bytes(const sf_lance_column *column, const sf_lance_page *page,
                                  const Sf__Lance__FlatArray *flat, uint64_t length,
                                  const sf_cancellation *cancellation, sf_lance_slice *slice, sf_error *error) {
  size_t index = 0;
  uint32_t scheme = 0;
  SF_TRY(page_buffer(flat->buffer, &index, error));
  SF_TRY(compression_scheme(flat, &scheme, error));
  if (scheme == 0)
    return sf_lance_page_read(column, page, index, 0, length, cancellation, slice, error);
  sf_lance_slice compressed = {0};
  sf_buffer decompressed = {0};
  sf_code code = sf_lance_page_read_all(column, page, index, cancellation, &compressed, error);
  if (code == SF_OK)
    code = sf_lance_decompress(scheme, compressed.bytes, &decompressed, error);
  if (code == SF_OK && decompressed.length < length)
    code = SF_LANCE_BAD(error, "buffer %zu decompresses to %zu bytes, expected %llu", index, decompressed.length,
                        (unsigned long long)length);
  sf_lance_slice_release(&compressed);
  if (code == SF_OK)
    *slice = (sf_lance_slice){.bytes = {decompressed.data, (size_t)length}, .owned = decompressed.data};
  else
    sf_buffer_free(&decompressed);
  return code;
}

sf_code sf_lance_array_bitmap(const sf_lance_column *column, const sf_lance_page *page,
                              const Sf__Lance__ArrayEncoding *validity, uint64_t num_bits,
                              const sf_cancellation *cancellation, sf_lance_slice *slice, sf_error *error) {
  const Sf__Lance__FlatArray *flat = byte_array(validity);
  if (flat == NULL || flat->bits_per_value != 1)
    return fail_unsupported(validity, "validity", error);
  return sf_lance_array_flat_bytes(column, page, flat, num_bits / 8 + (num_bits % 8 != 0), cancellation, slice, error);
}
