/* Codes, in plain C. */
#include "distance/code_row.h"
#include "distance/codes_kernels.h"

enum { ROWS = SF_CODE_GROUP_ROWS, HALF = SF_CODE_BLOCK_DIMS / 2 };

static void add_block(const int8_t *components, const uint8_t *codes, int32_t sums[ROWS]) {
  for (size_t row = 0; row < ROWS; row++)
    for (size_t j = 0; j < HALF; j++) {
      uint8_t pair = codes[row * HALF + j];
      sums[row] += (pair & 15) * components[j] + (pair >> 4) * components[HALF + j];
    }
}

void sf_find_near_codes_portable(const sf_code_comparison *comparison, const uint8_t *groups, size_t num_groups,
                                 size_t dim, bool has_squared_norms, float limit, uint16_t *masks, float *bounds) {
  const size_t num_blocks = sf_code_blocks(dim);
  const uint8_t *group = groups;
  for (size_t i = 0; i < num_groups; i++, group += sf_code_bytes(num_blocks, has_squared_norms)) {
    int32_t sums[ROWS];
    for (size_t row = 0; row < ROWS; row++)
      sums[row] = comparison->offset;
    for (size_t block = 0; block < num_blocks; block++)
      add_block(comparison->components + block * SF_CODE_BLOCK_DIMS, group + block * SF_CODE_BLOCK_BYTES, sums);
    const float *scales = sf_code_numbers(group, num_blocks);
    const float *errors = scales + ROWS;
    const float *squared_norms = errors + ROWS;
    unsigned mask = 0;
    for (size_t row = 0; row < ROWS; row++) {
      float base = has_squared_norms ? comparison->base + squared_norms[row] : comparison->base;
      float product = comparison->step * (float)sums[row] + comparison->slack;
      float least = base - scales[row] * product - comparison->norm * errors[row];
      mask |= (unsigned)!(least > limit) << row;
      if (bounds != NULL)
        bounds[i * ROWS + row] = least;
    }
    masks[i] = (uint16_t)mask;
  }
}

void sf_code_row_portable(const float *row, const float *centre, size_t dim, float factor, uint8_t *block,
                          sf_coded_row *coded) {
  sf_code_row_inline(row, centre, dim, factor, block, coded);
}
