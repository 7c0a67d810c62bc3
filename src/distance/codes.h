/*
 * Vectors in four bits a component, and how far each lies from what its code stands for: a pass over an eighth of the
 * bytes then tells which vectors can't be near a query, for certain.
 *
 * A vector x (for cosine x/|x|) is taken as centre + scale·n + r, where n has integer components from −8 to 7 and r is
 * what that leaves. For a query q, q·x = q·centre + scale·(q·n) + q·r with |q·r| ≤ |q||r| (Cauchy–Schwarz); |r| is stored. The
 * query itself is taken as step·e + ρ with integers e from −127 to 127, so that e·n is exact, and
 * |ρ·scale·n| ≤ scale·|ρ||n|; the scale is chosen so that |n| is at most 4√dim. What float32 rounds away is covered by making |r| a little larger.
 *
 * Sixteen rows make a group, which lies together:
 *   codes           64 bytes for every 8 components: byte 4r + j has component j of row r, plus 8, in its lower half, and
 *                   component 4 + j in its upper one; components behind the last are 0
 *   scales          16 float32
 *   errors          16 float32, |r|; infinite where nothing is known of a row (it is not finite, say, or huge)
 *   squared norms   16 float32, |x − centre|², or a little less; for L2 only
 */
#ifndef SF_DISTANCE_CODES_H
#define SF_DISTANCE_CODES_H

#include "distance/distance.h"
#include "shardyfusion.h"

#include <stdint.h>

enum { SF_CODE_GROUP_ROWS = 16, SF_CODE_BLOCK_DIMS = 8, SF_CODE_BLOCK_BYTES = 64, SF_CODE_ZERO = 8 };

/* The codes of contiguous rows. Borrows all. */
typedef struct sf_codes {
  sf_metric metric;      /* what they are made for */
  const uint8_t *groups; /* NULL: there are none */
  const float *centre;   /* dim components */
} sf_codes;

/* How many groups rows make. */
uint64_t sf_code_num_groups(uint64_t num_rows);

/* Bytes of a group: a multiple of 64. */
uint64_t sf_code_group_size(uint32_t dim, sf_metric metric);

/* Of fewer vectors than this a scan takes no longer than preparing to use codes. */
bool sf_codes_are_worth_it(uint64_t num_rows, uint32_t dim);

/* A point amidst the rows (of which it looks at some thousand): the nearer it is, the smaller are the errors. */
void sf_codes_choose_centre(const float *vectors, size_t num_rows, uint32_t dim, sf_metric metric, float *centre);

/* Makes the groups of `num_rows` rows, one behind the other; nothing is known of rows behind the last. The same on every
 * CPU. */
void sf_codes_make_groups(const float *vectors, size_t num_rows, uint32_t dim, sf_metric metric, const float *centre,
                          uint8_t *groups);

/* A query to compare with codes, for one centre. */
typedef struct sf_code_query {
  int8_t *components; /* dim, and zeros up to a multiple of SF_CODE_BLOCK_DIMS: borrowed */
  sf_code_comparison comparison;
} sf_code_query;

/* Components that a query has room for. */
size_t sf_code_query_length(uint32_t dim);

/*
 * Sets up the comparison of a query (for cosine scaled to length 1) with codes; `query->components` has room for
 * sf_code_query_length. What it compares is a lower bound of −cos, the squared distance, or −dot. False where the query is
 * so long, or float32 so short, that the bounds would not hold.
 */
bool sf_code_query_init(sf_code_query *query, const float *vector, uint32_t dim, const sf_codes *codes);

#endif
