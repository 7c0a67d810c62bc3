/* Names of partition files, and rows in them: a header, the vector, the id, the payload and a NUL, padding. */
#include "writer/partition_file.h"

#include <math.h>
#include <string.h>

enum { ALIGNMENT = 8, ID_LIST_BITS = 6 };

typedef struct row_header {
  uint64_t size; /* of all of it, a multiple of ALIGNMENT */
  uint64_t number;
  int64_t id_integer;
  uint64_t id_length;
  uint64_t payload_length;
  uint32_t id_type;
  uint32_t has_payload;
} row_header;

char *sf_partition_folder(const char *run_id) {
  return sf_format("shards/run_id=%s/" SF_PARTITION_FOLDER "/", run_id);
}

char *sf_partition_key(const char *run_id, uint64_t token) {
  return sf_format("shards/run_id=%s/" SF_PARTITION_FOLDER "/%016llx", run_id, (unsigned long long)token);
}

uint32_t sf_partition_id_list(uint64_t high) {
  return (uint32_t)(high >> (64 - ID_LIST_BITS));
}

static uint64_t padding_of(uint64_t size) {
  return (ALIGNMENT - size % ALIGNMENT) % ALIGNMENT;
}

bool sf_partition_append_row(sf_buffer *extent, const sf_shard_row *row, uint64_t number, uint32_t dim) {
  static const char zeros[ALIGNMENT];
  const size_t vector_bytes = dim * sizeof(float);
  row_header header = {.number = number,
                       .id_integer = row->id_integer,
                       .id_type = (uint32_t)row->id_type,
                       .id_length = row->id_type == SF_ID_STRING ? row->id_length : 0,
                       .has_payload = row->payload != NULL,
                       .payload_length = row->payload != NULL ? row->payload_length : 0};
  uint64_t size = sizeof(header) + vector_bytes + header.id_length + header.payload_length + 1;
  uint64_t padding = padding_of(size);
  header.size = size + padding;
  return sf_buffer_reserve(extent, (size_t)header.size) && sf_buffer_append(extent, &header, sizeof(header)) &&
         sf_buffer_append(extent, row->vector, vector_bytes) &&
         sf_buffer_append(extent, row->id_string, (size_t)header.id_length) &&
         sf_buffer_append(extent, row->payload, (size_t)header.payload_length) &&
         sf_buffer_append(extent, zeros, (size_t)padding + 1);
}

/* ---------------------------------------------------------------------------------------------------------- Reading */

static bool is_finite(const float *vector, uint32_t dim) {
  bool finite = true;
  for (uint32_t i = 0; i < dim; i++)
    finite &= isfinite(vector[i]) != 0;
  return finite;
}

/* Whether a header fits into what is left, and its parts into the row. */
static bool is_sound(const row_header *header, uint64_t left, uint64_t vector_bytes) {
  if (header->size > left || header->id_length > left || header->payload_length > left || header->id_type > 1 ||
      header->has_payload > 1)
    return false;
  uint64_t size = sizeof(*header) + vector_bytes + header->id_length + header->payload_length + 1;
  return header->size == size + padding_of(size);
}

sf_code sf_partition_parse_rows(const void *bytes, size_t length, uint32_t dim, size_t count, sf_shard_row *rows,
                                uint64_t *numbers, sf_error *error) {
  const char *next = bytes;
  const char *end = next + length;
  const size_t vector_bytes = dim * sizeof(float);
  for (size_t i = 0; i < count; i++) {
    row_header header;
    uint64_t left = (uint64_t)(end - next);
    if (left < sizeof(header))
      return sf_fail(error, SF_ERROR, "partition file: expected %zu rows in an extent, found %zu", count, i);
    memcpy(&header, next, sizeof(header));
    const void *vector = next + sizeof(header);
    if (!is_sound(&header, left, vector_bytes) || !is_finite(vector, dim))
      return sf_fail(error, SF_ERROR, "partition file: row %zu of an extent: expected a row, found something else", i);
    const char *id = next + sizeof(header) + vector_bytes;
    rows[i] = (sf_shard_row){.vector = vector,
                             .id_type = (sf_id_type)header.id_type,
                             .id_integer = header.id_integer,
                             .id_string = header.id_type == SF_ID_STRING ? id : NULL,
                             .id_length = (size_t)header.id_length,
                             .payload = header.has_payload != 0 ? id + header.id_length : NULL,
                             .payload_length = (size_t)header.payload_length};
    if (numbers != NULL)
      numbers[i] = header.number;
    next += header.size;
  }
  if (next == end)
    return SF_OK;
  return sf_fail(error, SF_ERROR, "partition file: expected %zu rows in an extent, found more", count);
}

static sf_code read_once(sf_storage *storage, const char *key, const sf_partition_extent *extent, void *bytes,
                         sf_error *error) {
  bool found = false;
  SF_TRY(sf_storage_get_range(storage, key, extent->offset, (size_t)extent->num_bytes, NULL, &found, bytes, error));
  if (!found)
    return sf_fail(error, SF_READER_STATE_ERROR, "%s/%s: expected a partition's rows, found none: the run has ended",
                   storage->root, key);
  if (XXH3_64bits(bytes, (size_t)extent->num_bytes) == extent->checksum)
    return SF_OK;
  return sf_fail(error, SF_S3_TRANSIENT_ERROR, "%s/%s: expected the bytes that were written at %llu, found others",
                 storage->root, key, (unsigned long long)extent->offset);
}

/* What arrives otherwise than it was written is asked for again. */
sf_code sf_partition_read(sf_storage *storage, const char *run_id, const sf_partition_piece *piece, void **read,
                          sf_error *error) {
  enum { MAX_TRIES = 3 };
  const sf_partition_extent *extent = &piece->extent;
  char *key = sf_partition_key(run_id, piece->token);
  void *bytes = extent->num_bytes > SIZE_MAX / 2 ? NULL : sf_calloc(1, (size_t)extent->num_bytes);
  sf_code code = key == NULL || bytes == NULL ? sf_fail_memory(error, "rows of a partition") : SF_S3_TRANSIENT_ERROR;
  for (int i = 0; i < MAX_TRIES && code == SF_S3_TRANSIENT_ERROR; i++)
    code = read_once(storage, key, extent, bytes, error);
  free(key);
  if (code == SF_OK)
    *read = bytes;
  else
    free(bytes);
  return code;
}
