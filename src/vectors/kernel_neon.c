/* NEON, which every 64-bit Arm has. Rows are read one after the other: a single stream is what prefetching is best at.
 * Four rows share the sums across lanes. */
#include "vectors/quantized_kernels.h"

#if defined(__aarch64__)

#include <arm_neon.h>

extern const sf_kernels sf_neon_kernels;

enum { WIDTH = 4, SUMS = 4, ROWS = 4, VECTORS = 4, QUERIES = SF_SHARED_QUERIES };

/* What a tile takes at a time: their sums, four each, fill half of the registers. */
enum { TILE_ROWS = 2, TILE_QUERIES = 2 };

enum metric { DOT, SQUARED_L2 };

static inline float32x4_t accumulate(enum metric metric, float32x4_t sum, float32x4_t query, float32x4_t row) {
  if (metric == DOT)
    return vfmaq_f32(sum, query, row);
  float32x4_t difference = vsubq_f32(query, row);
  return vfmaq_f32(sum, difference, difference);
}

/* The sum of each argument's lanes. */
static inline float32x4_t sums_of_lanes(const float32x4_t sums[ROWS]) {
  return vpaddq_f32(vpaddq_f32(sums[0], sums[1]), vpaddq_f32(sums[2], sums[3]));
}

/* The first `count` floats, 0 < count < WIDTH, and zeros: there is no masked load. */
static inline float32x4_t load_first(const float *components, size_t count) {
  float32x4_t loaded = vld1q_lane_f32(components, vdupq_n_f32(0), 0);
  if (count > 1)
    loaded = vld1q_lane_f32(components + 1, loaded, 1);
  if (count > 2)
    loaded = vld1q_lane_f32(components + 2, loaded, 2);
  return loaded;
}

/* One row's sum, not yet across lanes: four by turns, since one alone would wait for its last addition. */
static inline __attribute__((always_inline)) float32x4_t sum_of_row(enum metric metric, const float *query,
                                                                    const float *row, size_t dim) {
  float32x4_t sums[SUMS] = {vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0)};
  size_t i = 0;
  for (; i + SUMS * WIDTH <= dim; i += SUMS * WIDTH)
    for (size_t sum = 0; sum < SUMS; sum++)
      sums[sum] = accumulate(metric, sums[sum], vld1q_f32(query + i + sum * WIDTH), vld1q_f32(row + i + sum * WIDTH));
  for (; i + WIDTH <= dim; i += WIDTH)
    sums[0] = accumulate(metric, sums[0], vld1q_f32(query + i), vld1q_f32(row + i));
  if (i < dim)
    sums[1] = accumulate(metric, sums[1], load_first(query + i, dim - i), load_first(row + i, dim - i));
  return vaddq_f32(vaddq_f32(sums[0], sums[1]), vaddq_f32(sums[2], sums[3]));
}

static inline __attribute__((always_inline)) void all_rows(enum metric metric, const float *query, const float *rows,
                                                           size_t num_rows, size_t dim, float *results) {
  size_t row = 0;
  for (; row + ROWS <= num_rows; row += ROWS) {
    float32x4_t sums[ROWS];
    for (size_t i = 0; i < ROWS; i++)
      sums[i] = sum_of_row(metric, query, rows + (row + i) * dim, dim);
    vst1q_f32(results + row, sums_of_lanes(sums));
  }
  for (; row < num_rows; row++)
    results[row] = vaddvq_f32(sum_of_row(metric, query, rows + row * dim, dim));
}

static void dot_rows(const float *query, const float *rows, size_t num_rows, size_t dim, float *results) {
  all_rows(DOT, query, rows, num_rows, dim, results);
}

static void squared_l2_rows(const float *query, const float *rows, size_t num_rows, size_t dim, float *results) {
  all_rows(SQUARED_L2, query, rows, num_rows, dim, results);
}

/* Components from `i` on of two rows with those of two queries: all of a register, or the last of a row. */
static inline __attribute__((always_inline)) void add_to_tile(enum metric metric,
                                                              float32x4_t sums[TILE_QUERIES][TILE_ROWS][SUMS],
                                                              size_t sum, bool is_whole, const float *const *queries,
                                                              const float *rows, size_t dim, size_t i) {
  float32x4_t row[TILE_ROWS];
  for (size_t j = 0; j < TILE_ROWS; j++)
    row[j] = is_whole ? vld1q_f32(rows + j * dim + i) : load_first(rows + j * dim + i, dim - i);
  for (size_t k = 0; k < TILE_QUERIES; k++) {
    float32x4_t query = is_whole ? vld1q_f32(queries[k] + i) : load_first(queries[k] + i, dim - i);
    for (size_t j = 0; j < TILE_ROWS; j++)
      sums[k][j][sum] = accumulate(metric, sums[k][j][sum], query, row[j]);
  }
}

/* Two rows with two queries, added up as sum_of_row does it. */
static inline __attribute__((always_inline)) void rows_of_tile(enum metric metric, const float *const *queries,
                                                               const float *rows, size_t dim, float *const *results,
                                                               size_t first_result) {
  float32x4_t sums[TILE_QUERIES][TILE_ROWS][SUMS];
  for (size_t k = 0; k < TILE_QUERIES; k++)
    for (size_t j = 0; j < TILE_ROWS; j++)
      for (size_t sum = 0; sum < SUMS; sum++)
        sums[k][j][sum] = vdupq_n_f32(0);
  size_t i = 0;
  for (; i + SUMS * WIDTH <= dim; i += SUMS * WIDTH)
    for (size_t sum = 0; sum < SUMS; sum++)
      add_to_tile(metric, sums, sum, true, queries, rows, dim, i + sum * WIDTH);
  for (; i + WIDTH <= dim; i += WIDTH)
    add_to_tile(metric, sums, 0, true, queries, rows, dim, i);
  if (i < dim)
    add_to_tile(metric, sums, 1, false, queries, rows, dim, i);
  for (size_t k = 0; k < TILE_QUERIES; k++)
    for (size_t j = 0; j < TILE_ROWS; j++) {
      const float32x4_t *of = sums[k][j];
      results[k][first_result + j] = vaddvq_f32(vaddq_f32(vaddq_f32(of[0], of[1]), vaddq_f32(of[2], of[3])));
    }
}

static inline __attribute__((always_inline)) void all_rows_of_tile(enum metric metric,
                                                                   const float *const queries[QUERIES],
                                                                   const float *rows, size_t num_rows, size_t dim,
                                                                   float *const results[QUERIES]) {
  size_t row = 0;
  for (; row + TILE_ROWS <= num_rows; row += TILE_ROWS)
    for (size_t first = 0; first < QUERIES; first += TILE_QUERIES)
      rows_of_tile(metric, queries + first, rows + row * dim, dim, results + first, row);
  for (size_t k = 0; k < QUERIES; k++)
    all_rows(metric, queries[k], rows + row * dim, num_rows - row, dim, results[k] + row);
}

static void dot_shared(const float *const queries[QUERIES], const float *rows, size_t num_rows, size_t dim,
                       float *const results[QUERIES]) {
  all_rows_of_tile(DOT, queries, rows, num_rows, dim, results);
}

static void squared_l2_shared(const float *const queries[QUERIES], const float *rows, size_t num_rows, size_t dim,
                              float *const results[QUERIES]) {
  all_rows_of_tile(SQUARED_L2, queries, rows, num_rows, dim, results);
}

static void dots_and_norms(const float *query, const float *rows, size_t num_rows, size_t dim, float *dots,
                           float *squared_norms) {
  for (size_t row = 0; row < num_rows; row++) {
    all_rows(DOT, query, rows + row * dim, 1, dim, dots + row);
    all_rows(DOT, rows + row * dim, rows + row * dim, 1, dim, squared_norms + row);
  }
}

/* 24 sums in registers, four of columns and one for a row's component. Unrolled by request: in a loop over the array,
 * some compilers store every sum back to memory. */
static void dot_tile(const float *const *rows, const float *panel, size_t num_columns, size_t dim, float *results) {
  float32x4_t sums[SF_TILE_ROWS * VECTORS];
#pragma GCC unroll 24
  for (size_t i = 0; i < SF_TILE_ROWS * VECTORS; i++)
    sums[i] = vdupq_n_f32(0);
  const float *const copies[SF_TILE_ROWS] = {rows[0], rows[1], rows[2], rows[3], rows[4], rows[5]};
  for (size_t i = 0; i < dim; i++, panel += num_columns) {
    float32x4_t columns[VECTORS] = {vld1q_f32(panel), vld1q_f32(panel + WIDTH), vld1q_f32(panel + 2 * WIDTH),
                                    vld1q_f32(panel + 3 * WIDTH)};
#pragma GCC unroll 6
    for (size_t row = 0; row < SF_TILE_ROWS; row++) {
      float32x4_t component = vld1q_dup_f32(copies[row] + i);
#pragma GCC unroll 4
      for (size_t vector = 0; vector < VECTORS; vector++)
        sums[row * VECTORS + vector] = vfmaq_f32(sums[row * VECTORS + vector], component, columns[vector]);
    }
  }
#pragma GCC unroll 24
  for (size_t i = 0; i < SF_TILE_ROWS * VECTORS; i++)
    vst1q_f32(results + i / VECTORS * num_columns + i % VECTORS * WIDTH, sums[i]);
}

/*
 * The eight lanes of sf_exact_squared_norm in four registers. A product of two float32 is exact in float64, so that
 * fusing it with the addition changes no bit; adding the zeros of lanes that are off doesn't either.
 */
static inline __attribute__((always_inline)) double exact_squared_norm(const float *row, size_t dim) {
  float64x2_t lanes[4] = {vdupq_n_f64(0), vdupq_n_f64(0), vdupq_n_f64(0), vdupq_n_f64(0)};
  for (size_t i = 0; i < dim; i += 2 * WIDTH) {
    for (size_t half = 0; half < 2 && i + half * WIDTH < dim; half++) {
      size_t begin = i + half * WIDTH;
      float32x4_t loaded = begin + WIDTH <= dim ? vld1q_f32(row + begin) : load_first(row + begin, dim - begin);
      float64x2_t first = vcvt_f64_f32(vget_low_f32(loaded));
      float64x2_t second = vcvt_high_f64_f32(loaded);
      lanes[2 * half] = vfmaq_f64(lanes[2 * half], first, first);
      lanes[2 * half + 1] = vfmaq_f64(lanes[2 * half + 1], second, second);
    }
  }
  float64x2_t even_and_odd = vaddq_f64(vaddq_f64(lanes[0], lanes[2]), vaddq_f64(lanes[1], lanes[3]));
  return vaddvq_f64(even_and_odd);
}

static void exact_squared_norms(const float *rows, size_t num_rows, size_t dim, double *results) {
  for (size_t row = 0; row < num_rows; row++)
    results[row] = exact_squared_norm(rows + row * dim, dim);
}

static bool supported(void) {
  return true;
}

const sf_kernels sf_neon_kernels = {.name = "neon",
                                    .supported = supported,
                                    .dot = dot_rows,
                                    .squared_l2 = squared_l2_rows,
                                    .dots_and_norms = dots_and_norms,
                                    .exact_squared_norms = exact_squared_norms,
                                    .dot_tile = dot_tile,
                                    .panel_columns = VECTORS * WIDTH,
                                    .quantize_row = sf_quantize_row_neon,
                                    .quantized_row_product = sf_quantized_row_product_portable,
                                    .find_near_quantized = {sf_find_near_2bit_neon, sf_find_near_4bit_neon},
                                    .dot_shared = dot_shared,
                                    .squared_l2_shared = squared_l2_shared};

#endif
