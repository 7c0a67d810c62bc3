/*
 * The mini-block layout of file versions 2.1 and 2.2: a page of small values in chunks of a few KiB.
 *
 * Buffer 0 has one word for each chunk (16 bits; 32 in large-chunk pages): its low 4 bits are the logarithm of the
 * chunk's number of values, the rest its number of 8-byte units, less one. The last chunk has the rest of the values.
 * Buffer 1 has the chunks, one after the other, and buffer 2 the dictionary, if there is one. A chunk is
 *
 *   u16 number of levels | u16 size of the levels, if there are any |
 *   sizes of the value buffers, u16 (u32 in large-chunk pages) each | levels | value buffers
 *
 * where the sizes together and each of the rest are padded to 8 bytes.
 */
#ifndef SF_FORMATS_LANCE_MINI_BLOCK_H
#define SF_FORMATS_LANCE_MINI_BLOCK_H

#include "formats/lance/values.h"

/* The largest number in the four bits. */
#define SF_LANCE_MAX_CHUNK_VALUES ((size_t)32768)

/* The chunks of a page. */
typedef struct sf_lance_chunk_table {
  sf_lance_bytes words; /* borrowed */
  size_t word_size;     /* 2 or 4 */
  size_t num_chunks;
  uint64_t num_values;
  /* Every 64th chunk's first value and offset, so that finding a chunk takes few steps and little memory. */
  struct sf_lance_chunk_mark *marks;
} sf_lance_chunk_table;

typedef struct sf_lance_chunk_place {
  size_t index;
  uint64_t first_value;
  size_t num_values;
  uint64_t offset; /* in buffer 1 */
  uint64_t length;
} sf_lance_chunk_place;

/* Checks that the chunks hold `num_values` values in `data_length` bytes. Borrows `words`; the caller frees. */
sf_code sf_lance_chunk_table_init(sf_lance_chunk_table *table, sf_lance_bytes words, bool large, uint64_t num_values,
                                  uint64_t data_length, sf_error *error);
void sf_lance_chunk_table_free(sf_lance_chunk_table *table);

/* The chunk that has a value, which must be below num_values; or the one after `place`; false at the end. */
void sf_lance_chunk_table_find(const sf_lance_chunk_table *table, uint64_t value, sf_lance_chunk_place *place);
void sf_lance_chunk_table_first(const sf_lance_chunk_table *table, sf_lance_chunk_place *place);
bool sf_lance_chunk_table_next(const sf_lance_chunk_table *table, sf_lance_chunk_place *place);

/* The parts of one chunk. */
typedef struct sf_lance_chunk {
  size_t num_levels;
  sf_lance_bytes levels; /* definition levels, compressed; empty without any */
  size_t num_buffers;
  sf_lance_bytes buffers[SF_LANCE_MAX_BUFFERS];
} sf_lance_chunk;

sf_code sf_lance_chunk_parse(sf_lance_bytes bytes, bool has_levels, uint64_t num_buffers, bool large,
                             sf_lance_chunk *chunk, sf_error *error);

/* Definition levels, one u16 a value: 0 valid, else null. `levels` has room for num_values. */
sf_code sf_lance_chunk_levels(const Sf__Lance__CompressiveEncoding *encoding, const sf_lance_chunk *chunk,
                              size_t num_values, uint8_t *levels, sf_error *error);

/* Fails unless a layout's layers are those of values at the top: one layer, of items. `*nullable` says whether some are
 * null. */
sf_code sf_lance_check_layers(const uint32_t *layers, size_t num_layers, bool *nullable, sf_error *error);

/* Fails on layouts that the three columns can't have: repetition, and a layout that contradicts itself or its page. */
sf_code sf_lance_mini_block_check(const Sf__Lance__MiniBlockLayout *layout, uint64_t num_rows, sf_error *error);

#endif
