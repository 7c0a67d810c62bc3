#include "base/sqlite.h"

#include "base/memory.h"

#include <string.h>

/* The page cache of one connection, in KiB (negative: KiB rather than pages). Only winners' rows come through it. */
#define SETTINGS "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA cache_size=-256"

sf_code sf_sqlite_fail(sqlite3 *database, const char *what, const char *action, sf_code code, sf_error *error) {
  int status = database == NULL ? SQLITE_NOMEM : sqlite3_errcode(database);
  if (status == SQLITE_NOMEM)
    return sf_fail_memory(error, what);
  return sf_fail(error, code, "%s: %s: %s", what, action, sqlite3_errmsg(database));
}

static sf_code harden(sqlite3 *database, const char *what, sf_code code, sf_error *error) {
  sqlite3_db_config(database, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
  sqlite3_db_config(database, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
  sqlite3_db_config(database, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
  if (sqlite3_exec(database, SETTINGS, NULL, NULL, NULL) != SQLITE_OK)
    return sf_sqlite_fail(database, what, "can't open the database", code, error);
  return SF_OK;
}

/* Puts a path into a file: URI, where '?', '#' and '%' mean something. */
static char *uri_of_path(const char *path) {
  sf_buffer uri = {0};
  bool made = sf_buffer_append_text(&uri, "file:");
  for (const char *next = path; made && *next != '\0'; next++)
    made = strchr("?#%", *next) != NULL ? sf_buffer_append_format(&uri, "%%%02X", (unsigned char)*next)
                                        : sf_buffer_append(&uri, next, 1);
  made = made && sf_buffer_append_text(&uri, "?immutable=1");
  if (!made)
    sf_buffer_free(&uri);
  return (char *)uri.data;
}

sf_code sf_sqlite_open_immutable(const char *path, const char *what, sf_code code, sqlite3 **database,
                                 sf_error *error) {
  char *uri = uri_of_path(path);
  if (uri == NULL)
    return sf_fail_memory(error, what);
  sqlite3 *opened = NULL;
  const int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
  sf_code outcome = SF_OK;
  if (sqlite3_open_v2(uri, &opened, flags, NULL) != SQLITE_OK)
    outcome = sf_sqlite_fail(opened, what, "can't open the database", code, error);
  else
    outcome = harden(opened, what, code, error);
  free(uri);
  if (outcome == SF_OK)
    *database = opened;
  else
    sqlite3_close(opened);
  return outcome;
}

sf_code sf_sqlite_open_bytes(const void *bytes, size_t length, const char *what, sf_code code, sqlite3 **database,
                             sf_error *error) {
  sqlite3 *opened = NULL;
  sf_code outcome = SF_OK;
  if (sqlite3_open_v2(":memory:", &opened, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK ||
      sqlite3_deserialize(opened, "main", (unsigned char *)(uintptr_t)bytes, (sqlite3_int64)length,
                          (sqlite3_int64)length, SQLITE_DESERIALIZE_READONLY) != SQLITE_OK)
    outcome = sf_sqlite_fail(opened, what, "can't open the database", code, error);
  else
    outcome = harden(opened, what, code, error);
  if (outcome == SF_OK)
    *database = opened;
  else
    sqlite3_close(opened);
  return outcome;
}

sf_code sf_sqlite_prepare(sqlite3 *database, const char *sql, const char *what, sf_code code, sqlite3_stmt **statement,
                          sf_error *error) {
  if (sqlite3_prepare_v2(database, sql, -1, statement, NULL) != SQLITE_OK)
    return sf_sqlite_fail(database, what, "can't read the database", code, error);
  return SF_OK;
}

sf_code sf_sqlite_has_table(sqlite3 *database, const char *name, const char *what, sf_code code, bool *exists,
                            sf_error *error) {
  sqlite3_stmt *statement;
  /* rootpage is 0 for views and virtual tables. */
  SF_TRY(sf_sqlite_prepare(database, "SELECT 1 FROM sqlite_master WHERE type='table' AND rootpage>0 AND name=?1", what,
                           code, &statement, error));
  sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
  int status = sqlite3_step(statement);
  sf_code outcome = SF_OK;
  if (status != SQLITE_ROW && status != SQLITE_DONE)
    outcome = sf_sqlite_fail(database, what, "can't read the schema", code, error);
  *exists = status == SQLITE_ROW;
  sqlite3_finalize(statement);
  return outcome;
}

sf_code sf_sqlite_require_table(sqlite3 *database, const char *name, const char *what, sf_code code, sf_error *error) {
  bool exists = false;
  SF_TRY(sf_sqlite_has_table(database, name, what, code, &exists, error));
  return exists ? SF_OK : sf_fail(error, code, "%s: expected a table %s, found none", what, name);
}
