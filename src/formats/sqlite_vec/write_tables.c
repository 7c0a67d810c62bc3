/* The schema of a shard.db that is to be written. */
#include "base/sqlite.h"
#include "formats/sqlite_vec/write_vec0.h"

#include <stdio.h>

/* Before and after the virtual table, in the order in which the format's first writer makes them. */
static const char tables_before[] = "CREATE TABLE kv (k BLOB PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID;";

/* `rowid PRIMARY KEY` without INTEGER is vec0's own: an ordinary column beside the hidden _rowid_, with an index. */
static const char tables_behind[] =
    "CREATE TABLE \"vec_index_info\" (key text primary key, value any);"
    "INSERT INTO vec_index_info VALUES ('CREATE_VERSION', 'v0.1.9'), ('CREATE_VERSION_MAJOR', 0),"
    " ('CREATE_VERSION_MINOR', 1), ('CREATE_VERSION_PATCH', 9);"
    "CREATE TABLE \"vec_index_chunks\"(chunk_id INTEGER PRIMARY KEY AUTOINCREMENT,size INTEGER NOT NULL,"
    "validity BLOB NOT NULL,rowids BLOB NOT NULL);"
    "CREATE TABLE \"vec_index_rowids\"(rowid INTEGER PRIMARY KEY AUTOINCREMENT,id,chunk_id INTEGER,"
    "chunk_offset INTEGER);"
    "CREATE TABLE \"vec_index_vector_chunks00\"(rowid PRIMARY KEY,vectors BLOB NOT NULL);"
    "CREATE TABLE vec_payloads (rowid INTEGER PRIMARY KEY, payload TEXT NOT NULL);"
    "CREATE TABLE vec_id_map (internal_id INTEGER PRIMARY KEY, original_id TEXT NOT NULL);";

static sf_code run(sqlite3 *database, const char *sql, const char *what, sf_error *error) {
  int status = sqlite3_exec(database, sql, NULL, NULL, NULL);
  return status == SQLITE_OK ? SF_OK : sf_sqlite_fail(database, status, what, "can't make its tables", SF_ERROR, error);
}

/* CREATE VIRTUAL TABLE needs the extension; the row that it leaves in the schema does not. */
static sf_code declare_virtual_table(sqlite3 *database, uint32_t dim, sf_metric metric, const char *what,
                                     sf_error *error) {
  char sql[512];
  sqlite3_db_config(database, SQLITE_DBCONFIG_DEFENSIVE, 0, NULL); /* some builds of SQLite begin with it on */
  snprintf(
      sql, sizeof(sql),
      "PRAGMA writable_schema=ON;"
      "INSERT INTO sqlite_master (type, name, tbl_name, rootpage, sql) VALUES ('table', 'vec_index', 'vec_index', 0,"
      " 'CREATE VIRTUAL TABLE vec_index USING vec0(embedding float[%u] distance_metric=%s)');"
      "PRAGMA writable_schema=OFF;",
      (unsigned)dim, sf_metric_name(metric));
  return run(database, sql, what, error);
}

sf_code sf_vec0_create_tables(sqlite3 *database, uint32_t dim, sf_metric metric, const char *what, sf_error *error) {
  SF_TRY(run(database, tables_before, what, error));
  SF_TRY(declare_virtual_table(database, dim, metric, what, error));
  return run(database, tables_behind, what, error);
}
