/* shard.db files made with plain SQLite: the tables in which vec0 keeps its data, and the table that it pretends to be. */
#ifndef SF_TESTS_SHARD_FILES_H
#define SF_TESTS_SHARD_FILES_H

#include "manifest_files.h"

#include <string.h>

#define SHARD_SQL                                                                                                      \
  "CREATE TABLE vec_index_info (key TEXT PRIMARY KEY, value ANY);"                                                     \
  "CREATE TABLE vec_index_chunks (chunk_id INTEGER PRIMARY KEY AUTOINCREMENT, size INTEGER NOT NULL,"                  \
  " validity BLOB NOT NULL, rowids BLOB NOT NULL);"                                                                    \
  "CREATE TABLE vec_index_rowids (rowid INTEGER PRIMARY KEY AUTOINCREMENT, id, chunk_id INTEGER,"                      \
  " chunk_offset INTEGER);"                                                                                            \
  "CREATE TABLE vec_index_vector_chunks00 (rowid PRIMARY KEY, vectors BLOB NOT NULL);"                                 \
  "CREATE TABLE vec_id_map (internal_id INTEGER PRIMARY KEY, original_id TEXT NOT NULL);"                              \
  "CREATE TABLE vec_payloads (rowid INTEGER PRIMARY KEY, payload TEXT);"                                               \
  "CREATE TABLE kv (k BLOB PRIMARY KEY, v BLOB) WITHOUT ROWID;"

/* The module of a virtual table need not be there for its declaration to be. */
#define DECLARE(declaration)                                                                                           \
  "PRAGMA writable_schema=1; DELETE FROM sqlite_master WHERE name='vec_index';"                                        \
  "INSERT INTO sqlite_master VALUES ('table', 'vec_index', 'vec_index', 0,"                                            \
  " 'CREATE VIRTUAL TABLE vec_index USING vec0(" declaration ")'); PRAGMA writable_schema=0;"

typedef struct shard_file {
  uint32_t dim;
  uint32_t chunk_size; /* slots */
  uint32_t page_size;
  const char *declaration; /* SQL made by DECLARE */
  const int64_t *row_ids;
  const float *vectors; /* num_rows × dim */
  size_t num_rows;
  const bool *deleted; /* NULL: none */
  const char *changes; /* SQL; may be NULL */
} shard_file;

static inline void insert_blob(sqlite3 *database, const char *sql, int64_t id, int64_t size, const sf_buffer *first,
                               const sf_buffer *second) {
  sqlite3_stmt *statement;
  if (sqlite3_prepare_v2(database, sql, -1, &statement, NULL) != SQLITE_OK)
    abort();
  sqlite3_bind_int64(statement, 1, id);
  sqlite3_bind_int64(statement, 2, size);
  sqlite3_bind_blob(statement, 3, first->data, (int)first->length, SQLITE_STATIC);
  if (second != NULL)
    sqlite3_bind_blob(statement, 4, second->data, (int)second->length, SQLITE_STATIC);
  if (sqlite3_step(statement) != SQLITE_DONE)
    abort();
  sqlite3_finalize(statement);
}

static inline sf_buffer zeros_of(size_t length) {
  return (sf_buffer){.data = sf_calloc(length, 1), .length = length, .capacity = length};
}

/* Chunk number `chunk`, from 0 on. */
static inline void insert_chunk(sqlite3 *database, const shard_file *file, size_t chunk) {
  const size_t row_bytes = file->dim * sizeof(float);
  sf_buffer validity = zeros_of((file->chunk_size + 7) / 8);
  sf_buffer row_ids = zeros_of(file->chunk_size * sizeof(int64_t));
  sf_buffer vectors = zeros_of(file->chunk_size * row_bytes);
  for (size_t slot = 0; slot < file->chunk_size && chunk * file->chunk_size + slot < file->num_rows; slot++) {
    size_t row = chunk * file->chunk_size + slot;
    if (file->deleted == NULL || !file->deleted[row])
      validity.data[slot / 8] |= (uint8_t)(1u << (slot % 8));
    memcpy(row_ids.data + slot * 8, &file->row_ids[row], 8);
    memcpy(vectors.data + slot * row_bytes, file->vectors + row * file->dim, row_bytes);
  }
  insert_blob(database, "INSERT INTO vec_index_chunks VALUES (?1, ?2, ?3, ?4)", (int64_t)chunk + 1, file->chunk_size,
              &validity, &row_ids);
  insert_blob(database, "INSERT INTO vec_index_vector_chunks00 (_rowid_, rowid, vectors) VALUES (?1, ?2, ?3)",
              (int64_t)chunk + 1, (int64_t)chunk + 1, &vectors, NULL);
  sf_buffer_free(&validity);
  sf_buffer_free(&row_ids);
  sf_buffer_free(&vectors);
}

/* The file's bytes, for the caller to free. */
static inline sf_buffer shard_of(const shard_file *file) {
  sqlite3 *database;
  if (sqlite3_open(":memory:", &database) != SQLITE_OK)
    abort();
  char page_size[64];
  snprintf(page_size, sizeof(page_size), "PRAGMA page_size=%u", (unsigned)file->page_size);
  run_sql(database, page_size);
  run_sql(database, SHARD_SQL);
  size_t num_chunks = (file->num_rows + file->chunk_size - 1) / file->chunk_size;
  for (size_t chunk = 0; chunk < num_chunks; chunk++)
    insert_chunk(database, file, chunk);
  if (file->changes != NULL)
    run_sql(database, file->changes);
  run_sql(database, file->declaration);
  sqlite3_int64 length = 0;
  unsigned char *bytes = sqlite3_serialize(database, "main", &length, 0);
  sf_buffer contents = {0};
  if (bytes == NULL || !sf_buffer_append(&contents, bytes, (size_t)length))
    abort();
  sqlite3_free(bytes);
  sqlite3_close(database);
  return contents;
}

#endif
