/* Manifests made with plain SQLite, as the writer makes them, and with the changes of a test. */
#ifndef SF_TESTS_MANIFEST_FILES_H
#define SF_TESTS_MANIFEST_FILES_H

#include "base/memory.h"

#include <sqlite3.h>
#include <stdio.h>

/* Three shards, the second without rows, routed by clusters. */
#define MANIFEST_SQL                                                                                                   \
  "PRAGMA page_size=512;"                                                                                              \
  "CREATE TABLE build_meta (run_id TEXT NOT NULL, created_at TEXT NOT NULL, num_dbs INTEGER NOT NULL,"                 \
  " s3_prefix TEXT NOT NULL, key_col TEXT NOT NULL, sharding TEXT NOT NULL, db_path_template TEXT NOT NULL,"           \
  " shard_prefix TEXT NOT NULL, format_version INTEGER NOT NULL, key_encoding TEXT NOT NULL,"                          \
  " custom TEXT NOT NULL DEFAULT '{}');"                                                                               \
  "CREATE TABLE shards (db_id INTEGER NOT NULL PRIMARY KEY, db_url TEXT, attempt INTEGER NOT NULL,"                    \
  " row_count INTEGER NOT NULL, db_bytes INTEGER NOT NULL, min_key TEXT, max_key TEXT, checkpoint_id TEXT,"            \
  " writer_info TEXT NOT NULL DEFAULT '{}');"                                                                          \
  "INSERT INTO build_meta VALUES ('run', '2026-01-02T03:04:05.000006Z', 3, 's3://bucket/p', 'k',"                      \
  " '{\"strategy\": \"hash\", \"hash_algorithm\": \"xxh3_64\", \"cel_expr\": null}', 'db={db_id:05d}', 'shards', 4,"   \
  " 'raw', '{\"vector\": {\"dim\": 4, \"metric\": \"l2\", \"sharding_strategy\": \"cluster\","                         \
  " \"centroids_ref\": \"s3://bucket/p/vector_meta/run_id=run/centroids.npy\", \"num_probes\": 2,"                     \
  " \"total_vectors\": 12}}');"                                                                                        \
  "INSERT INTO shards VALUES (0, 's3://bucket/p/shards/run_id=run/db=00000/attempt=00', 0, 7, 4096, '0', '6', 'c0',"   \
  " '{\"attempt\": 0}'), (2, 's3://bucket/p/shards/run_id=run/db=00002/attempt=00', 0, 5, 4096, NULL, NULL, NULL,"     \
  " '{}');"

/* Statements that take the constraints from a table, so that it can hold what it should not. */
#define LOOSEN(table)                                                                                                  \
  "CREATE TABLE loose AS SELECT * FROM " table ";DROP TABLE " table ";ALTER TABLE loose RENAME TO " table ";"

/* Replaces custom["vector"]. */
#define VECTOR(json) "UPDATE build_meta SET custom = '{\"vector\": " json "}';"

static inline void run_sql(sqlite3 *database, const char *sql) {
  char *message = NULL;
  if (sqlite3_exec(database, sql, NULL, NULL, &message) == SQLITE_OK)
    return;
  fprintf(stderr, "%s\n%s\n", message, sql);
  abort();
}

/* The bytes of a database that these statements make; for the caller to free. */
static inline sf_buffer database_of(const char *sql, const char *changes) {
  sqlite3 *database;
  if (sqlite3_open(":memory:", &database) != SQLITE_OK)
    abort();
  run_sql(database, sql);
  run_sql(database, changes);
  run_sql(database, "VACUUM");
  sqlite3_int64 length = 0;
  unsigned char *bytes = sqlite3_serialize(database, "main", &length, 0);
  sf_buffer contents = {0};
  if (bytes == NULL || !sf_buffer_append(&contents, bytes, (size_t)length))
    abort();
  sqlite3_free(bytes);
  sqlite3_close(database);
  return contents;
}

/* A manifest's bytes, after the changes; for the caller to free. */
static inline sf_buffer manifest_of(const char *changes) {
  return database_of(MANIFEST_SQL, changes);
}

#endif
