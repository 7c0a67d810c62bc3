/* The compressions alone. The input is u8 which, u8 and u8 of what it needs besides, u16 values, and the bytes. */
#include "formats/lance/constant.h"
#include "formats/lance/decoders.h"
#include "formats/lance/utf8.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NUM_DECODERS = 11 };

static void decode_fsst(sf_lance_bytes bytes) {
  sf_lance_fsst_table table;
  sf_buffer string = {0};
  sf_error error;
  size_t table_length = bytes.length < SF_LANCE_FSST_TABLE_SIZE ? bytes.length : SF_LANCE_FSST_TABLE_SIZE;
  if (sf_lance_fsst_table_parse((sf_lance_bytes){bytes.data, table_length}, &table, &error) == SF_OK) {
    sf_lance_bytes rest = {bytes.data + table_length, bytes.length - table_length};
    if (sf_lance_fsst_decode(&table, rest, &string, &error) == SF_OK && string.length > rest.length * 8)
      abort();
  }
  sf_buffer_free(&string);
}

static void decompress(uint32_t scheme, sf_lance_bytes bytes) {
  sf_buffer decompressed = {0};
  sf_error error;
  (void)sf_lance_decompress(scheme, bytes, &decompressed, &error);
  sf_buffer_free(&decompressed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  sf_error error;
  sf_cursor cursor = sf_cursor_over(data, size);
  uint8_t which;
  uint8_t a;
  uint8_t b;
  uint16_t num_values;
  if (!sf_cursor_u8(&cursor, &which) || !sf_cursor_u8(&cursor, &a) || !sf_cursor_u8(&cursor, &b) ||
      !sf_cursor_u16(&cursor, &num_values))
    return 0;
  sf_lance_bytes bytes = {data + cursor.position, sf_cursor_remaining(&cursor)};
  unsigned value_bits = 8u << (a % 4);
  size_t value_size = value_bits / 8;
  uint8_t *values = malloc((num_values + SF_LANCE_PACKED_VALUES) * 8);
  uint64_t value;
  sf_lance_bytes string;
  if (values == NULL)
    abort();
  switch (which % NUM_DECODERS) {
  case 0:
    (void)sf_lance_unpack_block(bytes, value_bits, b, values, &error);
    break;
  case 1:
    (void)sf_lance_decode_inline_bitpacking(bytes, value_bits, num_values, values, &error);
    break;
  case 2:
    (void)sf_lance_decode_out_of_line_bitpacking(bytes, value_bits, b, num_values, values, &error);
    break;
  case 3:
    (void)sf_lance_bit_packed_value(bytes, num_values, b, (a & 1) != 0, &value, &error);
    break;
  case 4:
    decode_fsst(bytes);
    break;
  case 5: {
    size_t split = bytes.length * b / 256;
    (void)sf_lance_decode_rle((sf_lance_bytes){bytes.data, split}, value_size,
                              (sf_lance_bytes){bytes.data + split, bytes.length - split}, (size_t)1 << (a >> 4 & 3),
                              num_values, values, &error);
    break;
  }
  case 6:
    (void)sf_lance_decode_byte_stream_split(bytes, value_size, num_values, values, &error);
    break;
  case 7:
    decompress(SF_LANCE_LZ4, bytes);
    break;
  case 8:
    decompress(SF_LANCE_ZSTD, bytes);
    break;
  case 9:
    (void)sf_lance_is_utf8(bytes);
    break;
  default:
    (void)sf_lance_constant_string(bytes, &string, &error);
  }
  free(values);
  return 0;
}
