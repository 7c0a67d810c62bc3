/* Makes a column, row by row. */
#ifndef SF_FILTER_COLUMN_BUILDER_H
#define SF_FILTER_COLUMN_BUILDER_H

#include "base/json_text.h"
#include "base/memory.h"
#include "filter/column.h"

/* The distinct strings so far. */
typedef struct sf_string_dictionary {
  sf_buffer bytes;
  uint64_t *starts; /* count + 1 */
  uint64_t *hashes; /* count */
  size_t count;
  size_t starts_capacity;
  size_t hashes_capacity;
  uint32_t *slots; /* a hash table of numbers + 1; 0: none */
  size_t num_slots;
} sf_string_dictionary;

/* Zero-initialise; one thread at a time. */
typedef struct sf_column_builder {
  uint64_t num_rows;
  uint8_t *tags;
  uint64_t *bits;
  sf_string_dictionary strings;
  uint64_t *list_starts;
  size_t num_lists;
  size_t list_starts_capacity;
  uint8_t *item_tags;
  uint64_t *item_bits;
  size_t num_items;
  size_t item_tags_capacity;
  size_t item_bits_capacity;
  sf_buffer decoded; /* scratch memory of a string */
} sf_column_builder;

/* All of these are false when memory is out. */
bool sf_column_builder_init(sf_column_builder *builder, uint64_t num_rows);
void sf_column_builder_free(sf_column_builder *builder);

void sf_column_builder_set_tag(sf_column_builder *builder, uint64_t row, sf_column_tag tag);
void sf_column_builder_set_int(sf_column_builder *builder, uint64_t row, int64_t integer);
bool sf_column_builder_set_string(sf_column_builder *builder, uint64_t row, const char *text, size_t length);
/* A value of valid JSON. */
bool sf_column_builder_set_json(sf_column_builder *builder, uint64_t row, sf_json_text value);

/* What was built; borrows from the builder. */
sf_column sf_column_builder_column(const sf_column_builder *builder);

#endif
