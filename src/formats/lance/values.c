#include "formats/lance/values.h"

#include "formats/lance/decoders.h"

typedef Sf__Lance__CompressiveEncoding encoding_tree;

const char *sf_lance_encoding_name(const encoding_tree *encoding) {
  switch (encoding != NULL ? encoding->compression_case : SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION__NOT_SET) {
  case SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION_FLAT:
    return "flat";
  case SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION_VARIABLE:
    return "variable";
  case SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION_CONSTANT:
    return "constant";
  case SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION_OUT_OF_LINE_BITPACKING:
    return "out-of-line bit-packing";
  case SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION_INLINE_BITPACKING:
    return "inline bit-packing";
  case SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION_FSST:
    return "FSST";
  case SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION_DICTIONARY:
    return "dictionary";
  case SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION_RLE:
    return "run-length";
  case SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION_BYTE_STREAM_SPLIT:
    return "byte-stream split";
  case SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION_GENERAL:
    return "general";
  case SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION_FIXED_SIZE_LIST:
    return "fixed-size list";
  case SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION_PACKED_STRUCT:
    return "packed struct";
  case SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION_VARIABLE_PACKED_STRUCT:
    return "variable packed struct";
  default:
    return "unknown";
  }
}

static unsigned small_bits(uint64_t bits) {
  return bits <= 64 ? (unsigned)bits : 0;
}

unsigned sf_lance_value_bits(const encoding_tree *encoding) {
  if (encoding == NULL)
    return 0;
  switch (encoding->compression_case) {
  case SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION_FLAT:
    return small_bits(encoding->flat->bits_per_value);
  case SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION_OUT_OF_LINE_BITPACKING:
    return small_bits(encoding->out_of_line_bitpacking->uncompressed_bits_per_value);
  case SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION_INLINE_BITPACKING:
    return small_bits(encoding->inline_bitpacking->uncompressed_bits_per_value);
  case SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION_RLE:
    return sf_lance_value_bits(encoding->rle->values);
  case SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION_BYTE_STREAM_SPLIT:
    return sf_lance_value_bits(encoding->byte_stream_split->values);
  case SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION_GENERAL:
    return sf_lance_value_bits(encoding->general->values);
  default:
    return 0;
  }
}

static sf_code fail_unsupported(const encoding_tree *encoding, const char *where, sf_error *error) {
  return SF_LANCE_BAD(error, "%s encoding is not supported for %s", sf_lance_encoding_name(encoding), where);
}

static sf_code require_buffers(const encoding_tree *encoding, size_t expected, size_t found, sf_error *error) {
  if (expected == found)
    return SF_OK;
  return SF_LANCE_BAD(error, "%s encoding: expected %zu buffers, found %zu", sf_lance_encoding_name(encoding), expected,
                      found);
}

static sf_code decode_flat(const Sf__Lance__Flat *flat, sf_lance_bytes buffer, size_t num_values, size_t value_size,
                           uint8_t *values, sf_error *error) {
  size_t expected;
  if (flat->data != NULL)
    return SF_LANCE_BAD(error, "flat encoding: compression of its buffer is not supported");
  if (!sf_multiply_size(num_values, value_size, &expected) || buffer.length != expected)
    return SF_LANCE_BAD(error, "flat encoding: %zu bytes don't hold %zu values of %zu bytes", buffer.length, num_values,
                        value_size);
  memcpy(values, buffer.data, expected);
  return SF_OK;
}

static sf_code decode_constant(const Sf__Lance__Constant *constant, size_t num_values, size_t value_size,
                               uint8_t *values, sf_error *error) {
  if (!constant->has_value || constant->value.len != value_size)
    return SF_LANCE_BAD(error, "constant encoding: expected a value of %zu bytes, found %zu", value_size,
                        constant->has_value ? constant->value.len : 0);
  for (size_t i = 0; i < num_values; i++)
    memcpy(values + i * value_size, constant->value.data, value_size);
  return SF_OK;
}

/* The number of bits that values take when packed is the width of the flat values they are packed into. */
static sf_code decode_out_of_line(const Sf__Lance__OutOfLineBitpacking *packing, sf_lance_bytes buffer,
                                  size_t num_values, size_t value_size, uint8_t *values, sf_error *error) {
  const encoding_tree *inner = packing->values;
  if (inner == NULL || inner->compression_case != SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION_FLAT ||
      inner->flat->data != NULL)
    return fail_unsupported(inner, "bit-packed values", error);
  return sf_lance_decode_out_of_line_bitpacking(buffer, (unsigned)value_size * 8, inner->flat->bits_per_value,
                                                num_values, values, error);
}

/* One of the two columns of a run-length encoding, as plain integers. */
static sf_code plain_run_column(const encoding_tree *encoding, sf_lance_bytes buffer, sf_buffer *decompressed,
                                sf_lance_bytes *plain, sf_error *error) {
  *plain = buffer;
  const encoding_tree *inner = encoding;
  if (encoding != NULL && encoding->compression_case == SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION_GENERAL) {
    const Sf__Lance__BufferCompression *compression = encoding->general->compression;
    SF_TRY(sf_lance_decompress(compression != NULL ? compression->scheme : 0, buffer, decompressed, error));
    *plain = (sf_lance_bytes){decompressed->data, decompressed->length};
    inner = encoding->general->values;
  }
  if (inner == NULL || inner->compression_case != SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION_FLAT ||
      inner->flat->data != NULL)
    return fail_unsupported(inner, "runs", error);
  return SF_OK;
}

/* Two buffers in a chunk. In a block, they follow each other after a u64 with the size of the first. */
static sf_code split_runs(const encoding_tree *encoding, const sf_lance_bytes *buffers, size_t num_buffers,
                          sf_lance_bytes *values, sf_lance_bytes *lengths, sf_error *error) {
  if (num_buffers == 2) {
    *values = buffers[0];
    *lengths = buffers[1];
    return SF_OK;
  }
  SF_TRY(require_buffers(encoding, 1, num_buffers, error));
  sf_lance_bytes block = buffers[0];
  if (block.length < 8 || sf_load_u64(block.data) > block.length - 8)
    return SF_LANCE_BAD(error, "run-length encoding: broken header in a block of %zu bytes", block.length);
  size_t size = (size_t)sf_load_u64(block.data);
  *values = (sf_lance_bytes){block.data + 8, size};
  *lengths = (sf_lance_bytes){block.data + 8 + size, block.length - 8 - size};
  return SF_OK;
}

static sf_code decode_rle(const encoding_tree *encoding, const sf_lance_bytes *buffers, size_t num_buffers,
                          size_t num_values, size_t value_size, uint8_t *decoded, sf_error *error) {
  const Sf__Lance__Rle *rle = encoding->rle;
  sf_lance_bytes values;
  sf_lance_bytes lengths;
  sf_buffer value_buffer = {0};
  sf_buffer length_buffer = {0};
  SF_TRY(split_runs(encoding, buffers, num_buffers, &values, &lengths, error));
  sf_code code = plain_run_column(rle->values, values, &value_buffer, &values, error);
  if (code == SF_OK)
    code = plain_run_column(rle->run_lengths, lengths, &length_buffer, &lengths, error);
  if (code == SF_OK)
    code = sf_lance_decode_rle(values, value_size, lengths, sf_lance_value_bits(rle->run_lengths) / 8, num_values,
                               decoded, error);
  sf_buffer_free(&value_buffer);
  sf_buffer_free(&length_buffer);
  return code;
}

/* General compression wraps the first buffer only. */
static sf_code decode_general(const Sf__Lance__General *general, const sf_lance_bytes *buffers, size_t num_buffers,
                              size_t num_values, size_t value_size, uint8_t *values, sf_error *error) {
  if (num_buffers == 0 || num_buffers > SF_LANCE_MAX_BUFFERS)
    return SF_LANCE_BAD(error, "general encoding: expected 1 to %d buffers, found %zu", SF_LANCE_MAX_BUFFERS,
                        num_buffers);
  sf_buffer decompressed = {0};
  sf_code code = sf_lance_decompress(general->compression != NULL ? general->compression->scheme : 0, buffers[0],
                                     &decompressed, error);
  if (code == SF_OK) {
    sf_lance_bytes inner[SF_LANCE_MAX_BUFFERS];
    memcpy(inner, buffers, num_buffers * sizeof(*buffers));
    inner[0] = (sf_lance_bytes){decompressed.data, decompressed.length};
    code = sf_lance_decode_values(general->values, inner, num_buffers, num_values, value_size, values, error);
  }
  sf_buffer_free(&decompressed);
  return code;
}

static sf_code decode_single_buffer(const encoding_tree *encoding, sf_lance_bytes buffer, size_t num_values,
                                    size_t value_size, uint8_t *values, sf_error *error) {
  switch (encoding->compression_case) {
  case SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION_FLAT:
    return decode_flat(encoding->flat, buffer, num_values, value_size, values, error);
  case SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION_OUT_OF_LINE_BITPACKING:
    return decode_out_of_line(encoding->out_of_line_bitpacking, buffer, num_values, value_size, values, error);
  case SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION_INLINE_BITPACKING:
    if (encoding->inline_bitpacking->values != NULL)
      return SF_LANCE_BAD(error, "inline bit-packing: compression of its buffer is not supported");
    return sf_lance_decode_inline_bitpacking(buffer, (unsigned)value_size * 8, num_values, values, error);
  case SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION_BYTE_STREAM_SPLIT:
    return sf_lance_decode_byte_stream_split(buffer, value_size, num_values, values, error);
  default:
    return fail_unsupported(encoding, "values of fixed width", error);
  }
}

sf_code sf_lance_decode_values(const encoding_tree *encoding, const sf_lance_bytes *buffers, size_t num_buffers,
                               size_t num_values, size_t value_size, uint8_t *values, sf_error *error) {
  if (encoding == NULL)
    return SF_LANCE_BAD(error, "an encoding is missing");
  if (encoding->compression_case == SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION_CONSTANT)
    return decode_constant(encoding->constant, num_values, value_size, values, error);
  if (sf_lance_value_bits(encoding) != value_size * 8)
    return SF_LANCE_BAD(error, "%s encoding: expected values of %zu bytes, found %u bits",
                        sf_lance_encoding_name(encoding), value_size, sf_lance_value_bits(encoding));
  if (encoding->compression_case == SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION_RLE)
    return decode_rle(encoding, buffers, num_buffers, num_values, value_size, values, error);
  if (encoding->compression_case == SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION_GENERAL)
    return decode_general(encoding->general, buffers, num_buffers, num_values, value_size, values, error);
  SF_TRY(require_buffers(encoding, 1, num_buffers, error));
  return decode_single_buffer(encoding, buffers[0], num_values, value_size, values, error);
}

/* ---------------------------------------------------------------------------------------------------------- Strings */

/* Bytes of an offset, or 0 where the encoding is none that we read. */
static size_t offset_size_of(const Sf__Lance__Variable *variable) {
  const encoding_tree *offsets = variable->offsets;
  if (variable->values != NULL || offsets == NULL ||
      offsets->compression_case != SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION_FLAT || offsets->flat->data != NULL)
    return 0;
  uint64_t bits = offsets->flat->bits_per_value;
  return bits == 32 || bits == 64 ? (size_t)bits / 8 : 0;
}

/* Takes the general compression off a string encoding; `*bytes` then is strings->decompressed. */
static sf_code unwrap_general(const encoding_tree **encoding, sf_lance_bytes *bytes, sf_lance_strings *strings,
                              sf_error *error) {
  if (*encoding == NULL || (*encoding)->compression_case != SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION_GENERAL)
    return SF_OK;
  const Sf__Lance__General *general = (*encoding)->general;
  SF_TRY(sf_lance_decompress(general->compression != NULL ? general->compression->scheme : 0, *bytes,
                             &strings->decompressed, error));
  *bytes = (sf_lance_bytes){strings->decompressed.data, strings->decompressed.length};
  *encoding = general->values;
  return SF_OK;
}

sf_code sf_lance_decode_string_block(const encoding_tree *encoding, sf_lance_bytes block, uint64_t num_strings,
                                     sf_lance_strings *strings, sf_error *error) {
  SF_TRY(unwrap_general(&encoding, &block, strings, error));
  if (encoding == NULL || encoding->compression_case != SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION_VARIABLE)
    return fail_unsupported(encoding, "a block of strings", error);
  if (block.length < 8)
    return SF_LANCE_BAD(error, "a block of strings has %zu bytes", block.length);
  uint32_t bits = sf_load_u32(block.data);
  size_t size = bits / 8;
  if ((bits != 32 && bits != 64) || block.length < 2 * size)
    return SF_LANCE_BAD(error, "a block of strings has %u-bit offsets in %zu bytes", bits, block.length);
  uint64_t start = sf_lance_load(block.data + size, size);
  if (start > block.length || start < 2 * size || (start - 2 * size) / size <= num_strings)
    return SF_LANCE_BAD(error, "a block of %zu bytes, with strings from %llu on, does not hold %llu strings",
                        block.length, (unsigned long long)start, (unsigned long long)num_strings);
  strings->bytes = (sf_lance_bytes){block.data + start, block.length - (size_t)start};
  strings->offsets = block.data + 2 * size;
  strings->offset_size = size;
  strings->num_strings = (size_t)num_strings;
  return SF_OK;
}

sf_code sf_lance_decode_string_chunk(const encoding_tree *encoding, sf_lance_bytes buffer, size_t num_strings,
                                     sf_lance_strings *strings, sf_error *error) {
  SF_TRY(unwrap_general(&encoding, &buffer, strings, error));
  if (encoding != NULL && encoding->compression_case == SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION_FSST)
    encoding = encoding->fsst->values;
  if (encoding == NULL || encoding->compression_case != SF__LANCE__COMPRESSIVE_ENCODING__COMPRESSION_VARIABLE)
    return fail_unsupported(encoding, "a chunk of strings", error);
  size_t size = offset_size_of(encoding->variable);
  if (size == 0)
    return SF_LANCE_BAD(error, "variable encoding: expected flat offsets of 32 or 64 bits");
  if (num_strings >= buffer.length / size)
    return SF_LANCE_BAD(error, "variable encoding: %zu bytes don't hold %zu strings", buffer.length, num_strings);
  strings->bytes = buffer;
  strings->offsets = buffer.data;
  strings->offset_size = size;
  strings->num_strings = num_strings;
  return SF_OK;
}

sf_code sf_lance_strings_get(const sf_lance_strings *strings, size_t index, sf_lance_bytes *string, sf_error *error) {
  if (index >= strings->num_strings)
    return SF_LANCE_BAD(error, "string %zu is not among the %zu", index, strings->num_strings);
  const uint8_t *offset = strings->offsets + index * strings->offset_size;
  uint64_t begin = sf_lance_load(offset, strings->offset_size);
  uint64_t end = sf_lance_load(offset + strings->offset_size, strings->offset_size);
  if (begin > end || end > strings->bytes.length)
    return SF_LANCE_BAD(error, "string %zu lies at %llu to %llu of %zu bytes", index, (unsigned long long)begin,
                        (unsigned long long)end, strings->bytes.length);
  *string = (sf_lance_bytes){strings->bytes.data + begin, (size_t)(end - begin)};
  return SF_OK;
}

void sf_lance_strings_free(sf_lance_strings *strings) {
  sf_buffer_free(&strings->decompressed);
  *strings = (sf_lance_strings){0};
}
