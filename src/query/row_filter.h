/*
 * A row filter as a scan sees it: a bitmap of the shard's rows, of which it asks for a few at a time. Bit r % 8 of byte r / 8
 * says whether row r may be a result; SF_ROW_FILTER_PADDING bytes after the last row's are readable. NULL: every row may.
 */
#ifndef SF_QUERY_ROW_FILTER_H
#define SF_QUERY_ROW_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SF_ROW_FILTER_PADDING 8

static inline bool sf_row_filter_has(const uint8_t *filter, uint64_t row) {
  return filter == NULL || (filter[row / 8] >> (row % 8) & 1) != 0;
}

/* Rows [row, row + 16), the first in the lowest bit; those before the shard's first don't match. */
static inline uint16_t sf_row_filter_16(const uint8_t *filter, int64_t row) {
  if (filter == NULL)
    return UINT16_MAX;
  if (row <= -16)
    return 0;
  if (row < 0)
    return (uint16_t)((unsigned)(filter[0] | filter[1] << 8) << -row);
  const uint8_t *bytes = filter + row / 8;
  unsigned bits = (unsigned)bytes[0] | (unsigned)bytes[1] << 8 | (unsigned)bytes[2] << 16;
  return (uint16_t)(bits >> (row % 8));
}

/* Rows [row, row + 56), in the same way; bits above are undefined. */
static inline uint64_t sf_row_filter_56(const uint8_t *filter, uint64_t row) {
  uint64_t bits;
  memcpy(&bits, filter + row / 8, sizeof(bits)); /* little-endian, as all that maps vector files */
  return bits >> (row % 8);
}

enum { SF_ROW_FILTER_STEP = 56 };

/* How many of the rows [row, row + count) match. */
static inline size_t sf_row_filter_count(const uint8_t *filter, uint64_t row, size_t count) {
  size_t matching = 0;
  if (filter == NULL)
    return count;
  for (size_t i = 0; i < count; i += SF_ROW_FILTER_STEP) {
    uint64_t bits = sf_row_filter_56(filter, row + i);
    size_t left = count - i < SF_ROW_FILTER_STEP ? count - i : SF_ROW_FILTER_STEP;
    matching += (size_t)__builtin_popcountll(bits & ((UINT64_C(1) << left) - 1));
  }
  return matching;
}

/* How many runs of 16 of the rows [row, row + count) have a matching one. */
static inline size_t sf_row_filter_count_groups(const uint8_t *filter, uint64_t row, size_t count) {
  size_t groups = 0;
  for (size_t i = 0; i < count; i += 16)
    groups += sf_row_filter_16(filter, (int64_t)(row + i)) != 0;
  return groups;
}

/* The matching ones of the rows [row, row + count), as offsets from `row`, ascending. Returns how many. */
static inline size_t sf_row_filter_list(const uint8_t *filter, uint64_t row, size_t count, uint16_t *offsets) {
  size_t matching = 0;
  for (size_t i = 0; i < count; i += SF_ROW_FILTER_STEP) {
    size_t left = count - i < SF_ROW_FILTER_STEP ? count - i : SF_ROW_FILTER_STEP;
    uint64_t bits = sf_row_filter_56(filter, row + i) & ((UINT64_C(1) << left) - 1);
    for (; bits != 0; bits &= bits - 1)
      offsets[matching++] = (uint16_t)(i + (size_t)__builtin_ctzll(bits));
  }
  return matching;
}

#endif
