/*
 * Quantized vectors: two or four bits a component, with a bound on the quantization error of each row. A pass over a
 * sixteenth of the bytes of float32, or an eighth, then rules out most rows safely.
 *
 * A scalar quantizer with one scale for each row. A vector x (for cosine x/|x|) is centre + scale·n + r, where r is the
 * remainder and n has
 *   with two bits the components −1.5, −0.5, 0.5 and 1.5: code c stands for c − 1.5;
 *   with four bits the integers from −8 to 7: code c stands for c − 8.
 * For a query q, q·x = q·centre + scale·(q·n) + q·r with |q·r| ≤ |q||r| (Cauchy–Schwarz); |r| is stored. The query
 * itself is step·e + ρ with integers e from −127 to 127, so that e·n is exact, and |ρ·scale·n| ≤ scale·|ρ||n|; |n| is
 * at most 1.5√dim (2-bit) or, by the choice of the 4-bit scale, 4√dim. The roundings of float32 are covered by
 * enlarging |r| (docs/internals.md has all of the derivation).
 *
 * That a scan prunes by a bound of an approximation and looks up the rest is the VA-file (Weber, Schek, Blott, VLDB
 * 1998). Unlike product quantization (Jégou, Douze, Schmid, 2011) it needs no training, and unlike RaBitQ (Gao, Long,
 * SIGMOD 2024) no random rotation, and its bounds hold always rather than with high probability.
 *
 * Sixteen rows make a group, stored together:
 *   codes           blocks of 64 bytes, each for 16 components (2-bit) or 8 (4-bit). Byte 4r + j has component j of row r in
 *                   its lowest bits, above it component 4 + j and, with two bits, 8 + j and 12 + j. Values of components from
 *                   dim on mean nothing
 *   scales          16 float32
 *   errors          16 float32, |r|; infinite where nothing is known of a row (it is not finite, say, or huge)
 *   squared norms   16 float32, |x − centre|² or a little less; only for distances of differences (L2)
 */
#ifndef SF_VECTORS_QUANTIZED_H
#define SF_VECTORS_QUANTIZED_H

#include "shardyfusion/types.h"
#include "vectors/distance.h"

#include <stdint.h>

enum { SF_QUANTIZED_GROUP_ROWS = 16, SF_QUANTIZED_BLOCK_BYTES = 64 };

/* The quantized vectors of contiguous rows. Borrows all. */
typedef struct sf_quantized {
  sf_metric metric;                          /* that their bounds are for */
  const uint8_t *groups[SF_QUANTIZED_KINDS]; /* NULL: none */
  const float *centre;                       /* dim components */
} sf_quantized;

/* How many groups `num_rows` rows make: the last one may be partly filled. */
uint64_t sf_quantized_num_groups(uint64_t num_rows);

/* Bytes of a group, a multiple of 64. */
uint64_t sf_quantized_group_size(sf_quantized_kind kind, uint32_t dim, sf_metric metric);

/* False for so few vectors that a scan of their float32 takes no longer than preparing a comparison. */
bool sf_quantized_is_worth_it(uint64_t num_rows, uint32_t dim);

/* The mean of some thousand of the rows: the nearer the centre is to the rows, the smaller are their errors. */
void sf_quantized_choose_centre(const float *vectors, size_t num_rows, uint32_t dim, sf_metric metric, float *centre);

/* Makes the consecutive groups of `num_rows` rows, of both kinds; of the rows that fill up the last group nothing is
 * known. The same bits on every CPU. */
void sf_quantized_make_groups(const float *vectors, size_t num_rows, uint32_t dim, sf_metric metric,
                              const float *centre, uint8_t *const groups[SF_QUANTIZED_KINDS]);

/* A query that is compared with quantized vectors of one centre. */
typedef struct sf_quantized_query {
  int8_t *components; /* dim, and zeros up to sf_quantized_query_length: borrowed */
  sf_quantized_comparison comparisons[SF_QUANTIZED_KINDS];
} sf_quantized_query;

/* Components that a quantized query has, padding included. */
size_t sf_quantized_query_length(uint32_t dim);

/*
 * Sets up the comparison of a query (for cosine scaled to length 1) with quantized vectors; `query->components` has
 * room for sf_quantized_query_length. The comparison gives a lower bound of −cos, the squared distance, or −dot. False
 * where the query's norm or dim is so large that the bounds would not hold.
 */
bool sf_quantized_query_init(sf_quantized_query *query, const float *vector, uint32_t dim,
                             const sf_quantized *quantized);

#endif
