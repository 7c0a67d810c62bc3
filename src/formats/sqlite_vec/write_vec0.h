/*
 * The tables of a shard.db as sqlite-vec 0.1.9 makes them for a `vec0` table, written with plain SQLite: the virtual
 * table's own row of the schema, its shadow tables, and the tables of ids and payloads beside them.
 * Source: sqlite-vec 0.1.9, sqlite-vec.c, from "vec0_init" to "vec0Update_Insert".
 */
#ifndef SF_FORMATS_SQLITE_VEC_WRITE_VEC0_H
#define SF_FORMATS_SQLITE_VEC_WRITE_VEC0_H

#include "formats/shard_writer.h"

#include <sqlite3.h>

extern const sf_shard_writer_format sf_sqlite_vec_writer;

/* Slots of a chunk: the default of vec0. */
#define SF_VEC0_CHUNK_SIZE 1024

/* Makes all tables, empty. Messages begin with `what`. */
sf_code sf_vec0_create_tables(sqlite3 *database, uint32_t dim, sf_metric metric, const char *what, sf_error *error);

/* Vectors on their way into chunks. Rows are numbered from 0, which is also their place: slot r % 1024 of chunk
 * r / 1024 + 1. */
typedef struct sf_vec0_chunk_writer {
  sqlite3 *database;
  const char *what;
  sqlite3_stmt *insert_chunk;
  sqlite3_stmt *insert_vectors;
  sqlite3_stmt *update_chunk;
  sqlite3_stmt *insert_rowids;
  uint32_t dim;
  size_t piece_rows; /* rows that are written together: a chunk, or less where its vectors are large */
  float *piece;      /* piece_rows × dim */
  size_t pending;    /* rows in piece */
  uint64_t rows;     /* added so far */
  uint64_t written;  /* of them, in the database: a multiple of piece_rows until the end */
} sf_vec0_chunk_writer;

sf_code sf_vec0_chunk_writer_open(sf_vec0_chunk_writer *writer, sqlite3 *database, uint32_t dim, const char *what,
                                  sf_error *error);
sf_code sf_vec0_chunk_writer_add(sf_vec0_chunk_writer *writer, const float *vector, sf_error *error);
/* Writes the rows that are still buffered. */
sf_code sf_vec0_chunk_writer_finish(sf_vec0_chunk_writer *writer, sf_error *error);
/* A zeroed writer is allowed. */
void sf_vec0_chunk_writer_close(sf_vec0_chunk_writer *writer);

#endif
