/* The layout of lists: a header of 256 bytes, sections of the head that follow from its numbers, and a block for each list. */
#ifndef SF_LISTS_LISTS_LAYOUT_H
#define SF_LISTS_LISTS_LAYOUT_H

#include "lists/lists.h"

#include <stdbool.h>

#define SF_LISTS_MAGIC "SFLISTS\n"

enum { SF_LISTS_VERSION = 2 };

typedef struct sf_lists_header {
  char magic[8];
  uint32_t version;
  uint32_t dim;
  uint32_t metric;
  uint32_t num_lists;
  uint64_t num_rows;
  uint64_t length; /* of all bytes, blocks included */
  uint64_t row_span;
  double max_norm;
  uint64_t identity;
  uint64_t head_checksum;   /* XXH3-64 of the head after the header */
  uint64_t header_checksum; /* XXH3-64 of the header with this field 0 */
  uint8_t unused[SF_LISTS_HEADER_SIZE - 80];
} sf_lists_header;

_Static_assert(sizeof(sf_lists_header) == SF_LISTS_HEADER_SIZE, "the header is part of the layout");

/* Offsets of the head's sections, and where it ends and the blocks begin. */
typedef struct sf_lists_layout {
  size_t row_ends;
  size_t block_ends;
  size_t checksums;
  size_t centres;
  size_t factors;
  size_t centre_of_centres;
  size_t centre_groups;
  size_t head_length;
} sf_lists_layout;

/* False where a number is out of its range or the head would not fit memory. */
bool sf_lists_lay_out(const sf_lists_header *header, sf_lists_layout *layout);

/* Bytes of the block of a list with so many rows. */
uint64_t sf_lists_block_size(uint32_t dim, sf_metric metric, uint64_t num_rows);

/* What a header's lists are in bytes of that layout. */
void sf_lists_of_bytes(const uint8_t *bytes, const sf_lists_header *header, const sf_lists_layout *layout,
                       sf_lists *lists);

/* Fills in the header of bytes that are otherwise complete, and all checksums. */
void sf_lists_seal(uint8_t *bytes, sf_lists_header *header, const sf_lists_layout *layout,
                   const sf_lists_identity *identity);

#endif
