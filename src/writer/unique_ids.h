/*
 * Whether ids occur once. Of each, a hash of 128 bits is kept: in memory as long as there is room, then in a temporary
 * file, in parts that fit into it. That two ids of a snapshot share such a hash does not happen by chance.
 */
#ifndef SF_WRITER_UNIQUE_IDS_H
#define SF_WRITER_UNIQUE_IDS_H

#include "formats/shard_writer.h"
#include "writer/temporary_file.h"

#include <xxhash.h>

typedef struct sf_unique_ids sf_unique_ids;

/* `directory` is where a temporary file may go; borrowed. */
sf_code sf_unique_ids_create(const char *directory, size_t max_bytes, sf_unique_ids **ids, sf_error *error);
void sf_unique_ids_free(sf_unique_ids *ids); /* NULL is allowed */

/* Any thread. `are_strings_only`: the format stores integers as their decimals, so that 1 and "1" are the same. */
XXH128_hash_t sf_unique_id_hash(const sf_shard_row *row, bool are_strings_only);

/* The hash of the id of row `row`. */
sf_code sf_unique_ids_add(sf_unique_ids *ids, XXH128_hash_t hash, uint64_t row, sf_error *error);

/* Two rows of one id. */
typedef struct sf_same_ids {
  bool found;
  uint64_t first_row;
  uint64_t second_row;
} sf_same_ids;

/* Looks at all that were added; nothing is added after it. Of several, it finds one, the same on every run. */
sf_code sf_unique_ids_check(sf_unique_ids *ids, sf_same_ids *same, sf_error *error);

#endif
