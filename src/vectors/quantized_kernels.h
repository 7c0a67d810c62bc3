/* Kernels that quantize rows and compare a query with quantized vectors, one for each kind of CPU with instructions for
 * it; and the offsets within a group. */
#ifndef SF_VECTORS_QUANTIZED_KERNELS_H
#define SF_VECTORS_QUANTIZED_KERNELS_H

#include "vectors/quantized.h"

void sf_quantize_row_portable(const float *row, const float *centre, size_t dim, float factor,
                              uint8_t *const blocks[SF_QUANTIZED_KINDS], sf_quantized_row *quantized);
void sf_find_near_2bit_portable(const sf_quantized_comparison *comparison, const sf_quantized_groups *groups,
                                float threshold, uint16_t *masks, float *bounds);
void sf_find_near_4bit_portable(const sf_quantized_comparison *comparison, const sf_quantized_groups *groups,
                                float threshold, uint16_t *masks, float *bounds);
int32_t sf_quantized_row_product_portable(const int8_t *low, const int8_t *high, const uint8_t *codes,
                                          size_t num_codes);
#if defined(__x86_64__)
void sf_quantize_row_avx2(const float *row, const float *centre, size_t dim, float factor,
                          uint8_t *const blocks[SF_QUANTIZED_KINDS], sf_quantized_row *quantized);
void sf_find_near_2bit_avx2(const sf_quantized_comparison *comparison, const sf_quantized_groups *groups,
                            float threshold, uint16_t *masks, float *bounds);
void sf_find_near_4bit_avx2(const sf_quantized_comparison *comparison, const sf_quantized_groups *groups,
                            float threshold, uint16_t *masks, float *bounds);
int32_t sf_quantized_row_product_avx2(const int8_t *low, const int8_t *high, const uint8_t *codes, size_t num_codes);
void sf_quantize_row_avx512vnni(const float *row, const float *centre, size_t dim, float factor,
                                uint8_t *const blocks[SF_QUANTIZED_KINDS], sf_quantized_row *quantized);
void sf_find_near_2bit_avx512vnni(const sf_quantized_comparison *comparison, const sf_quantized_groups *groups,
                                  float threshold, uint16_t *masks, float *bounds);
void sf_find_near_4bit_avx512vnni(const sf_quantized_comparison *comparison, const sf_quantized_groups *groups,
                                  float threshold, uint16_t *masks, float *bounds);
int32_t sf_quantized_row_product_avx512vnni(const int8_t *low, const int8_t *high, const uint8_t *codes,
                                            size_t num_codes);
#endif
#if defined(__aarch64__)
void sf_quantize_row_neon(const float *row, const float *centre, size_t dim, float factor,
                          uint8_t *const blocks[SF_QUANTIZED_KINDS], sf_quantized_row *quantized);
void sf_find_near_2bit_neon(const sf_quantized_comparison *comparison, const sf_quantized_groups *groups,
                            float threshold, uint16_t *masks, float *bounds);
void sf_find_near_4bit_neon(const sf_quantized_comparison *comparison, const sf_quantized_groups *groups,
                            float threshold, uint16_t *masks, float *bounds);
#endif

/* The stored value of n = 0. */
static inline float sf_quantized_zero(sf_quantized_kind kind) {
  return kind == SF_QUANTIZED_2BIT ? 1.5F : 8;
}

/* How many components a block of 64 bytes holds for each row. */
static inline size_t sf_quantized_block_dims(sf_quantized_kind kind) {
  return kind == SF_QUANTIZED_2BIT ? 16 : 8;
}

static inline size_t sf_quantized_blocks(sf_quantized_kind kind, size_t dim) {
  return (dim + sf_quantized_block_dims(kind) - 1) / sf_quantized_block_dims(kind);
}

/* Where a group's scales are; its errors and squared norms follow. */
static inline const float *sf_quantized_numbers(const uint8_t *group, size_t num_blocks) {
  const void *numbers = group + num_blocks * SF_QUANTIZED_BLOCK_BYTES; /* groups are at multiples of 64 bytes */
  return numbers;
}

static inline size_t sf_quantized_bytes(size_t num_blocks, bool has_squared_norms) {
  return num_blocks * SF_QUANTIZED_BLOCK_BYTES + (has_squared_norms ? 3 : 2) * SF_QUANTIZED_GROUP_ROWS * sizeof(float);
}

#endif
