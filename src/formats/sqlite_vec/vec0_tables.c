/*
 * vec_index_chunks(chunk_id, size, validity, rowids): `size` slots, a bitmap of the used ones (bit i of byte i / 8,
 * least significant first) and as many little-endian int64 row ids. vec_index_vector_chunks00 holds, under the chunk's
 * id as its hidden _rowid_ (the column that it calls rowid is another), `size` × dim little-endian float32.
 */
#include "formats/sqlite_vec/vec0_tables.h"

#include "base/bytes.h"
#include "base/memory.h"

static const char what[] = "shard.db";
static const sf_code corrupt = SF_DB_ADAPTER_ERROR;

/* In the table's own order, by chunk_id: an index or a sort would be work that the file decides on. */
static const char chunks_query[] = "SELECT chunk_id, size, validity, rowids FROM vec_index_chunks NOT INDEXED";

/* A chunk's row, its blobs borrowed until the statement moves on. */
typedef struct chunk {
  int64_t id;
  size_t size; /* slots */
  const uint8_t *validity;
  const uint8_t *row_ids;
} chunk;

static bool is_valid(const chunk *from, size_t slot) {
  return (from->validity[slot / 8] >> (slot % 8) & 1) != 0;
}

static int64_t row_id(const chunk *from, size_t slot) {
  return sf_load_i64(from->row_ids + slot * 8);
}

static sf_code read_blob(sqlite3_stmt *row, int column, int64_t chunk_id, size_t expected, const uint8_t **bytes,
                         sf_error *error) {
  const char *name = sqlite3_column_name(row, column);
  size_t found = (size_t)sqlite3_column_bytes(row, column);
  if (sqlite3_column_type(row, column) != SQLITE_BLOB || found != expected)
    return sf_fail(error, corrupt, "%s: chunk %lld: expected %s of %zu bytes, found %zu", what, (long long)chunk_id,
                   name, expected, found);
  *bytes = sqlite3_column_blob(row, column);
  return *bytes != NULL || expected == 0 ? SF_OK : sf_fail_memory(error, what);
}

/* `read` has the chunk before, or is zeroed. */
static sf_code read_chunk(sqlite3_stmt *row, chunk *read, sf_error *error) {
  /* A chunk is one blob of at most SQLite's 2^31 bytes, so that this many slots can't be. */
  const int64_t most_slots = (int64_t)1 << 28;
  int64_t previous_id = read->id;
  read->id = sqlite3_column_int64(row, 0);
  /* vec0 numbers its chunks from 1. Pages in a circle would bring the same ones again and again. */
  if (sqlite3_column_type(row, 0) != SQLITE_INTEGER || read->id <= previous_id)
    return sf_fail(error, corrupt, "%s: expected a chunk_id above %lld, found %lld", what, (long long)previous_id,
                   (long long)read->id);
  int64_t size = sqlite3_column_int64(row, 1);
  if (sqlite3_column_type(row, 1) != SQLITE_INTEGER || size < 1 || size > most_slots)
    return sf_fail(error, corrupt, "%s: chunk %lld: expected a size from 1 to %lld, found %lld", what,
                   (long long)read->id, (long long)most_slots, (long long)size);
  read->size = (size_t)size;
  SF_TRY(read_blob(row, 2, read->id, (read->size + 7) / 8, &read->validity, error));
  return read_blob(row, 3, read->id, read->size * 8, &read->row_ids, error);
}

/* Steps to the next chunk; *more is false after the last. */
static sf_code next_chunk(sqlite3 *database, sqlite3_stmt *row, const sf_cancellation *cancellation, bool *more,
                          chunk *read, sf_error *error) {
  SF_TRY(sf_cancellation_check(cancellation, error));
  int status = sqlite3_step(row);
  *more = status == SQLITE_ROW;
  if (status == SQLITE_ROW)
    return read_chunk(row, read, error);
  return status == SQLITE_DONE ? SF_OK
                               : sf_sqlite_fail(database, status, what, "can't read vec_index_chunks", corrupt, error);
}

/* A row id and the row's place in the order of chunks and slots. */
typedef struct placed_id {
  int64_t id;
  uint64_t place;
} placed_id;

static int compare_ids(const void *left, const void *right) {
  const placed_id *a = left;
  const placed_id *b = right;
  return a->id < b->id ? -1 : a->id > b->id;
}

static sf_code append_ids(const chunk *from, sf_vec0_rows *rows, int64_t *last_id, sf_buffer *ids, sf_error *error) {
  for (size_t slot = 0; slot < from->size; slot++) {
    if (!is_valid(from, slot))
      continue;
    placed_id placed = {.id = row_id(from, slot), .place = rows->count};
    if (rows->count > 0 && placed.id <= *last_id)
      rows->ascending = false;
    *last_id = placed.id;
    rows->count++;
    if (!rows->ascending && !sf_buffer_append(ids, &placed, sizeof(placed)))
      return sf_fail_memory(error, what);
  }
  return SF_OK;
}

static sf_code count_slots(const chunk *from, uint64_t *slots_left, sf_error *error) {
  if (from->size > *slots_left)
    return sf_fail(error, corrupt, "%s: chunk %lld: expected at most %llu more slots in a file of this size, found %zu",
                   what, (long long)from->id, (unsigned long long)*slots_left, from->size);
  *slots_left -= from->size;
  return SF_OK;
}

/* Reads all chunks; `ids` collects the rows from the first one that is out of order. */
static sf_code survey_chunks(sqlite3 *database, uint64_t slots_left, const sf_cancellation *cancellation,
                             sf_vec0_rows *rows, sf_buffer *ids, sf_error *error) {
  sqlite3_stmt *row = NULL;
  SF_TRY(sf_sqlite_prepare(database, chunks_query, what, corrupt, &row, error));
  chunk read = {0};
  bool more = true;
  int64_t last_id = 0;
  sf_code code = SF_OK;
  while (code == SF_OK && more) {
    code = next_chunk(database, row, cancellation, &more, &read, error);
    if (code == SF_OK && more)
      code = count_slots(&read, &slots_left, error);
    if (code == SF_OK && more)
      code = append_ids(&read, rows, &last_id, ids, error);
  }
  sqlite3_finalize(row);
  return code;
}

/* Sorts all rows by id and notes where each belongs. */
static sf_code sort_rows(placed_id *ids, sf_vec0_rows *rows, sf_error *error) {
  qsort(ids, (size_t)rows->count, sizeof(*ids), compare_ids);
  for (uint64_t i = 1; i < rows->count; i++)
    if (ids[i].id == ids[i - 1].id)
      return sf_fail(error, corrupt, "%s: expected each row id once in vec_index_chunks, found %lld again", what,
                     (long long)ids[i].id);
  rows->positions = sf_calloc((size_t)rows->count, sizeof(*rows->positions));
  if (rows->positions == NULL)
    return sf_fail_memory(error, what);
  for (uint64_t i = 0; i < rows->count; i++)
    rows->positions[ids[i].place] = i;
  return SF_OK;
}

sf_code sf_vec0_survey(sqlite3 *database, uint32_t dim, uint64_t file_size, const sf_cancellation *cancellation,
                       sf_vec0_rows *rows, sf_error *error) {
  /* Every slot, used or not, has a vector and a row id of its own in the file. */
  const uint64_t most_slots = file_size / ((uint64_t)dim * sizeof(float) + sizeof(int64_t));
  *rows = (sf_vec0_rows){.ascending = true};
  sf_buffer ids = {0};
  sf_code code = survey_chunks(database, most_slots, cancellation, rows, &ids, error);
  if (code == SF_OK && !rows->ascending) {
    /* Rows out of order are rare enough to read the chunks again, and then to collect from the first row on. */
    ids.length = 0;
    *rows = (sf_vec0_rows){.ascending = false};
    code = survey_chunks(database, most_slots, cancellation, rows, &ids, error);
    void *collected = ids.data;
    if (code == SF_OK)
      code = sort_rows(collected, rows, error);
  }
  sf_buffer_free(&ids);
  if (code != SF_OK)
    sf_vec0_rows_free(rows);
  return code;
}

void sf_vec0_rows_free(sf_vec0_rows *rows) {
  free(rows->positions);
  *rows = (sf_vec0_rows){0};
}

/* Live rows on their way from chunks to the callback. */
typedef struct transfer {
  const sf_vec0_rows *rows;
  uint32_t dim;
  uint64_t next_place; /* in the order of chunks and slots */
  float *vectors;      /* room for a chunk's rows */
  int64_t *row_ids;
  size_t capacity;
  sf_vec0_rows_callback callback;
  void *user_data;
} transfer;

static bool make_room(transfer *to, size_t rows) {
  if (rows <= to->capacity)
    return true;
  size_t components;
  if (!sf_multiply_size(rows, to->dim, &components))
    return false;
  float *vectors = sf_reallocarray(to->vectors, components, sizeof(float));
  if (vectors != NULL)
    to->vectors = vectors;
  int64_t *row_ids = sf_reallocarray(to->row_ids, rows, sizeof(int64_t));
  if (row_ids != NULL)
    to->row_ids = row_ids;
  if (vectors == NULL || row_ids == NULL)
    return false;
  to->capacity = rows;
  return true;
}

static uint64_t position_of(const transfer *to, uint64_t place) {
  return to->rows->ascending ? place : to->rows->positions[place];
}

/* Passes on the rows of a chunk, as many at once as are consecutive. */
static sf_code transfer_chunk(transfer *to, const chunk *from, const uint8_t *vectors, sf_error *error) {
  const size_t row_bytes = (size_t)to->dim * sizeof(float);
  size_t pending = 0;
  uint64_t first = 0;
  for (size_t slot = 0; slot < from->size; slot++) {
    if (!is_valid(from, slot))
      continue;
    if (to->next_place == to->rows->count)
      return sf_fail(error, corrupt, "%s: vec_index_chunks changed while it was read", what);
    uint64_t position = position_of(to, to->next_place++);
    if (pending > 0 && position != first + pending) {
      SF_TRY(to->callback(first, to->vectors, to->row_ids, pending, to->user_data, error));
      pending = 0;
    }
    if (pending == 0)
      first = position;
    memcpy(to->vectors + pending * to->dim, vectors + slot * row_bytes, row_bytes);
    to->row_ids[pending++] = row_id(from, slot);
  }
  return pending == 0 ? SF_OK : to->callback(first, to->vectors, to->row_ids, pending, to->user_data, error);
}

static sf_code read_chunk_vectors(sqlite3 *database, sqlite3_stmt *row, const chunk *of, uint32_t dim,
                                  const uint8_t **vectors, sf_error *error) {
  sqlite3_reset(row);
  sf_sqlite_renew(row);
  sqlite3_bind_int64(row, 1, of->id);
  int status = sqlite3_step(row);
  if (status == SQLITE_DONE)
    return sf_fail(error, corrupt, "%s: chunk %lld: expected its vectors in vec_index_vector_chunks00, found none",
                   what, (long long)of->id);
  if (status != SQLITE_ROW)
    return sf_sqlite_fail(database, status, what, "can't read vec_index_vector_chunks00", corrupt, error);
  return read_blob(row, 0, of->id, of->size * dim * sizeof(float), vectors, error);
}

sf_code sf_vec0_read(sqlite3 *database, uint32_t dim, const sf_vec0_rows *rows, const sf_cancellation *cancellation,
                     sf_vec0_rows_callback callback, void *user_data, sf_error *error) {
  transfer to = {.rows = rows, .dim = dim, .callback = callback, .user_data = user_data};
  sqlite3_stmt *chunks = NULL;
  sqlite3_stmt *vectors = NULL;
  bool more = true;
  chunk read = {0};
  sf_code code = sf_sqlite_prepare(database, chunks_query, what, corrupt, &chunks, error);
  if (code == SF_OK)
    code = sf_sqlite_prepare(database, "SELECT vectors FROM vec_index_vector_chunks00 WHERE _rowid_=?1", what, corrupt,
                             &vectors, error);
  while (code == SF_OK && more) {
    const uint8_t *bytes = NULL;
    code = next_chunk(database, chunks, cancellation, &more, &read, error);
    if (code != SF_OK || !more)
      break;
    code = read_chunk_vectors(database, vectors, &read, dim, &bytes, error);
    if (code == SF_OK && !make_room(&to, read.size))
      code = sf_fail_memory(error, what);
    if (code == SF_OK)
      code = transfer_chunk(&to, &read, bytes, error);
  }
  if (code == SF_OK && to.next_place != rows->count)
    code = sf_fail(error, corrupt, "%s: vec_index_chunks changed while it was read", what);
  sqlite3_finalize(chunks);
  sqlite3_finalize(vectors);
  free(to.vectors);
  free(to.row_ids);
  return code;
}
