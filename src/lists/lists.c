#include "lists/lists_layout.h"

#include "cache/cached_block.h"
#include "vectors/quantized_rows.h"

#include <math.h>
#include <string.h>
#include <xxhash.h>

enum { MAX_DIM = 1 << 16 };

/* The NULs keep ("ab", "c") and ("a", "bc") apart. */
static uint64_t hash_identity(const sf_lists_identity *identity) {
  const char *checkpoint = identity->checkpoint_id == NULL ? "" : identity->checkpoint_id;
  XXH64_hash_t hash = XXH3_64bits(identity->db_url, strlen(identity->db_url) + 1);
  hash = XXH3_64bits_withSeed(checkpoint, strlen(checkpoint) + 1, hash);
  return XXH3_64bits_withSeed(&identity->content, sizeof(identity->content), hash);
}

static uint64_t hash_header(const sf_lists_header *header) {
  sf_lists_header copy = *header;
  copy.header_checksum = 0;
  return XXH3_64bits(&copy, sizeof(copy));
}

/* Where the next section of count × size bytes begins; `end` moves behind it. Numbers that are bounded: at most 2³² rows of
 * at most 2¹⁹ bytes. */
static size_t next_section(uint64_t *end, uint64_t count, uint64_t size) {
  const uint64_t slack = SF_BLOCK_ALIGNMENT - 1;
  uint64_t begin = (*end + slack) & ~slack;
  *end = begin + count * size;
  return (size_t)begin;
}

static bool are_numbers_valid(const sf_lists_header *header) {
  return header->metric <= SF_METRIC_DOT_PRODUCT && header->dim >= 1 && header->dim <= MAX_DIM &&
         header->num_lists >= 1 && header->num_lists <= SF_LISTS_MAX_LISTS && header->num_rows <= header->row_span &&
         header->row_span <= SF_LISTS_MAX_ROWS && header->num_groups <= header->num_rows && header->max_norm >= 0;
}

bool sf_lists_lay_out(const sf_lists_header *header, sf_lists_layout *layout) {
  uint64_t end = sizeof(*header);
  if (!are_numbers_valid(header))
    return false;
  uint32_t dim = header->dim;
  sf_metric metric = (sf_metric)header->metric;
  uint64_t lists = header->num_lists;
  layout->row_ends = next_section(&end, lists, sizeof(uint32_t));
  layout->group_ends = next_section(&end, lists, sizeof(uint32_t));
  layout->rows = next_section(&end, header->num_rows, sizeof(uint32_t));
  layout->centres = next_section(&end, lists, dim * sizeof(float));
  layout->factors = next_section(&end, lists, sizeof(float));
  layout->centre_of_centres = next_section(&end, 1, dim * sizeof(float));
  layout->centre_groups =
      next_section(&end, sf_quantized_num_groups(lists), sf_quantized_group_size(SF_QUANTIZED_4BIT, dim, metric));
  layout->groups = next_section(&end, header->num_groups, sf_quantized_group_size(SF_QUANTIZED_2BIT, dim, metric));
  layout->quantized_rows = next_section(&end, header->num_rows, sf_quantized_row_size(dim, metric));
  layout->length = (size_t)end;
  return end <= SIZE_MAX / 2;
}

void sf_lists_of_block(const uint8_t *block, const sf_lists_header *header, const sf_lists_layout *layout,
                       sf_lists *lists) {
  /* Sections begin at multiples of 64, as does the block. */
  const void *row_ends = block + layout->row_ends;
  const void *group_ends = block + layout->group_ends;
  const void *rows = block + layout->rows;
  const void *centres = block + layout->centres;
  const void *factors = block + layout->factors;
  const void *centre_of_centres = block + layout->centre_of_centres;
  sf_metric metric = (sf_metric)header->metric;
  *lists = (sf_lists){
      .metric = metric,
      .dim = header->dim,
      .num_lists = header->num_lists,
      .num_rows = header->num_rows,
      .row_span = header->row_span,
      .max_norm = header->max_norm,
      .row_ends = row_ends,
      .group_ends = group_ends,
      .rows = rows,
      .centres = centres,
      .factors = factors,
      .chosen_by = {.metric = metric,
                    .groups = {[SF_QUANTIZED_4BIT] = block + layout->centre_groups},
                    .centre = centre_of_centres},
      .groups = block + layout->groups,
      .quantized_rows = block + layout->quantized_rows,
      .group_size = (size_t)sf_quantized_group_size(SF_QUANTIZED_2BIT, header->dim, metric),
      .row_size = sf_quantized_row_size(header->dim, metric),
  };
}

void sf_lists_seal(uint8_t *block, sf_lists_header *header, const sf_lists_layout *layout,
                   const sf_lists_identity *identity) {
  memcpy(header->magic, SF_LISTS_MAGIC, sizeof(header->magic));
  header->version = SF_LISTS_VERSION;
  header->identity = hash_identity(identity);
  header->data_checksum = XXH3_64bits(block + sizeof(*header), layout->length - sizeof(*header));
  header->header_checksum = hash_header(header);
  memcpy(block, header, sizeof(*header));
}

/* Each list's rows and groups follow those of the one before, and there are groups for all of its rows. */
static bool are_ends_valid(const sf_lists *lists, uint64_t num_groups) {
  uint64_t rows_end = 0;
  uint64_t groups_end = 0;
  for (uint32_t list = 0; list < lists->num_lists; list++) {
    uint32_t end = lists->row_ends[list];
    if (end < rows_end || end > lists->num_rows)
      return false;
    groups_end += sf_quantized_num_groups(end - rows_end);
    if (lists->group_ends[list] != groups_end)
      return false;
    rows_end = end;
  }
  return rows_end == lists->num_rows && groups_end == num_groups;
}

static bool are_rows_valid(const sf_lists *lists) {
  bool valid = true;
  for (uint64_t i = 0; i < lists->num_rows; i++)
    valid = valid && lists->rows[i] < lists->row_span;
  return valid;
}

bool sf_lists_read(const void *block, size_t length, const sf_lists_identity *identity, sf_lists *lists) {
  sf_lists_header header;
  sf_lists_layout layout;
  const uint8_t *bytes = block;
  if (length < sizeof(header))
    return false;
  memcpy(&header, block, sizeof(header));
  if (memcmp(header.magic, SF_LISTS_MAGIC, sizeof(header.magic)) != 0 || header.version != SF_LISTS_VERSION ||
      header.header_checksum != hash_header(&header) || header.identity != hash_identity(identity) ||
      !sf_lists_lay_out(&header, &layout) || layout.length != length ||
      XXH3_64bits(bytes + sizeof(header), length - sizeof(header)) != header.data_checksum)
    return false;
  sf_lists_of_block(bytes, &header, &layout, lists);
  return are_ends_valid(lists, header.num_groups) && are_rows_valid(lists);
}
