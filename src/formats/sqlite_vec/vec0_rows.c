/* Ids and payloads: of the rows of a result, and all of them to verify a shard. */
#include "formats/sqlite_vec/vec0_rows.h"

#include "base/json.h"
#include "formats/row_failures.h"
#include "formats/sqlite_vec/written_id.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The text of a column that is not NULL; borrowed until the statement moves on. */
static sf_code take_text(sqlite3_stmt *row, int column, int64_t row_id, const char **text, size_t *length,
                         sf_error *error) {
  if (sqlite3_column_type(row, column) != SQLITE_TEXT)
    return sf_fail(error, SF_DB_ADAPTER_ERROR, "shard.db: row %lld: expected text in %s, found another type",
                   (long long)row_id, sqlite3_column_name(row, column));
  return sf_sqlite_text(row, column, "row of a shard", text, length, error);
}

/* Moves the statement to a row; *found is false where there is none, or NULL in it. */
static sf_code find_row(sqlite3 *database, sqlite3_stmt *statement, int64_t row_id, bool *found, sf_error *error) {
  sf_sqlite_renew(statement);
  sqlite3_bind_int64(statement, 1, row_id);
  int status = sqlite3_step(statement);
  *found = status == SQLITE_ROW && sqlite3_column_type(statement, 0) != SQLITE_NULL;
  return status == SQLITE_ROW || status == SQLITE_DONE
             ? SF_OK
             : sf_sqlite_fail(database, status, "shard.db", "can't read a row", SF_DB_ADAPTER_ERROR, error);
}

/* An id's text, NULL for none; borrowed until the statement is reset. */
static sf_code read_id(sqlite3 *database, sqlite3_stmt *statement, int64_t row_id, const char **text, size_t *length,
                       sf_error *error) {
  bool found;
  *text = NULL;
  *length = 0;
  SF_TRY(find_row(database, statement, row_id, &found, error));
  return found ? take_text(statement, 0, row_id, text, length, error) : SF_OK;
}

/* A payload's text, by SQLite's conversion of any type. Whether it is JSON shows when it is decoded. */
static sf_code read_payload(sqlite3 *database, sqlite3_stmt *statement, int64_t row_id, const char **text,
                            size_t *length, sf_error *error) {
  bool found;
  *text = NULL;
  *length = 0;
  SF_TRY(find_row(database, statement, row_id, &found, error));
  if (!found)
    return SF_OK;
  return sf_sqlite_text(statement, 0, "row of a shard", text, length, error);
}

/* An id as the writer encodes it: {"v": value, "t": "int"|"str"}. `parsed` keeps what a string id points to. */
static sf_code parse_id(const char *text, size_t length, int64_t row_id, sf_json *parsed, sf_written_id *id,
                        sf_error *error) {
  if (sf_written_id_read(text, length, id))
    return SF_OK;
  char named[64];
  snprintf(named, sizeof(named), "shard.db: row %lld: original_id", (long long)row_id);
  SF_TRY(sf_json_parse_object(text, length, SF_JSON_STRICT, named, SF_DB_ADAPTER_ERROR, parsed, error));
  const json_t *value = sf_json_member(parsed->root, "v");
  const json_t *tag = sf_json_member(parsed->root, "t");
  const char *name = json_is_string(tag) ? json_string_value(tag) : "";
  *id = (sf_written_id){.type = strcmp(name, "int") == 0 ? SF_ID_INTEGER : SF_ID_STRING};
  bool fits = id->type == SF_ID_INTEGER ? sf_json_to_int64(value, &id->integer)
                                        : strcmp(name, "str") == 0 && json_is_string(value);
  if (!fits)
    return sf_fail(error, SF_DB_ADAPTER_ERROR,
                   "shard.db: row %lld: expected original_id {\"v\": …, \"t\": \"int\" or \"str\"}, found %.120s",
                   (long long)row_id, text);
  if (id->type == SF_ID_STRING) {
    id->string = json_string_value(value);
    id->length = json_string_length(value);
  }
  return SF_OK;
}

sf_code sf_vec0_fetch_row(const sf_connection *connection, int64_t row_id, sf_row_sink *sink, sf_error *error) {
  const char *text;
  const char *payload = NULL;
  size_t text_length;
  size_t payload_length = 0;
  sf_json parsed = {0};
  sf_written_id id = {.type = SF_ID_INTEGER, .integer = row_id}; /* without an entry, the row id is the id */
  sf_code code = read_id(connection->database, connection->select_id, row_id, &text, &text_length, error);
  if (code == SF_OK && text != NULL)
    code = parse_id(text, text_length, row_id, &parsed, &id, error);
  if (code == SF_OK && !sink->omits_payloads)
    code = read_payload(connection->database, connection->select_payload, row_id, &payload, &payload_length, error);
  if (code == SF_OK && !sink->add(sink, id.type, id.integer, id.string, id.length, payload, payload_length))
    code = sf_fail_memory(error, "results");
  sf_json_free(&parsed);
  sqlite3_reset(connection->select_id);
  sqlite3_reset(connection->select_payload);
  return code;
}

sf_code sf_vec0_fetch_payload(const sf_connection *connection, int64_t row_id, const sf_directory_id *id,
                              sf_row_sink *sink, sf_error *error) {
  const char *payload;
  size_t length;
  sf_code code = read_payload(connection->database, connection->select_payload, row_id, &payload, &length, error);
  sf_id_type type = id->text == NULL ? SF_ID_INTEGER : SF_ID_STRING;
  if (code == SF_OK && !sink->add(sink, type, id->integer, id->text, id->length, payload, length))
    code = sf_fail_memory(error, "results");
  sqlite3_reset(connection->select_payload);
  return code;
}

/* ------------------------------------------------------------------------------------------------------- All of them */

/* A table's rows by ascending row id, read beside the shard's. */
typedef struct table_cursor {
  sqlite3 *database;
  sqlite3_stmt *statement; /* NULL: the table is not wanted */
  int64_t row_id;
  bool has_row;
} table_cursor;

static sf_code step_cursor(table_cursor *cursor, sf_error *error) {
  int status = sqlite3_step(cursor->statement);
  cursor->has_row = status == SQLITE_ROW;
  if (cursor->has_row)
    cursor->row_id = sqlite3_column_int64(cursor->statement, 0);
  return status == SQLITE_ROW || status == SQLITE_DONE
             ? SF_OK
             : sf_sqlite_fail(cursor->database, status, "shard.db", "can't read its rows", SF_DB_ADAPTER_ERROR, error);
}

static sf_code open_cursor(sqlite3 *database, const char *sql, table_cursor *cursor, sf_error *error) {
  *cursor = (table_cursor){.database = database};
  SF_TRY(sf_sqlite_prepare(database, sql, "shard.db", SF_DB_ADAPTER_ERROR, &cursor->statement, error));
  return step_cursor(cursor, error);
}

/* Moves to the row if the table has it; *found is false where it has not, or NULL in it. */
static sf_code seek_cursor(table_cursor *cursor, int64_t row_id, bool *found, sf_error *error) {
  *found = false;
  if (cursor->statement == NULL)
    return SF_OK;
  while (cursor->has_row && cursor->row_id < row_id)
    SF_TRY(step_cursor(cursor, error));
  *found = cursor->has_row && cursor->row_id == row_id && sqlite3_column_type(cursor->statement, 1) != SQLITE_NULL;
  return SF_OK;
}

static sf_code visit_row(table_cursor *ids, table_cursor *payloads, int64_t row_id, uint64_t row,
                         sf_row_visitor *visitor, sf_error *error) {
  sf_row_text text = {.id_type = SF_ID_INTEGER, .id_integer = row_id};
  sf_json parsed = {0};
  bool found;
  sf_code code = seek_cursor(ids, row_id, &found, error);
  if (code == SF_OK && found) {
    sf_written_id id;
    const char *written;
    size_t length;
    code = take_text(ids->statement, 1, row_id, &written, &length, error);
    if (code == SF_OK)
      code = parse_id(written, length, row_id, &parsed, &id, error);
    if (code == SF_OK)
      text = (sf_row_text){id.type, id.integer, id.string, id.length, NULL, 0};
  }
  if (code == SF_OK)
    code = seek_cursor(payloads, row_id, &found, error);
  if (code == SF_OK && found)
    code = sf_sqlite_text(payloads->statement, 1, "row of a shard", &text.payload, &text.payload_length, error);
  if (code == SF_OK)
    code = visitor->visit(visitor, row, &text, error);
  sf_json_free(&parsed);
  return code;
}

sf_code sf_vec0_read_rows(sqlite3 *database, const int64_t *row_ids, size_t count, sf_row_visitor *visitor,
                          const sf_cancellation *cancellation, sf_error *error) {
  table_cursor ids = {0};
  table_cursor payloads = {0};
  sf_code code = SF_OK;
  if (visitor->wants_ids)
    code = open_cursor(database, "SELECT internal_id, original_id FROM vec_id_map ORDER BY internal_id", &ids, error);
  if (code == SF_OK && visitor->wants_payloads)
    code = open_cursor(database, "SELECT rowid, payload FROM vec_payloads ORDER BY rowid", &payloads, error);
  for (size_t row = 0; row < count && code == SF_OK; row++) {
    if (row % 1024 == 0)
      code = sf_cancellation_check(cancellation, error);
    if (code == SF_OK)
      code = visit_row(&ids, &payloads, row_ids[row], row, visitor, error);
  }
  sqlite3_finalize(ids.statement);
  sqlite3_finalize(payloads.statement);
  return code;
}

/* ---------------------------------------------------------------------------------------------------------- Checking */

/* Whether SQLite finds the whole file in order: every page, not only those that a search reads. */
static sf_code check_integrity(sqlite3 *database, sf_error *error) {
  sqlite3_stmt *row;
  SF_TRY(sf_sqlite_prepare(database, "PRAGMA quick_check", "shard.db", SF_DB_ADAPTER_ERROR, &row, error));
  sf_code code = SF_OK;
  int status = SQLITE_DONE;
  errno = 0;
  while (code == SF_OK && (status = sqlite3_step(row)) == SQLITE_ROW) {
    const char *verdict;
    size_t length;
    code = sf_sqlite_text(row, 0, "shard.db", &verdict, &length, error);
    /* The virtual table's module is not here, which is as it should be. */
    if (code == SF_OK && strcmp(verdict, "ok") != 0 && strstr(verdict, "no such module") == NULL)
      /* SQLite also reports pages that it had no memory for; a failed allocation leaves errno. */
      code = sf_fail(error, sf_errno_code(errno, SF_DB_ADAPTER_ERROR), "shard.db: %s", verdict);
  }
  if (code == SF_OK && status != SQLITE_DONE)
    code = sf_sqlite_fail(database, status, "shard.db", "can't check the database", SF_DB_ADAPTER_ERROR, error);
  sqlite3_finalize(row);
  return code;
}

static sf_code check_id(sqlite3_stmt *row, sf_error *error) {
  sf_json parsed = {0};
  sf_written_id id;
  int64_t row_id = sqlite3_column_int64(row, 0);
  const char *text = NULL;
  size_t length = 0;
  SF_TRY(take_text(row, 1, row_id, &text, &length, error));
  sf_code code = parse_id(text, length, row_id, &parsed, &id, error);
  bool is_plain = code == SF_OK && parsed.root == NULL;
  sf_json_free(&parsed);
  if (code != SF_OK || is_plain)
    return code;
  /* Half of a surrogate pair is no character: searches return U+FFFD for it. */
  char named[64];
  snprintf(named, sizeof(named), "shard.db: row %lld: original_id", (long long)row_id);
  code = sf_json_parse(text, length, SF_JSON_EXACT, named, SF_DB_ADAPTER_ERROR, &parsed, error);
  sf_json_free(&parsed);
  return code;
}

static sf_code check_payload(sqlite3_stmt *row, sf_error *error) {
  int64_t row_id = sqlite3_column_int64(row, 0);
  const char *text = NULL;
  size_t length = 0;
  char named[64];
  if (sqlite3_column_type(row, 1) == SQLITE_NULL)
    return SF_OK;
  SF_TRY(take_text(row, 1, row_id, &text, &length, error));
  snprintf(named, sizeof(named), "shard.db: row %lld: payload", (long long)row_id);
  return sf_json_check_object(text, length, named, SF_DB_ADAPTER_ERROR, error);
}

/* Checks all rows, and adds those that are malformed to `failures`. */
static sf_code check_each(sqlite3 *database, const char *sql, sf_code (*check)(sqlite3_stmt *row, sf_error *error),
                          const sf_cancellation *cancellation, sf_row_failures *failures, sf_error *error) {
  sqlite3_stmt *row;
  SF_TRY(sf_sqlite_prepare(database, sql, "shard.db", SF_DB_ADAPTER_ERROR, &row, error));
  sf_code code = SF_OK;
  int status = SQLITE_DONE;
  while (code == SF_OK && (status = sqlite3_step(row)) == SQLITE_ROW) {
    sf_error failure;
    code = sf_cancellation_check(cancellation, error);
    if (code == SF_OK)
      code = sf_row_failures_add(failures, check(row, &failure), &failure, error);
  }
  if (code == SF_OK && status != SQLITE_DONE)
    code = sf_sqlite_fail(database, status, "shard.db", "can't read its rows", SF_DB_ADAPTER_ERROR, error);
  sqlite3_finalize(row);
  return code;
}

sf_code sf_vec0_verify_rows(sqlite3 *database, const sf_cancellation *cancellation, sf_error *error) {
  sf_row_failures failures = {0};
  SF_TRY(check_integrity(database, error));
  SF_TRY(check_each(database, "SELECT internal_id, original_id FROM vec_id_map", check_id, cancellation, &failures,
                    error));
  SF_TRY(
      check_each(database, "SELECT rowid, payload FROM vec_payloads", check_payload, cancellation, &failures, error));
  return sf_row_failures_report(&failures, error);
}
