/*
 * Bytes that claim to be a payload column, a row directory or lists, with checksums put right, so that what lies behind them is reached: a block
 * that is taken for whole must be usable to its last byte.
 */
#include "cache/row_directory.h"
#include "filter/column.h"
#include "lists/lists_layout.h"

#include <stdint.h>
#include <string.h>
#include <xxhash.h>

enum { HEADER = 128, LISTS_HEADER = 256 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const sf_column_identity column_identity = {.db_url = "fuzz", .path = "4:path"};
static const sf_row_directory_identity directory_identity = {.db_url = "fuzz"};
static const sf_lists_identity lists_identity = {.db_url = "fuzz"};

static void store(uint8_t *block, size_t offset, uint64_t value) {
  memcpy(block + offset, &value, sizeof(value));
}

/* The offsets are those of docs/cache-format.md. */
static void seal(uint8_t *block, size_t size, size_t header, size_t identity, uint64_t hash) {
  store(block, identity, hash);
  store(block, identity + 8, XXH3_64bits(block + header, size - header));
  store(block, identity + 16, 0);
  store(block, identity + 16, XXH3_64bits(block, header));
}

static uint64_t hash_of(const char *path) {
  uint64_t content = 0;
  XXH64_hash_t hash = XXH3_64bits("fuzz", 5);
  hash = XXH3_64bits_withSeed("", 1, hash);
  if (path != NULL)
    hash = XXH3_64bits_withSeed(path, strlen(path) + 1, hash);
  return XXH3_64bits_withSeed(&content, sizeof(content), hash);
}

/* The head's checksums, and those of the blocks that lie where the head has them. */
static void seal_lists(uint8_t *block, size_t size) {
  size_t head = sf_lists_head_length(block, size);
  sf_lists_header header;
  sf_lists_layout layout;
  memcpy(&header, block, sizeof(header));
  if (head == 0 || head > size || !sf_lists_lay_out(&header, &layout))
    return;
  uint64_t begin = head;
  for (uint32_t list = 0; list < header.num_lists; list++) {
    uint64_t end;
    memcpy(&end, block + layout.block_ends + list * sizeof(end), sizeof(end));
    if (end > size - head || head + end < begin)
      break;
    store(block, layout.checksums + list * sizeof(end), XXH3_64bits(block + begin, (size_t)(head + end - begin)));
    begin = head + end;
  }
  seal(block, head, LISTS_HEADER, 56, hash_of(NULL));
}

/* Reads that the compiler must not leave out. */
static volatile uint64_t seen;

static void use_column(const uint8_t *block, size_t size) {
  sf_column column;
  sf_cel_value items[64];
  if (!sf_column_read(block, size, &column_identity, &column))
    return;
  for (uint64_t row = 0; row < column.num_rows; row++) {
    sf_column_tag tag = (sf_column_tag)column.tags[row];
    sf_cel_value value = tag < SF_COLUMN_LIST ? sf_column_scalar(&column, tag, column.bits[row]) : (sf_cel_value){0};
    if (value.kind == SF_CEL_STRING)
      for (size_t i = 0; i < value.as.text.length; i++)
        seen += (unsigned char)value.as.text.data[i];
    if (tag == SF_COLUMN_LIST && sf_column_list(&column, column.bits[row], NULL) <= 64)
      seen += sf_column_list(&column, column.bits[row], items);
  }
}

static void use_directory(const uint8_t *block, size_t size) {
  sf_row_directory directory;
  if (!sf_row_directory_read(block, size, &directory_identity, &directory))
    return;
  for (uint64_t row = 0; row < directory.num_rows; row++) {
    sf_directory_id id = sf_row_directory_id(&directory, row);
    seen += sf_row_directory_find(&directory, &id);
  }
}

/* Every byte that searches of the lists may read. */
static void use_lists(const uint8_t *block, size_t size) {
  sf_lists lists;
  if (sf_lists_read(block, size, &lists_identity, &lists, NULL) != SF_OK)
    return;
  for (uint32_t list = 0; list < lists.num_lists; list++) {
    sf_list of = sf_lists_at(&lists, list);
    seen += (uint64_t)(lists.factors[list] > 0) + (uint64_t)(lists.centres[(size_t)(list + 1) * lists.dim - 1] > 0);
    for (size_t i = 0; i < of.num_rows; i++)
      seen += of.rows[i] + of.quantized_rows[(i + 1) * lists.row_size - 1];
    if (of.num_rows > 0)
      seen += of.groups[sf_quantized_num_groups(of.num_rows) * lists.group_size - 1];
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < HEADER)
    return 0;
  uint8_t *block = sf_block_allocate(size);
  if (block == NULL)
    return 0;
  memcpy(block, data, size);
  use_column(block, size);
  use_directory(block, size);
  seal(block, size, HEADER, 56, hash_of("4:path"));
  use_column(block, size);
  memcpy(block, data, size);
  seal(block, size, HEADER, 40, hash_of(NULL));
  use_directory(block, size);
  use_lists(block, size);
  if (size >= LISTS_HEADER) {
    memcpy(block, data, size);
    seal_lists(block, size);
    use_lists(block, size);
  }
  free(block);
  return 0;
}
