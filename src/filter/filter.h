/*
 * Row filters: an expression of CEL over a row's `id` and `payload`, compiled once and evaluated for all rows of a shard into
 * a bitmap of those that match, before a search looks at any vector.
 *
 *   id        int or string, as results have it
 *   payload   a map of the payload's members (payload_value.h says how JSON becomes CEL); the empty map without a payload
 *
 * A row for which the expression fails (a missing member, a comparison of unlike types) or is no bool does not match. A limit
 * on cost (cel/limits.h, SF_FILTER_STEPS_PER_ROW) that is reached fails the evaluation as a whole.
 */
#ifndef SF_FILTER_FILTER_H
#define SF_FILTER_FILTER_H

#include "cache/cached_file.h"
#include "formats/shard.h"

/* The steps that an evaluation may take for each row, on average, beyond those that one row may take alone. */
#define SF_FILTER_STEPS_PER_ROW 4096

/* A compiled expression. Immutable: any thread. Counts references. */
typedef struct sf_filter sf_filter;

/* SF_CONFIG_VALIDATION_ERROR names the position, "filter: 1:7: …". The caller has one reference. */
sf_code sf_filter_compile(const char *expression, sf_filter **filter, sf_error *error);
void sf_filter_retain(sf_filter *filter);
void sf_filter_release(sf_filter *filter); /* NULL is allowed */
const char *sf_filter_expression(const sf_filter *filter);
/* Of the expression: equal ones have equal hashes. */
uint64_t sf_filter_hash(const sf_filter *filter);
uint64_t sf_filter_hash_of(const char *expression);
/* About how much memory it takes. */
size_t sf_filter_num_bytes(const sf_filter *filter);

/* Rows of a shard, by their number. */
typedef struct sf_row_bitmap {
  uint64_t num_rows; /* sf_shard.row_span */
  uint64_t num_matching;
  size_t num_bytes; /* of the bits: a multiple of 64, at least 64 of them behind the last row's, all 0 */
  uint8_t bits[];   /* bit r % 8 of byte r / 8: row r matches. Never set for a deleted row */
} sf_row_bitmap;

/* With no bit set; the caller frees it with free(). */
sf_code sf_row_bitmap_create(uint64_t num_rows, sf_row_bitmap **bitmap, sf_error *error);

static inline void sf_row_bitmap_set(sf_row_bitmap *bitmap, uint64_t row) {
  bitmap->bits[row / 8] |= (uint8_t)(1U << (row % 8));
}

static inline bool sf_row_bitmap_has(const sf_row_bitmap *bitmap, uint64_t row) {
  return (bitmap->bits[row / 8] >> (row % 8) & 1) != 0;
}

/* What an evaluation did. */
typedef struct sf_filter_account {
  uint64_t num_rows;            /* sf_shard.row_span */
  uint64_t num_rows_one_by_one; /* of them, those that the ordinary evaluator looked at */
  uint64_t columns_made;        /* that the local cache did not have */
  double decode_ms;
  double evaluate_ms;
} sf_filter_account;

typedef struct sf_filter_params {
  sf_shard *shard;
  sf_cache_place place; /* of the shard; cache_dir NULL: nothing is kept */
  bool has_integer_ids; /* an id that is stored as the text of an integer is one */
} sf_filter_params;

/* As sf_filter_evaluate, but by the ordinary evaluator alone, row by row: what evaluation over columns must equal. */
sf_code sf_filter_evaluate_one_by_one(const sf_filter *filter, const sf_filter_params *params,
                                      const sf_cancellation *cancellation, sf_row_bitmap **bitmap, sf_error *error);

/*
 * Evaluates the filter for all rows of an open shard; the caller frees the bitmap. May read the shard's payloads, and wait
 * for storage. Looks at the cancellation (NULL: never cancelled) every few hundred rows.
 */
sf_code sf_filter_evaluate(const sf_filter *filter, const sf_filter_params *params, const sf_cancellation *cancellation,
                           sf_row_bitmap **bitmap, sf_filter_account *account, sf_error *error);

#endif
