/*
 * A payload column: the values that one path, such as payload.lang, has in the rows of a shard, or their ids. Every row has a
 * tag and 64 bits, whose meaning the tag says; strings are numbers in a dictionary of the distinct ones, lists of scalars are
 * runs of items. One block of bytes, in memory or mapped from the local cache (docs/cache-format.md), so that a new expression
 * over known paths reads no payloads.
 */
#ifndef SF_FILTER_COLUMN_H
#define SF_FILTER_COLUMN_H

#include "cel/cel.h"

#include <stddef.h>

typedef enum sf_column_tag {
  SF_COLUMN_NO_ROW,  /* no row has the number, or it was deleted */
  SF_COLUMN_BROKEN,  /* what the path's last member would be of is missing or no object: all that reads it fails */
  SF_COLUMN_MISSING, /* there is no such member: has() is false, all else fails */
  SF_COLUMN_NULL,
  SF_COLUMN_FALSE,
  SF_COLUMN_TRUE,
  SF_COLUMN_INT,    /* the bits are an int64 */
  SF_COLUMN_UINT,   /* above the largest int64 */
  SF_COLUMN_DOUBLE, /* the bits are a float64 */
  SF_COLUMN_STRING, /* the bits are its number in the dictionary */
  SF_COLUMN_LIST,   /* the bits are its number among the lists; no item is a list, MISSING or above */
  SF_COLUMN_OTHER,  /* an object, or a list of lists or objects: only the payload tells */
  SF_NUM_COLUMN_TAGS
} sf_column_tag;

/* Borrows the block. Immutable. */
typedef struct sf_column {
  uint64_t num_rows;
  uint64_t num_strings;
  uint64_t num_lists;
  uint64_t num_items;
  const uint8_t *tags;           /* num_rows */
  const uint64_t *bits;          /* num_rows */
  const uint64_t *string_starts; /* num_strings + 1, ascending: offsets into `strings` */
  const char *strings;           /* UTF-8 */
  const uint64_t *list_starts;   /* num_lists + 1, ascending: numbers of items */
  const uint8_t *item_tags;      /* num_items */
  const uint64_t *item_bits;     /* num_items */
} sf_column;

/* A string of the dictionary. */
sf_cel_value sf_column_string(const sf_column *column, uint64_t number);

/* The value of a tag from NULL to STRING. */
sf_cel_value sf_column_scalar(const sf_column *column, sf_column_tag tag, uint64_t bits);

/* How many items a list has; they are written to `items`, which has room for them, unless it is NULL. */
size_t sf_column_list(const sf_column *column, uint64_t number, sf_cel_value *items);

/* ---- The block. ---- */

/* What a column was made from. A block with another identity is not used. */
typedef struct sf_column_identity {
  const char *db_url;
  const char *checkpoint_id; /* NULL: none */
  uint64_t content;          /* sf_shard.content */
  const char *path;          /* as sf_filter_path has it */
} sf_column_identity;

/* The column in a block, which is aligned to 64 bytes and of which no byte is trusted; false unless it is whole and of the
 * identity. */
bool sf_column_read(const void *block, size_t num_bytes, const sf_column_identity *identity, sf_column *column);

/* A new block of the column's values, for the caller to free; NULL when memory is out. */
void *sf_column_write(const sf_column *column, const sf_column_identity *identity, size_t *num_bytes);

#endif
