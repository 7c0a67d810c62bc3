/* Quantized vectors with AVX-512 VNNI: four products of bytes and their sum in one instruction. */
#include "vectors/quantize_row.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#define VNNI __attribute__((target("avx512f,avx512vnni,avx2,fma")))
#define VNNI_INLINE static inline __attribute__((always_inline, target("avx512f,avx512vnni,avx2,fma")))

enum { ROWS = SF_QUANTIZED_GROUP_ROWS, PART = 4 /* components of a row in a part of a block's bytes */ };

/* Four components, once for each row. */
VNNI_INLINE __m512i spread(const int8_t *components) {
  int32_t four;
  memcpy(&four, components, sizeof(four));
  return _mm512_set1_epi32(four);
}

/* Some bits of every byte, not shifted down. */
VNNI_INLINE __m512i bits_of(__m512i packed, uint32_t bits) {
  return _mm512_and_si512(packed, _mm512_set1_epi32((int32_t)(bits * 0x01010101U)));
}

/* Four sums, since one alone would wait for its last addition. Values are not shifted down, so that some of the sums are
 * too large by a power of two. */
typedef struct group_sums {
  __m512i parts[4];
} group_sums;

VNNI_INLINE group_sums no_sums(void) {
  const __m512i zero = _mm512_setzero_si512();
  return (group_sums){{zero, zero, zero, zero}};
}

/* e·c of sixteen rows. */
VNNI_INLINE __m512i products_of_2bit(const int8_t *components, const uint8_t *group, size_t num_blocks) {
  group_sums sums = no_sums();
  for (size_t block = 0; block < num_blocks; block++) {
    __m512i packed = _mm512_loadu_si512(group);
    sums.parts[0] = _mm512_dpbusd_epi32(sums.parts[0], bits_of(packed, 0x03), spread(components));
    sums.parts[1] = _mm512_dpbusd_epi32(sums.parts[1], bits_of(packed, 0x0C), spread(components + PART));
    sums.parts[2] = _mm512_dpbusd_epi32(sums.parts[2], bits_of(packed, 0x30), spread(components + 2 * PART));
    sums.parts[3] = _mm512_dpbusd_epi32(sums.parts[3], bits_of(packed, 0xC0), spread(components + 3 * PART));
    components += 4 * PART;
    group += SF_QUANTIZED_BLOCK_BYTES;
  }
  __m512i first = _mm512_add_epi32(sums.parts[0], _mm512_srai_epi32(sums.parts[1], 2));
  __m512i second = _mm512_add_epi32(_mm512_srai_epi32(sums.parts[2], 4), _mm512_srai_epi32(sums.parts[3], 6));
  return _mm512_add_epi32(first, second);
}

VNNI_INLINE void add_4bit_block(group_sums *sums, size_t which, const int8_t *components, const uint8_t *block) {
  __m512i packed = _mm512_loadu_si512(block);
  sums->parts[which] = _mm512_dpbusd_epi32(sums->parts[which], bits_of(packed, 0x0F), spread(components));
  sums->parts[2 + which] =
      _mm512_dpbusd_epi32(sums->parts[2 + which], bits_of(packed, 0xF0), spread(components + PART));
}

/* e·c of sixteen rows. */
VNNI_INLINE __m512i products_of_4bit(const int8_t *components, const uint8_t *group, size_t num_blocks) {
  group_sums sums = no_sums();
  for (size_t pair = 0; pair < num_blocks / 2; pair++) {
    add_4bit_block(&sums, 0, components, group);
    add_4bit_block(&sums, 1, components + 2 * PART, group + SF_QUANTIZED_BLOCK_BYTES);
    components += 4 * PART;
    group += 2 * SF_QUANTIZED_BLOCK_BYTES;
  }
  if (num_blocks % 2 != 0)
    add_4bit_block(&sums, 0, components, group);
  __m512i lower = _mm512_add_epi32(sums.parts[0], sums.parts[1]);
  __m512i upper = _mm512_add_epi32(sums.parts[2], sums.parts[3]);
  return _mm512_add_epi32(lower, _mm512_srai_epi32(upper, 4));
}

VNNI_INLINE void find_near_quantized(sf_quantized_kind kind, const sf_quantized_comparison *comparison,
                                     const sf_quantized_groups *groups, float threshold, uint16_t *masks,
                                     float *bounds) {
  const bool has_squared_norms = groups->has_squared_norms;
  const size_t num_blocks = sf_quantized_blocks(kind, groups->dim);
  const __m512 half_step = _mm512_set1_ps(comparison->half_step);
  const __m512 slack = _mm512_set1_ps(comparison->slack);
  const __m512 norm = _mm512_set1_ps(comparison->norm);
  const __m512 thresholds = _mm512_set1_ps(threshold);
  const __m512i offset = _mm512_set1_epi32(comparison->offset);
  const uint8_t *group = groups->first;
  for (size_t i = 0; i < groups->count; i++, group += sf_quantized_bytes(num_blocks, has_squared_norms)) {
    __m512i products = kind == SF_QUANTIZED_2BIT ? products_of_2bit(comparison->components, group, num_blocks)
                                                 : products_of_4bit(comparison->components, group, num_blocks);
    __m512 doubled = _mm512_cvtepi32_ps(_mm512_add_epi32(_mm512_slli_epi32(products, 1), offset));
    const float *numbers = sf_quantized_numbers(group, num_blocks);
    __m512 least = _mm512_set1_ps(comparison->base);
    if (has_squared_norms)
      least = _mm512_add_ps(least, _mm512_loadu_ps(numbers + 2 * ROWS));
    least = _mm512_fnmadd_ps(_mm512_loadu_ps(numbers), _mm512_fmadd_ps(half_step, doubled, slack), least);
    least = _mm512_fnmadd_ps(norm, _mm512_loadu_ps(numbers + ROWS), least);
    if (bounds != NULL)
      _mm512_storeu_ps(bounds + i * ROWS, least);
    masks[i] = (uint16_t)_mm512_cmp_ps_mask(least, thresholds, _CMP_NGT_UQ); /* NaN is never above the threshold */
  }
}

VNNI void sf_find_near_2bit_avx512vnni(const sf_quantized_comparison *comparison, const sf_quantized_groups *groups,
                                       float threshold, uint16_t *masks, float *bounds) {
  find_near_quantized(SF_QUANTIZED_2BIT, comparison, groups, threshold, masks, bounds);
}

VNNI void sf_find_near_4bit_avx512vnni(const sf_quantized_comparison *comparison, const sf_quantized_groups *groups,
                                       float threshold, uint16_t *masks, float *bounds) {
  find_near_quantized(SF_QUANTIZED_4BIT, comparison, groups, threshold, masks, bounds);
}

VNNI void sf_quantize_row_avx512vnni(const float *row, const float *centre, size_t dim, float factor,
                                     uint8_t *const blocks[SF_QUANTIZED_KINDS], sf_quantized_row *quantized) {
  sf_quantize_row_inline(row, centre, dim, factor, blocks, quantized);
}

VNNI int32_t sf_quantized_row_product_avx512vnni(const int8_t *low, const int8_t *high, const uint8_t *codes,
                                                 size_t num_codes) {
  __m512i of_low = _mm512_setzero_si512();
  __m512i of_high = _mm512_setzero_si512();
  for (size_t i = 0; i < num_codes; i += sizeof(__m512i)) {
    size_t lanes = (num_codes - i) / sizeof(int32_t);
    __mmask16 mask = (__mmask16)(lanes >= ROWS ? UINT16_MAX : (1U << lanes) - 1);
    __m512i packed = _mm512_maskz_loadu_epi32(mask, codes + i);
    of_low = _mm512_dpbusd_epi32(of_low, bits_of(packed, 0x0F), _mm512_loadu_si512(low + i));
    of_high = _mm512_dpbusd_epi32(of_high, bits_of(packed, 0xF0), _mm512_loadu_si512(high + i));
  }
  return _mm512_reduce_add_epi32(_mm512_add_epi32(of_low, _mm512_srai_epi32(of_high, 4)));
}

#endif
