/* The layout of a block of lists: a header of 256 bytes, and sections that follow from its numbers. */
#ifndef SF_LISTS_LISTS_LAYOUT_H
#define SF_LISTS_LISTS_LAYOUT_H

#include "lists/lists.h"

#define SF_LISTS_MAGIC "SFLISTS\n"

enum { SF_LISTS_VERSION = 1 };

typedef struct sf_lists_header {
  char magic[8];
  uint32_t version;
  uint32_t dim;
  uint32_t metric;
  uint32_t num_lists;
  uint64_t num_rows;
  uint64_t num_groups;
  uint64_t row_span;
  double max_norm;
  uint64_t identity;
  uint64_t data_checksum;   /* XXH3-64 of all bytes after the header */
  uint64_t header_checksum; /* XXH3-64 of the header with this field 0 */
  uint8_t unused[256 - 80];
} sf_lists_header;

_Static_assert(sizeof(sf_lists_header) == 256, "the header is part of the block's layout");

/* Offsets of the sections. */
typedef struct sf_lists_layout {
  size_t row_ends;
  size_t group_ends;
  size_t rows;
  size_t centres;
  size_t factors;
  size_t centre_of_centres;
  size_t centre_groups;
  size_t groups;
  size_t quantized_rows;
  size_t length;
} sf_lists_layout;

/* False where a number is out of its range or the block would not fit memory. */
bool sf_lists_lay_out(const sf_lists_header *header, sf_lists_layout *layout);

/* What a header's lists are in a block of that layout. */
void sf_lists_of_block(const uint8_t *block, const sf_lists_header *header, const sf_lists_layout *layout,
                       sf_lists *lists);

/* Fills in the header of a block that is otherwise complete, checksums included. */
void sf_lists_seal(uint8_t *block, sf_lists_header *header, const sf_lists_layout *layout,
                   const sf_lists_identity *identity);

#endif
