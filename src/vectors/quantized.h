/*
 * Vectors in a few bits a component, and how far each lies from what its code stands for: a pass over a sixteenth of the
 * bytes, or an eighth, then tells which vectors can't be near a query, for certain.
 *
 * A vector x (for cosine x/|x|) is taken as centre + scale·n + r, where r is what that leaves, and n has
 *   in short codes, of two bits, components −1.5, −0.5, 0.5 and 1.5: code c is c − 1.5;
 *   in long codes, of four bits, integers from −8 to 7: code c is c − 8.
 * For a query q, q·x = q·centre + scale·(q·n) + q·r with |q·r| ≤ |q||r| (Cauchy–Schwarz); |r| is stored. The query itself is
 * taken as step·e + ρ with integers e from −127 to 127, so that e·n is exact, and |ρ·scale·n| ≤ scale·|ρ||n|; |n| is at most
 * 1.5√dim or, as the scale of long codes is chosen, 4√dim. What float32 rounds away is covered by making |r| a little larger.
 *
 * Sixteen rows make a group, which lies together:
 *   codes           blocks of 64 bytes, each for 16 components or, of long codes, for 8. Byte 4r + j has component j of row r in
 *                   its lowest bits, above it component 4 + j, and of short codes 8 + j and 12 + j. Components behind the
 *                   last have any code
 *   scales          16 float32
 *   errors          16 float32, |r|; infinite where nothing is known of a row (it is not finite, say, or huge)
 *   squared norms   16 float32, |x − centre|², or a little less; for L2 only
 */
#ifndef SF_VECTORS_QUANTIZED_H
#define SF_VECTORS_QUANTIZED_H

#include "shardyfusion/types.h"
#include "vectors/distance.h"

#include <stdint.h>

enum { SF_QUANTIZED_GROUP_ROWS = 16, SF_QUANTIZED_BLOCK_BYTES = 64 };

/* The codes of contiguous rows. Borrows all. */
typedef struct sf_quantized {
  sf_metric metric;                          /* what they are made for */
  const uint8_t *groups[SF_QUANTIZED_KINDS]; /* NULL: there are none */
  const float *centre;                       /* dim components */
} sf_quantized;

/* How many groups rows make. */
uint64_t sf_quantized_num_groups(uint64_t num_rows);

/* Bytes of a group: a multiple of 64. */
uint64_t sf_quantized_group_size(sf_quantized_kind kind, uint32_t dim, sf_metric metric);

/* Of fewer vectors than this a scan takes no longer than preparing to use codes. */
bool sf_quantized_is_worth_it(uint64_t num_rows, uint32_t dim);

/* A point amidst the rows (of which it looks at some thousand): the nearer it is, the smaller are the errors. */
void sf_quantized_choose_centre(const float *vectors, size_t num_rows, uint32_t dim, sf_metric metric, float *centre);

/* Makes the groups of `num_rows` rows, of both kinds, one behind the other; nothing is known of rows behind the last. The
 * same on every CPU. */
void sf_quantized_make_groups(const float *vectors, size_t num_rows, uint32_t dim, sf_metric metric,
                              const float *centre, uint8_t *const groups[SF_QUANTIZED_KINDS]);

/* A query to compare with codes, for one centre. */
typedef struct sf_quantized_query {
  int8_t *components; /* dim, and zeros up to sf_quantized_query_length: borrowed */
  sf_quantized_comparison comparisons[SF_QUANTIZED_KINDS];
} sf_quantized_query;

/* Components that a query has room for. */
size_t sf_quantized_query_length(uint32_t dim);

/*
 * Sets up the comparison of a query (for cosine scaled to length 1) with codes; `query->components` has room for
 * sf_quantized_query_length. What it compares is a lower bound of −cos, the squared distance, or −dot. False where the query is
 * so long, or float32 so short, that the bounds would not hold.
 */
bool sf_quantized_query_init(sf_quantized_query *query, const float *vector, uint32_t dim, const sf_quantized *codes);

#endif
