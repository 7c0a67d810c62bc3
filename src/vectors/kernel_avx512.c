/*
 * AVX-512, its foundation only. Rows are read one after the other: a single stream is what the CPU's prefetching is
 * best at, and one sum a row is enough, since the next rows' loads and sums begin before a row's last addition is
 * through. Reading four rows side by side, more sums, or asking for prefetches made a search of more than the caches
 * hold slower.
 */
#include "vectors/quantized_kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

extern const sf_kernels sf_avx512_kernels;
extern const sf_kernels sf_avx512vnni_kernels;

/* The attribute, not a compiler flag: nothing compiled with AVX-512 can leak into code that runs on every CPU. */
#define AVX512 __attribute__((target("avx512f,avx2,fma")))
#define AVX512_INLINE static inline __attribute__((always_inline, target("avx512f,avx2,fma")))

enum { WIDTH = 16, ROWS = 4, MAX_VECTORS = 4, QUERIES = SF_SHARED_QUERIES };

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

/* As sum_of_row with the query, and with the row itself. */
AVX512_INLINE void sums_of_row(const float *query, const float *row, size_t dim, __m512 *dot, __m512 *squared_norm) {
  *dot = *squared_norm = _mm512_setzero_ps();
  size_t i = 0;
  for (; i + WIDTH <= dim; i += WIDTH) {
    __m512 components = _mm512_loadu_ps(row + i);
    *dot = _mm512_fmadd_ps(_mm512_loadu_ps(query + i), components, *dot);
    *squared_norm = _mm512_fmadd_ps(components, components, *squared_norm);
  }
  if (i < dim) {
    __mmask16 rest = (__mmask16)((1U << (dim - i)) - 1);
    __m512 components = _mm512_maskz_loadu_ps(rest, row + i);
    *dot = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(rest, query + i), components, *dot);
    *squared_norm = _mm512_fmadd_ps(components, components, *squared_norm);
  }
}

AVX512 static void dots_and_norms(const float *query, const float *rows, size_t num_rows, size_t dim, float *dots,
                                  float *squared_norms) {
  __m512 dot[ROWS];
  __m512 squared_norm[ROWS];
  size_t row = 0;
  for (; row + ROWS <= num_rows; row += ROWS) {
    for (size_t i = 0; i < ROWS; i++)
      sums_of_row(query, rows + (row + i) * dim, dim, &dot[i], &squared_norm[i]);
    _mm_storeu_ps(dots + row, sums_of_lanes(dot));
    _mm_storeu_ps(squared_norms + row, sums_of_lanes(squared_norm));
  }
  for (; row < num_rows; row++) {
    sums_of_row(query, rows + row * dim, dim, &dot[0], &squared_norm[0]);
    _mm_store_ss(dots + row, sums_of_lanes(dot));
    _mm_store_ss(squared_norms + row, sums_of_lanes(squared_norm));
  }
}

/* Adds the products of the components from `i` on to a sum for each query and row, in the order of sum_of_row. */
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

/* 24 sums in registers, which no addition waits for; each component of a row is spread over a register once for all
 * columns. `vectors` is a constant where this is inlined. */
AVX512_INLINE void tile(const float *const *rows, const float *panel, size_t vectors, size_t dim, float *results) {
  __m512 sums[SF_TILE_ROWS][MAX_VECTORS];
  for (size_t row = 0; row < SF_TILE_ROWS; row++)
    for (size_t vector = 0; vector < vectors; vector++)
      sums[row][vector] = _mm512_setzero_ps();
  for (size_t i = 0; i < dim; i++, panel += vectors * WIDTH) {
    __m512 columns[MAX_VECTORS];
    for (size_t vector = 0; vector < vectors; vector++)
      columns[vector] = _mm512_loadu_ps(panel + vector * WIDTH);
    for (size_t row = 0; row < SF_TILE_ROWS; row++) {
      __m512 component = _mm512_set1_ps(rows[row][i]);
      for (size_t vector = 0; vector < vectors; vector++)
        sums[row][vector] = _mm512_fmadd_ps(component, columns[vector], sums[row][vector]);
    }
  }
  for (size_t row = 0; row < SF_TILE_ROWS; row++)
    for (size_t vector = 0; vector < vectors; vector++)
      _mm512_storeu_ps(results + (row * vectors + vector) * WIDTH, sums[row][vector]);
}

AVX512 static void dot_tile(const float *const *rows, const float *panel, size_t num_columns, size_t dim,
                            float *results) {
  const float *const copies[SF_TILE_ROWS] = {rows[0], rows[1], rows[2], rows[3], rows[4], rows[5]};
  if (num_columns == 4 * WIDTH)
    tile(copies, panel, 4, dim, results);
  else if (num_columns == 3 * WIDTH)
    tile(copies, panel, 3, dim, results);
  else if (num_columns == 2 * WIDTH)
    tile(copies, panel, 2, dim, results);
  else
    tile(copies, panel, 1, dim, results);
}

/*
 * The eight lanes of sf_exact_squared_norm in one register. A product of two float32 is exact in float64, so that
 * fusing it with the addition changes no bit; adding the zeros of lanes that are off doesn't either.
 */
AVX512_INLINE __m512d exact_lanes_of_row(const float *row, size_t dim) {
  enum { LANES = 8 };
  __m512d lanes = _mm512_setzero_pd();
  size_t i = 0;
  for (; i + LANES <= dim; i += LANES) {
    __m512d components = _mm512_cvtps_pd(_mm256_loadu_ps(row + i));
    lanes = _mm512_fmadd_pd(components, components, lanes);
  }
  if (i < dim) {
    __mmask16 rest = (__mmask16)((1U << (dim - i)) - 1);
    __m512d components = _mm512_cvtps_pd(_mm512_castps512_ps256(_mm512_maskz_loadu_ps(rest, row + i)));
    lanes = _mm512_fmadd_pd(components, components, lanes);
  }
  return lanes;
}

/* (0 + 4) + (2 + 6) and (1 + 5) + (3 + 7): what is left to add. */
AVX512_INLINE __m128d halves_of_lanes(__m512d lanes) {
  __m256d sums = _mm256_add_pd(_mm512_castpd512_pd256(lanes), _mm512_extractf64x4_pd(lanes, 1));
  return _mm_add_pd(_mm256_castpd256_pd128(sums), _mm256_extractf128_pd(sums, 1));
}

AVX512 static void exact_squared_norms(const float *rows, size_t num_rows, size_t dim, double *results) {
  size_t row = 0;
  for (; row + 2 <= num_rows; row += 2) {
    __m128d first = halves_of_lanes(exact_lanes_of_row(rows + row * dim, dim));
    __m128d second = halves_of_lanes(exact_lanes_of_row(rows + (row + 1) * dim, dim));
    _mm_storeu_pd(results + row, _mm_hadd_pd(first, second));
  }
  if (row < num_rows) {
    __m128d last = halves_of_lanes(exact_lanes_of_row(rows + row * dim, dim));
    _mm_store_sd(results + row, _mm_hadd_pd(last, last));
  }
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

static bool vnni_supported(void) {
  return supported() && __builtin_cpu_supports("avx512vnni");
}

/* What all CPUs with AVX-512 have. */
#define FOUNDATION                                                                                                     \
  .dot = dot_rows, .squared_l2 = squared_l2_rows, .dots_and_norms = dots_and_norms,                                    \
  .exact_squared_norms = exact_squared_norms, .dot_tile = dot_tile, .panel_columns = MAX_VECTORS * WIDTH,              \
  .dot_shared = dot_shared, .squared_l2_shared = squared_l2_shared

const sf_kernels sf_avx512_kernels = {.name = "avx512",
                                      .supported = supported,
                                      .quantize_row = sf_quantize_row_avx2,
                                      .quantized_row_product = sf_quantized_row_product_avx2,
                                      .find_near_quantized = {sf_find_near_2bit_avx2, sf_find_near_4bit_avx2},
                                      FOUNDATION};

const sf_kernels sf_avx512vnni_kernels = {
    .name = "avx512vnni",
    .supported = vnni_supported,
    .quantize_row = sf_quantize_row_avx512vnni,
    .quantized_row_product = sf_quantized_row_product_avx512vnni,
    .find_near_quantized = {sf_find_near_2bit_avx512vnni, sf_find_near_4bit_avx512vnni},
    FOUNDATION};

#endif
