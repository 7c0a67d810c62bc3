#include "cache/row_directory.h"

#include <string.h>
#include <xxhash.h>

#define MAGIC "SFROWIDS"

enum { VERSION = 2 };

/* The first 128 bytes of a block. */
typedef struct block_header {
  char magic[8];
  uint32_t version;
  uint32_t reserved;
  uint64_t num_rows;
  uint64_t num_slots;
  uint64_t id_bytes;
  uint64_t identity;
  uint64_t data_checksum;   /* XXH3-64 of all bytes after the header */
  uint64_t header_checksum; /* XXH3-64 of the header with this field 0 */
  uint8_t unused[128 - 64];
} block_header;

_Static_assert(sizeof(block_header) == 128, "the header is part of the block's layout");

typedef struct block_layout {
  size_t id_ends;
  size_t slots;
  size_t tags;
  size_t integer_bits;
  size_t ids;
  size_t length;
} block_layout;

/* Numbers that fit 32 bits: no section overflows 64. False where the block would not fit memory. */
static bool lay_out(const block_header *header, block_layout *layout) {
  const uint64_t aligned = ~(uint64_t)(SF_BLOCK_ALIGNMENT - 1);
  const uint64_t slack = SF_BLOCK_ALIGNMENT - 1;
  if (header->num_rows > SF_ROW_DIRECTORY_MAX || header->num_slots > 2 * (uint64_t)SF_ROW_DIRECTORY_MAX ||
      header->id_bytes > SF_ROW_DIRECTORY_MAX)
    return false;
  uint64_t id_ends = sizeof(*header);
  uint64_t slots = (id_ends + header->num_rows * sizeof(uint32_t) + slack) & aligned;
  uint64_t tags = (slots + header->num_slots * sizeof(uint32_t) + slack) & aligned;
  uint64_t integer_bits = (tags + header->num_slots + slack) & aligned;
  uint64_t ids = (integer_bits + header->num_rows / 8 + 1 + slack) & aligned;
  uint64_t length = ids + header->id_bytes;
  *layout = (block_layout){.id_ends = (size_t)id_ends,
                           .slots = (size_t)slots,
                           .tags = (size_t)tags,
                           .integer_bits = (size_t)integer_bits,
                           .ids = (size_t)ids,
                           .length = (size_t)length};
  return length <= SIZE_MAX;
}

/* The NULs keep ("ab", "c") and ("a", "bc") apart. */
static uint64_t hash_identity(const sf_row_directory_identity *identity) {
  const char *checkpoint = identity->checkpoint_id == NULL ? "" : identity->checkpoint_id;
  XXH64_hash_t hash = XXH3_64bits(identity->db_url, strlen(identity->db_url) + 1);
  hash = XXH3_64bits_withSeed(checkpoint, strlen(checkpoint) + 1, hash);
  return XXH3_64bits_withSeed(&identity->content, sizeof(identity->content), hash);
}

static uint64_t hash_header(const block_header *header) {
  block_header copy = *header;
  copy.header_checksum = 0;
  return XXH3_64bits(&copy, sizeof(copy));
}

/* The section of `ids` that is a row's. */
static const char *id_bytes(const sf_row_directory *directory, uint64_t row, size_t *length) {
  uint32_t begin = row == 0 ? 0 : directory->id_ends[row - 1];
  *length = directory->id_ends[row] - begin;
  return directory->ids + begin;
}

static bool is_integer(const sf_row_directory *directory, uint64_t row) {
  return (directory->integer_bits[row / 8] >> (row % 8) & 1) != 0;
}

/* Where an id is looked for first: hashes are spread over all slots by their high bits. */
static uint64_t first_slot(uint64_t hash, uint64_t num_slots) {
  return ((hash >> 32) * num_slots) >> 32;
}

static uint64_t next_slot(const sf_row_directory *directory, uint64_t slot) {
  return slot + 1 == directory->num_slots ? 0 : slot + 1;
}

/* The low byte, on which the first slot does not depend. */
static uint8_t tag_of_hash(uint64_t hash) {
  uint8_t tag = (uint8_t)hash;
  return tag != 0 ? tag : 1;
}

/* Integers and texts have different hashes. */
uint64_t sf_directory_id_hash(const sf_directory_id *id) {
  if (id->text == NULL)
    return XXH3_64bits_withSeed(&id->integer, sizeof(id->integer), 1);
  return XXH3_64bits(id->length > 0 ? id->text : "", id->length);
}

void sf_row_directory_prefetch(const sf_row_directory *directory, uint64_t hash) {
  __builtin_prefetch(&directory->tags[first_slot(hash, directory->num_slots)]);
}

/* -------------------------------------------------------------------------------------------------------------- Reading */

static bool are_ends_valid(const sf_row_directory *directory, uint64_t num_bytes) {
  uint32_t before = 0;
  bool valid = true;
  for (uint64_t row = 0; row < directory->num_rows; row++) {
    uint32_t end = directory->id_ends[row];
    valid = valid && end >= before && (!is_integer(directory, row) || end - before == sizeof(int64_t));
    before = end;
  }
  return valid && before == num_bytes;
}

/* A free slot ends every search. */
static bool are_slots_valid(const sf_row_directory *directory) {
  bool valid = true;
  bool has_free = false;
  for (uint64_t slot = 0; slot < directory->num_slots; slot++) {
    valid = valid && directory->slots[slot] <= directory->num_rows &&
            (directory->slots[slot] == 0) == (directory->tags[slot] == 0);
    has_free = has_free || directory->slots[slot] == 0;
  }
  return valid && has_free;
}

bool sf_row_directory_read(const void *block, size_t length, const sf_row_directory_identity *identity,
                           sf_row_directory *directory) {
  block_header header;
  block_layout layout;
  const uint8_t *bytes = block;
  if (length < sizeof(header))
    return false;
  memcpy(&header, block, sizeof(header));
  if (memcmp(header.magic, MAGIC, sizeof(header.magic)) != 0 || header.version != VERSION ||
      header.header_checksum != hash_header(&header) || header.identity != hash_identity(identity) ||
      !lay_out(&header, &layout) || layout.length != length ||
      XXH3_64bits(bytes + sizeof(header), length - sizeof(header)) != header.data_checksum)
    return false;
  const void *id_ends = bytes + layout.id_ends; /* sections begin at multiples of 64, as does the block */
  const void *slots = bytes + layout.slots;
  *directory = (sf_row_directory){.num_rows = header.num_rows,
                                  .num_slots = header.num_slots,
                                  .id_ends = id_ends,
                                  .slots = slots,
                                  .tags = bytes + layout.tags,
                                  .integer_bits = bytes + layout.integer_bits,
                                  .ids = (const char *)bytes + layout.ids};
  return are_ends_valid(directory, header.id_bytes) && are_slots_valid(directory);
}

sf_directory_id sf_row_directory_id(const sf_row_directory *directory, uint64_t row) {
  sf_directory_id id = {0};
  const char *bytes = id_bytes(directory, row, &id.length);
  if (is_integer(directory, row))
    memcpy(&id.integer, bytes, sizeof(id.integer));
  else
    id.text = bytes;
  return id;
}

uint64_t sf_row_directory_find(const sf_row_directory *directory, const sf_directory_id *id) {
  uint64_t hash = sf_directory_id_hash(id);
  uint64_t slot = sf_row_directory_find_slot(directory, hash);
  return slot == SF_NO_ROW ? SF_NO_ROW : sf_row_directory_find_from(directory, id, hash, slot);
}

uint64_t sf_row_directory_find_slot(const sf_row_directory *directory, uint64_t hash) {
  uint8_t tag = tag_of_hash(hash);
  uint64_t slot = first_slot(hash, directory->num_slots);
  for (; directory->tags[slot] != 0; slot = next_slot(directory, slot))
    if (directory->tags[slot] == tag) {
      __builtin_prefetch(&directory->slots[slot]);
      return slot;
    }
  return SF_NO_ROW;
}

uint64_t sf_row_directory_find_from(const sf_row_directory *directory, const sf_directory_id *id, uint64_t hash,
                                    uint64_t slot) {
  bool is_integer_id = id->text == NULL;
  const void *wanted = is_integer_id ? (const void *)&id->integer : id->text;
  size_t wanted_length = is_integer_id ? sizeof(id->integer) : id->length;
  uint8_t tag = tag_of_hash(hash);
  for (; directory->tags[slot] != 0; slot = next_slot(directory, slot)) {
    if (directory->tags[slot] != tag)
      continue;
    uint64_t row = directory->slots[slot] - 1;
    size_t length;
    const char *bytes = id_bytes(directory, row, &length);
    if (length == wanted_length && is_integer(directory, row) == is_integer_id &&
        (length == 0 || memcmp(bytes, wanted, length) == 0))
      return row;
  }
  return SF_NO_ROW;
}

/* -------------------------------------------------------------------------------------------------------------- Making */

bool sf_row_directory_builder_init(sf_row_directory_builder *builder, uint64_t num_rows) {
  if (num_rows > SF_ROW_DIRECTORY_MAX)
    return false;
  builder->num_rows = num_rows;
  builder->id_ends = sf_calloc((size_t)num_rows, sizeof(*builder->id_ends));
  builder->integer_bits = sf_calloc((size_t)num_rows / 8 + 1, 1);
  builder->has_id = sf_calloc((size_t)num_rows / 8 + 1, 1);
  return builder->id_ends != NULL && builder->integer_bits != NULL && builder->has_id != NULL;
}

void sf_row_directory_builder_free(sf_row_directory_builder *builder) {
  free(builder->id_ends);
  free(builder->integer_bits);
  free(builder->has_id);
  sf_buffer_free(&builder->ids);
  *builder = (sf_row_directory_builder){0};
}

/* Rows without an id have an empty one. */
static void skip_rows(sf_row_directory_builder *builder, uint64_t row) {
  while (builder->next_row < row)
    builder->id_ends[builder->next_row++] = (uint32_t)builder->ids.length;
}

static size_t id_length(const sf_directory_id *id) {
  return id->text != NULL ? id->length : sizeof(id->integer);
}

bool sf_row_directory_builder_has_room(const sf_row_directory_builder *builder, const sf_directory_id *id) {
  return id_length(id) <= SF_ROW_DIRECTORY_MAX - builder->ids.length;
}

bool sf_row_directory_builder_add(sf_row_directory_builder *builder, uint64_t row, const sf_directory_id *id) {
  const void *bytes = id->text != NULL ? (const void *)id->text : &id->integer;
  size_t length = id_length(id);
  if (row < builder->next_row || row >= builder->num_rows || !sf_row_directory_builder_has_room(builder, id) ||
      !sf_buffer_append(&builder->ids, bytes, length))
    return false;
  size_t end = builder->ids.length;
  builder->ids.length -= length; /* those between have none of it */
  skip_rows(builder, row);
  builder->ids.length = end;
  builder->id_ends[builder->next_row++] = (uint32_t)end;
  if (id->text == NULL)
    builder->integer_bits[row / 8] |= (uint8_t)(1U << (row % 8));
  builder->has_id[row / 8] |= (uint8_t)(1U << (row % 8));
  builder->num_ids++;
  return true;
}

/* Of equal ids, the first row has the slot. A row without an id, which was deleted, has none. */
static void fill_slots(const sf_row_directory_builder *builder, const sf_row_directory *directory, uint32_t *slots,
                       uint8_t *tags) {
  for (uint64_t row = 0; row < builder->num_rows; row++) {
    if ((builder->has_id[row / 8] >> (row % 8) & 1) == 0)
      continue;
    sf_directory_id id = sf_row_directory_id(directory, row);
    if (sf_row_directory_find(directory, &id) != SF_NO_ROW)
      continue;
    uint64_t hash = sf_directory_id_hash(&id);
    uint64_t slot = first_slot(hash, directory->num_slots);
    while (slots[slot] != 0)
      slot = next_slot(directory, slot);
    slots[slot] = (uint32_t)row + 1;
    tags[slot] = tag_of_hash(hash);
  }
}

void *sf_row_directory_builder_write(sf_row_directory_builder *builder, const sf_row_directory_identity *identity,
                                     size_t *length) {
  skip_rows(builder, builder->num_rows);
  block_header header = {.version = VERSION,
                         .num_rows = builder->num_rows,
                         .num_slots = builder->num_ids + builder->num_ids / 2 + 1,
                         .id_bytes = builder->ids.length,
                         .identity = hash_identity(identity)};
  block_layout layout;
  memcpy(header.magic, MAGIC, sizeof(header.magic));
  uint8_t *block = lay_out(&header, &layout) ? sf_block_allocate(layout.length) : NULL;
  if (block == NULL)
    return NULL;
  memcpy(block + layout.id_ends, builder->id_ends, (size_t)builder->num_rows * sizeof(*builder->id_ends));
  memcpy(block + layout.integer_bits, builder->integer_bits, (size_t)builder->num_rows / 8 + 1);
  if (header.id_bytes > 0)
    memcpy(block + layout.ids, builder->ids.data, builder->ids.length);
  void *slots = block + layout.slots;
  uint8_t *tags = block + layout.tags;
  const sf_row_directory directory = {.num_rows = builder->num_rows,
                                      .num_slots = header.num_slots,
                                      .id_ends = builder->id_ends,
                                      .slots = slots,
                                      .tags = tags,
                                      .integer_bits = builder->integer_bits,
                                      .ids = (const char *)block + layout.ids};
  fill_slots(builder, &directory, slots, tags);
  header.data_checksum = XXH3_64bits(block + sizeof(header), layout.length - sizeof(header));
  header.header_checksum = hash_header(&header);
  memcpy(block, &header, sizeof(header));
  *length = layout.length;
  return block;
}
