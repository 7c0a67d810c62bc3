/* Quantized vectors in plain C: the reference. */
#include "vectors/quantize_row.h"

enum { ROWS = SF_QUANTIZED_GROUP_ROWS, PART = 4 /* components of a row in a part of a block's bytes */ };

static void add_2bit_block(const int8_t *components, const uint8_t *packed, int32_t sums[ROWS]) {
  for (size_t row = 0; row < ROWS; row++)
    for (size_t j = 0; j < PART; j++) {
      uint8_t four = packed[row * PART + j];
      sums[row] += (four & 3) * components[j] + (four >> 2 & 3) * components[PART + j] +
                   (four >> 4 & 3) * components[2 * PART + j] + (four >> 6) * components[3 * PART + j];
    }
}

static void add_4bit_block(const int8_t *components, const uint8_t *packed, int32_t sums[ROWS]) {
  for (size_t row = 0; row < ROWS; row++)
    for (size_t j = 0; j < PART; j++) {
      uint8_t pair = packed[row * PART + j];
      sums[row] += (pair & 15) * components[j] + (pair >> 4) * components[PART + j];
    }
}

/* Of a kind that the compiler knows where it is called. */
static inline void find_near_quantized(sf_quantized_kind kind, const sf_quantized_comparison *comparison,
                                       const sf_quantized_groups *groups, float threshold, uint16_t *masks,
                                       float *bounds) {
  const bool has_squared_norms = groups->has_squared_norms;
  const size_t num_blocks = sf_quantized_blocks(kind, groups->dim);
  const uint8_t *group = groups->first;
  for (size_t i = 0; i < groups->count; i++, group += sf_quantized_bytes(num_blocks, has_squared_norms)) {
    int32_t sums[ROWS] = {0};
    for (size_t block = 0; block < num_blocks; block++)
      (kind == SF_QUANTIZED_2BIT ? add_2bit_block
                                 : add_4bit_block)(comparison->components + block * sf_quantized_block_dims(kind),
                                                   group + block * SF_QUANTIZED_BLOCK_BYTES, sums);
    const float *scales = sf_quantized_numbers(group, num_blocks);
    const float *errors = scales + ROWS;
    const float *squared_norms = errors + ROWS;
    unsigned mask = 0;
    for (size_t row = 0; row < ROWS; row++) {
      float base = has_squared_norms ? comparison->base + squared_norms[row] : comparison->base;
      float product = comparison->half_step * (float)(2 * sums[row] + comparison->offset) + comparison->slack;
      float least = base - scales[row] * product - comparison->norm * errors[row];
      mask |= (unsigned)!(least > threshold) << row;
      if (bounds != NULL)
        bounds[i * ROWS + row] = least;
    }
    masks[i] = (uint16_t)mask;
  }
}

void sf_find_near_2bit_portable(const sf_quantized_comparison *comparison, const sf_quantized_groups *groups,
                                float threshold, uint16_t *masks, float *bounds) {
  find_near_quantized(SF_QUANTIZED_2BIT, comparison, groups, threshold, masks, bounds);
}

void sf_find_near_4bit_portable(const sf_quantized_comparison *comparison, const sf_quantized_groups *groups,
                                float threshold, uint16_t *masks, float *bounds) {
  find_near_quantized(SF_QUANTIZED_4BIT, comparison, groups, threshold, masks, bounds);
}

void sf_quantize_row_portable(const float *row, const float *centre, size_t dim, float factor,
                              uint8_t *const blocks[SF_QUANTIZED_KINDS], sf_quantized_row *quantized) {
  sf_quantize_row_inline(row, centre, dim, factor, blocks, quantized);
}

int32_t sf_quantized_row_product_portable(const int8_t *low, const int8_t *high, const uint8_t *codes,
                                          size_t num_codes) {
  int32_t sum = 0;
  for (size_t i = 0; i < num_codes; i++)
    sum += (codes[i] & 15) * low[i] + (codes[i] >> 4) * high[i];
  return sum;
}
