#include "cmocka_includes.h"
#include "formats/lance/decoders.h"
#include "formats/lance/utf8.h"
#include "formats/lance/vector_column.h"

#include <lz4.h>
#include <math.h>
#include <string.h>
#include <zstd.h>

#define BYTES(...) ((sf_lance_bytes){(const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})})

static void put(uint8_t *at, const char *bytes, size_t length) {
  for (size_t i = 0; i < length; i++)
    at[i] = (uint8_t)bytes[i];
}

/* ------------------------------------------------------------------------------------------------------ Bit-packing */

/* Packs a block bit by bit, straight from the definition of the FastLanes order. */
static void pack_block(const uint64_t *values, unsigned value_bits, unsigned packed_bits, uint8_t *packed) {
  static const unsigned order[8] = {0, 4, 2, 6, 1, 5, 3, 7};
  size_t lanes = 1024 / value_bits;
  memset(packed, 0, 128 * packed_bits);
  for (size_t lane = 0; lane < lanes; lane++)
    for (unsigned row = 0; row < value_bits; row++) {
      uint64_t value = values[order[row / 8] * 16 + row % 8 * 128 + lane];
      for (unsigned bit = 0; bit < packed_bits; bit++) {
        unsigned position = row * packed_bits + bit;
        size_t word = position / value_bits * lanes + lane;
        size_t at = word * value_bits + position % value_bits;
        packed[at / 8] |= (uint8_t)((value >> bit & 1) << at % 8);
      }
    }
}

static uint64_t pseudo_random(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return *state ^ *state >> 29;
}

static uint64_t masked(uint64_t value, unsigned bits) {
  return bits == 64 ? value : value & (((uint64_t)1 << bits) - 1);
}

static void every_width_unpacks_what_was_packed(void **state) {
  (void)state;
  uint64_t values[1024];
  uint8_t packed[1024 * 8];
  uint8_t unpacked[1024 * 8];
  uint64_t seed = 1;
  sf_error error;
  for (unsigned value_bits = 8; value_bits <= 64; value_bits *= 2)
    for (unsigned bits = 0; bits <= value_bits; bits++) {
      for (size_t i = 0; i < 1024; i++)
        values[i] = masked(pseudo_random(&seed), bits);
      pack_block(values, value_bits, bits, packed);
      assert_int_equal(sf_lance_unpack_block((sf_lance_bytes){packed, 128 * bits}, value_bits, bits, unpacked, &error),
                       SF_OK);
      for (size_t i = 0; i < 1024; i++)
        assert_true(sf_lance_load(unpacked + i * value_bits / 8, value_bits / 8) == values[i]);
    }
}

static void an_inline_block_tells_its_own_width(void **state) {
  (void)state;
  uint64_t values[1024];
  uint8_t bytes[4 + 128 * 5] = {5};
  uint8_t unpacked[1000 * 4];
  sf_error error;
  for (size_t i = 0; i < 1024; i++)
    values[i] = i % 32;
  pack_block(values, 32, 5, bytes + 4);
  assert_int_equal(
      sf_lance_decode_inline_bitpacking((sf_lance_bytes){bytes, sizeof(bytes)}, 32, 1000, unpacked, &error), SF_OK);
  assert_int_equal(sf_load_u32(unpacked + 999 * 4), 999 % 32);
  bytes[0] = 33;
  assert_int_equal(
      sf_lance_decode_inline_bitpacking((sf_lance_bytes){bytes, sizeof(bytes)}, 32, 1000, unpacked, &error),
      SF_DB_ADAPTER_ERROR);
}

static void the_last_block_may_be_plain_or_packed(void **state) {
  (void)state;
  uint64_t values[2048] = {0};
  uint8_t bytes[2 * 128 * 3 + 64];
  uint8_t unpacked[2048 * 2];
  sf_error error;
  for (size_t i = 0; i < 2048; i++)
    values[i] = i % 7;
  pack_block(values, 16, 3, bytes);
  pack_block(values + 1024, 16, 3, bytes + 128 * 3);
  sf_lance_bytes packed = {bytes, 2 * 128 * 3};
  assert_int_equal(sf_lance_decode_out_of_line_bitpacking(packed, 16, 3, 1500, unpacked, &error), SF_OK);
  assert_int_equal(sf_load_u16(unpacked + 1499 * 2), 1499 % 7);
  put(bytes + 128 * 3, "\x11\x22\x33\x44", 4);
  packed.length = 128 * 3 + 4;
  assert_int_equal(sf_lance_decode_out_of_line_bitpacking(packed, 16, 3, 1026, unpacked, &error), SF_OK);
  assert_int_equal(sf_load_u16(unpacked + 1025 * 2), 0x4433);
  packed.length = 128 * 3 + 5;
  assert_int_equal(sf_lance_decode_out_of_line_bitpacking(packed, 16, 3, 1026, unpacked, &error), SF_DB_ADAPTER_ERROR);
}

static void a_value_in_a_row_of_bits_is_found_and_its_sign_extended(void **state) {
  (void)state;
  uint64_t value;
  sf_error error;
  sf_lance_bytes bits = BYTES(0xB4, 0x01);
  assert_int_equal(sf_lance_bit_packed_value(bits, 2, 3, false, &value, &error), SF_OK);
  assert_int_equal(value, 5);
  assert_int_equal(sf_lance_bit_packed_value(bits, 2, 3, true, &value, &error), SF_OK);
  assert_true((int64_t)value == -3);
  assert_int_equal(sf_lance_bit_packed_value(bits, 14, 3, false, &value, &error), SF_DB_ADAPTER_ERROR);
}

/* ------------------------------------------------------------------------------------------------------------- FSST */

static void make_table(uint8_t *table) {
  memset(table, 0, SF_LANCE_FSST_TABLE_SIZE);
  put(table, "\x02\x00\x00\x01TSSF", 8);
  put(table + 8, "ab", 2);
  put(table + 16, "12345678", 8);
  table[24] = 2;
  table[25] = 8;
}

static void fsst_replaces_codes_and_keeps_escaped_bytes(void **state) {
  (void)state;
  uint8_t bytes[SF_LANCE_FSST_TABLE_SIZE];
  sf_lance_fsst_table table;
  sf_buffer string = {0};
  sf_error error;
  make_table(bytes);
  assert_int_equal(sf_lance_fsst_table_parse((sf_lance_bytes){bytes, sizeof(bytes)}, &table, &error), SF_OK);
  assert_int_equal(sf_lance_fsst_decode(&table, BYTES(0, 255, 'x', 1, 255, 255), &string, &error), SF_OK);
  assert_string_equal((char *)string.data, "abx12345678\xff");
  assert_int_equal(sf_lance_fsst_decode(&table, BYTES(0, 2), &string, &error), SF_DB_ADAPTER_ERROR);
  assert_non_null(strstr(error.message, "code 2"));
  assert_int_equal(sf_lance_fsst_decode(&table, BYTES(0, 255), &string, &error), SF_DB_ADAPTER_ERROR);
  sf_buffer_free(&string);
}

static void fsst_that_was_turned_off_keeps_every_byte(void **state) {
  (void)state;
  uint8_t bytes[SF_LANCE_FSST_TABLE_SIZE];
  sf_lance_fsst_table table;
  sf_buffer string = {0};
  sf_error error;
  make_table(bytes);
  bytes[3] = 0;
  assert_int_equal(sf_lance_fsst_table_parse((sf_lance_bytes){bytes, sizeof(bytes)}, &table, &error), SF_OK);
  assert_int_equal(sf_lance_fsst_decode(&table, BYTES('x', 255, 1), &string, &error), SF_OK);
  assert_int_equal(string.length, 3);
  assert_memory_equal(string.data, "x\xff\x01", 3);
  sf_buffer_free(&string);
}

static void a_broken_symbol_table_is_refused(void **state) {
  (void)state;
  uint8_t bytes[SF_LANCE_FSST_TABLE_SIZE];
  sf_lance_fsst_table table;
  sf_error error;
  make_table(bytes);
  assert_int_equal(sf_lance_fsst_table_parse((sf_lance_bytes){bytes, 100}, &table, &error), SF_DB_ADAPTER_ERROR);
  bytes[25] = 9;
  assert_int_equal(sf_lance_fsst_table_parse((sf_lance_bytes){bytes, sizeof(bytes)}, &table, &error),
                   SF_DB_ADAPTER_ERROR);
  bytes[4] = 'X';
  assert_int_equal(sf_lance_fsst_table_parse((sf_lance_bytes){bytes, sizeof(bytes)}, &table, &error),
                   SF_DB_ADAPTER_ERROR);
}

/* ------------------------------------------------------------------------------------------------- Runs and streams */

static void runs_repeat_their_values(void **state) {
  (void)state;
  uint8_t values[6 * 2];
  sf_error error;
  sf_lance_bytes runs = BYTES(1, 0, 2, 0, 3, 0);
  assert_int_equal(sf_lance_decode_rle(runs, 2, BYTES(3, 0, 3), 1, 6, values, &error), SF_OK);
  assert_memory_equal(values, "\1\0\1\0\1\0\3\0\3\0\3\0", 12);
  assert_int_equal(sf_lance_decode_rle(runs, 2, BYTES(3, 0, 4), 1, 6, values, &error), SF_DB_ADAPTER_ERROR);
  assert_int_equal(sf_lance_decode_rle(runs, 2, BYTES(3, 0, 2), 1, 6, values, &error), SF_DB_ADAPTER_ERROR);
  assert_int_equal(sf_lance_decode_rle(runs, 2, BYTES(3, 3), 1, 6, values, &error), SF_DB_ADAPTER_ERROR);
}

static void streams_of_bytes_are_put_together(void **state) {
  (void)state;
  uint8_t values[8];
  sf_error error;
  sf_lance_bytes streams = BYTES(1, 5, 2, 6, 3, 7, 4, 8);
  assert_int_equal(sf_lance_decode_byte_stream_split(streams, 4, 2, values, &error), SF_OK);
  assert_memory_equal(values, "\1\2\3\4\5\6\7\10", 8);
  assert_int_equal(sf_lance_decode_byte_stream_split(streams, 4, 3, values, &error), SF_DB_ADAPTER_ERROR);
}

/* ---------------------------------------------------------------------------------------------- General compression */

static void zstd_comes_with_and_without_its_size(void **state) {
  (void)state;
  char text[1000];
  uint8_t bytes[8 + 1200];
  sf_buffer decompressed = {0};
  sf_error error;
  memset(text, 'z', sizeof(text));
  size_t length = ZSTD_compress(bytes + 8, sizeof(bytes) - 8, text, sizeof(text), 3);
  put(bytes, "\xe8\x03\0\0\0\0\0\0", 8);
  assert_int_equal(sf_lance_decompress(SF_LANCE_ZSTD, (sf_lance_bytes){bytes, length + 8}, &decompressed, &error),
                   SF_OK);
  assert_int_equal(sf_lance_decompress(SF_LANCE_ZSTD, (sf_lance_bytes){bytes + 8, length}, &decompressed, &error),
                   SF_OK);
  assert_int_equal(decompressed.length, 2 * sizeof(text));
  assert_memory_equal(decompressed.data + sizeof(text), text, sizeof(text));
  assert_int_equal(sf_lance_decompress(SF_LANCE_ZSTD, (sf_lance_bytes){bytes + 8, length - 1}, &decompressed, &error),
                   SF_DB_ADAPTER_ERROR);
  sf_buffer_free(&decompressed);
}

static void lz4_comes_with_its_size(void **state) {
  (void)state;
  char text[1000];
  uint8_t bytes[4 + 1200] = {0xe8, 3, 0, 0};
  sf_buffer decompressed = {0};
  sf_error error;
  memset(text, 'l', sizeof(text));
  size_t length = (size_t)LZ4_compress_default(text, (char *)bytes + 4, sizeof(text), sizeof(bytes) - 4);
  assert_int_equal(sf_lance_decompress(SF_LANCE_LZ4, (sf_lance_bytes){bytes, length + 4}, &decompressed, &error),
                   SF_OK);
  assert_int_equal(decompressed.length, sizeof(text));
  assert_memory_equal(decompressed.data, text, sizeof(text));
  sf_buffer_free(&decompressed);
}

static void a_size_that_no_compression_reaches_is_refused_before_it_is_allocated(void **state) {
  (void)state;
  sf_buffer decompressed = {0};
  sf_error error;
  sf_lance_bytes huge_zstd = BYTES(0, 0, 0, 0, 0, 0xff, 0, 0, 1, 2, 3, 4);
  sf_lance_bytes huge_lz4 = BYTES(0, 0, 0, 0x7f, 1, 2, 3);
  assert_int_equal(sf_lance_decompress(SF_LANCE_ZSTD, huge_zstd, &decompressed, &error), SF_DB_ADAPTER_ERROR);
  assert_int_equal(sf_lance_decompress(SF_LANCE_LZ4, huge_lz4, &decompressed, &error), SF_DB_ADAPTER_ERROR);
  assert_int_equal(sf_lance_decompress(7, huge_lz4, &decompressed, &error), SF_DB_ADAPTER_ERROR);
  assert_null(decompressed.data);
}

/* --------------------------------------------------------------------------------------------------- Items and text */

static void float16_becomes_the_same_number(void **state) {
  (void)state;
  for (unsigned half = 0; half < 65536; half++) {
    uint8_t bytes[2] = {(uint8_t)half, (uint8_t)(half >> 8)};
    float value;
    sf_lance_convert_items(SF_LANCE_FLOAT16, bytes, 1, &value);
    int exponent = (int)(half >> 10 & 31);
    double fraction = half & 1023;
    double magnitude = exponent == 0    ? ldexp(fraction, -24)
                       : exponent == 31 ? (fraction == 0 ? INFINITY : NAN)
                                        : ldexp(1024 + fraction, exponent - 25);
    assert_true(signbit(value) != 0 ? half >= 32768 : half < 32768);
    assert_true(isnan(magnitude) ? isnan(value) : fabs((double)value) == magnitude);
  }
}

static void bfloat16_and_float64_become_float32(void **state) {
  (void)state;
  float values[2];
  double doubles[2] = {0.1, 1e300};
  sf_lance_convert_items(SF_LANCE_BFLOAT16, (const uint8_t *)"\xc0\x3f\x80\xff", 2, values);
  assert_true(values[0] == 1.5f && values[1] == -INFINITY);
  sf_lance_convert_items(SF_LANCE_FLOAT64, (const uint8_t *)doubles, 2, values);
  assert_true(values[0] == 0.1f && values[1] == INFINITY);
}

static void utf8_is_told_from_other_bytes(void **state) {
  (void)state;
  static const char *const good[] = {"", "abc", "é", "漢字", "\xf0\x9f\xa6\x80", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"};
  static const char *const bad[] = {"\x80", "\xc3",     "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                    "\xff", "a\xe6\xbc"};
  for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
    assert_true(sf_lance_is_utf8((sf_lance_bytes){(const uint8_t *)good[i], strlen(good[i])}));
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
    assert_false(sf_lance_is_utf8((sf_lance_bytes){(const uint8_t *)bad[i], strlen(bad[i])}));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_width_unpacks_what_was_packed),
      cmocka_unit_test(an_inline_block_tells_its_own_width),
      cmocka_unit_test(the_last_block_may_be_plain_or_packed),
      cmocka_unit_test(a_value_in_a_row_of_bits_is_found_and_its_sign_extended),
      cmocka_unit_test(fsst_replaces_codes_and_keeps_escaped_bytes),
      cmocka_unit_test(fsst_that_was_turned_off_keeps_every_byte),
      cmocka_unit_test(a_broken_symbol_table_is_refused),
      cmocka_unit_test(runs_repeat_their_values),
      cmocka_unit_test(streams_of_bytes_are_put_together),
      cmocka_unit_test(zstd_comes_with_and_without_its_size),
      cmocka_unit_test(lz4_comes_with_its_size),
      cmocka_unit_test(a_size_that_no_compression_reaches_is_refused_before_it_is_allocated),
      cmocka_unit_test(float16_becomes_the_same_number),
      cmocka_unit_test(bfloat16_and_float64_become_float32),
      cmocka_unit_test(utf8_is_told_from_other_bytes),
  };
  return cmocka_run_group_tests_name("lance decoders", tests, NULL, NULL);
}
