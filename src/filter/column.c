#include "filter/column.h"

#include "base/memory.h"
#include "base/utf8.h"
#include "cache/cached_block.h"
#include "cel/value.h"

#include <string.h>
#include <xxhash.h>

#define MAGIC "SFCOLUMN"

enum { VERSION = 1, ALIGNMENT = SF_BLOCK_ALIGNMENT };

/* The first 128 bytes of a block. */
typedef struct block_header {
  char magic[8];
  uint32_t version;
  uint32_t reserved;
  uint64_t num_rows;
  uint64_t num_strings;
  uint64_t string_bytes;
  uint64_t num_lists;
  uint64_t num_items;
  uint64_t identity;
  uint64_t data_checksum;   /* XXH3-64 of all bytes after the header */
  uint64_t header_checksum; /* XXH3-64 of the header with this field 0 */
  uint8_t unused[128 - 80];
} block_header;

_Static_assert(sizeof(block_header) == 128, "the header is part of the block's layout");

/* Offsets in bytes of the sections, and the size of the block. */
typedef struct block_layout {
  size_t bits;
  size_t string_starts;
  size_t list_starts;
  size_t item_bits;
  size_t tags;
  size_t item_tags;
  size_t strings;
  size_t num_bytes;
} block_layout;

sf_cel_value sf_column_string(const sf_column *column, uint64_t number) {
  uint64_t start = column->string_starts[number];
  return sf_cel_string(column->strings + start, (size_t)(column->string_starts[number + 1] - start));
}

sf_cel_value sf_column_scalar(const sf_column *column, sf_column_tag tag, uint64_t bits) {
  double number;
  switch (tag) {
  case SF_COLUMN_FALSE:
  case SF_COLUMN_TRUE:
    return sf_cel_bool(tag == SF_COLUMN_TRUE);
  case SF_COLUMN_INT:
    return sf_cel_int((int64_t)bits);
  case SF_COLUMN_UINT:
    return sf_cel_uint(bits);
  case SF_COLUMN_DOUBLE:
    memcpy(&number, &bits, sizeof(number));
    return sf_cel_double(number);
  case SF_COLUMN_STRING:
    return sf_column_string(column, bits);
  default:
    return sf_cel_null();
  }
}

size_t sf_column_list(const sf_column *column, uint64_t number, sf_cel_value *items) {
  uint64_t first = column->list_starts[number];
  size_t count = (size_t)(column->list_starts[number + 1] - first);
  for (size_t i = 0; items != NULL && i < count; i++)
    items[i] = sf_column_scalar(column, (sf_column_tag)column->item_tags[first + i], column->item_bits[first + i]);
  return count;
}

/* ------------------------------------------------------------------------------------------------------------ Layout */

/* Places a section of count × size bytes; false where the block would not fit memory. */
static bool place(size_t *next, uint64_t count, size_t size, size_t *offset) {
  size_t length;
  *offset = *next;
  if (count > SIZE_MAX || !sf_multiply_size((size_t)count, size, &length) || !sf_add_size(*next, length, next) ||
      !sf_add_size(*next, ALIGNMENT - 1, next))
    return false;
  *next -= *next % ALIGNMENT;
  return true;
}

static bool lay_out(const block_header *header, block_layout *layout) {
  size_t next = sizeof(*header);
  bool fits = header->num_strings < UINT64_MAX && header->num_lists < UINT64_MAX;
  fits = fits && place(&next, header->num_rows, sizeof(uint64_t), &layout->bits);
  fits = fits && place(&next, header->num_strings + 1, sizeof(uint64_t), &layout->string_starts);
  fits = fits && place(&next, header->num_lists + 1, sizeof(uint64_t), &layout->list_starts);
  fits = fits && place(&next, header->num_items, sizeof(uint64_t), &layout->item_bits);
  fits = fits && place(&next, header->num_rows, 1, &layout->tags);
  fits = fits && place(&next, header->num_items, 1, &layout->item_tags);
  fits = fits && place(&next, header->string_bytes, 1, &layout->strings);
  layout->num_bytes = next;
  return fits;
}

/* The NULs keep ("ab", "c") and ("a", "bc") apart. */
static uint64_t hash_identity(const sf_column_identity *identity) {
  const char *checkpoint = identity->checkpoint_id == NULL ? "" : identity->checkpoint_id;
  XXH64_hash_t hash = XXH3_64bits(identity->db_url, strlen(identity->db_url) + 1);
  hash = XXH3_64bits_withSeed(checkpoint, strlen(checkpoint) + 1, hash);
  hash = XXH3_64bits_withSeed(identity->path, strlen(identity->path) + 1, hash);
  return XXH3_64bits_withSeed(&identity->content, sizeof(identity->content), hash);
}

static uint64_t hash_header(const block_header *header) {
  block_header copy = *header;
  copy.header_checksum = 0;
  return XXH3_64bits(&copy, sizeof(copy));
}

/* ----------------------------------------------------------------------------------------------------------- Reading */

static void describe(const uint8_t *block, const block_header *header, const block_layout *layout, sf_column *column) {
  /* The sections begin at multiples of 64, as does the block. */
  const void *bits = block + layout->bits;
  const void *string_starts = block + layout->string_starts;
  const void *list_starts = block + layout->list_starts;
  const void *item_bits = block + layout->item_bits;
  *column = (sf_column){.num_rows = header->num_rows,
                        .num_strings = header->num_strings,
                        .num_lists = header->num_lists,
                        .num_items = header->num_items,
                        .tags = block + layout->tags,
                        .bits = bits,
                        .string_starts = string_starts,
                        .strings = (const char *)block + layout->strings,
                        .list_starts = list_starts,
                        .item_tags = block + layout->item_tags,
                        .item_bits = item_bits};
}

static bool ascend(const uint64_t *starts, uint64_t count, uint64_t end) {
  bool ascending = starts[0] == 0 && starts[count] == end;
  for (uint64_t i = 0; i < count; i++)
    ascending = ascending && starts[i] <= starts[i + 1];
  return ascending;
}

/* Whether every number that the tags say is one of a string or list is below its bound. */
static bool are_numbers_valid(const sf_column *column, const uint8_t *tags, const uint64_t *bits, uint64_t count,
                              uint64_t num_lists, unsigned num_tags) {
  bool valid = true;
  for (uint64_t i = 0; i < count; i++)
    valid = valid && tags[i] < num_tags && (tags[i] != SF_COLUMN_STRING || bits[i] < column->num_strings) &&
            (tags[i] != SF_COLUMN_LIST || bits[i] < num_lists);
  return valid;
}

static bool are_strings_valid(const sf_column *column) {
  for (uint64_t i = 0; i < column->num_strings; i++) {
    sf_cel_value string = sf_column_string(column, i);
    if (!sf_utf8_valid(string.as.text.data, string.as.text.length, NULL))
      return false;
  }
  return true;
}

bool sf_column_read(const void *block, size_t num_bytes, const sf_column_identity *identity, sf_column *column) {
  block_header header;
  block_layout layout;
  if (num_bytes < sizeof(header))
    return false;
  memcpy(&header, block, sizeof(header));
  if (memcmp(header.magic, MAGIC, sizeof(header.magic)) != 0 || header.version != VERSION ||
      header.header_checksum != hash_header(&header) || header.identity != hash_identity(identity))
    return false;
  const uint8_t *bytes = block;
  if (!lay_out(&header, &layout) || layout.num_bytes != num_bytes ||
      XXH3_64bits(bytes + sizeof(header), num_bytes - sizeof(header)) != header.data_checksum)
    return false;
  describe(bytes, &header, &layout, column);
  return ascend(column->string_starts, column->num_strings, header.string_bytes) &&
         ascend(column->list_starts, column->num_lists, column->num_items) &&
         are_numbers_valid(column, column->tags, column->bits, column->num_rows, column->num_lists,
                           SF_NUM_COLUMN_TAGS) &&
         are_numbers_valid(column, column->item_tags, column->item_bits, column->num_items, 0, SF_COLUMN_LIST) &&
         are_strings_valid(column);
}

/* ----------------------------------------------------------------------------------------------------------- Writing */

static void copy_section(uint8_t *block, size_t offset, const void *section, uint64_t count, size_t size) {
  if (count > 0)
    memcpy(block + offset, section, (size_t)count * size);
}

void *sf_column_write(const sf_column *column, const sf_column_identity *identity, size_t *num_bytes) {
  block_header header = {.version = VERSION,
                         .num_rows = column->num_rows,
                         .num_strings = column->num_strings,
                         .string_bytes = column->string_starts[column->num_strings],
                         .num_lists = column->num_lists,
                         .num_items = column->num_items,
                         .identity = hash_identity(identity)};
  block_layout layout;
  memcpy(header.magic, MAGIC, sizeof(header.magic));
  uint8_t *block = lay_out(&header, &layout) ? sf_block_allocate(layout.num_bytes) : NULL;
  if (block == NULL)
    return NULL;
  copy_section(block, layout.bits, column->bits, column->num_rows, sizeof(uint64_t));
  copy_section(block, layout.string_starts, column->string_starts, column->num_strings + 1, sizeof(uint64_t));
  copy_section(block, layout.list_starts, column->list_starts, column->num_lists + 1, sizeof(uint64_t));
  copy_section(block, layout.item_bits, column->item_bits, column->num_items, sizeof(uint64_t));
  copy_section(block, layout.tags, column->tags, column->num_rows, 1);
  copy_section(block, layout.item_tags, column->item_tags, column->num_items, 1);
  copy_section(block, layout.strings, column->strings, header.string_bytes, 1);
  header.data_checksum = XXH3_64bits(block + sizeof(header), layout.num_bytes - sizeof(header));
  header.header_checksum = hash_header(&header);
  memcpy(block, &header, sizeof(header));
  *num_bytes = layout.num_bytes;
  return block;
}
