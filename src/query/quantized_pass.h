/*
 * The first pass of a scan, where a segment has codes: which rows may be near enough, by short codes and, of the groups
 * of which they leave any, by long ones; where that is most of them, by long ones at once. Rows that it leaves out are not, for
 * certain.
 */
#ifndef SF_QUERY_QUANTIZED_PASS_H
#define SF_QUERY_QUANTIZED_PASS_H

#include "query/candidates.h"
#include "query/scan.h"

/* One search's filter of one segment; zero-initialised: none. */
typedef struct sf_quantized_pass {
  bool is_on;
  const sf_vector_segment *segment;
  const sf_quantized *codes;
  const sf_kernels *kernels;
  uint32_t dim;
  sf_quantized_query query;
  sf_quantized_comparison estimate; /* not of a lower bound, but of the key itself */
  size_t num_4bit_chunks;           /* for so many more short ones are not asked */
} sf_quantized_pass;

/* Is on where the segment has codes, at least of some rows, that serve this query. Free it in any case. */
sf_code sf_quantized_pass_init(sf_quantized_pass *filter, const sf_query_vector *query_vector,
                               const sf_vector_segment *segment, sf_error *error);
void sf_quantized_pass_free(sf_quantized_pass *filter);

/* Whether the rows of a window (see vectors/lazy_norms.h) have codes. */
bool sf_quantized_pass_serves(const sf_quantized_pass *filter, size_t window);

/* Some rows by estimates of their keys, which are put in for keys. */
typedef struct sf_quantized_sample {
  size_t count;       /* as many as are wanted, and perhaps some more, are kept */
  float limit;        /* of the estimates; FLT_MAX at first */
  sf_candidates best; /* has room for more than `count` */
} sf_quantized_sample;

/* Adds the best of every `step`-th group of 16 of the rows [begin, end), from group `first` of them on. */
void sf_quantized_pass_sample(const sf_quantized_pass *filter, size_t begin, size_t end, size_t first, size_t step,
                              sf_quantized_sample *sample);

/* Of the rows [begin, begin + count), at most SF_MAX_CHUNK_ROWS, those whose exact key (see key.h) may be up to `limit`, as
 * offsets from `begin`, ascending; `offsets` has room for `count`. Returns how many. */
size_t sf_quantized_pass_find(sf_quantized_pass *filter, size_t begin, size_t count, float limit, uint16_t *offsets);

#endif
