/*
 * A shard's row directory: the ids of its rows by their number, and a hash table that finds a row by its id. One block of bytes,
 * mapped from the shard's folder of the local cache (docs/cache-format.md), with 11.5 bytes and a bit for each row beside the ids.
 * A byte of the hash is kept for each slot, apart from the slots: an id that the shard does not have costs one cache line.
 */
#ifndef SF_CACHE_ROW_DIRECTORY_H
#define SF_CACHE_ROW_DIRECTORY_H

#include "base/memory.h"
#include "cache/cached_block.h"

#define SF_ROW_DIRECTORY_NAME "rows.directory"

/* What no row's number is. */
#define SF_NO_ROW UINT64_MAX

/* An id: an integer where `text` is NULL. Borrowed. */
typedef struct sf_directory_id {
  int64_t integer;
  const char *text;
  size_t length;
} sf_directory_id;

/* Borrows the block. Immutable: any thread. */
typedef struct sf_row_directory {
  uint64_t num_rows;
  uint64_t num_slots;
  const uint32_t
      *id_ends;          /* num_rows, ascending: where each id ends in `ids`; that of a row that was deleted is empty */
  const uint32_t *slots; /* num_slots: a row's number + 1, or 0 */
  const uint8_t *tags;   /* num_slots: of the hash of that row's id, never 0; 0 where the slot is */
  const uint8_t *integer_bits; /* bit r % 8 of byte r / 8: the id of row r is an integer of 8 bytes */
  const char *ids;
} sf_row_directory;

/* What a directory was made from. A block with another identity is not used. */
typedef struct sf_row_directory_identity {
  const char *db_url;
  const char *checkpoint_id; /* NULL: none */
  uint64_t content;          /* sf_shard.content */
} sf_row_directory_identity;

/* The directory in a block, of which no byte is trusted; false unless it is whole and of the identity. */
bool sf_row_directory_read(const void *block, size_t length, const sf_row_directory_identity *identity,
                           sf_row_directory *directory);

/* The lowest row that has the id; SF_NO_ROW: none has. */
uint64_t sf_row_directory_find(const sf_row_directory *directory, const sf_directory_id *id);

/* The hash of an id, by which several are looked up in steps, each with what it needs on the way from memory. */
uint64_t sf_directory_id_hash(const sf_directory_id *id);
void sf_row_directory_prefetch(const sf_row_directory *directory, uint64_t hash);
/* The first slot that may have the id, which is prefetched; SF_NO_ROW: no row has it. */
uint64_t sf_row_directory_find_slot(const sf_row_directory *directory, uint64_t hash);
/* As sf_row_directory_find, from that slot on. */
uint64_t sf_row_directory_find_from(const sf_row_directory *directory, const sf_directory_id *id, uint64_t hash,
                                    uint64_t slot);

/* The id of a row below num_rows that was not deleted. */
sf_directory_id sf_row_directory_id(const sf_row_directory *directory, uint64_t row);

/* Makes a directory. Zero-initialise; one thread at a time. */
typedef struct sf_row_directory_builder {
  uint64_t num_rows;
  uint64_t next_row; /* the first that has no id yet */
  size_t num_ids;
  uint32_t *id_ends;
  uint8_t *integer_bits;
  uint8_t *has_id; /* bits, as of integer_bits */
  sf_buffer ids;
} sf_row_directory_builder;

/* False when memory is out. */
bool sf_row_directory_builder_init(sf_row_directory_builder *builder, uint64_t num_rows);
void sf_row_directory_builder_free(sf_row_directory_builder *builder);
/* Whether the ids leave room for another one: their bytes are bounded by SF_ROW_DIRECTORY_MAX. */
bool sf_row_directory_builder_has_room(const sf_row_directory_builder *builder, const sf_directory_id *id);
/* Adds the id of a row, whose number is above that of the one before. False where there is no room for the id, or memory is out. */
bool sf_row_directory_builder_add(sf_row_directory_builder *builder, uint64_t row, const sf_directory_id *id);
/* A new block, for the caller to free(); NULL when memory is out. */
void *sf_row_directory_builder_write(sf_row_directory_builder *builder, const sf_row_directory_identity *identity,
                                     size_t *length);

/* The most rows, and bytes of ids, that a directory has. */
#define SF_ROW_DIRECTORY_MAX (UINT32_MAX - 1)

#endif
