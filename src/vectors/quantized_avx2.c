/* Quantized vectors with AVX2: products of bytes, summed in pairs of 16 bits. */
#include "vectors/quantize_row.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#define AVX2 __attribute__((target("avx2,fma")))
#define AVX2_INLINE static inline __attribute__((always_inline, target("avx2,fma")))

enum {
  ROWS = SF_QUANTIZED_GROUP_ROWS,
  PART = 4, /* components of a row in a part of a block's bytes */
  REGISTER_ROWS = 8,
  /* A block adds up to 8 · 3 · 127 or 4 · 15 · 127 to a sum of 16 bits. */
  MAX_BLOCKS = 4,
};

/* Four components, once for each row. */
AVX2_INLINE __m256i spread(const int8_t *components) {
  int32_t four;
  memcpy(&four, components, sizeof(four));
  return _mm256_set1_epi32(four);
}

AVX2_INLINE __m256i load(const uint8_t *packed) {
  return _mm256_loadu_si256((const __m256i *)(const void *)packed);
}

/* Products of one value of every byte, from bit `shift` on, summed in pairs. */
AVX2_INLINE __m256i products_of(__m256i packed, int shift, int8_t bits, const int8_t *components) {
  __m256i shifted = _mm256_and_si256(_mm256_srli_epi16(packed, shift), _mm256_set1_epi8(bits));
  return _mm256_maddubs_epi16(shifted, spread(components));
}

/* For eight rows, two sums each of pairs of products. */
AVX2_INLINE __m256i products_of_block(sf_quantized_kind kind, __m256i packed, const int8_t *components) {
  if (kind == SF_QUANTIZED_4BIT)
    return _mm256_add_epi16(products_of(packed, 0, 15, components), products_of(packed, 4, 15, components + PART));
  __m256i lower = _mm256_add_epi16(products_of(packed, 0, 3, components), products_of(packed, 2, 3, components + PART));
  __m256i upper = _mm256_add_epi16(products_of(packed, 4, 3, components + 2 * PART),
                                   products_of(packed, 6, 3, components + 3 * PART));
  return _mm256_add_epi16(lower, upper);
}

AVX2_INLINE __m256 bounds_of_rows(const sf_quantized_comparison *comparison, __m256i sums, const float *numbers,
                                  bool has_squared_norms) {
  __m256i doubled = _mm256_add_epi32(_mm256_slli_epi32(sums, 1), _mm256_set1_epi32(comparison->offset));
  __m256 base = _mm256_set1_ps(comparison->base);
  if (has_squared_norms)
    base = _mm256_add_ps(base, _mm256_loadu_ps(numbers + 2 * ROWS));
  __m256 product = _mm256_fmadd_ps(_mm256_set1_ps(comparison->half_step), _mm256_cvtepi32_ps(doubled),
                                   _mm256_set1_ps(comparison->slack));
  __m256 least = _mm256_fnmadd_ps(_mm256_loadu_ps(numbers), product, base);
  return _mm256_fnmadd_ps(_mm256_set1_ps(comparison->norm), _mm256_loadu_ps(numbers + ROWS), least);
}

/* A bit for each row; NaN is never above the threshold. */
AVX2_INLINE unsigned near_rows(__m256 bounds, __m256 thresholds) {
  return (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(bounds, thresholds, _CMP_NGT_UQ));
}

AVX2_INLINE void find_near_quantized(sf_quantized_kind kind, const sf_quantized_comparison *comparison,
                                     const sf_quantized_groups *groups, float threshold, uint16_t *masks,
                                     float *bounds) {
  const bool has_squared_norms = groups->has_squared_norms;
  const size_t num_blocks = sf_quantized_blocks(kind, groups->dim);
  const __m256i ones = _mm256_set1_epi16(1);
  const __m256 thresholds = _mm256_set1_ps(threshold);
  const uint8_t *group = groups->first;
  for (size_t i = 0; i < groups->count; i++, group += sf_quantized_bytes(num_blocks, has_squared_norms)) {
    __m256i first = _mm256_setzero_si256();
    __m256i second = _mm256_setzero_si256();
    for (size_t block = 0; block < num_blocks;) {
      size_t end = num_blocks - block < MAX_BLOCKS ? num_blocks : block + MAX_BLOCKS;
      __m256i first_pairs = _mm256_setzero_si256();
      __m256i second_pairs = _mm256_setzero_si256();
      for (; block < end; block++) {
        const int8_t *components = comparison->components + block * sf_quantized_block_dims(kind);
        const uint8_t *packed = group + block * SF_QUANTIZED_BLOCK_BYTES;
        first_pairs = _mm256_add_epi16(first_pairs, products_of_block(kind, load(packed), components));
        second_pairs = _mm256_add_epi16(
            second_pairs, products_of_block(kind, load(packed + SF_QUANTIZED_BLOCK_BYTES / 2), components));
      }
      first = _mm256_add_epi32(first, _mm256_madd_epi16(first_pairs, ones));
      second = _mm256_add_epi32(second, _mm256_madd_epi16(second_pairs, ones));
    }
    const float *numbers = sf_quantized_numbers(group, num_blocks);
    __m256 first_bounds = bounds_of_rows(comparison, first, numbers, has_squared_norms);
    __m256 second_bounds = bounds_of_rows(comparison, second, numbers + REGISTER_ROWS, has_squared_norms);
    masks[i] = (uint16_t)(near_rows(first_bounds, thresholds) | near_rows(second_bounds, thresholds) << REGISTER_ROWS);
    if (bounds == NULL)
      continue;
    _mm256_storeu_ps(bounds + i * ROWS, first_bounds);
    _mm256_storeu_ps(bounds + i * ROWS + REGISTER_ROWS, second_bounds);
  }
}

AVX2 void sf_find_near_2bit_avx2(const sf_quantized_comparison *comparison, const sf_quantized_groups *groups,
                                 float threshold, uint16_t *masks, float *bounds) {
  find_near_quantized(SF_QUANTIZED_2BIT, comparison, groups, threshold, masks, bounds);
}

AVX2 void sf_find_near_4bit_avx2(const sf_quantized_comparison *comparison, const sf_quantized_groups *groups,
                                 float threshold, uint16_t *masks, float *bounds) {
  find_near_quantized(SF_QUANTIZED_4BIT, comparison, groups, threshold, masks, bounds);
}

AVX2 void sf_quantize_row_avx2(const float *row, const float *centre, size_t dim, float factor,
                               uint8_t *const blocks[SF_QUANTIZED_KINDS], sf_quantized_row *quantized) {
  sf_quantize_row_inline(row, centre, dim, factor, blocks, quantized);
}

/* Two products of at most 15 · 127 and their like from the high halves fit 16 bits. */
AVX2 int32_t sf_quantized_row_product_avx2(const int8_t *low, const int8_t *high, const uint8_t *codes,
                                           size_t num_codes) {
  const __m256i ones = _mm256_set1_epi16(1);
  const __m256i low_bits = _mm256_set1_epi8(15);
  __m256i sums = _mm256_setzero_si256();
  size_t i = 0;
  for (; i + sizeof(__m256i) <= num_codes; i += sizeof(__m256i)) {
    __m256i packed = load(codes + i);
    __m256i lows = _mm256_and_si256(packed, low_bits);
    __m256i highs = _mm256_and_si256(_mm256_srli_epi16(packed, 4), low_bits);
    __m256i of_low = _mm256_maddubs_epi16(lows, _mm256_loadu_si256((const __m256i *)(const void *)(low + i)));
    __m256i of_high = _mm256_maddubs_epi16(highs, _mm256_loadu_si256((const __m256i *)(const void *)(high + i)));
    sums = _mm256_add_epi32(sums, _mm256_madd_epi16(_mm256_add_epi16(of_low, of_high), ones));
  }
  int32_t lanes[sizeof(sums) / sizeof(int32_t)];
  _mm256_storeu_si256((__m256i *)(void *)lanes, sums);
  int32_t sum = sf_quantized_row_product_portable(low + i, high + i, codes + i, num_codes - i);
  for (size_t lane = 0; lane < sizeof(lanes) / sizeof(lanes[0]); lane++)
    sum += lanes[lane];
  return sum;
}

#endif
