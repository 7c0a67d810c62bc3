/* NEON, which every 64-bit Arm has: four rows at a time, which share the query's loads and the sums across lanes. */
#include "distance/distance.h"

#if defined(__aarch64__)

#include <arm_neon.h>

extern const sf_kernels sf_neon_kernels;

enum { WIDTH = 4, ROWS = 4 };

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

/* `count` rows, up to ROWS and a constant; the other sums are zero. Two sums a row, by turns: one alone would wait for
 * its last addition. */
static inline __attribute__((always_inline)) float32x4_t few_rows(enum metric metric, const float *query,
                                                                  const float *rows, size_t count, size_t dim) {
  float32x4_t even[ROWS] = {vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0)};
  float32x4_t odd[ROWS] = {vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0)};
  size_t i = 0;
  for (; i + 2 * WIDTH <= dim; i += 2 * WIDTH) {
    float32x4_t components = vld1q_f32(query + i);
    float32x4_t next = vld1q_f32(query + i + WIDTH);
    for (size_t row = 0; row < count; row++) {
      even[row] = accumulate(metric, even[row], components, vld1q_f32(rows + row * dim + i));
      odd[row] = accumulate(metric, odd[row], next, vld1q_f32(rows + row * dim + i + WIDTH));
    }
  }
  for (; i < dim; i += WIDTH) {
    bool whole = i + WIDTH <= dim;
    float32x4_t components = whole ? vld1q_f32(query + i) : load_first(query + i, dim - i);
    for (size_t row = 0; row < count; row++) {
      const float *rest = rows + row * dim + i;
      even[row] = accumulate(metric, even[row], components, whole ? vld1q_f32(rest) : load_first(rest, dim - i));
    }
  }
  for (size_t row = 0; row < count; row++)
    even[row] = vaddq_f32(even[row], odd[row]);
  return sums_of_lanes(even);
}

static inline __attribute__((always_inline)) void all_rows(enum metric metric, const float *query, const float *rows,
                                                           size_t num_rows, size_t dim, float *results) {
  size_t row = 0;
  for (; row + ROWS <= num_rows; row += ROWS)
    vst1q_f32(results + row, few_rows(metric, query, rows + row * dim, ROWS, dim));
  for (; row < num_rows; row++)
    vst1q_lane_f32(results + row, few_rows(metric, query, rows + row * dim, 1, dim), 0);
}

static void dot_rows(const float *query, const float *rows, size_t num_rows, size_t dim, float *results) {
  all_rows(DOT, query, rows, num_rows, dim, results);
}

static void squared_l2_rows(const float *query, const float *rows, size_t num_rows, size_t dim, float *results) {
  all_rows(SQUARED_L2, query, rows, num_rows, dim, results);
}

static bool supported(void) {
  return true;
}

const sf_kernels sf_neon_kernels = {
    .name = "neon", .supported = supported, .dot = dot_rows, .squared_l2 = squared_l2_rows};

#endif
