/*
 * AVX-512, its foundation only. Rows are read one after the other: a single stream is what the CPU's prefetching is best
 * at, and one sum a row is enough, since the next rows' loads and sums begin before a row's last addition is through.
 * Reading four rows side by side, more sums, or asking for prefetches made a search of more than the caches hold slower.
 */
#include "distance/distance.h"

#if defined(__x86_64__)

#include <immintrin.h>

extern const sf_kernels sf_avx512_kernels;

/* The attribute, not a compiler flag: nothing compiled with AVX-512 can leak into code that runs on every CPU. */
#define AVX512 __attribute__((target("avx512f,avx2,fma")))
#define AVX512_INLINE static inline __attribute__((always_inline, target("avx512f,avx2,fma")))

enum { WIDTH = 16, ROWS = 4, QUERIES = SF_SHARED_QUERIES };

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

/* One row's sum, not yet across lanes. A masked load touches no memory of lanes that are off. */
AVX512_INLINE __m512 sum_of_row(enum metric metric, const float *query, const float *row, size_t dim) {
  __m512 sum = _mm512_setzero_ps();
  size_t i = 0;
  for (; i + WIDTH <= dim; i += WIDTH)
    sum = accumulate(metric, sum, _mm512_loadu_ps(query + i), _mm512_loadu_ps(row + i));
  if (i < dim) {
    __mmask16 rest = (__mmask16)((1U << (dim - i)) - 1);
    sum = accumulate(metric, sum, _mm512_maskz_loadu_ps(rest, query + i), _mm512_maskz_loadu_ps(rest, row + i));
  }
  return sum;
}

AVX512_INLINE void all_rows(enum metric metric, const float *query, const float *rows, size_t num_rows, size_t dim,
                            float *results) {
  size_t row = 0;
  for (; row + ROWS <= num_rows; row += ROWS) {
    __m512 sums[ROWS];
    for (size_t i = 0; i < ROWS; i++)
      sums[i] = sum_of_row(metric, query, rows + (row + i) * dim, dim);
    _mm_storeu_ps(results + row, sums_of_lanes(sums));
  }
  for (; row < num_rows; row++) {
    __m512 sums[ROWS] = {sum_of_row(metric, query, rows + row * dim, dim)};
    _mm_store_ss(results + row, sums_of_lanes(sums));
  }
}

/* Adds to a sum for each query and row what their components from `i` on give, as sum_of_row does it. */
AVX512_INLINE void add_to_tile(enum metric metric, __m512 sums[QUERIES][ROWS], __mmask16 lanes,
                               const float *const queries[QUERIES], const float *rows, size_t dim, size_t i) {
  __m512 row[ROWS];
  for (size_t j = 0; j < ROWS; j++)
    row[j] = _mm512_maskz_loadu_ps(lanes, rows + j * dim + i);
  for (size_t k = 0; k < QUERIES; k++) {
    __m512 query = _mm512_maskz_loadu_ps(lanes, queries[k] + i);
    for (size_t j = 0; j < ROWS; j++)
      sums[k][j] = accumulate(metric, sums[k][j], query, row[j]);
  }
}

/* Four rows with four queries: in turn they take part in sixteen sums, which fill half of the registers. */
AVX512_INLINE void all_rows_of_tile(enum metric metric, const float *const queries[QUERIES], const float *rows,
                                    size_t num_rows, size_t dim, float *const results[QUERIES]) {
  size_t row = 0;
  for (; row + ROWS <= num_rows; row += ROWS) {
    __m512 sums[QUERIES][ROWS];
    for (size_t k = 0; k < QUERIES; k++)
      for (size_t j = 0; j < ROWS; j++)
        sums[k][j] = _mm512_setzero_ps();
    size_t i = 0;
    for (; i + WIDTH <= dim; i += WIDTH)
      add_to_tile(metric, sums, 0xFFFF, queries, rows + row * dim, dim, i);
    if (i < dim)
      add_to_tile(metric, sums, (__mmask16)((1U << (dim - i)) - 1), queries, rows + row * dim, dim, i);
    for (size_t k = 0; k < QUERIES; k++)
      _mm_storeu_ps(results[k] + row, sums_of_lanes(sums[k]));
  }
  for (size_t k = 0; k < QUERIES; k++)
    all_rows(metric, queries[k], rows + row * dim, num_rows - row, dim, results[k] + row);
}

AVX512 static void dot_rows(const float *query, const float *rows, size_t num_rows, size_t dim, float *results) {
  all_rows(DOT, query, rows, num_rows, dim, results);
}

AVX512 static void squared_l2_rows(const float *query, const float *rows, size_t num_rows, size_t dim, float *results) {
  all_rows(SQUARED_L2, query, rows, num_rows, dim, results);
}

AVX512 static void dot_shared(const float *const queries[QUERIES], const float *rows, size_t num_rows, size_t dim,
                              float *const results[QUERIES]) {
  all_rows_of_tile(DOT, queries, rows, num_rows, dim, results);
}

AVX512 static void squared_l2_shared(const float *const queries[QUERIES], const float *rows, size_t num_rows,
                                     size_t dim, float *const results[QUERIES]) {
  all_rows_of_tile(SQUARED_L2, queries, rows, num_rows, dim, results);
}

/* Asks for the operating system's support of the registers, too. */
static bool supported(void) {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

const sf_kernels sf_avx512_kernels = {.name = "avx512",
                                      .supported = supported,
                                      .dot = dot_rows,
                                      .squared_l2 = squared_l2_rows,
                                      .dot_shared = dot_shared,
                                      .squared_l2_shared = squared_l2_shared};

#endif
