/*
 * Inverted lists of a shard: its rows, grouped by the nearest of some centroids, so that a search that is content with a
 * share of the true results reads the lists whose centroids are near the query, and no others (the IVF of Jégou, Douze,
 * Schmid: Product Quantization for Nearest Neighbor Search, IEEE TPAMI 33, 2011). The bytes are the same as an object
 * beside the shard and as a file of the local cache, from which they are mapped (docs/lists-format.md).
 *
 * Rows are quantized relative to the centre of their list, which is the mean of its rows (for cosine of their
 * directions): what is left to quantize is a fraction of a row, and so is its error. All of a list lies together in one
 * block: row numbers, the 2-bit vectors in groups of sixteen, and the 4-bit vectors row by row
 * (vectors/quantized_rows.h), since few of a group's rows need them. The head before the blocks has what a search is
 * planned with, and a checksum of each block, so that some blocks can be fetched without the others. Full vectors stay
 * where they are, in the shard.
 */
#ifndef SF_LISTS_LISTS_H
#define SF_LISTS_LISTS_H

#include "base/error.h"
#include "vectors/quantized.h"

/* What lists were made from. Bytes with another identity are not used. */
typedef struct sf_lists_identity {
  const char *db_url;
  const char *checkpoint_id; /* NULL: none */
  uint64_t content;          /* sf_shard.content; 0 for lists that are stored beside the shard */
} sf_lists_identity;

/* Borrows the bytes. Immutable: any thread. */
typedef struct sf_lists {
  sf_metric metric;
  uint32_t dim;
  uint32_t num_lists;
  uint64_t num_rows;          /* in lists: rows that are never a result are in none */
  uint64_t row_span;          /* one more than the highest row number of the shard */
  double max_norm;            /* of all rows */
  const uint32_t *row_ends;   /* num_lists, ascending: how many rows this list and those before it have */
  const uint64_t *block_ends; /* num_lists, ascending: where each list's block ends in `blocks` */
  const uint64_t *checksums;  /* num_lists: XXH3-64 of each block */
  const float *centres;       /* num_lists × dim */
  const float *factors;       /* num_lists: what a centre's distance for choosing is scaled by, 1 but for cosine */
  sf_quantized chosen_by;     /* 4-bit groups of all centres, by which lists are chosen; no 2-bit ones */
  const uint8_t *blocks;
  size_t group_size; /* bytes of a 2-bit group */
  size_t row_size;   /* bytes of a quantized row */
} sf_lists;

/* One of them. */
typedef struct sf_list {
  uint32_t num_rows;
  const uint32_t *rows;          /* numbers in the shard, ascending */
  const uint8_t *groups;         /* 2-bit groups */
  const uint8_t *quantized_rows; /* num_rows × row_size: 4-bit vectors */
} sf_list;

static inline uint32_t sf_lists_num_rows(const sf_lists *lists, uint32_t list) {
  return lists->row_ends[list] - (list == 0 ? 0 : lists->row_ends[list - 1]);
}

sf_list sf_lists_at(const sf_lists *lists, uint32_t list);

/* The number of the row at a place below num_rows, counted list by list. */
uint32_t sf_lists_row_at(const sf_lists *lists, uint64_t place);

/* The lists in `length` bytes, none of which is trusted. Fails with SF_DB_ADAPTER_ERROR, saying what was expected and what was
 * found, unless they are whole and of the identity. `error` may be NULL. */
sf_code sf_lists_read(const void *bytes, size_t length, const sf_lists_identity *identity, sf_lists *lists,
                      sf_error *error);

/* The same of the head alone, the first `length` bytes of `total`; no block is read or referred to. */
sf_code sf_lists_read_head(const void *bytes, size_t length, uint64_t total, const sf_lists_identity *identity,
                           sf_lists *lists, sf_error *error);

/* Bytes of the head, by its first SF_LISTS_HEADER_SIZE bytes; 0: they are none. */
size_t sf_lists_head_length(const void *header, size_t length);

#define SF_LISTS_HEADER_SIZE 256

/* The most rows, and lists, that there are. */
#define SF_LISTS_MAX_ROWS (UINT32_MAX - 1)
#define SF_LISTS_MAX_LISTS (1U << 20)

#define SF_LISTS_NAME "rows.lists"

#endif
