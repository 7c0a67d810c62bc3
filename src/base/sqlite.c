#include "base/sqlite.h"

#include "base/files.h"
#include "base/memory.h"
#include "base/sqlite_fork.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

/* The page cache of a connection is 256 KiB (negative: in KiB, not pages): it only reads the rows of results. */
#define SETTINGS "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA cache_size=-256"

/* A file is mapped, so that reading a row takes no system call, as far as SQLite maps files (2 GiB). Mapping and unmapping one of
 * few pages takes longer than reading them: connections to the smallest of many shards are opened for a few rows. */
#define MAP_SETTING "PRAGMA mmap_size=2147418112"
#define LEAST_MAPPED_BYTES ((uint64_t)1 << 20)

/* Some calls return SQLITE_NOMEM and leave the connection without an error (sqlite3_deserialize); others return
 * SQLITE_IOERR, and only the extended code says that memory was out. */
static bool says_out_of_memory(sqlite3 *database, int status) {
  if (database == NULL || (status & 0xFF) == SQLITE_NOMEM || status == SQLITE_IOERR_NOMEM)
    return true;
  return sqlite3_errcode(database) == SQLITE_NOMEM || sqlite3_extended_errcode(database) == SQLITE_IOERR_NOMEM;
}

sf_code sf_sqlite_fail(sqlite3 *database, int status, const char *what, const char *action, sf_code code,
                       sf_error *error) {
  bool out_of_memory = says_out_of_memory(database, status);
  /* SQLite returns the same for some corrupt schemas. A failed allocation has set errno, which is set to 0 before a database is
   * opened; nothing that SQLite does afterwards changes it. */
  if (out_of_memory && errno == ENOMEM)
    return sf_fail_memory(error, what);
  if (out_of_memory)
    return sf_fail(error, code, "%s: %s: expected a sound database, found one that SQLite has no memory for", what,
                   action);
  /* For other failures the system's error may be of an earlier call. */
  if ((status & 0xFF) == SQLITE_CANTOPEN && sf_errno_is_exhaustion(sqlite3_system_errno(database)))
    return sf_fail_errno(error, "open", what, sqlite3_system_errno(database));
  if ((status & 0xFF) == SQLITE_INTERRUPT)
    return sf_fail(error, code, "%s: %s: expected it to be read in proportion to its size, found no end", what, action);
  return sf_fail(error, code, "%s: %s: %s", what, action, sqlite3_errmsg(database));
}

sf_code sf_sqlite_text(sqlite3_stmt *row, int column, const char *what, const char **text, size_t *length,
                       sf_error *error) {
  *text = (const char *)sqlite3_column_text(row, column);
  *length = (size_t)sqlite3_column_bytes(row, column);
  return *text != NULL ? SF_OK : sf_fail_memory(error, what);
}

static int stop_statement(void *unused) {
  (void)unused;
  return 1;
}

static int at_most_int(uint64_t value) {
  return value < INT_MAX ? (int)value : INT_MAX;
}

/* A hostile database could have pages in a cycle, which are read without end, and lengths that ask for any memory. A row takes
 * some bytes of the file and, in any statement here, about ten instructions; a value is no longer than the file, but for
 * text that is converted from UTF-16. */
static void bound(sqlite3 *database, uint64_t size) {
  const uint64_t slack = 1000000;
  sqlite3_progress_handler(database, at_most_int(size * 32 + slack), stop_statement, NULL);
  sqlite3_limit(database, SQLITE_LIMIT_LENGTH, at_most_int(size * 2 + slack));
  sqlite3_limit(database, SQLITE_LIMIT_ATTACHED, 0);
}

static sf_code harden(sqlite3 *database, uint64_t size, const char *what, sf_code code, sf_error *error) {
  bound(database, size);
  sqlite3_drop_modules(database, NULL); /* no virtual table of the schema can be used */
  sqlite3_db_config(database, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
  sqlite3_db_config(database, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
  sqlite3_db_config(database, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
  int status = sqlite3_exec(database, SETTINGS, NULL, NULL, NULL);
  if (status == SQLITE_OK && size >= LEAST_MAPPED_BYTES)
    status = sqlite3_exec(database, MAP_SETTING, NULL, NULL, NULL);
  return status == SQLITE_OK ? SF_OK : sf_sqlite_fail(database, status, what, "can't open the database", code, error);
}

/* The file: URI of a path, with '?', '#' and '%' escaped. */
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
  errno = 0;
  sqlite3 *opened = NULL;
  struct stat status = {0};
  const int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
  sf_code outcome;
  int result = sf_sqlite_open(uri, flags, &opened);
  if (result != SQLITE_OK)
    outcome = sf_sqlite_fail(opened, result, what, "can't open the database", code, error);
  else if (stat(path, &status) != 0)
    outcome = sf_fail(error, sf_errno_code(errno, code), "%s: can't open the database: %s", what, strerror(errno));
  else
    outcome = harden(opened, (uint64_t)status.st_size, what, code, error);
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
  errno = 0;
  int status = sf_sqlite_open(":memory:", SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, &opened);
  if (status == SQLITE_OK)
    status = sqlite3_deserialize(opened, "main", (unsigned char *)(uintptr_t)bytes, (sqlite3_int64)length,
                                 (sqlite3_int64)length, SQLITE_DESERIALIZE_READONLY);
  sf_code outcome = status == SQLITE_OK ? harden(opened, length, what, code, error)
                                        : sf_sqlite_fail(opened, status, what, "can't open the database", code, error);
  if (outcome == SF_OK)
    *database = opened;
  else
    sqlite3_close(opened);
  return outcome;
}

sf_code sf_sqlite_prepare(sqlite3 *database, const char *sql, const char *what, sf_code code, sqlite3_stmt **statement,
                          sf_error *error) {
  int status = sqlite3_prepare_v2(database, sql, -1, statement, NULL);
  return status == SQLITE_OK ? SF_OK : sf_sqlite_fail(database, status, what, "can't read the database", code, error);
}

void sf_sqlite_renew(sqlite3_stmt *statement) {
  sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_VM_STEP, 1);
}

/* Whether a query with the one parameter `name` has a row. */
static sf_code has_row(sqlite3 *database, const char *sql, const char *name, const char *what, sf_code code,
                       bool *exists, sf_error *error) {
  sqlite3_stmt *statement;
  SF_TRY(sf_sqlite_prepare(database, sql, what, code, &statement, error));
  int status = sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
  if (status == SQLITE_OK)
    status = sqlite3_step(statement);
  sf_code outcome = SF_OK;
  if (status != SQLITE_ROW && status != SQLITE_DONE)
    outcome = sf_sqlite_fail(database, status, what, "can't read the schema", code, error);
  *exists = status == SQLITE_ROW;
  sqlite3_finalize(statement);
  return outcome;
}

sf_code sf_sqlite_has_table(sqlite3 *database, const char *name, const char *what, sf_code code, bool *exists,
                            sf_error *error) {
  /* rootpage is 0 for views and virtual tables. */
  return has_row(database, "SELECT 1 FROM sqlite_master WHERE type='table' AND rootpage>0 AND name=?1", name, what,
                 code, exists, error);
}

sf_code sf_sqlite_require_table(sqlite3 *database, const char *name, const char *what, sf_code code, sf_error *error) {
  bool exists = false;
  bool computes = false;
  SF_TRY(sf_sqlite_has_table(database, name, what, code, &exists, error));
  if (!exists)
    return sf_fail(error, code, "%s: expected a table %s, found none", what, name);
  SF_TRY(has_row(database, "SELECT 1 FROM pragma_table_xinfo(?1) WHERE hidden<>0", name, what, code, &computes, error));
  return !computes ? SF_OK : sf_fail(error, code, "%s: expected a table %s without computed columns", what, name);
}
