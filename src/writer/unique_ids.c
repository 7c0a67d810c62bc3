#include "writer/unique_ids.h"

#include "base/files.h"
#include "base/memory.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* By the hash's highest bits: parts are of much the same size. */
enum { PART_BITS = 6, NUM_PARTS = 1 << PART_BITS };

typedef struct hashed_id {
  uint64_t high;
  uint64_t low;
  uint64_t row;
} hashed_id;

/* A stretch of the file with ids of one part. */
typedef struct extent {
  uint64_t offset;
  size_t count;
} extent;

typedef struct part {
  extent *extents;
  size_t num_extents;
  uint64_t count;
} part;

struct sf_unique_ids {
  const char *directory;
  hashed_id *ids; /* those in memory */
  size_t count;
  size_t capacity;
  size_t max_count; /* more than so many go to the file */
  int file;         /* -1: none yet */
  uint64_t file_size;
  part parts[NUM_PARTS];
};

sf_code sf_unique_ids_create(const char *directory, size_t max_bytes, sf_unique_ids **created, sf_error *error) {
  sf_unique_ids *ids = sf_calloc(1, sizeof(*ids));
  if (ids == NULL)
    return sf_fail_memory(error, "ids");
  ids->directory = directory;
  ids->file = -1;
  ids->max_count = max_bytes / sizeof(hashed_id);
  *created = ids;
  return SF_OK;
}

void sf_unique_ids_free(sf_unique_ids *ids) {
  if (ids == NULL)
    return;
  for (size_t i = 0; i < NUM_PARTS; i++)
    free(ids->parts[i].extents);
  if (ids->file >= 0)
    close(ids->file);
  free(ids->ids);
  free(ids);
}

XXH128_hash_t sf_unique_id_hash(const sf_shard_row *row, bool are_strings_only) {
  /* The seed keeps the integer 1 apart from a string of the same bytes. */
  enum { INTEGERS = 1, STRINGS = 2 };
  if (row->id_type == SF_ID_STRING)
    return XXH3_128bits_withSeed(row->id_string, row->id_length, STRINGS);
  if (!are_strings_only)
    return XXH3_128bits_withSeed(&row->id_integer, sizeof(row->id_integer), INTEGERS);
  char decimal[24];
  int length = snprintf(decimal, sizeof(decimal), "%lld", (long long)row->id_integer);
  return XXH3_128bits_withSeed(decimal, (size_t)length, STRINGS);
}

static int compare_ids(const void *left, const void *right) {
  const hashed_id *a = left;
  const hashed_id *b = right;
  if (a->high != b->high)
    return a->high < b->high ? -1 : 1;
  if (a->low != b->low)
    return a->low < b->low ? -1 : 1;
  return a->row < b->row ? -1 : a->row > b->row;
}

static size_t part_of(const hashed_id *id) {
  return (size_t)(id->high >> (64 - PART_BITS));
}

static sf_code append_extent(part *to, uint64_t offset, size_t count, sf_error *error) {
  extent *extents = sf_reallocarray(to->extents, to->num_extents + 1, sizeof(*extents));
  if (extents == NULL)
    return sf_fail_memory(error, "ids");
  to->extents = extents;
  extents[to->num_extents++] = (extent){.offset = offset, .count = count};
  to->count += count;
  return SF_OK;
}

/* Writes what is in memory, sorted, to the file, and notes where each part lies. */
static sf_code spill(sf_unique_ids *ids, sf_error *error) {
  if (ids->file < 0)
    SF_TRY(sf_temporary_file_open(ids->directory, &ids->file, error));
  qsort(ids->ids, ids->count, sizeof(*ids->ids), compare_ids);
  SF_TRY(sf_write_at(ids->file, "a temporary file", ids->ids, ids->count * sizeof(*ids->ids), ids->file_size, error));
  for (size_t first = 0; first < ids->count;) {
    size_t end = first;
    size_t in = part_of(&ids->ids[first]);
    while (end < ids->count && part_of(&ids->ids[end]) == in)
      end++;
    SF_TRY(append_extent(&ids->parts[in], ids->file_size + first * sizeof(*ids->ids), end - first, error));
    first = end;
  }
  ids->file_size += ids->count * sizeof(*ids->ids);
  ids->count = 0;
  return SF_OK;
}

static sf_code make_room(sf_unique_ids *ids, sf_error *error) {
  if (ids->count < ids->capacity)
    return SF_OK;
  if (ids->capacity > 0 && ids->capacity >= ids->max_count)
    return spill(ids, error);
  size_t capacity = ids->capacity == 0 ? 4096 : ids->capacity * 2;
  if (capacity > ids->max_count && ids->max_count >= 4096)
    capacity = ids->max_count;
  hashed_id *grown = sf_reallocarray(ids->ids, capacity, sizeof(*grown));
  if (grown == NULL)
    return sf_fail_memory(error, "ids");
  ids->ids = grown;
  ids->capacity = capacity;
  return SF_OK;
}

sf_code sf_unique_ids_add(sf_unique_ids *ids, XXH128_hash_t hash, uint64_t row, sf_error *error) {
  SF_TRY(make_room(ids, error));
  ids->ids[ids->count++] = (hashed_id){.high = hash.high64, .low = hash.low64, .row = row};
  return SF_OK;
}

static void find_same(hashed_id *sorted, size_t count, sf_same_ids *same) {
  if (count > 1) /* of none, there is no array */
    qsort(sorted, count, sizeof(*sorted), compare_ids);
  for (size_t i = 1; i < count; i++) {
    if (sorted[i].high != sorted[i - 1].high || sorted[i].low != sorted[i - 1].low)
      continue;
    if (!same->found || sorted[i].row < same->second_row)
      *same = (sf_same_ids){.found = true, .first_row = sorted[i - 1].row, .second_row = sorted[i].row};
  }
}

static sf_code check_part(const sf_unique_ids *ids, const part *checked, sf_same_ids *same, sf_error *error) {
  hashed_id *loaded = sf_calloc((size_t)checked->count, sizeof(*loaded));
  if (loaded == NULL)
    return sf_fail_memory(error, "ids");
  size_t count = 0;
  sf_code code = SF_OK;
  for (size_t i = 0; i < checked->num_extents && code == SF_OK; i++) {
    const extent *from = &checked->extents[i];
    code = sf_temporary_file_read(ids->file, from->offset, loaded + count, from->count * sizeof(*loaded), error);
    count += from->count;
  }
  if (code == SF_OK)
    find_same(loaded, count, same);
  free(loaded);
  return code;
}

sf_code sf_unique_ids_check(sf_unique_ids *ids, sf_same_ids *same, sf_error *error) {
  *same = (sf_same_ids){0};
  if (ids->file < 0) {
    find_same(ids->ids, ids->count, same);
    return SF_OK;
  }
  SF_TRY(spill(ids, error));
  free(ids->ids);
  ids->ids = NULL;
  ids->capacity = 0;
  for (size_t i = 0; i < NUM_PARTS; i++)
    SF_TRY(check_part(ids, &ids->parts[i], same, error));
  return SF_OK;
}
