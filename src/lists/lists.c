#include "lists/lists_layout.h"

#include "cache/cached_block.h"
#include "vectors/quantized_rows.h"

#include <math.h>
#include <string.h>
#include <xxhash.h>

enum { MAX_DIM = 1 << 16 };

static const sf_code refused = SF_DB_ADAPTER_ERROR;

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

/* -------------------------------------------------------------------------------------------------------------- Layout */

static uint64_t align(uint64_t offset) {
  const uint64_t slack = SF_BLOCK_ALIGNMENT - 1;
  return (offset + slack) & ~slack;
}

/* Where the next section of count × size bytes begins; `end` moves behind it. Numbers that are bounded: at most 2²⁰ lists of
 * at most 2¹⁸ bytes each. */
static size_t next_section(uint64_t *end, uint64_t count, uint64_t size) {
  uint64_t begin = align(*end);
  *end = begin + count * size;
  return (size_t)begin;
}

static bool are_numbers_valid(const sf_lists_header *header) {
  return header->metric <= SF_METRIC_DOT_PRODUCT && header->dim >= 1 && header->dim <= MAX_DIM &&
         header->num_lists >= 1 && header->num_lists <= SF_LISTS_MAX_LISTS && header->num_rows <= header->row_span &&
         header->row_span <= SF_LISTS_MAX_ROWS && header->max_norm >= 0;
}

bool sf_lists_lay_out(const sf_lists_header *header, sf_lists_layout *layout) {
  uint64_t end = sizeof(*header);
  if (!are_numbers_valid(header))
    return false;
  uint32_t dim = header->dim;
  sf_metric metric = (sf_metric)header->metric;
  uint64_t lists = header->num_lists;
  layout->row_ends = next_section(&end, lists, sizeof(uint32_t));
  layout->block_ends = next_section(&end, lists, sizeof(uint64_t));
  layout->checksums = next_section(&end, lists, sizeof(uint64_t));
  layout->centres = next_section(&end, lists, dim * sizeof(float));
  layout->factors = next_section(&end, lists, sizeof(float));
  layout->centre_of_centres = next_section(&end, 1, dim * sizeof(float));
  layout->centre_groups =
      next_section(&end, sf_quantized_num_groups(lists), sf_quantized_group_size(SF_QUANTIZED_4BIT, dim, metric));
  layout->head_length = next_section(&end, 0, 0);
  return end <= SIZE_MAX / 2;
}

/* A list's block: row numbers, 2-bit groups, 4-bit rows, each at a multiple of 64. */
typedef struct block_layout {
  uint64_t groups;
  uint64_t quantized_rows;
  uint64_t size;
} block_layout;

static block_layout lay_out_block(uint64_t num_rows, uint64_t group_size, uint64_t row_size) {
  block_layout layout;
  layout.groups = align(num_rows * sizeof(uint32_t));
  layout.quantized_rows = align(layout.groups + sf_quantized_num_groups(num_rows) * group_size);
  layout.size = align(layout.quantized_rows + num_rows * row_size);
  return layout;
}

uint64_t sf_lists_block_size(uint32_t dim, sf_metric metric, uint64_t num_rows) {
  return lay_out_block(num_rows, sf_quantized_group_size(SF_QUANTIZED_2BIT, dim, metric),
                       sf_quantized_row_size(dim, metric))
      .size;
}

void sf_lists_of_bytes(const uint8_t *bytes, const sf_lists_header *header, const sf_lists_layout *layout,
                       sf_lists *lists) {
  /* Sections begin at multiples of 64, as do the bytes. */
  const void *row_ends = bytes + layout->row_ends;
  const void *block_ends = bytes + layout->block_ends;
  const void *checksums = bytes + layout->checksums;
  const void *centres = bytes + layout->centres;
  const void *factors = bytes + layout->factors;
  const void *centre_of_centres = bytes + layout->centre_of_centres;
  sf_metric metric = (sf_metric)header->metric;
  *lists = (sf_lists){
      .metric = metric,
      .dim = header->dim,
      .num_lists = header->num_lists,
      .num_rows = header->num_rows,
      .row_span = header->row_span,
      .max_norm = header->max_norm,
      .row_ends = row_ends,
      .block_ends = block_ends,
      .checksums = checksums,
      .centres = centres,
      .factors = factors,
      .chosen_by = {.metric = metric,
                    .groups = {[SF_QUANTIZED_4BIT] = bytes + layout->centre_groups},
                    .centre = centre_of_centres},
      .blocks = bytes + layout->head_length,
      .group_size = (size_t)sf_quantized_group_size(SF_QUANTIZED_2BIT, header->dim, metric),
      .row_size = sf_quantized_row_size(header->dim, metric),
  };
}

static uint64_t block_begin(const sf_lists *lists, uint32_t list) {
  return list == 0 ? 0 : lists->block_ends[list - 1];
}

sf_list sf_lists_at(const sf_lists *lists, uint32_t list) {
  const uint8_t *block = lists->blocks + block_begin(lists, list);
  const void *rows = block; /* aligned as all blocks are */
  uint32_t num_rows = sf_lists_num_rows(lists, list);
  block_layout layout = lay_out_block(num_rows, lists->group_size, lists->row_size);
  return (sf_list){.num_rows = num_rows,
                   .rows = rows,
                   .groups = block + layout.groups,
                   .quantized_rows = block + layout.quantized_rows};
}

uint32_t sf_lists_row_at(const sf_lists *lists, uint64_t place) {
  uint32_t list = 0;
  for (uint32_t count = lists->num_lists; count > 0;) { /* the first list that ends behind the place */
    uint32_t half = count / 2;
    bool is_behind = lists->row_ends[list + half] <= place;
    list += is_behind ? half + 1 : 0;
    count = is_behind ? count - half - 1 : half;
  }
  return sf_lists_at(lists, list).rows[place - (list == 0 ? 0 : lists->row_ends[list - 1])];
}

/* ------------------------------------------------------------------------------------------------------------- Sealing */

static uint64_t hash_block(const sf_lists *lists, uint32_t list) {
  uint64_t begin = block_begin(lists, list);
  return XXH3_64bits(lists->blocks + begin, (size_t)(lists->block_ends[list] - begin));
}

void sf_lists_seal(uint8_t *bytes, sf_lists_header *header, const sf_lists_layout *layout,
                   const sf_lists_identity *identity) {
  sf_lists lists;
  sf_lists_of_bytes(bytes, header, layout, &lists);
  for (uint32_t list = 0; list < header->num_lists; list++) {
    uint64_t checksum = hash_block(&lists, list);
    memcpy(bytes + layout->checksums + list * sizeof(checksum), &checksum, sizeof(checksum));
  }
  memcpy(header->magic, SF_LISTS_MAGIC, sizeof(header->magic));
  header->version = SF_LISTS_VERSION;
  header->length = layout->head_length + lists.block_ends[header->num_lists - 1];
  header->identity = hash_identity(identity);
  header->head_checksum = XXH3_64bits(bytes + sizeof(*header), layout->head_length - sizeof(*header));
  header->header_checksum = hash_header(header);
  memcpy(bytes, header, sizeof(*header));
}

/* ------------------------------------------------------------------------------------------------------------- Reading */

/* A header whose numbers are its writer's, of lists that are of this identity. */
static sf_code check_header(const sf_lists_header *header, const sf_lists_identity *identity, sf_error *error) {
  if (memcmp(header->magic, SF_LISTS_MAGIC, sizeof(header->magic)) != 0)
    return sf_fail(error, refused, "expected lists, found other bytes");
  if (header->version != SF_LISTS_VERSION)
    return sf_fail(error, refused, "expected lists of version %d, found version %u", SF_LISTS_VERSION,
                   (unsigned)header->version);
  uint64_t checksum = hash_header(header);
  if (header->header_checksum != checksum)
    return sf_fail(error, refused, "expected a header with the checksum %016llx, found %016llx",
                   (unsigned long long)header->header_checksum, (unsigned long long)checksum);
  if (header->identity != hash_identity(identity))
    return sf_fail(error, refused, "expected lists of %s, found those of another shard", identity->db_url);
  return SF_OK;
}

/* Each list's rows and block follow those of the one before. */
static bool are_ends_valid(const sf_lists *lists, uint64_t blocks_length) {
  uint64_t rows_end = 0;
  uint64_t blocks_end = 0;
  for (uint32_t list = 0; list < lists->num_lists; list++) {
    uint32_t end = lists->row_ends[list];
    if (end < rows_end || end > lists->num_rows)
      return false;
    blocks_end += lay_out_block(end - rows_end, lists->group_size, lists->row_size).size;
    if (lists->block_ends[list] != blocks_end)
      return false;
    rows_end = end;
  }
  return rows_end == lists->num_rows && blocks_end == blocks_length;
}

sf_code sf_lists_read_head(const void *bytes, size_t length, uint64_t total, const sf_lists_identity *identity,
                           sf_lists *lists, sf_error *error) {
  sf_lists_header header;
  sf_lists_layout layout;
  const uint8_t *head = bytes;
  if (length < sizeof(header))
    return sf_fail(error, refused, "expected a header of %zu bytes, found %zu", sizeof(header), length);
  memcpy(&header, bytes, sizeof(header));
  SF_TRY(check_header(&header, identity, error));
  if (!sf_lists_lay_out(&header, &layout))
    return sf_fail(error, refused, "expected numbers within the limits of lists, found %u lists of %llu rows",
                   (unsigned)header.num_lists, (unsigned long long)header.num_rows);
  if (layout.head_length > length || header.length != total || layout.head_length > total)
    return sf_fail(error, refused, "expected %llu bytes, %zu of them the head, found %llu",
                   (unsigned long long)header.length, layout.head_length, (unsigned long long)total);
  uint64_t checksum = XXH3_64bits(head + sizeof(header), layout.head_length - sizeof(header));
  if (header.head_checksum != checksum)
    return sf_fail(error, refused, "expected a head with the checksum %016llx, found %016llx",
                   (unsigned long long)header.head_checksum, (unsigned long long)checksum);
  sf_lists_of_bytes(head, &header, &layout, lists);
  if (!are_ends_valid(lists, total - layout.head_length))
    return sf_fail(error, refused, "expected each list to begin where the one before it ends");
  return SF_OK;
}

static sf_code check_block(const sf_lists *lists, uint32_t list, sf_error *error) {
  uint64_t checksum = hash_block(lists, list);
  if (lists->checksums[list] != checksum)
    return sf_fail(error, refused, "list %u: expected a block with the checksum %016llx, found %016llx", (unsigned)list,
                   (unsigned long long)lists->checksums[list], (unsigned long long)checksum);
  sf_list of = sf_lists_at(lists, list);
  for (uint32_t i = 0; i < of.num_rows; i++)
    if (of.rows[i] >= lists->row_span || (i > 0 && of.rows[i] <= of.rows[i - 1]))
      return sf_fail(error, refused, "list %u: expected ascending row numbers below %llu, found %u", (unsigned)list,
                     (unsigned long long)lists->row_span, (unsigned)of.rows[i]);
  return SF_OK;
}

sf_code sf_lists_read(const void *bytes, size_t length, const sf_lists_identity *identity, sf_lists *lists,
                      sf_error *error) {
  SF_TRY(sf_lists_read_head(bytes, length, length, identity, lists, error));
  for (uint32_t list = 0; list < lists->num_lists; list++)
    SF_TRY(check_block(lists, list, error));
  return SF_OK;
}

size_t sf_lists_head_length(const void *bytes, size_t length) {
  sf_lists_header header;
  sf_lists_layout layout;
  if (length < sizeof(header))
    return 0;
  memcpy(&header, bytes, sizeof(header));
  return sf_lists_lay_out(&header, &layout) ? layout.head_length : 0;
}
