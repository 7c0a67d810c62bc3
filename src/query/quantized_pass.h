/*
 * The quantized pass of a scan: which rows may be near enough, by bounds from 2-bit vectors and, in groups of which those
 * leave several rows, from 4-bit vectors; where that is most groups, from 4-bit vectors at once. Rows that it leaves out are
 * certainly above the threshold (vectors/quantized.h has the bounds).
 */
#ifndef SF_QUERY_QUANTIZED_PASS_H
#define SF_QUERY_QUANTIZED_PASS_H

#include "query/candidates.h"
#include "vectors/query_vector.h"
#include "vectors/segment.h"

/* One search's quantized pass of one segment; zero-initialised: none. One thread at a time. */
typedef struct sf_quantized_pass {
  bool is_on;
  const sf_vector_segment *segment;
  const sf_quantized *vectors;
  const sf_kernels *kernels;
  uint32_t dim;
  const uint8_t *filter;                  /* query/row_filter.h */
  bool has_squared_norms;                 /* each group of the vectors has */
  size_t group_sizes[SF_QUANTIZED_KINDS]; /* bytes of a group */
  sf_quantized_query query;
  sf_quantized_comparison estimate;        /* of the distance itself, not of a lower bound */
  uint64_t num_groups[SF_QUANTIZED_KINDS]; /* that were compared or sampled by vectors of each kind */
  size_t num_4bit_chunks;                  /* so many more chunks are compared by 4-bit vectors at once */
} sf_quantized_pass;

/* Is on where the segment has quantized vectors, at least of some rows, that serve this query. Finds and samples only rows
 * that the filter has (row_filter.h). Borrows all. Free it in any case. */
sf_code sf_quantized_pass_init(sf_quantized_pass *pass, const sf_query_vector *query_vector,
                               const sf_vector_segment *segment, const uint8_t *filter, sf_error *error);
void sf_quantized_pass_free(sf_quantized_pass *pass);

/* Whether the rows of a chunk (see vectors/lazy_norms.h) have quantized vectors. */
bool sf_quantized_pass_serves(const sf_quantized_pass *pass, size_t chunk);

/* Some rows with estimates for distances. */
typedef struct sf_quantized_sample {
  size_t count;       /* as many as are wanted, and perhaps some more, are kept */
  float threshold;    /* of the estimates; FLT_MAX at first */
  sf_candidates best; /* has room for more than `count` */
} sf_quantized_sample;

/* Adds the best of every `step`-th group of 16 of the rows [begin, end), from group `first` of them on. */
void sf_quantized_pass_sample(sf_quantized_pass *pass, size_t begin, size_t end, size_t first, size_t step,
                              sf_quantized_sample *sample);

/* Finds, of the rows [begin, begin + count), at most SF_MAX_CHUNK_ROWS, those whose approximate distance may be up to
 * `threshold`: as offsets from `begin`, ascending; `offsets` has room for `count`. Returns how many. */
size_t sf_quantized_pass_find(sf_quantized_pass *pass, size_t begin, size_t count, float threshold, uint16_t *offsets);

#endif
