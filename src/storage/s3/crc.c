#include "storage/s3/crc.h"

#include "base/bytes.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* Eight tables, to take eight bytes at a step: "slicing by 8" (Kounavis and Berry, 2005). */
static void fill_tables(sf_crc *crc, uint64_t polynomial) {
  for (unsigned byte = 0; byte < 256; byte++) {
    uint64_t value = byte;
    for (int bit = 0; bit < 8; bit++)
      value = (value & 1) != 0 ? value >> 1 ^ polynomial : value >> 1;
    crc->tables[0][byte] = value;
  }
  for (unsigned table = 1; table < 8; table++)
    for (unsigned byte = 0; byte < 256; byte++) {
      uint64_t value = crc->tables[table - 1][byte];
      crc->tables[table][byte] = value >> 8 ^ crc->tables[0][value & 0xFF];
    }
}

static uint64_t update_by_tables(const sf_crc *crc, uint64_t remainder, const uint8_t *bytes, size_t length) {
  const uint64_t(*tables)[256] = crc->tables;
  for (; length >= 8; bytes += 8, length -= 8) {
    uint64_t word = sf_load_u64(bytes) ^ remainder;
    remainder = tables[7][word & 0xFF] ^ tables[6][word >> 8 & 0xFF] ^ tables[5][word >> 16 & 0xFF] ^
                tables[4][word >> 24 & 0xFF] ^ tables[3][word >> 32 & 0xFF] ^ tables[2][word >> 40 & 0xFF] ^
                tables[1][word >> 48 & 0xFF] ^ tables[0][word >> 56];
  }
  for (; length > 0; bytes++, length--)
    remainder = remainder >> 8 ^ tables[0][(remainder ^ *bytes) & 0xFF];
  return remainder;
}

/* ------------------------------------------------------------------------------------------------------------ Folding */

#if defined(__x86_64__)

#define BLOCK 64

/* x^power modulo the polynomial, reflected in 64 bits. */
static uint64_t power_of_x(uint64_t polynomial, unsigned width, unsigned power) {
  uint64_t value = (uint64_t)1 << (width - 1);
  for (unsigned i = 0; i < power; i++)
    value = (value & 1) != 0 ? value >> 1 ^ polynomial : value >> 1;
  return value << (64 - width);
}

/* Multiplying reflected polynomials of 64 bits gives their product times x: hence 63 and -1 for 64 and 0. */
static void fill_distances(uint64_t keys[2], uint64_t polynomial, unsigned width, unsigned distance) {
  keys[0] = power_of_x(polynomial, width, distance + 63);
  keys[1] = power_of_x(polynomial, width, distance - 1);
}

#define FOLDING __attribute__((target("pclmul,sse4.1")))

FOLDING static inline __m128i fold(__m128i carried, __m128i keys, __m128i onto) {
  __m128i low = _mm_clmulepi64_si128(carried, keys, 0x00);
  __m128i high = _mm_clmulepi64_si128(carried, keys, 0x11);
  return _mm_xor_si128(onto, _mm_xor_si128(low, high));
}

FOLDING static inline __m128i load(const uint8_t *bytes) {
  return _mm_loadu_si128((const __m128i *)(const void *)bytes);
}

/* Four streams of 128 bits are carried over 512 at a step, then into one another, which leaves 16 bytes with the remainder
 * of them all: Gopal et al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction" (Intel, 2009),
 * figures 2 and 4; the tables do the rest. `length` is a multiple of 64, and not 0. */
FOLDING static uint64_t update_by_folding(const sf_crc *crc, uint64_t remainder, const uint8_t *bytes, size_t length) {
  const __m128i by_512 = load((const uint8_t *)crc->fold_by_512);
  const __m128i by_128 = load((const uint8_t *)crc->fold_by_128);
  uint8_t left[16];
  __m128i a = _mm_xor_si128(load(bytes), _mm_set_epi64x(0, (long long)remainder));
  __m128i b = load(bytes + 16);
  __m128i c = load(bytes + 32);
  __m128i d = load(bytes + 48);
  for (size_t at = BLOCK; at < length; at += BLOCK) {
    a = fold(a, by_512, load(bytes + at));
    b = fold(b, by_512, load(bytes + at + 16));
    c = fold(c, by_512, load(bytes + at + 32));
    d = fold(d, by_512, load(bytes + at + 48));
  }
  d = fold(fold(fold(a, by_128, b), by_128, c), by_128, d);
  _mm_storeu_si128((__m128i *)(void *)left, d);
  return update_by_tables(crc, 0, left, sizeof(left));
}

static void prepare_folding(sf_crc *crc, uint64_t polynomial, unsigned width) {
  crc->folds = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
  fill_distances(crc->fold_by_512, polynomial, width, 512);
  fill_distances(crc->fold_by_128, polynomial, width, 128);
}

static size_t fold_blocks(sf_crc *crc, const uint8_t *bytes, size_t length) {
  size_t folded = crc->folds ? length / BLOCK * BLOCK : 0;
  if (folded > 0)
    crc->remainder = update_by_folding(crc, crc->remainder, bytes, folded);
  return folded;
}

#else

static void prepare_folding(sf_crc *crc, uint64_t polynomial, unsigned width) {
  (void)polynomial, (void)width;
  crc->folds = false;
}

static size_t fold_blocks(sf_crc *crc, const uint8_t *bytes, size_t length) {
  (void)crc, (void)bytes, (void)length;
  return 0;
}

#endif

/* ---------------------------------------------------------------------------------------------------------- The check */

void sf_crc_init(sf_crc *crc, uint64_t polynomial, unsigned width) {
  fill_tables(crc, polynomial);
  prepare_folding(crc, polynomial, width);
  crc->remainder = UINT64_MAX >> (64 - width);
}

void sf_crc_update(sf_crc *crc, const uint8_t *bytes, size_t length) {
  size_t done = fold_blocks(crc, bytes, length);
  crc->remainder = update_by_tables(crc, crc->remainder, bytes + done, length - done);
}

uint64_t sf_crc_value(const sf_crc *crc) {
  return ~crc->remainder;
}
