#include "writer/spool.h"

#include "base/files.h"
#include "base/memory.h"

#include <string.h>
#include <unistd.h>

/* The header of each row. One process writes and reads it, so that its own layout will do. */
typedef struct record {
  uint64_t size; /* of all of it, a multiple of ALIGNMENT */
  int64_t id_integer;
  uint64_t id_length;
  uint64_t payload_length;
  uint32_t id_type;
  uint32_t has_payload;
} record;

enum { ALIGNMENT = 8 };

/* Records that were written together. */
typedef struct extent {
  uint64_t offset;
  size_t size;
  size_t count;
} extent;

typedef struct list {
  sf_buffer pending;
  size_t num_pending;
  extent *extents;
  size_t num_extents;
  size_t extent_capacity;
} list;

struct sf_spool {
  uint32_t dim;
  uint32_t num_lists;
  size_t max_bytes;
  size_t pending_bytes; /* of all lists */
  size_t list_bytes;    /* a list with more is written */
  int file;
  uint64_t file_size;
  list *lists;
};

sf_code sf_spool_create(const char *directory, uint32_t num_lists, uint32_t dim, size_t max_bytes, sf_spool **created,
                        sf_error *error) {
  const size_t most = (size_t)4 << 20;
  sf_spool *spool = sf_calloc(1, sizeof(*spool));
  if (spool == NULL)
    return sf_fail_memory(error, "rows");
  *spool = (sf_spool){.dim = dim, .num_lists = num_lists, .max_bytes = max_bytes, .file = -1};
  spool->list_bytes = max_bytes / num_lists > most ? most : max_bytes / num_lists;
  spool->lists = sf_calloc(num_lists, sizeof(*spool->lists));
  sf_code code =
      spool->lists == NULL ? sf_fail_memory(error, "rows") : sf_temporary_file_open(directory, &spool->file, error);
  if (code == SF_OK)
    *created = spool;
  else
    sf_spool_free(spool);
  return code;
}

void sf_spool_free(sf_spool *spool) {
  if (spool == NULL)
    return;
  for (uint32_t i = 0; spool->lists != NULL && i < spool->num_lists; i++) {
    sf_buffer_free(&spool->lists[i].pending);
    free(spool->lists[i].extents);
  }
  free(spool->lists);
  if (spool->file >= 0)
    close(spool->file);
  free(spool);
}

/* ---------------------------------------------------------------------------------------------------------- Writing */

static sf_code write_list(sf_spool *spool, list *written, sf_error *error) {
  if (written->num_pending == 0)
    return SF_OK;
  if (!sf_array_make_room(&written->extents, written->num_extents, &written->extent_capacity,
                          sizeof(*written->extents)))
    return sf_fail_memory(error, "rows");
  size_t size = written->pending.length;
  SF_TRY(sf_write_at(spool->file, "a temporary file", written->pending.data, size, spool->file_size, error));
  written->extents[written->num_extents++] =
      (extent){.offset = spool->file_size, .size = size, .count = written->num_pending};
  spool->file_size += size;
  spool->pending_bytes -= size;
  written->pending.length = 0;
  written->num_pending = 0;
  return SF_OK;
}

sf_code sf_spool_flush(sf_spool *spool, sf_error *error) {
  for (uint32_t i = 0; i < spool->num_lists; i++) {
    SF_TRY(write_list(spool, &spool->lists[i], error));
    sf_buffer_free(&spool->lists[i].pending);
  }
  return SF_OK;
}

static size_t padding_of(size_t size) {
  return (ALIGNMENT - size % ALIGNMENT) % ALIGNMENT;
}

/* Header, vector, id, payload and a NUL, padding. */
static bool append_record(const sf_spool *spool, const sf_shard_row *row, sf_buffer *pending) {
  static const char zeros[ALIGNMENT];
  const size_t vector_bytes = spool->dim * sizeof(float);
  record header = {.id_integer = row->id_integer,
                   .id_type = (uint32_t)row->id_type,
                   .id_length = row->id_type == SF_ID_STRING ? row->id_length : 0,
                   .has_payload = row->payload != NULL,
                   .payload_length = row->payload != NULL ? row->payload_length : 0};
  size_t size = sizeof(header) + vector_bytes + (size_t)header.id_length + (size_t)header.payload_length + 1;
  size_t padding = padding_of(size);
  header.size = size + padding;
  return sf_buffer_reserve(pending, size + padding) && sf_buffer_append(pending, &header, sizeof(header)) &&
         sf_buffer_append(pending, row->vector, vector_bytes) &&
         sf_buffer_append(pending, row->id_string, (size_t)header.id_length) &&
         sf_buffer_append(pending, row->payload, (size_t)header.payload_length) &&
         sf_buffer_append(pending, zeros, padding + 1);
}

sf_code sf_spool_add(sf_spool *spool, uint32_t number, const sf_shard_row *row, sf_error *error) {
  list *to = &spool->lists[number];
  size_t before = to->pending.length;
  if (!append_record(spool, row, &to->pending))
    return sf_fail_memory(error, "rows");
  to->num_pending++;
  spool->pending_bytes += to->pending.length - before;
  if (spool->pending_bytes > spool->max_bytes)
    return sf_spool_flush(spool, error);
  return to->pending.length > spool->list_bytes ? write_list(spool, to, error) : SF_OK;
}

/* ---------------------------------------------------------------------------------------------------------- Reading */

/* The rows in `bytes`, borrowed from them. Vectors are aligned: the block is as malloc gives it, and records and headers
 * are multiples of ALIGNMENT. */
static void decode(const sf_spool *spool, const char *bytes, sf_shard_row *rows, size_t count) {
  const size_t vector_bytes = spool->dim * sizeof(float);
  for (size_t i = 0; i < count; i++) {
    record header;
    memcpy(&header, bytes, sizeof(header));
    const void *vector = bytes + sizeof(header);
    const char *id = bytes + sizeof(header) + vector_bytes;
    rows[i] = (sf_shard_row){.vector = vector,
                             .id_type = (sf_id_type)header.id_type,
                             .id_integer = header.id_integer,
                             .id_string = header.id_type == SF_ID_STRING ? id : NULL,
                             .id_length = (size_t)header.id_length,
                             .payload = header.has_payload != 0 ? id + header.id_length : NULL,
                             .payload_length = (size_t)header.payload_length};
    bytes += header.size;
  }
}

static sf_code read_extent(const sf_spool *spool, const extent *from, sf_spool_callback callback, void *user_data,
                           sf_error *error) {
  char *bytes = sf_calloc(1, from->size);
  sf_shard_row *rows = sf_calloc(from->count, sizeof(*rows));
  sf_code code = bytes == NULL || rows == NULL
                     ? sf_fail_memory(error, "rows")
                     : sf_temporary_file_read(spool->file, from->offset, bytes, from->size, error);
  if (code == SF_OK) {
    decode(spool, bytes, rows, from->count);
    code = callback(rows, from->count, user_data, error);
  }
  free(rows);
  free(bytes);
  return code;
}

sf_code sf_spool_read(const sf_spool *spool, uint32_t number, sf_spool_callback callback, void *user_data,
                      sf_error *error) {
  const list *from = &spool->lists[number];
  for (size_t i = 0; i < from->num_extents; i++)
    SF_TRY(read_extent(spool, &from->extents[i], callback, user_data, error));
  return SF_OK;
}
