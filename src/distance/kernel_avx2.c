/* AVX2 with fused multiply-add. Rows are read one after the other: a single stream is what the CPU's prefetching is best
 * at. Four rows share the sums across lanes. */
#include "distance/distance.h"

#if defined(__x86_64__)

#include <immintrin.h>

extern const sf_kernels sf_avx2_kernels;

/* The attribute, not a compiler flag: nothing compiled with AVX2 can leak into code that runs on every CPU. */
#define AVX2 __attribute__((target("avx2,fma")))
#define AVX2_INLINE static inline __attribute__((always_inline, target("avx2,fma")))

enum { WIDTH = 8, ROWS = 4 };

enum metric { DOT, SQUARED_L2 };

/* The first `count` lanes on, 0 < count < WIDTH. A masked load touches no memory of lanes that are off. */
AVX2_INLINE __m256i first_lanes(size_t count) {
  static const int lanes[2 * WIDTH] = {-1, -1, -1, -1, -1, -1, -1, -1};
  return _mm256_loadu_si256((const __m256i *)(const void *)(lanes + WIDTH - count));
}

AVX2_INLINE __m256 accumulate(enum metric metric, __m256 sum, __m256 query, __m256 row) {
  if (metric == DOT)
    return _mm256_fmadd_ps(query, row, sum);
  __m256 difference = _mm256_sub_ps(query, row);
  return _mm256_fmadd_ps(difference, difference, sum);
}

/* The sum of each argument's lanes. */
AVX2_INLINE __m128 sums_of_lanes(const __m256 sums[ROWS]) {
  __m256 pairs = _mm256_hadd_ps(_mm256_hadd_ps(sums[0], sums[1]), _mm256_hadd_ps(sums[2], sums[3]));
  return _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps(pairs, 1));
}

/* One row's sum, not yet across lanes: two by turns, since one alone would wait for its last addition. */
AVX2_INLINE __m256 sum_of_row(enum metric metric, const float *query, const float *row, size_t dim) {
  __m256 even = _mm256_setzero_ps();
  __m256 odd = _mm256_setzero_ps();
  size_t i = 0;
  for (; i + 2 * WIDTH <= dim; i += 2 * WIDTH) {
    even = accumulate(metric, even, _mm256_loadu_ps(query + i), _mm256_loadu_ps(row + i));
    odd = accumulate(metric, odd, _mm256_loadu_ps(query + i + WIDTH), _mm256_loadu_ps(row + i + WIDTH));
  }
  if (i + WIDTH <= dim) {
    even = accumulate(metric, even, _mm256_loadu_ps(query + i), _mm256_loadu_ps(row + i));
    i += WIDTH;
  }
  if (i < dim) {
    __m256i rest = first_lanes(dim - i);
    odd = accumulate(metric, odd, _mm256_maskload_ps(query + i, rest), _mm256_maskload_ps(row + i, rest));
  }
  return _mm256_add_ps(even, odd);
}

AVX2_INLINE void all_rows(enum metric metric, const float *query, const float *rows, size_t num_rows, size_t dim,
                          float *results) {
  size_t row = 0;
  for (; row + ROWS <= num_rows; row += ROWS) {
    __m256 sums[ROWS];
    for (size_t i = 0; i < ROWS; i++)
      sums[i] = sum_of_row(metric, query, rows + (row + i) * dim, dim);
    _mm_storeu_ps(results + row, sums_of_lanes(sums));
  }
  for (; row < num_rows; row++) {
    __m256 sums[ROWS] = {sum_of_row(metric, query, rows + row * dim, dim)};
    _mm_store_ss(results + row, sums_of_lanes(sums));
  }
}

AVX2 static void dot_rows(const float *query, const float *rows, size_t num_rows, size_t dim, float *results) {
  all_rows(DOT, query, rows, num_rows, dim, results);
}

AVX2 static void squared_l2_rows(const float *query, const float *rows, size_t num_rows, size_t dim, float *results) {
  all_rows(SQUARED_L2, query, rows, num_rows, dim, results);
}

/* Twelve sums in registers, two of columns and one for a row's component. Unrolled by request: in a loop over the array,
 * GCC 12 stores every sum back to memory. */
AVX2 static void dot_tile(const float *const *rows, const float *panel, size_t num_columns, size_t dim,
                          float *results) {
  __m256 sums[SF_TILE_ROWS][2];
#pragma GCC unroll 6
  for (size_t row = 0; row < SF_TILE_ROWS; row++)
    sums[row][0] = sums[row][1] = _mm256_setzero_ps();
  const float *const copies[SF_TILE_ROWS] = {rows[0], rows[1], rows[2], rows[3], rows[4], rows[5]};
  for (size_t i = 0; i < dim; i++, panel += num_columns) {
    __m256 first = _mm256_loadu_ps(panel);
    __m256 second = _mm256_loadu_ps(panel + WIDTH);
#pragma GCC unroll 6
    for (size_t row = 0; row < SF_TILE_ROWS; row++) {
      __m256 component = _mm256_broadcast_ss(copies[row] + i);
      sums[row][0] = _mm256_fmadd_ps(component, first, sums[row][0]);
      sums[row][1] = _mm256_fmadd_ps(component, second, sums[row][1]);
    }
  }
#pragma GCC unroll 6
  for (size_t row = 0; row < SF_TILE_ROWS; row++) {
    _mm256_storeu_ps(results + row * num_columns, sums[row][0]);
    _mm256_storeu_ps(results + row * num_columns + WIDTH, sums[row][1]);
  }
}

/* Asks for the operating system's support of the registers, too. */
static bool supported(void) {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

const sf_kernels sf_avx2_kernels = {.name = "avx2",
                                    .supported = supported,
                                    .dot = dot_rows,
                                    .squared_l2 = squared_l2_rows,
                                    .dot_tile = dot_tile,
                                    .panel_columns = 2 * WIDTH};

#endif
