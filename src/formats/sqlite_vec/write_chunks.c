/* Chunks of vectors, written as they fill. */
#include "base/memory.h"
#include "base/sqlite.h"
#include "formats/sqlite_vec/write_vec0.h"

#include <string.h>

/* A chunk whose vectors take more is written in pieces. */
#define MAX_PIECE_BYTES ((size_t)4 << 20)

enum { VALIDITY_BYTES = SF_VEC0_CHUNK_SIZE / 8, ROWIDS_BYTES = SF_VEC0_CHUNK_SIZE * 8 };

/* Rows ?1 to ?2 − 1 of chunk ?3, whose slots begin with row ?4: together, because a statement that writes to a table
 * with AUTOINCREMENT also writes to sqlite_sequence. */
static const char insert_rowids[] =
    "WITH RECURSIVE row(id) AS (VALUES (?1) UNION ALL SELECT id + 1 FROM row WHERE id + 1 < ?2) "
    "INSERT INTO vec_index_rowids (rowid, chunk_id, chunk_offset) SELECT id, ?3, id - ?4 FROM row";

static sf_code fail(const sf_vec0_chunk_writer *writer, int status, sf_error *error) {
  return sf_sqlite_fail(writer->database, status, writer->what, "can't write vectors", SF_ERROR, error);
}

static size_t row_bytes(const sf_vec0_chunk_writer *writer) {
  return writer->dim * sizeof(float);
}

/* The largest power of two that fits: pieces then divide a chunk. */
static size_t choose_piece_rows(size_t bytes_a_row) {
  size_t rows = SF_VEC0_CHUNK_SIZE;
  while (rows > 1 && rows * bytes_a_row > MAX_PIECE_BYTES)
    rows /= 2;
  return rows;
}

static sf_code prepare(const sf_vec0_chunk_writer *writer, const char *sql, sqlite3_stmt **statement, sf_error *error) {
  return sf_sqlite_prepare(writer->database, sql, writer->what, SF_ERROR, statement, error);
}

sf_code sf_vec0_chunk_writer_open(sf_vec0_chunk_writer *writer, sqlite3 *database, uint32_t dim, const char *what,
                                  sf_error *error) {
  *writer = (sf_vec0_chunk_writer){.database = database, .what = what, .dim = dim};
  writer->piece_rows = choose_piece_rows(row_bytes(writer));
  writer->piece = sf_calloc(writer->piece_rows, row_bytes(writer));
  if (writer->piece == NULL)
    return sf_fail_memory(error, what);
  SF_TRY(prepare(writer, "INSERT INTO vec_index_chunks (chunk_id, size, validity, rowids) VALUES (?1, ?2, ?3, ?4)",
                 &writer->insert_chunk, error));
  SF_TRY(prepare(writer, "INSERT INTO vec_index_vector_chunks00 (_rowid_, rowid, vectors) VALUES (?1, ?1, ?2)",
                 &writer->insert_vectors, error));
  SF_TRY(prepare(writer, "UPDATE vec_index_chunks SET validity=?2, rowids=?3 WHERE chunk_id=?1", &writer->update_chunk,
                 error));
  return prepare(writer, insert_rowids, &writer->insert_rowids, error);
}

static sf_code step(const sf_vec0_chunk_writer *writer, sqlite3_stmt *statement, sf_error *error) {
  int status = sqlite3_step(statement);
  sqlite3_reset(statement);
  return status == SQLITE_DONE ? SF_OK : fail(writer, status, error);
}

/* The bitmap and the row ids of a chunk whose first `count` slots are used. */
static void describe_slots(uint64_t first_row, size_t count, uint8_t validity[VALIDITY_BYTES],
                           uint8_t rowids[ROWIDS_BYTES]) {
  memset(validity, 0, VALIDITY_BYTES);
  memset(rowids, 0, ROWIDS_BYTES);
  for (size_t slot = 0; slot < count; slot++) {
    uint64_t row = first_row + slot;
    validity[slot / 8] |= (uint8_t)(1u << slot % 8);
    for (size_t byte = 0; byte < 8; byte++)
      rowids[slot * 8 + byte] = (uint8_t)(row >> 8 * byte);
  }
}

/* Binds the bitmap and the row ids to `column` and the one after it. What can't be bound is NULL in the statement. */
static sf_code bind_slots(const sf_vec0_chunk_writer *writer, sqlite3_stmt *statement, int column, int64_t chunk_id,
                          size_t used_slots, sf_error *error) {
  uint8_t validity[VALIDITY_BYTES];
  uint8_t rowids[ROWIDS_BYTES];
  describe_slots((uint64_t)(chunk_id - 1) * SF_VEC0_CHUNK_SIZE, used_slots, validity, rowids);
  int status = sqlite3_bind_blob(statement, column, validity, sizeof(validity), SQLITE_TRANSIENT);
  if (status == SQLITE_OK)
    status = sqlite3_bind_blob(statement, column + 1, rowids, sizeof(rowids), SQLITE_TRANSIENT);
  return status == SQLITE_OK ? SF_OK : fail(writer, status, error);
}

static sf_code insert_chunk(sf_vec0_chunk_writer *writer, int64_t chunk_id, size_t used_slots, sf_error *error) {
  sqlite3_bind_int64(writer->insert_chunk, 1, chunk_id);
  sqlite3_bind_int64(writer->insert_chunk, 2, SF_VEC0_CHUNK_SIZE);
  SF_TRY(bind_slots(writer, writer->insert_chunk, 3, chunk_id, used_slots, error));
  SF_TRY(step(writer, writer->insert_chunk, error));
  sqlite3_bind_int64(writer->insert_vectors, 1, chunk_id);
  const uint64_t chunk_bytes = SF_VEC0_CHUNK_SIZE * row_bytes(writer);
  int status = writer->piece_rows == SF_VEC0_CHUNK_SIZE
                   ? sqlite3_bind_blob64(writer->insert_vectors, 2, writer->piece, chunk_bytes, SQLITE_STATIC)
                   : sqlite3_bind_zeroblob64(writer->insert_vectors, 2, chunk_bytes);
  sf_code code = status == SQLITE_OK ? step(writer, writer->insert_vectors, error) : fail(writer, status, error);
  sqlite3_clear_bindings(writer->insert_vectors);
  return code;
}

static sf_code update_chunk(sf_vec0_chunk_writer *writer, int64_t chunk_id, size_t used_slots, sf_error *error) {
  sqlite3_bind_int64(writer->update_chunk, 1, chunk_id);
  SF_TRY(bind_slots(writer, writer->update_chunk, 2, chunk_id, used_slots, error));
  return step(writer, writer->update_chunk, error);
}

static sf_code write_into_chunk(sf_vec0_chunk_writer *writer, int64_t chunk_id, size_t first_slot, sf_error *error) {
  sqlite3_blob *blob = NULL;
  int status = sqlite3_blob_open(writer->database, "main", "vec_index_vector_chunks00", "vectors", chunk_id, 1, &blob);
  /* A blob is at most 2³¹ − 1 bytes, which its insertion has seen to. */
  if (status == SQLITE_OK)
    status = sqlite3_blob_write(blob, writer->piece, (int)(writer->pending * row_bytes(writer)),
                                (int)(first_slot * row_bytes(writer)));
  sf_code code = status == SQLITE_OK ? SF_OK : fail(writer, status, error);
  sqlite3_blob_close(blob);
  return code;
}

static sf_code insert_rows(const sf_vec0_chunk_writer *writer, int64_t chunk_id, sf_error *error) {
  uint64_t end = writer->written + writer->pending;
  sqlite3_bind_int64(writer->insert_rowids, 1, (sqlite3_int64)writer->written);
  sqlite3_bind_int64(writer->insert_rowids, 2, (sqlite3_int64)end);
  sqlite3_bind_int64(writer->insert_rowids, 3, chunk_id);
  sqlite3_bind_int64(writer->insert_rowids, 4, (chunk_id - 1) * SF_VEC0_CHUNK_SIZE);
  return step(writer, writer->insert_rowids, error);
}

/* Writes the pending rows: a chunk at once, or a piece of one. */
static sf_code write_piece(sf_vec0_chunk_writer *writer, sf_error *error) {
  int64_t chunk_id = (int64_t)(writer->written / SF_VEC0_CHUNK_SIZE) + 1;
  size_t first_slot = (size_t)(writer->written % SF_VEC0_CHUNK_SIZE);
  size_t used_slots = first_slot + writer->pending;
  if (first_slot == 0)
    SF_TRY(insert_chunk(writer, chunk_id, used_slots, error));
  else
    SF_TRY(update_chunk(writer, chunk_id, used_slots, error));
  if (writer->piece_rows < SF_VEC0_CHUNK_SIZE)
    SF_TRY(write_into_chunk(writer, chunk_id, first_slot, error));
  SF_TRY(insert_rows(writer, chunk_id, error));
  writer->written += writer->pending;
  writer->pending = 0;
  return SF_OK;
}

sf_code sf_vec0_chunk_writer_add(sf_vec0_chunk_writer *writer, const float *vector, sf_error *error) {
  memcpy(writer->piece + writer->pending * writer->dim, vector, row_bytes(writer));
  writer->pending++;
  writer->rows++;
  return writer->pending < writer->piece_rows ? SF_OK : write_piece(writer, error);
}

sf_code sf_vec0_chunk_writer_finish(sf_vec0_chunk_writer *writer, sf_error *error) {
  if (writer->pending == 0)
    return SF_OK;
  /* Unused slots are zero, not the chunk before's. */
  memset(writer->piece + writer->pending * writer->dim, 0, (writer->piece_rows - writer->pending) * row_bytes(writer));
  return write_piece(writer, error);
}

void sf_vec0_chunk_writer_close(sf_vec0_chunk_writer *writer) {
  sqlite3_finalize(writer->insert_chunk);
  sqlite3_finalize(writer->insert_vectors);
  sqlite3_finalize(writer->update_chunk);
  sqlite3_finalize(writer->insert_rowids);
  free(writer->piece);
  *writer = (sf_vec0_chunk_writer){0};
}
