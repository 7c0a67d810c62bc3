/* Quantized vectors with NEON. */
#include "vectors/quantize_row.h"

#if defined(__aarch64__)

#include <arm_neon.h>
#include <string.h>

enum {
  ROWS = SF_QUANTIZED_GROUP_ROWS,
  PART = 4,      /* components of a row in a part of a block's bytes */
  PART_ROWS = 4, /* rows that share a register */
  PARTS = ROWS / PART_ROWS,
  /* A block adds up to 4 · 3 · 127 or 2 · 15 · 127 to a sum of 16 bits. */
  MAX_BLOCKS = 8,
};

/* Four components, once for each of two rows. */
static inline int8x8_t spread(const int8_t *components) {
  int32_t four;
  memcpy(&four, components, sizeof(four));
  return vreinterpret_s8_s32(vdup_n_s32(four));
}

/* Sums of 16 bits: four each of the part's first two rows, and of its others. */
typedef struct part_sums {
  int16x8_t first;
  int16x8_t second;
} part_sums;

static inline void add_codes(part_sums *sums, uint8x16_t packed, uint8_t bits, const int8_t *components) {
  int8x16_t of_bits = vreinterpretq_s8_u8(vandq_u8(packed, vdupq_n_u8(bits)));
  sums->first = vmlal_s8(sums->first, vget_low_s8(of_bits), spread(components));
  sums->second = vmlal_s8(sums->second, vget_high_s8(of_bits), spread(components));
}

static inline void add_block(sf_quantized_kind kind, part_sums *sums, uint8x16_t packed, const int8_t *components) {
  if (kind == SF_QUANTIZED_4BIT) {
    add_codes(sums, packed, 15, components);
    add_codes(sums, vshrq_n_u8(packed, 4), 15, components + PART);
    return;
  }
  add_codes(sums, packed, 3, components);
  add_codes(sums, vshrq_n_u8(packed, 2), 3, components + PART);
  add_codes(sums, vshrq_n_u8(packed, 4), 3, components + 2 * PART);
  add_codes(sums, vshrq_n_u8(packed, 6), 3, components + 3 * PART);
}

/* e·c. */
static inline void products_of_group(sf_quantized_kind kind, const int8_t *components, const uint8_t *group,
                                     size_t num_blocks, int32x4_t products[PARTS]) {
  for (size_t part = 0; part < PARTS; part++)
    products[part] = vdupq_n_s32(0);
  for (size_t block = 0; block < num_blocks;) {
    size_t end = num_blocks - block < MAX_BLOCKS ? num_blocks : block + MAX_BLOCKS;
    part_sums sums[PARTS];
    for (size_t part = 0; part < PARTS; part++)
      sums[part].first = sums[part].second = vdupq_n_s16(0);
    for (; block < end; block++)
      for (size_t part = 0; part < PARTS; part++)
        add_block(kind, &sums[part], vld1q_u8(group + block * SF_QUANTIZED_BLOCK_BYTES + part * PART_ROWS * PART),
                  components + block * sf_quantized_block_dims(kind));
    for (size_t part = 0; part < PARTS; part++) {
      int32x4_t of_rows = vpaddq_s32(vpaddlq_s16(sums[part].first), vpaddlq_s16(sums[part].second));
      products[part] = vaddq_s32(products[part], of_rows);
    }
  }
}

static inline float32x4_t bounds_of_part(const sf_quantized_comparison *comparison, int32x4_t products,
                                         const float *numbers, bool has_squared_norms) {
  float32x4_t least = vdupq_n_f32(comparison->base);
  if (has_squared_norms)
    least = vaddq_f32(least, vld1q_f32(numbers + 2 * ROWS));
  int32x4_t doubled = vaddq_s32(vshlq_n_s32(products, 1), vdupq_n_s32(comparison->offset));
  float32x4_t product =
      vfmaq_f32(vdupq_n_f32(comparison->slack), vdupq_n_f32(comparison->half_step), vcvtq_f32_s32(doubled));
  least = vfmsq_f32(least, vld1q_f32(numbers), product);
  return vfmsq_f32(least, vdupq_n_f32(comparison->norm), vld1q_f32(numbers + ROWS));
}

/* A bit for each row; NaN is never above the threshold. */
static inline unsigned near_rows(float32x4_t bounds, float32x4_t thresholds) {
  static const uint32_t bits[PART_ROWS] = {1, 2, 4, 8};
  return vaddvq_u32(vbicq_u32(vld1q_u32(bits), vcgtq_f32(bounds, thresholds)));
}

static inline void find_near_quantized(sf_quantized_kind kind, const sf_quantized_comparison *comparison,
                                       const sf_quantized_groups *groups, float threshold, uint16_t *masks,
                                       float *bounds) {
  const bool has_squared_norms = groups->has_squared_norms;
  const size_t num_blocks = sf_quantized_blocks(kind, groups->dim);
  const uint8_t *group = groups->first;
  for (size_t i = 0; i < groups->count; i++, group += sf_quantized_bytes(num_blocks, has_squared_norms)) {
    int32x4_t products[PARTS];
    products_of_group(kind, comparison->components, group, num_blocks, products);
    const float *numbers = sf_quantized_numbers(group, num_blocks);
    unsigned mask = 0;
    for (size_t part = 0; part < PARTS; part++) {
      float32x4_t of_part = bounds_of_part(comparison, products[part], numbers + part * PART_ROWS, has_squared_norms);
      mask |= near_rows(of_part, vdupq_n_f32(threshold)) << (part * PART_ROWS);
      if (bounds != NULL)
        vst1q_f32(bounds + i * ROWS + part * PART_ROWS, of_part);
    }
    masks[i] = (uint16_t)mask;
  }
}

void sf_find_near_2bit_neon(const sf_quantized_comparison *comparison, const sf_quantized_groups *groups,
                            float threshold, uint16_t *masks, float *bounds) {
  find_near_quantized(SF_QUANTIZED_2BIT, comparison, groups, threshold, masks, bounds);
}

void sf_find_near_4bit_neon(const sf_quantized_comparison *comparison, const sf_quantized_groups *groups,
                            float threshold, uint16_t *masks, float *bounds) {
  find_near_quantized(SF_QUANTIZED_4BIT, comparison, groups, threshold, masks, bounds);
}

void sf_quantize_row_neon(const float *row, const float *centre, size_t dim, float factor,
                          uint8_t *const blocks[SF_QUANTIZED_KINDS], sf_quantized_row *quantized) {
  sf_quantize_row_inline(row, centre, dim, factor, blocks, quantized);
}

#endif
