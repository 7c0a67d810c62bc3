#include "formats/lance/decoders.h"

/* The order of the eight rows of eight in a block: the transposition of the FastLanes paper, section 3. */
static const unsigned row_group_order[8] = {0, 4, 2, 6, 1, 5, 3, 7};

static bool is_value_width(unsigned bits) {
  return bits == 8 || bits == 16 || bits == 32 || bits == 64;
}

static uint64_t low_bits(unsigned count) {
  return count >= 64 ? UINT64_MAX : ((uint64_t)1 << count) - 1;
}

static void store(uint8_t *bytes, size_t size, uint64_t value) {
  for (size_t i = 0; i < size; i++)
    bytes[i] = (uint8_t)(value >> 8 * i);
}

/* Bits [position, position + width) of one lane, whose words are `stride` bytes apart. */
static uint64_t lane_bits(const uint8_t *lane, size_t stride, size_t word_size, unsigned position, unsigned width) {
  unsigned word_bits = (unsigned)word_size * 8;
  unsigned word = position / word_bits;
  unsigned shift = position % word_bits;
  uint64_t value = sf_lance_load(lane + word * stride, word_size) >> shift;
  if (shift + width > word_bits)
    value |= sf_lance_load(lane + (word + 1) * stride, word_size) << (word_bits - shift);
  return value & low_bits(width);
}

sf_code sf_lance_unpack_block(sf_lance_bytes packed, unsigned value_bits, unsigned packed_bits, uint8_t *values,
                              sf_error *error) {
  if (!is_value_width(value_bits) || packed_bits > value_bits)
    return SF_LANCE_BAD(error, "bit-packing: %u bits can't be unpacked into %u", packed_bits, value_bits);
  if (packed.length != SF_LANCE_PACKED_VALUES / 8 * packed_bits)
    return SF_LANCE_BAD(error, "bit-packing: expected %zu bytes for 1024 values of %u bits, found %zu",
                        SF_LANCE_PACKED_VALUES / 8 * packed_bits, packed_bits, packed.length);
  size_t size = value_bits / 8;
  if (packed_bits == 0) {
    memset(values, 0, SF_LANCE_PACKED_VALUES * size);
    return SF_OK;
  }
  size_t num_lanes = SF_LANCE_PACKED_VALUES / value_bits;
  for (unsigned row = 0; row < value_bits; row++) {
    uint8_t *row_values = values + (row_group_order[row / 8] * 16 + row % 8 * 128) * size;
    for (size_t lane = 0; lane < num_lanes; lane++)
      store(row_values + lane * size, size,
            lane_bits(packed.data + lane * size, num_lanes * size, size, row * packed_bits, packed_bits));
  }
  return SF_OK;
}

sf_code sf_lance_decode_inline_bitpacking(sf_lance_bytes packed, unsigned value_bits, size_t num_values,
                                          uint8_t *values, sf_error *error) {
  if (!is_value_width(value_bits))
    return SF_LANCE_BAD(error, "inline bit-packing: %u-bit values are not supported", value_bits);
  size_t size = value_bits / 8;
  if (num_values > SF_LANCE_PACKED_VALUES)
    return SF_LANCE_BAD(error, "inline bit-packing: expected at most 1024 values, found %zu", num_values);
  if (packed.length < size)
    return SF_LANCE_BAD(error, "inline bit-packing: expected at least %zu bytes, found %zu", size, packed.length);
  uint64_t packed_bits = sf_lance_load(packed.data, size);
  if (packed_bits > value_bits)
    return SF_LANCE_BAD(error, "inline bit-packing: %llu bits can't be unpacked into %u",
                        (unsigned long long)packed_bits, value_bits);
  uint8_t block[SF_LANCE_PACKED_VALUES * sizeof(uint64_t)];
  sf_lance_bytes rest = {packed.data + size, packed.length - size};
  SF_TRY(sf_lance_unpack_block(rest, value_bits, (unsigned)packed_bits, block, error));
  memcpy(values, block, num_values * size);
  return SF_OK;
}

sf_code sf_lance_decode_out_of_line_bitpacking(sf_lance_bytes packed, unsigned value_bits, uint64_t packed_bits,
                                               size_t num_values, uint8_t *values, sf_error *error) {
  if (!is_value_width(value_bits) || packed_bits > value_bits)
    return SF_LANCE_BAD(error, "bit-packing: %llu bits can't be unpacked into %u", (unsigned long long)packed_bits,
                        value_bits);
  size_t size = value_bits / 8;
  size_t block_length = SF_LANCE_PACKED_VALUES / 8 * (size_t)packed_bits;
  size_t num_blocks = num_values / SF_LANCE_PACKED_VALUES;
  size_t num_left = num_values % SF_LANCE_PACKED_VALUES;
  size_t full_length = num_blocks * block_length;
  bool left_is_plain = num_left > 0 && packed.length == full_length + num_left * size;
  bool left_is_packed = num_left > 0 && packed.length == full_length + block_length;
  if (!left_is_plain && !left_is_packed && !(num_left == 0 && packed.length == full_length))
    return SF_LANCE_BAD(error, "bit-packing: %zu bytes don't hold %zu values of %llu bits", packed.length, num_values,
                        (unsigned long long)packed_bits);
  for (size_t block = 0; block < num_blocks; block++) {
    sf_lance_bytes bytes = {packed.data + block * block_length, block_length};
    SF_TRY(sf_lance_unpack_block(bytes, value_bits, (unsigned)packed_bits,
                                 values + block * SF_LANCE_PACKED_VALUES * size, error));
  }
  uint8_t *left_values = values + num_blocks * SF_LANCE_PACKED_VALUES * size;
  if (left_is_plain) {
    memcpy(left_values, packed.data + full_length, num_left * size);
  } else if (left_is_packed) {
    uint8_t block[SF_LANCE_PACKED_VALUES * sizeof(uint64_t)];
    sf_lance_bytes bytes = {packed.data + full_length, block_length};
    SF_TRY(sf_lance_unpack_block(bytes, value_bits, (unsigned)packed_bits, block, error));
    memcpy(left_values, block, num_left * size);
  }
  return SF_OK;
}

sf_code sf_lance_bit_packed_value(sf_lance_bytes packed, uint64_t first_bit, unsigned packed_bits, bool is_signed,
                                  uint64_t *value, sf_error *error) {
  if (packed_bits == 0 || packed_bits > 64)
    return SF_LANCE_BAD(error, "bit-packing: expected 1 to 64 bits a value, found %u", packed_bits);
  uint64_t last_bit = first_bit + packed_bits - 1;
  if (last_bit < first_bit || last_bit / 8 >= packed.length)
    return SF_LANCE_BAD(error, "bit-packing: bit %llu lies behind the %zu bytes", (unsigned long long)last_bit,
                        packed.length);
  uint64_t bits = 0;
  for (unsigned i = 0; i < packed_bits; i++)
    bits |= (uint64_t)sf_lance_bit(packed.data, (size_t)(first_bit + i)) << i;
  if (is_signed && packed_bits < 64 && (bits >> (packed_bits - 1) & 1) != 0)
    bits |= UINT64_MAX << packed_bits;
  *value = bits;
  return SF_OK;
}
