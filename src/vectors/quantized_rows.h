/*
 * 4-bit vectors stored row by row, for rows that are looked up one at a time: the same values and bounds as in a group of
 * sixteen (quantized.h), but a row of 100 dimensions is one cache line, where a group is fifteen.
 *
 * A row:
 *   scale, error      float32
 *   squared norm      float32, only for distances of differences (L2)
 *   codes             four bytes for each 8 components, as a row has them in the blocks of a group
 * and zeros up to a multiple of 32 bytes.
 */
#ifndef SF_VECTORS_QUANTIZED_ROWS_H
#define SF_VECTORS_QUANTIZED_ROWS_H

#include "vectors/quantized.h"

/* Bytes of a row. */
size_t sf_quantized_row_size(uint32_t dim, sf_metric metric);

/* Copies `count` rows of 4-bit groups, from the first on, to rows. */
void sf_quantized_rows_of_groups(const uint8_t *groups, size_t count, uint32_t dim, sf_metric metric, uint8_t *rows);

/* A query's components in the order of the codes: those of the low halves of bytes, and those of the high ones. */
typedef struct sf_quantized_row_query {
  int8_t *low;  /* borrowed; room for sf_quantized_row_query_length bytes */
  int8_t *high; /* the same */
  size_t num_codes;
  bool has_squared_norms;
} sf_quantized_row_query;

size_t sf_quantized_row_query_length(uint32_t dim);
void sf_quantized_row_query_init(sf_quantized_row_query *query, const int8_t *components, uint32_t dim,
                                 sf_metric metric);

/* The lower bound of a row's distance, as the 4-bit comparison of a group gives it. */
float sf_quantized_row_bound(const sf_kernels *kernels, const sf_quantized_row_query *query,
                             const sf_quantized_comparison *comparison, const uint8_t *row);

#endif
