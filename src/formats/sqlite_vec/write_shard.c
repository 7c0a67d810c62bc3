/* Writing shards of the sqlite-vec backend: shard.db, which the extension opens as one of its own. */
#include "base/files.h"
#include "base/memory.h"
#include "base/sqlite.h"
#include "base/sqlite_fork.h"
#include "formats/sqlite_vec/vec0_tables.h"
#include "formats/sqlite_vec/write_sidecar.h"
#include "formats/sqlite_vec/write_vec0.h"
#include "formats/sqlite_vec/written_id.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* The file is not read before it is finished, and a killed build's files are removed: no journal, and no syncing in
 * between. */
static const char settings[] = "PRAGMA page_size=%d; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;"
                               "PRAGMA locking_mode=EXCLUSIVE; PRAGMA cache_size=-1024; PRAGMA temp_store=MEMORY;";

/* Bytes of vectors after which the system is asked to begin writing them. */
#define WRITEBACK_BYTES ((uint64_t)8 << 20)

/* SQLITE_VEC_VEC0_MAX_DIMENSIONS */
#define MAX_DIM 8192

typedef struct sqlite_vec_writer {
  sf_shard_writer base;
  char *directory;
  char *path; /* of shard.db */
  char *what; /* "shard 3", before messages */
  sqlite3 *database;
  int descriptor;        /* of shard.db, to sync it by; -1: none */
  uint64_t written_back; /* rows whose vectors the system was asked to write */
  sf_vec0_chunk_writer chunks;
  sqlite3_stmt *insert_id;
  sqlite3_stmt *insert_payload;
  sf_buffer id; /* the text of one */
} sqlite_vec_writer;

static sqlite_vec_writer *sqlite_vec_of(sf_shard_writer *writer) {
  return (sqlite_vec_writer *)writer;
}

static sf_code fail(const sqlite_vec_writer *writer, int status, sf_error *error) {
  return sf_sqlite_fail(writer->database, status, writer->what, "can't write shard.db", SF_ERROR, error);
}

static sf_code run(const sqlite_vec_writer *writer, const char *sql, sf_error *error) {
  int status = sqlite3_exec(writer->database, sql, NULL, NULL, NULL);
  return status == SQLITE_OK ? SF_OK : fail(writer, status, error);
}

/* Vectors are stored in chains of pages, which large pages make short; small shards would waste most of a large
 * page. */
static int choose_page_size(const sf_shard_writer_options *options) {
  size_t chunk_bytes = (size_t)SF_VEC0_CHUNK_SIZE * options->dim * sizeof(float);
  if (options->page_size != 0)
    return (int)options->page_size;
  return chunk_bytes >= (size_t)1 << 20 ? 16384 : 4096;
}

static sf_code open_database(sqlite_vec_writer *writer, const sf_shard_writer_options *options, sf_error *error) {
  char sql[sizeof(settings) + 16];
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
  int status = sf_sqlite_open(writer->path, flags, &writer->database);
  if (status != SQLITE_OK)
    return fail(writer, status, error);
  writer->descriptor = open(writer->path, O_RDONLY | O_CLOEXEC);
  if (writer->descriptor < 0)
    return sf_fail_errno(error, "open", writer->path, errno);
  snprintf(sql, sizeof(sql), settings, choose_page_size(options));
  SF_TRY(run(writer, sql, error));
  SF_TRY(run(writer, "BEGIN", error));
  return sf_vec0_create_tables(writer->database, options->dim, options->metric, writer->what, error);
}

static sf_code prepare(const sqlite_vec_writer *writer, const char *sql, sqlite3_stmt **statement, sf_error *error) {
  return sf_sqlite_prepare(writer->database, sql, writer->what, SF_ERROR, statement, error);
}

static sf_code prepare_all(sqlite_vec_writer *writer, sf_error *error) {
  SF_TRY(
      prepare(writer, "INSERT INTO vec_id_map (internal_id, original_id) VALUES (?1, ?2)", &writer->insert_id, error));
  return prepare(writer, "INSERT INTO vec_payloads (rowid, payload) VALUES (?1, ?2)", &writer->insert_payload, error);
}

static void sqlite_vec_free(sf_shard_writer *freed) {
  sqlite_vec_writer *writer = sqlite_vec_of(freed);
  sf_vec0_chunk_writer_close(&writer->chunks);
  sqlite3_finalize(writer->insert_id);
  sqlite3_finalize(writer->insert_payload);
  sqlite3_close(writer->database);
  if (writer->descriptor >= 0)
    close(writer->descriptor); /* after SQLite's: closing a descriptor releases the process's POSIX locks */
  sf_buffer_free(&writer->id);
  free(writer->directory);
  free(writer->path);
  free(writer->what);
  free(writer);
}

static sf_code open_writer(sqlite_vec_writer *writer, const sf_shard_writer_options *options, sf_error *error) {
  writer->base.format = &sf_sqlite_vec_writer;
  writer->directory = sf_strdup(options->directory);
  writer->path = sf_format("%s/shard.db", options->directory);
  writer->what = sf_format("shard %u", (unsigned)options->db_id);
  if (writer->directory == NULL || writer->path == NULL || writer->what == NULL)
    return sf_fail_memory(error, "shard writer");
  SF_TRY(open_database(writer, options, error));
  SF_TRY(sf_vec0_chunk_writer_open(&writer->chunks, writer->database, options->dim, writer->what, error));
  return prepare_all(writer, error);
}

static sf_code sqlite_vec_check(sf_metric metric, uint32_t dim, sf_error *error) {
  sf_score_convention convention;
  if (!sf_score_convention_of(metric, SF_VEC0_CONVENTIONS, &convention))
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR,
                   "backend sqlite-vec: expected metric cosine or l2, which its vec0 tables know, found %s",
                   sf_metric_name(metric));
  if (dim > MAX_DIM)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR,
                   "backend sqlite-vec: expected at most %d dimensions, which its vec0 tables take, found %u", MAX_DIM,
                   (unsigned)dim);
  return SF_OK;
}

static sf_code sqlite_vec_create(const sf_shard_writer_options *options, sf_shard_writer **created, sf_error *error) {
  SF_TRY(sqlite_vec_check(options->metric, options->dim, error));
  sqlite_vec_writer *writer = sf_calloc(1, sizeof(*writer));
  if (writer == NULL)
    return sf_fail_memory(error, "shard writer");
  writer->descriptor = -1;
  sf_code code = open_writer(writer, options, error);
  if (code == SF_OK)
    *created = &writer->base;
  else
    sqlite_vec_free(&writer->base);
  return code;
}

static sf_code step(const sqlite_vec_writer *writer, sqlite3_stmt *statement, sf_error *error) {
  int status = sqlite3_step(statement);
  sqlite3_reset(statement);
  return status == SQLITE_DONE ? SF_OK : fail(writer, status, error);
}

/* A row of two columns: its id, and a text. */
static sf_code insert_text(const sqlite_vec_writer *writer, sqlite3_stmt *statement, int64_t row_id, const char *text,
                           size_t length, sf_error *error) {
  sqlite3_bind_int64(statement, 1, row_id);
  int status = sqlite3_bind_text64(statement, 2, text, length, SQLITE_STATIC, SQLITE_UTF8);
  return status == SQLITE_OK ? step(writer, statement, error) : fail(writer, status, error);
}

static sf_code add_row(sqlite_vec_writer *writer, const sf_shard_row *row, sf_error *error) {
  int64_t row_id = (int64_t)writer->chunks.rows;
  const sf_written_id id = {
      .type = row->id_type, .integer = row->id_integer, .string = row->id_string, .length = row->id_length};
  writer->id.length = 0;
  if (!sf_written_id_append(&id, &writer->id))
    return sf_fail_memory(error, writer->what);
  SF_TRY(insert_text(writer, writer->insert_id, row_id, (const char *)writer->id.data, writer->id.length, error));
  if (row->payload != NULL)
    SF_TRY(insert_text(writer, writer->insert_payload, row_id, row->payload, row->payload_length, error));
  return sf_vec0_chunk_writer_add(&writer->chunks, row->vector, error);
}

static void write_back(sqlite_vec_writer *writer) {
  uint64_t rows = writer->chunks.rows - writer->written_back;
  if (rows * writer->chunks.dim * sizeof(float) < WRITEBACK_BYTES)
    return;
  writer->written_back = writer->chunks.rows;
  sf_begin_writeback(writer->descriptor);
}

static sf_code sqlite_vec_add(sf_shard_writer *to, const sf_shard_row *rows, size_t count, sf_error *error) {
  for (size_t i = 0; i < count; i++)
    SF_TRY(add_row(sqlite_vec_of(to), &rows[i], error));
  write_back(sqlite_vec_of(to));
  return SF_OK;
}

static sf_code sqlite_vec_finish(sf_shard_writer *finished, sf_error *error) {
  sqlite_vec_writer *writer = sqlite_vec_of(finished);
  SF_TRY(sf_vec0_chunk_writer_finish(&writer->chunks, error));
  SF_TRY(run(writer, "COMMIT", error));
  sf_vec0_chunk_writer_close(&writer->chunks);
  sqlite3_finalize(writer->insert_id);
  sqlite3_finalize(writer->insert_payload);
  writer->insert_id = writer->insert_payload = NULL;
  int status = sqlite3_close(writer->database);
  if (status != SQLITE_OK)
    return fail(writer, status, error);
  writer->database = NULL;
  if (fsync(writer->descriptor) != 0)
    return sf_fail_errno(error, "sync", writer->path, errno);
  sf_sync_folder(writer->directory);
  return SF_OK;
}

const sf_shard_writer_format sf_sqlite_vec_writer = {
    .check = sqlite_vec_check,
    .create = sqlite_vec_create,
    .add = sqlite_vec_add,
    .finish = sqlite_vec_finish,
    .free = sqlite_vec_free,
    .sidecar = &sf_sqlite_vec_sidecar,
};
