/*
 * Untrusted SQLite databases: opened read-only, with the features that a hostile schema could use turned off, and with time
 * and memory bounded by the file's size. A statement is interrupted after more virtual machine instructions than a sound
 * database of that size can need; sf_sqlite_renew resets the count of one that is kept.
 */
#ifndef SF_BASE_SQLITE_H
#define SF_BASE_SQLITE_H

#include "base/cancellation.h"

#include <sqlite3.h>

/* Opens a file that is no longer changed (SQLite's immutable=1): without locks, and ignoring a journal or WAL beside it.
 * Failures get `code` and a message that begins with `what`. */
sf_code sf_sqlite_open_immutable(const char *path, const char *what, sf_code code, sqlite3 **database, sf_error *error);

/* Opens a database in memory; the bytes must outlive it and are only read. */
sf_code sf_sqlite_open_bytes(const void *bytes, size_t length, const char *what, sf_code code, sqlite3 **database,
                             sf_error *error);

sf_code sf_sqlite_prepare(sqlite3 *database, const char *sql, const char *what, sf_code code, sqlite3_stmt **statement,
                          sf_error *error);

/* Fills `error` with SQLite's message: "what: action: database disk image is malformed". `status` is what the failed call
 * returned; where memory was out, the code is SF_OUT_OF_MEMORY_ERROR instead of `code`. */
sf_code sf_sqlite_fail(sqlite3 *database, int status, const char *what, const char *action, sf_code code,
                       sf_error *error);

/* The text of a column that is not NULL, borrowed until the next step of the statement. Fails only when memory is out. */
sf_code sf_sqlite_text(sqlite3_stmt *row, int column, const char *what, const char **text, size_t *length,
                       sf_error *error);

/* Resets the count of instructions of a statement that is used again. */
void sf_sqlite_renew(sqlite3_stmt *statement);

/* Fails unless `name` is an ordinary table without computed columns: views, virtual tables and computed columns run code of
 * the schema. */
sf_code sf_sqlite_require_table(sqlite3 *database, const char *name, const char *what, sf_code code, sf_error *error);

/* Whether an ordinary table of that name exists. */
sf_code sf_sqlite_has_table(sqlite3 *database, const char *name, const char *what, sf_code code, bool *exists,
                            sf_error *error);

#endif
