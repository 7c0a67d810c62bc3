/*
 * The compressions of the Lance format, each over (bytes, length). None trusts its input: what does not decode to
 * exactly what was asked for is SF_DB_ADAPTER_ERROR. Integers are little-endian, in the input and in the output.
 */
#ifndef SF_FORMATS_LANCE_DECODERS_H
#define SF_FORMATS_LANCE_DECODERS_H

#include "base/memory.h"
#include "formats/lance/bytes.h"

/* ---------------------------------------------------------------------------------------------------- Bit-packing
 * Blocks of 1,024 values in the FastLanes order (Afroozeh and Boncz, "The FastLanes Compression Layout", VLDB 2023).
 * `value_bits`: 8, 16, 32 or 64. */
#define SF_LANCE_PACKED_VALUES ((size_t)1024)

/* One block of values of `packed_bits` (0 to value_bits) each, into 1,024 × value_bits / 8 bytes. */
sf_code sf_lance_unpack_block(sf_lance_bytes packed, unsigned value_bits, unsigned packed_bits, uint8_t *values,
                              sf_error *error);

/* One block, with its number of bits before it in a word of value_bits; the first `num_values` of it (at most
 * 1,024). */
sf_code sf_lance_decode_inline_bitpacking(sf_lance_bytes packed, unsigned value_bits, size_t num_values,
                                          uint8_t *values, sf_error *error);

/* As many blocks as it takes. A last one that is not full may be stored as plain values, which its length shows. */
sf_code sf_lance_decode_out_of_line_bitpacking(sf_lance_bytes packed, unsigned value_bits, uint64_t packed_bits,
                                               size_t num_values, uint8_t *values, sf_error *error);

/* Value `index` of values packed one after the other, least significant bit first, as file version 2.0 has
 * them; `is_signed` extends the sign. */
sf_code sf_lance_bit_packed_value(sf_lance_bytes packed, uint64_t first_bit, unsigned packed_bits, bool is_signed,
                                  uint64_t *value, sf_error *error);

/* ----------------------------------------------------------------------------------------------------------- FSST
 * Boncz, Neumann and Leis, "FSST: Fast Random Access String Compression", VLDB 2020. */
#define SF_LANCE_FSST_TABLE_SIZE ((size_t)(8 + 256 * 8 + 256))

typedef struct sf_lance_fsst_table {
  bool enabled; /* false: the writer found the input too small, and stored it uncompressed */
  unsigned num_symbols;
  const uint8_t *symbols; /* 8 bytes each; borrowed from the serialized table */
  const uint8_t *lengths; /* 1 to 8 */
} sf_lance_fsst_table;

/* `table` borrows from `serialized`. */
sf_code sf_lance_fsst_table_parse(sf_lance_bytes serialized, sf_lance_fsst_table *table, sf_error *error);

/* Appends the decoded string: at most 8 times as long. */
sf_code sf_lance_fsst_decode(const sf_lance_fsst_table *table, sf_lance_bytes compressed, sf_buffer *string,
                             sf_error *error);

/* ---------------------------------------------------------------------------------------------------- Run lengths
 * Run i is value i of `values`, as often as length i of `lengths` says. */
sf_code sf_lance_decode_rle(sf_lance_bytes values, size_t value_size, sf_lance_bytes lengths, size_t length_size,
                            size_t num_values, uint8_t *decoded, sf_error *error);

/* ----------------------------------------------------------------------------------------------- Byte-stream split
 * First byte 0 of all values, then byte 1 of all values, and so on. */
sf_code sf_lance_decode_byte_stream_split(sf_lance_bytes streams, size_t value_size, size_t num_values, uint8_t *values,
                                          sf_error *error);

/* ---------------------------------------------------------------------------------------------- General compression */
typedef enum sf_lance_scheme { SF_LANCE_LZ4 = 1, SF_LANCE_ZSTD = 2 } sf_lance_scheme;

/* Appends the decompressed bytes. A size that the scheme could not reach from so few bytes is refused before anything
 * is allocated. */
sf_code sf_lance_decompress(uint32_t scheme, sf_lance_bytes compressed, sf_buffer *decompressed, sf_error *error);

#endif
