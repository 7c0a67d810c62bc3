/*
 * SQLite databases that are not trusted: opened read-only, with everything that a schema could use against us off, and
 * time and memory bounded by the file's size. A statement that runs more instructions than a sound database of that size
 * can need is stopped; sf_sqlite_renew gives one that lives long as many again.
 */
#ifndef SF_BASE_SQLITE_H
#define SF_BASE_SQLITE_H

#include "base/cancellation.h"

#include <sqlite3.h>

/* Opens a file that nobody changes any more: without locks, and without looking at a journal or a WAL beside it.
 * Failures get `code` and a message that begins with `what`. */
sf_code sf_sqlite_open_immutable(const char *path, const char *what, sf_code code, sqlite3 **database, sf_error *error);

/* Opens a database that lies in memory; the bytes must outlive it and are only read. */
sf_code sf_sqlite_open_bytes(const void *bytes, size_t length, const char *what, sf_code code, sqlite3 **database,
                             sf_error *error);

sf_code sf_sqlite_prepare(sqlite3 *database, const char *sql, const char *what, sf_code code, sqlite3_stmt **statement,
                          sf_error *error);

/* Fills `error` with SQLite's own words: "what: action: database disk image is malformed". `status` is what the call that
 * failed returned: where it says that memory is out, the code is SF_OUT_OF_MEMORY_ERROR and not `code`. */
sf_code sf_sqlite_fail(sqlite3 *database, int status, const char *what, const char *action, sf_code code,
                       sf_error *error);

/* The text of a column that is not NULL, borrowed until the statement moves on. SQLite gives NULL when memory is out. */
sf_code sf_sqlite_text(sqlite3_stmt *row, int column, const char *what, const char **text, size_t *length,
                       sf_error *error);

/* Lets a statement that is about to be used again run as long as a new one. */
void sf_sqlite_renew(sqlite3_stmt *statement);

/* Fails unless `name` is an ordinary table without computed columns: anything else could run anything. */
sf_code sf_sqlite_require_table(sqlite3 *database, const char *name, const char *what, sf_code code, sf_error *error);

/* Whether an ordinary table of that name exists. */
sf_code sf_sqlite_has_table(sqlite3 *database, const char *name, const char *what, sf_code code, bool *exists,
                            sf_error *error);

#endif
