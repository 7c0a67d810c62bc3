#include "formats/lance/decoders.h"

#include <limits.h>
#include <lz4.h>
#include <zstd.h>
#include <zstd_errors.h>

/* The most bytes that a scheme makes of one: an LZ4 match length grows by 255 a byte (block format, "Matches"); a
 * Zstandard block of 4 bytes stands for 128 KiB at the most (RFC 8878, section 3.1.1.2). */
#define LZ4_MAX_EXPANSION 255
#define ZSTD_MAX_EXPANSION (128 * 1024 / 4)
/* For frame headers and other constants. */
#define EXPANSION_SLACK 1024

static size_t expansion_limit(size_t length, size_t factor) {
  size_t limit;
  if (!sf_multiply_size(length, factor, &limit) || !sf_add_size(limit, EXPANSION_SLACK, &limit))
    return SIZE_MAX;
  return limit;
}

/* A 4-byte size, then one LZ4 block. */
static sf_code decompress_lz4(sf_lance_bytes compressed, sf_buffer *decompressed, sf_error *error) {
  if (compressed.length < 4)
    return SF_LANCE_BAD(error, "LZ4: expected at least 4 bytes, found %zu", compressed.length);
  size_t size = sf_load_u32(compressed.data);
  size_t length = compressed.length - 4;
  if (size > expansion_limit(length, LZ4_MAX_EXPANSION) || size > LZ4_MAX_INPUT_SIZE || length > INT_MAX)
    return SF_LANCE_BAD(error, "LZ4: %zu bytes can't hold %zu", length, size);
  if (!sf_buffer_reserve(decompressed, size))
    return sf_fail_memory(error, "LZ4");
  int got = LZ4_decompress_safe((const char *)compressed.data + 4, (char *)decompressed->data + decompressed->length,
                                (int)length, (int)size);
  if (got < 0 || (size_t)got != size)
    return SF_LANCE_BAD(error, "LZ4: the block does not decompress to %zu bytes", size);
  decompressed->length += size;
  return SF_OK;
}

static sf_code fail_zstd(size_t result, sf_error *error) {
  if (ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation)
    return sf_fail_memory(error, "Zstandard");
  return SF_LANCE_BAD(error, "Zstandard: %s", ZSTD_getErrorName(result));
}

/* Frames without a size before them, as older writers made them. */
static sf_code decompress_zstd_stream(sf_lance_bytes compressed, sf_buffer *decompressed, sf_error *error) {
  ZSTD_DCtx *context = ZSTD_createDCtx();
  if (context == NULL)
    return sf_fail_memory(error, "Zstandard");
  sf_code code = SF_OK;
  ZSTD_inBuffer input = {compressed.data, compressed.length, 0};
  size_t limit = expansion_limit(compressed.length, ZSTD_MAX_EXPANSION);
  size_t done = 0;
  size_t hint = 1;
  bool full = false;
  while (code == SF_OK && (input.pos < input.size || full)) {
    if (!sf_buffer_reserve(decompressed, ZSTD_DStreamOutSize())) {
      code = sf_fail_memory(error, "Zstandard");
      break;
    }
    ZSTD_outBuffer output = {decompressed->data + decompressed->length, ZSTD_DStreamOutSize(), 0};
    hint = ZSTD_decompressStream(context, &output, &input);
    decompressed->length += output.pos;
    done += output.pos;
    full = output.pos == output.size;
    if (ZSTD_isError(hint))
      code = fail_zstd(hint, error);
    else if (done > limit)
      code = SF_LANCE_BAD(error, "Zstandard: %zu bytes hold more than %zu", compressed.length, limit);
  }
  if (code == SF_OK && hint != 0)
    code = SF_LANCE_BAD(error, "Zstandard: the frame is cut short");
  ZSTD_freeDCtx(context);
  return code;
}

/* An 8-byte size, then frames. */
static sf_code decompress_zstd_sized(sf_lance_bytes compressed, sf_buffer *decompressed, sf_error *error) {
  uint64_t size = sf_load_u64(compressed.data);
  size_t length = compressed.length - 8;
  if (size > expansion_limit(length, ZSTD_MAX_EXPANSION))
    return SF_LANCE_BAD(error, "Zstandard: %zu bytes can't hold %llu", length, (unsigned long long)size);
  if (!sf_buffer_reserve(decompressed, (size_t)size))
    return sf_fail_memory(error, "Zstandard");
  size_t got = ZSTD_decompress(decompressed->data + decompressed->length, (size_t)size, compressed.data + 8, length);
  if (ZSTD_isError(got))
    return fail_zstd(got, error);
  if (got != size)
    return SF_LANCE_BAD(error, "Zstandard: expected %llu bytes, found %zu", (unsigned long long)size, got);
  decompressed->length += got;
  return SF_OK;
}

/* Newer writers put the size before the frames, older ones don't, and nothing says which it was: a frame begins with
 * its magic number, and the reserved bit of the next byte is 0 (RFC 8878, section 3.1.1.1.1.4). */
static sf_code decompress_zstd(sf_lance_bytes compressed, sf_buffer *decompressed, sf_error *error) {
  if (compressed.length == 0) /* as older writers have empty values */
    return sf_buffer_reserve(decompressed, 0) ? SF_OK : sf_fail_memory(error, "Zstandard");
  bool is_frame =
      compressed.length < 8 || (sf_load_u32(compressed.data) == ZSTD_MAGICNUMBER && (compressed.data[4] & 0x10) == 0);
  return is_frame ? decompress_zstd_stream(compressed, decompressed, error)
                  : decompress_zstd_sized(compressed, decompressed, error);
}

sf_code sf_lance_decompress(uint32_t scheme, sf_lance_bytes compressed, sf_buffer *decompressed, sf_error *error) {
  switch (scheme) {
  case SF_LANCE_LZ4:
    return decompress_lz4(compressed, decompressed, error);
  case SF_LANCE_ZSTD:
    return decompress_zstd(compressed, decompressed, error);
  default:
    return SF_LANCE_BAD(error, "compression scheme %u is not supported", scheme);
  }
}
