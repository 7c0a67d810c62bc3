/* AVX-512, its foundation only: four rows at a time, which share the query's loads and the sums across lanes. */
#include "distance/distance.h"

#if defined(__x86_64__)

#include <immintrin.h>

extern const sf_kernels sf_avx512_kernels;

/* The attribute, not a compiler flag: nothing compiled with AVX-512 can leak into code that runs on every CPU. */
#define AVX512 __attribute__((target("avx512f,avx2,fma")))
#define AVX512_INLINE static inline __attribute__((always_inline, target("avx512f,avx2,fma")))

enum { WIDTH = 16, ROWS = 4 };

enum metric { DOT, SQUARED_L2 };

AVX512_INLINE __m512 accumulate(enum metric metric, __m512 sum, __m512 query, __m512 row) {
  if (metric == DOT)
    return _mm512_fmadd_ps(query, row, sum);
  __m512 difference = _mm512_sub_ps(query, row);
  return _mm512_fmadd_ps(difference, difference, sum);
}

AVX512_INLINE __m256 sum_of_halves(__m512 sum) {
  __m256 upper = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(sum), 1));
  return _mm256_add_ps(_mm512_castps512_ps256(sum), upper);
}

/* The sum of each argument's lanes. */
AVX512_INLINE __m128 sums_of_lanes(const __m512 sums[ROWS]) {
  __m256 first = _mm256_hadd_ps(sum_of_halves(sums[0]), sum_of_halves(sums[1]));
  __m256 second = _mm256_hadd_ps(sum_of_halves(sums[2]), sum_of_halves(sums[3]));
  __m256 pairs = _mm256_hadd_ps(first, second);
  return _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps(pairs, 1));
}

/* `count` rows, up to ROWS and a constant; the other sums are zero. A masked load touches no memory of lanes that are
 * off. */
AVX512_INLINE __m128 few_rows(enum metric metric, const float *query, const float *rows, size_t count, size_t dim) {
  __m512 sums[ROWS] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps()};
  size_t i = 0;
  for (; i + WIDTH <= dim; i += WIDTH) {
    __m512 components = _mm512_loadu_ps(query + i);
    for (size_t row = 0; row < count; row++)
      sums[row] = accumulate(metric, sums[row], components, _mm512_loadu_ps(rows + row * dim + i));
  }
  if (i < dim) {
    __mmask16 mask = (__mmask16)((1U << (dim - i)) - 1);
    __m512 components = _mm512_maskz_loadu_ps(mask, query + i);
    for (size_t row = 0; row < count; row++)
      sums[row] = accumulate(metric, sums[row], components, _mm512_maskz_loadu_ps(mask, rows + row * dim + i));
  }
  return sums_of_lanes(sums);
}

AVX512_INLINE void all_rows(enum metric metric, const float *query, const float *rows, size_t num_rows, size_t dim,
                            float *results) {
  size_t row = 0;
  for (; row + ROWS <= num_rows; row += ROWS)
    _mm_storeu_ps(results + row, few_rows(metric, query, rows + row * dim, ROWS, dim));
  for (; row < num_rows; row++)
    _mm_store_ss(results + row, few_rows(metric, query, rows + row * dim, 1, dim));
}

AVX512 static void dot_rows(const float *query, const float *rows, size_t num_rows, size_t dim, float *results) {
  all_rows(DOT, query, rows, num_rows, dim, results);
}

AVX512 static void squared_l2_rows(const float *query, const float *rows, size_t num_rows, size_t dim, float *results) {
  all_rows(SQUARED_L2, query, rows, num_rows, dim, results);
}

/* Asks for the operating system's support of the registers, too. */
static bool supported(void) {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

const sf_kernels sf_avx512_kernels = {
    .name = "avx512", .supported = supported, .dot = dot_rows, .squared_l2 = squared_l2_rows};

#endif
