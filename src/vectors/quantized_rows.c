#include "vectors/quantized_rows.h"

#include "base/assert.h"
#include "vectors/metrics.h"
#include "vectors/quantized_kernels.h"

#include <string.h>

enum {
  ALIGNMENT = 32,
  CODE_BYTES = SF_QUANTIZED_BLOCK_BYTES / SF_QUANTIZED_GROUP_ROWS, /* of a row in a block */
  LOADED_BYTES = 64,                                               /* a kernel reads as many components at once */
};

static size_t num_numbers(sf_metric metric) {
  return sf_scoring_of_metric(metric)->is_of_differences ? 3 : 2;
}

static size_t num_code_bytes(uint32_t dim) {
  return sf_quantized_blocks(SF_QUANTIZED_4BIT, dim) * CODE_BYTES;
}

size_t sf_quantized_row_size(uint32_t dim, sf_metric metric) {
  size_t length = num_numbers(metric) * sizeof(float) + num_code_bytes(dim);
  return (length + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static void copy_row(const uint8_t *group, size_t row, size_t num_blocks, size_t numbers, uint8_t *to) {
  const float *from = sf_quantized_numbers(group, num_blocks) + row;
  for (size_t i = 0; i < numbers; i++, to += sizeof(float))
    memcpy(to, from + i * SF_QUANTIZED_GROUP_ROWS, sizeof(float));
  for (size_t block = 0; block < num_blocks; block++)
    memcpy(to + block * CODE_BYTES, group + block * SF_QUANTIZED_BLOCK_BYTES + row * CODE_BYTES, CODE_BYTES);
}

void sf_quantized_rows_of_groups(const uint8_t *groups, size_t count, uint32_t dim, sf_metric metric, uint8_t *rows) {
  size_t group_size = (size_t)sf_quantized_group_size(SF_QUANTIZED_4BIT, dim, metric);
  size_t row_size = sf_quantized_row_size(dim, metric);
  memset(rows, 0, count * row_size);
  for (size_t i = 0; i < count; i++)
    copy_row(groups + i / SF_QUANTIZED_GROUP_ROWS * group_size, i % SF_QUANTIZED_GROUP_ROWS,
             sf_quantized_blocks(SF_QUANTIZED_4BIT, dim), num_numbers(metric), rows + i * row_size);
}

size_t sf_quantized_row_query_length(uint32_t dim) {
  return (num_code_bytes(dim) + LOADED_BYTES - 1) / LOADED_BYTES * LOADED_BYTES;
}

void sf_quantized_row_query_init(sf_quantized_row_query *query, const int8_t *components, uint32_t dim,
                                 sf_metric metric) {
  query->num_codes = num_code_bytes(dim);
  query->has_squared_norms = sf_scoring_of_metric(metric)->is_of_differences;
  memset(query->low, 0, sf_quantized_row_query_length(dim));
  memset(query->high, 0, sf_quantized_row_query_length(dim));
  for (size_t i = 0; i < query->num_codes; i += CODE_BYTES) {
    memcpy(query->low + i, components + 2 * i, CODE_BYTES);
    memcpy(query->high + i, components + 2 * i + CODE_BYTES, CODE_BYTES);
  }
}

float sf_quantized_row_bound(const sf_kernels *kernels, const sf_quantized_row_query *query,
                             const sf_quantized_comparison *comparison, const uint8_t *row) {
  float numbers[3];
  size_t num_bytes = (query->has_squared_norms ? 3 : 2) * sizeof(float);
  memcpy(numbers, row, num_bytes);
  int32_t sum = kernels->quantized_row_product(query->low, query->high, row + num_bytes, query->num_codes);
  float base = query->has_squared_norms ? comparison->base + numbers[2] : comparison->base;
  float product = comparison->half_step * (float)(2 * sum + comparison->offset) + comparison->slack;
  return base - numbers[0] * product - comparison->norm * numbers[1];
}
