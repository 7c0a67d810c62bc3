/*
 * Inverted lists of a shard: its rows, grouped by the nearest of some centroids, so that a search that is content with a
 * share of the true results reads the lists whose centroids are near the query, and no others (the IVF of Jégou, Douze,
 * Schmid: Product Quantization for Nearest Neighbor Search, IEEE TPAMI 33, 2011). One block of bytes, mapped from the
 * shard's folder of the local cache (docs/cache-format.md).
 *
 * Rows are quantized relative to the centre of their list, which is the mean of its rows (for cosine of their
 * directions): what is left to quantize is a fraction of a row, and so is its error. The 2-bit vectors of a list lie in
 * groups of sixteen, which begin anew with each list; 4-bit vectors lie row by row (vectors/quantized_rows.h), since few
 * of a group's rows need them. Full vectors stay where they are, in the shard.
 */
#ifndef SF_LISTS_LISTS_H
#define SF_LISTS_LISTS_H

#include "vectors/quantized.h"

#include <stdbool.h>

/* What lists were made from. A block with another identity is not used. */
typedef struct sf_lists_identity {
  const char *db_url;
  const char *checkpoint_id; /* NULL: none */
  uint64_t content;          /* sf_shard.content */
} sf_lists_identity;

/* Borrows the block. Immutable: any thread. */
typedef struct sf_lists {
  sf_metric metric;
  uint32_t dim;
  uint32_t num_lists;
  uint64_t num_rows;             /* in lists: rows that are never a result are in none */
  uint64_t row_span;             /* one more than the highest row number of the shard */
  double max_norm;               /* of all rows */
  const uint32_t *row_ends;      /* num_lists, ascending: where each list's rows end in `rows` */
  const uint32_t *group_ends;    /* num_lists, ascending: where its groups end in `groups` */
  const uint32_t *rows;          /* num_rows: numbers in the shard, ascending within a list */
  const float *centres;          /* num_lists × dim */
  const float *factors;          /* num_lists: what a centre's distance for choosing is scaled by, 1 but for cosine */
  sf_quantized chosen_by;        /* 4-bit groups of all centres, by which lists are chosen; no 2-bit ones */
  const uint8_t *groups;         /* 2-bit groups of all lists */
  const uint8_t *quantized_rows; /* num_rows × sf_quantized_row_size */
  size_t group_size;             /* bytes of a 2-bit group */
  size_t row_size;               /* bytes of a quantized row */
} sf_lists;

/* Rows and groups of a list: [begin, end). */
typedef struct sf_list_range {
  uint32_t first_row;
  uint32_t num_rows;
  uint32_t first_group;
} sf_list_range;

static inline sf_list_range sf_lists_range(const sf_lists *lists, uint32_t list) {
  uint32_t first = list == 0 ? 0 : lists->row_ends[list - 1];
  return (sf_list_range){.first_row = first,
                         .num_rows = lists->row_ends[list] - first,
                         .first_group = list == 0 ? 0 : lists->group_ends[list - 1]};
}

/* The lists in a block, of which no byte is trusted; false unless it is whole and of the identity. */
bool sf_lists_read(const void *block, size_t length, const sf_lists_identity *identity, sf_lists *lists);

/* The most rows, and lists, that a block has. */
#define SF_LISTS_MAX_ROWS (UINT32_MAX - 1)
#define SF_LISTS_MAX_LISTS (1U << 20)

#define SF_LISTS_NAME "rows.lists"

#endif
