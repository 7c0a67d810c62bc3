/* Codes, with the instructions of AVX-512 VNNI: four products of bytes and their sum at once. */
#include "distance/code_row.h"
#include "distance/codes_kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#define VNNI __attribute__((target("avx512f,avx512vnni,avx2,fma")))
#define VNNI_INLINE static inline __attribute__((always_inline, target("avx512f,avx512vnni,avx2,fma")))

enum { ROWS = SF_CODE_GROUP_ROWS, HALF = SF_CODE_BLOCK_DIMS / 2 };

/* Four components, once for each row. */
VNNI_INLINE __m512i spread(const int8_t *components) {
  int32_t four;
  memcpy(&four, components, sizeof(four));
  return _mm512_set1_epi32(four);
}

/* Four sums, since one alone would wait for its last addition: of the lower and the upper halves of two blocks. The upper
 * ones are 16 times too large, which spares shifting the codes. */
typedef struct group_sums {
  __m512i lower[2];
  __m512i upper[2];
} group_sums;

VNNI_INLINE void add_block(group_sums *sums, size_t which, const int8_t *components, const uint8_t *block) {
  __m512i codes = _mm512_loadu_si512(block);
  __m512i lower = _mm512_and_si512(codes, _mm512_set1_epi32(0x0F0F0F0F));
  __m512i upper = _mm512_andnot_si512(_mm512_set1_epi32(0x0F0F0F0F), codes);
  sums->lower[which] = _mm512_dpbusd_epi32(sums->lower[which], lower, spread(components));
  sums->upper[which] = _mm512_dpbusd_epi32(sums->upper[which], upper, spread(components + HALF));
}

/* e·n of sixteen rows. */
VNNI_INLINE __m512i products_of_group(const sf_code_comparison *comparison, const uint8_t *group, size_t num_blocks) {
  const __m512i zero = _mm512_setzero_si512();
  group_sums sums = {{_mm512_set1_epi32(comparison->offset), zero}, {zero, zero}};
  const int8_t *components = comparison->components;
  for (size_t pair = 0; pair < num_blocks / 2; pair++) {
    add_block(&sums, 0, components, group);
    add_block(&sums, 1, components + SF_CODE_BLOCK_DIMS, group + SF_CODE_BLOCK_BYTES);
    components += 2 * SF_CODE_BLOCK_DIMS;
    group += 2 * SF_CODE_BLOCK_BYTES;
  }
  if (num_blocks % 2 != 0)
    add_block(&sums, 0, components, group);
  __m512i lower = _mm512_add_epi32(sums.lower[0], sums.lower[1]);
  __m512i upper = _mm512_add_epi32(sums.upper[0], sums.upper[1]);
  return _mm512_add_epi32(lower, _mm512_srai_epi32(upper, 4));
}

VNNI void sf_find_near_codes_avx512vnni(const sf_code_comparison *comparison, const uint8_t *groups, size_t num_groups,
                                        size_t dim, bool has_squared_norms, float limit, uint16_t *masks,
                                        float *bounds) {
  const size_t num_blocks = sf_code_blocks(dim);
  const __m512 step = _mm512_set1_ps(comparison->step);
  const __m512 slack = _mm512_set1_ps(comparison->slack);
  const __m512 norm = _mm512_set1_ps(comparison->norm);
  const __m512 limits = _mm512_set1_ps(limit);
  const uint8_t *group = groups;
  for (size_t i = 0; i < num_groups; i++, group += sf_code_bytes(num_blocks, has_squared_norms)) {
    __m512 products = _mm512_cvtepi32_ps(products_of_group(comparison, group, num_blocks));
    const float *numbers = sf_code_numbers(group, num_blocks);
    __m512 least = _mm512_set1_ps(comparison->base);
    if (has_squared_norms)
      least = _mm512_add_ps(least, _mm512_loadu_ps(numbers + 2 * ROWS));
    least = _mm512_fnmadd_ps(_mm512_loadu_ps(numbers), _mm512_fmadd_ps(step, products, slack), least);
    least = _mm512_fnmadd_ps(norm, _mm512_loadu_ps(numbers + ROWS), least);
    if (bounds != NULL)
      _mm512_storeu_ps(bounds + i * ROWS, least);
    masks[i] = (uint16_t)_mm512_cmp_ps_mask(least, limits, _CMP_NGT_UQ); /* NaN is within every limit */
  }
}

VNNI void sf_code_row_avx512vnni(const float *row, const float *centre, size_t dim, float factor, uint8_t *block,
                                 sf_coded_row *coded) {
  sf_code_row_inline(row, centre, dim, factor, block, coded);
}

#endif
