/* Codes, in plain C. */
#include "vectors/quantize_row.h"

enum { ROWS = SF_CODE_GROUP_ROWS, PART = 4 /* components of a row in a part of a block's bytes */ };

static void add_short_block(const int8_t *components, const uint8_t *codes, int32_t sums[ROWS]) {
  for (size_t row = 0; row < ROWS; row++)
    for (size_t j = 0; j < PART; j++) {
      uint8_t four = codes[row * PART + j];
      sums[row] += (four & 3) * components[j] + (four >> 2 & 3) * components[PART + j] +
                   (four >> 4 & 3) * components[2 * PART + j] + (four >> 6) * components[3 * PART + j];
    }
}

static void add_long_block(const int8_t *components, const uint8_t *codes, int32_t sums[ROWS]) {
  for (size_t row = 0; row < ROWS; row++)
    for (size_t j = 0; j < PART; j++) {
      uint8_t pair = codes[row * PART + j];
      sums[row] += (pair & 15) * components[j] + (pair >> 4) * components[PART + j];
    }
}

/* Of a kind that the compiler knows where it is called. */
static inline void find_near_codes(sf_code_kind kind, const sf_code_comparison *comparison,
                                   const sf_code_groups *groups, float limit, uint16_t *masks, float *bounds) {
  const bool has_squared_norms = groups->has_squared_norms;
  const size_t num_blocks = sf_code_blocks(kind, groups->dim);
  const uint8_t *group = groups->first;
  for (size_t i = 0; i < groups->count; i++, group += sf_code_bytes(num_blocks, has_squared_norms)) {
    int32_t sums[ROWS] = {0};
    for (size_t block = 0; block < num_blocks; block++)
      (kind == SF_SHORT_CODES ? add_short_block : add_long_block)(
          comparison->components + block * sf_code_block_dims(kind), group + block * SF_CODE_BLOCK_BYTES, sums);
    const float *scales = sf_code_numbers(group, num_blocks);
    const float *errors = scales + ROWS;
    const float *squared_norms = errors + ROWS;
    unsigned mask = 0;
    for (size_t row = 0; row < ROWS; row++) {
      float base = has_squared_norms ? comparison->base + squared_norms[row] : comparison->base;
      float product = comparison->half_step * (float)(2 * sums[row] + comparison->offset) + comparison->slack;
      float least = base - scales[row] * product - comparison->norm * errors[row];
      mask |= (unsigned)!(least > limit) << row;
      if (bounds != NULL)
        bounds[i * ROWS + row] = least;
    }
    masks[i] = (uint16_t)mask;
  }
}

void sf_find_near_short_codes_portable(const sf_code_comparison *comparison, const sf_code_groups *groups, float limit,
                                       uint16_t *masks, float *bounds) {
  find_near_codes(SF_SHORT_CODES, comparison, groups, limit, masks, bounds);
}

void sf_find_near_long_codes_portable(const sf_code_comparison *comparison, const sf_code_groups *groups, float limit,
                                      uint16_t *masks, float *bounds) {
  find_near_codes(SF_LONG_CODES, comparison, groups, limit, masks, bounds);
}

void sf_code_row_portable(const float *row, const float *centre, size_t dim, float factor,
                          uint8_t *const blocks[SF_CODE_KINDS], sf_coded_row *coded) {
  sf_code_row_inline(row, centre, dim, factor, blocks, coded);
}
