/* AVX2 with fused multiply-add. Rows are read one after the other: a single stream is what the CPU's prefetching is
 * best at. Four rows share the sums across lanes. */
#include "vectors/quantized_kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

extern const sf_kernels sf_avx2_kernels;

/* The attribute, not a compiler flag: nothing compiled with AVX2 can leak into code that runs on every CPU. */
#define AVX2 __attribute__((target("avx2,fma")))
#define AVX2_INLINE static inline __attribute__((always_inline, target("avx2,fma")))

enum { WIDTH = 8, ROWS = 4, QUERIES = SF_SHARED_QUERIES };

/* What a tile takes at a time: their sums, two each, fill half of the registers. */
enum { TILE_ROWS = 2, TILE_QUERIES = 2 };

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

/* Sums of one row with the query, and of the row with itself. */
struct row_sums {
  __m256 dot;
  __m256 squared_norm;
};

AVX2_INLINE void add_components(struct row_sums *sums, __m256 query, __m256 row) {
  sums->dot = _mm256_fmadd_ps(query, row, sums->dot);
  sums->squared_norm = _mm256_fmadd_ps(row, row, sums->squared_norm);
}

/* As sum_of_row with the query, and with the row itself. */
AVX2_INLINE struct row_sums sums_of_row(const float *query, const float *row, size_t dim) {
  struct row_sums even = {_mm256_setzero_ps(), _mm256_setzero_ps()};
  struct row_sums odd = even;
  size_t i = 0;
  for (; i + 2 * WIDTH <= dim; i += 2 * WIDTH) {
    add_components(&even, _mm256_loadu_ps(query + i), _mm256_loadu_ps(row + i));
    add_components(&odd, _mm256_loadu_ps(query + i + WIDTH), _mm256_loadu_ps(row + i + WIDTH));
  }
  if (i + WIDTH <= dim) {
    add_components(&even, _mm256_loadu_ps(query + i), _mm256_loadu_ps(row + i));
    i += WIDTH;
  }
  if (i < dim) {
    __m256i rest = first_lanes(dim - i);
    add_components(&odd, _mm256_maskload_ps(query + i, rest), _mm256_maskload_ps(row + i, rest));
  }
  return (struct row_sums){_mm256_add_ps(even.dot, odd.dot), _mm256_add_ps(even.squared_norm, odd.squared_norm)};
}

AVX2 static void dots_and_norms(const float *query, const float *rows, size_t num_rows, size_t dim, float *dots,
                                float *squared_norms) {
  __m256 dot[ROWS];
  __m256 squared_norm[ROWS];
  for (size_t row = 0; row < num_rows; row += ROWS) {
    size_t count = num_rows - row < ROWS ? num_rows - row : ROWS;
    for (size_t i = 0; i < ROWS; i++) { /* the last row again, where there are fewer */
      struct row_sums sums = sums_of_row(query, rows + (row + (i < count ? i : count - 1)) * dim, dim);
      dot[i] = sums.dot;
      squared_norm[i] = sums.squared_norm;
    }
    float results[2][ROWS];
    _mm_storeu_ps(results[0], sums_of_lanes(dot));
    _mm_storeu_ps(results[1], sums_of_lanes(squared_norm));
    for (size_t i = 0; i < count; i++) {
      dots[row + i] = results[0][i];
      squared_norms[row + i] = results[1][i];
    }
  }
}

/* The sums of sum_of_row for several queries and rows at once: by query, then by row. */
struct tile_sums {
  __m256 even[TILE_QUERIES][TILE_ROWS];
  __m256 odd[TILE_QUERIES][TILE_ROWS];
};

AVX2_INLINE void add_to_tile(enum metric metric, __m256 sums[TILE_QUERIES][TILE_ROWS],
                             const __m256 queries[TILE_QUERIES], const __m256 rows[TILE_ROWS]) {
  for (size_t k = 0; k < TILE_QUERIES; k++)
    for (size_t j = 0; j < TILE_ROWS; j++)
      sums[k][j] = accumulate(metric, sums[k][j], queries[k], rows[j]);
}

AVX2_INLINE void add_whole(enum metric metric, __m256 sums[TILE_QUERIES][TILE_ROWS], const float *const *queries,
                           const float *rows, size_t dim, size_t i) {
  __m256 query[TILE_QUERIES] = {_mm256_loadu_ps(queries[0] + i), _mm256_loadu_ps(queries[1] + i)};
  __m256 row[TILE_ROWS] = {_mm256_loadu_ps(rows + i), _mm256_loadu_ps(rows + dim + i)};
  add_to_tile(metric, sums, query, row);
}

AVX2_INLINE void add_rest(enum metric metric, __m256 sums[TILE_QUERIES][TILE_ROWS], const float *const *queries,
                          const float *rows, size_t dim, size_t i) {
  __m256i rest = first_lanes(dim - i);
  __m256 query[TILE_QUERIES] = {_mm256_maskload_ps(queries[0] + i, rest), _mm256_maskload_ps(queries[1] + i, rest)};
  __m256 row[TILE_ROWS] = {_mm256_maskload_ps(rows + i, rest), _mm256_maskload_ps(rows + dim + i, rest)};
  add_to_tile(metric, sums, query, row);
}

/* Two rows with two queries. */
AVX2_INLINE void sums_of_tile(enum metric metric, const float *const *queries, const float *rows, size_t dim,
                              __m256 sums[TILE_QUERIES][TILE_ROWS]) {
  struct tile_sums of;
  for (size_t k = 0; k < TILE_QUERIES; k++)
    for (size_t j = 0; j < TILE_ROWS; j++)
      of.even[k][j] = of.odd[k][j] = _mm256_setzero_ps();
  size_t i = 0;
  for (; i + 2 * WIDTH <= dim; i += 2 * WIDTH) {
    add_whole(metric, of.even, queries, rows, dim, i);
    add_whole(metric, of.odd, queries, rows, dim, i + WIDTH);
  }
  if (i + WIDTH <= dim) {
    add_whole(metric, of.even, queries, rows, dim, i);
    i += WIDTH;
  }
  if (i < dim)
    add_rest(metric, of.odd, queries, rows, dim, i);
  for (size_t k = 0; k < TILE_QUERIES; k++)
    for (size_t j = 0; j < TILE_ROWS; j++)
      sums[k][j] = _mm256_add_ps(of.even[k][j], of.odd[k][j]);
}

AVX2_INLINE void all_rows_of_tile(enum metric metric, const float *const queries[QUERIES], const float *rows,
                                  size_t num_rows, size_t dim, float *const results[QUERIES]) {
  size_t row = 0;
  for (; row + ROWS <= num_rows; row += ROWS)
    for (size_t first = 0; first < QUERIES; first += TILE_QUERIES) {
      __m256 left[TILE_QUERIES][TILE_ROWS];
      __m256 right[TILE_QUERIES][TILE_ROWS];
      sums_of_tile(metric, queries + first, rows + row * dim, dim, left);
      sums_of_tile(metric, queries + first, rows + (row + TILE_ROWS) * dim, dim, right);
      for (size_t k = 0; k < TILE_QUERIES; k++) {
        const __m256 sums[ROWS] = {left[k][0], left[k][1], right[k][0], right[k][1]};
        _mm_storeu_ps(results[first + k] + row, sums_of_lanes(sums));
      }
    }
  for (size_t k = 0; k < QUERIES; k++)
    all_rows(metric, queries[k], rows + row * dim, num_rows - row, dim, results[k] + row);
}

AVX2 static void dot_rows(const float *query, const float *rows, size_t num_rows, size_t dim, float *results) {
  all_rows(DOT, query, rows, num_rows, dim, results);
}

AVX2 static void squared_l2_rows(const float *query, const float *rows, size_t num_rows, size_t dim, float *results) {
  all_rows(SQUARED_L2, query, rows, num_rows, dim, results);
}

/* Twelve sums in registers, two of columns and one for a row's component. Unrolled by request: in a loop over the
 * array, GCC 12 stores every sum back to memory. */
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

/*
 * The eight lanes of sf_exact_squared_norm in two registers. A product of two float32 is exact in float64, so that
 * fusing it with the addition changes no bit; adding the zeros of lanes that are off doesn't either.
 */
AVX2_INLINE __m128d exact_halves_of_row(const float *row, size_t dim) {
  __m256d lower = _mm256_setzero_pd(); /* lanes 0 to 3 */
  __m256d upper = _mm256_setzero_pd();
  size_t i = 0;
  for (; i + WIDTH <= dim; i += WIDTH) {
    __m256d first = _mm256_cvtps_pd(_mm_loadu_ps(row + i));
    __m256d second = _mm256_cvtps_pd(_mm_loadu_ps(row + i + WIDTH / 2));
    lower = _mm256_fmadd_pd(first, first, lower);
    upper = _mm256_fmadd_pd(second, second, upper);
  }
  if (i < dim) {
    __m256 rest = _mm256_maskload_ps(row + i, first_lanes(dim - i));
    __m256d first = _mm256_cvtps_pd(_mm256_castps256_ps128(rest));
    __m256d second = _mm256_cvtps_pd(_mm256_extractf128_ps(rest, 1));
    lower = _mm256_fmadd_pd(first, first, lower);
    upper = _mm256_fmadd_pd(second, second, upper);
  }
  __m256d sums = _mm256_add_pd(lower, upper);
  /* (0 + 4) + (2 + 6) and (1 + 5) + (3 + 7): what is left to add. */
  return _mm_add_pd(_mm256_castpd256_pd128(sums), _mm256_extractf128_pd(sums, 1));
}

AVX2 static void exact_squared_norms(const float *rows, size_t num_rows, size_t dim, double *results) {
  size_t row = 0;
  for (; row + 2 <= num_rows; row += 2) {
    __m128d first = exact_halves_of_row(rows + row * dim, dim);
    __m128d second = exact_halves_of_row(rows + (row + 1) * dim, dim);
    _mm_storeu_pd(results + row, _mm_hadd_pd(first, second));
  }
  if (row < num_rows) {
    __m128d last = exact_halves_of_row(rows + row * dim, dim);
    _mm_store_sd(results + row, _mm_hadd_pd(last, last));
  }
}

AVX2 static void dot_shared(const float *const queries[QUERIES], const float *rows, size_t num_rows, size_t dim,
                            float *const results[QUERIES]) {
  all_rows_of_tile(DOT, queries, rows, num_rows, dim, results);
}

AVX2 static void squared_l2_shared(const float *const queries[QUERIES], const float *rows, size_t num_rows, size_t dim,
                                   float *const results[QUERIES]) {
  all_rows_of_tile(SQUARED_L2, queries, rows, num_rows, dim, results);
}

/* Asks for the operating system's support of the registers, too. */
static bool supported(void) {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

const sf_kernels sf_avx2_kernels = {.name = "avx2",
                                    .supported = supported,
                                    .dot = dot_rows,
                                    .squared_l2 = squared_l2_rows,
                                    .dots_and_norms = dots_and_norms,
                                    .exact_squared_norms = exact_squared_norms,
                                    .dot_tile = dot_tile,
                                    .panel_columns = 2 * WIDTH,
                                    .quantize_row = sf_quantize_row_avx2,
                                    .quantized_row_product = sf_quantized_row_product_avx2,
                                    .find_near_quantized = {sf_find_near_2bit_avx2, sf_find_near_4bit_avx2},
                                    .dot_shared = dot_shared,
                                    .squared_l2_shared = squared_l2_shared};

#endif
