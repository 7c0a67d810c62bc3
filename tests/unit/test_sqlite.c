#include "base/sqlite.h"

#include "cmocka_includes.h"
#include "manifest_files.h"
#include "temporary_folder.h"

#include <errno.h>

#define PAGE 512

static sqlite3 *open_bytes(const sf_buffer *bytes) {
  sqlite3 *database = NULL;
  sf_error error = {0};
  if (sf_sqlite_open_bytes(bytes->data, bytes->length, "d", SF_DB_ADAPTER_ERROR, &database, &error) != SF_OK)
    fail_msg("%s", error.message);
  return database;
}

static sf_code require(const char *sql, const char *table, sf_error *error) {
  sf_buffer bytes = database_of(sql, "");
  sqlite3 *database = open_bytes(&bytes);
  sf_code code = sf_sqlite_require_table(database, table, "d", SF_DB_ADAPTER_ERROR, error);
  sqlite3_close(database);
  sf_buffer_free(&bytes);
  return code;
}

static void only_ordinary_tables_are_tables(void **state) {
  (void)state;
  sf_error error;
  assert_int_equal(require("CREATE TABLE t(x)", "t", &error), SF_OK);
  assert_int_equal(require("CREATE TABLE t(x)", "u", &error), SF_DB_ADAPTER_ERROR);
  assert_string_equal(error.message, "d: expected a table u, found none");
  assert_int_equal(require("CREATE TABLE u(x); CREATE VIEW t AS SELECT * FROM u", "t", &error), SF_DB_ADAPTER_ERROR);
  assert_int_equal(require("CREATE VIRTUAL TABLE t USING fts5(x)", "t", &error), SF_DB_ADAPTER_ERROR);
  assert_int_equal(require("CREATE TABLE u(x); CREATE INDEX t ON u(x)", "t", &error), SF_DB_ADAPTER_ERROR);
  assert_int_equal(require("CREATE TABLE t(x, y AS (x))", "t", &error), SF_DB_ADAPTER_ERROR);
  assert_string_equal(error.message, "d: expected a table t without computed columns");
  assert_int_equal(require("CREATE TABLE t(x, y AS (x) STORED)", "t", &error), SF_DB_ADAPTER_ERROR);
}

static void a_database_is_read_and_never_written(void **state) {
  (void)state;
  sf_buffer bytes = database_of("CREATE TABLE t(x)", "INSERT INTO t VALUES (7)");
  char path[PATH_SIZE];
  put_file("a?b#c%41 d.db", bytes.data, bytes.length);
  sqlite3 *from_file;
  assert_int_equal(sf_sqlite_open_immutable(path_of(path, "a?b#c%41 d.db"), "d", SF_DB_ADAPTER_ERROR, &from_file, NULL),
                   SF_OK);
  sqlite3 *databases[] = {open_bytes(&bytes), from_file};
  for (size_t i = 0; i < 2; i++) {
    sqlite3_stmt *row;
    assert_int_equal(sf_sqlite_prepare(databases[i], "SELECT x FROM t", "d", SF_ERROR, &row, NULL), SF_OK);
    assert_int_equal(sqlite3_step(row), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(row, 0), 7);
    sqlite3_finalize(row);
    assert_int_not_equal(sqlite3_exec(databases[i], "INSERT INTO t VALUES (8)", NULL, NULL, NULL), SQLITE_OK);
    assert_int_not_equal(sqlite3_exec(databases[i], "ATTACH ':memory:' AS other", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(databases[i]);
  }
  sf_buffer_free(&bytes);
}

static void a_file_that_is_no_database_fails_with_the_callers_code_and_message(void **state) {
  (void)state;
  char garbage[1024];
  char path[PATH_SIZE];
  sqlite3 *database;
  sf_error error;
  memset(garbage, 'x', sizeof(garbage));
  assert_int_equal(sf_sqlite_open_bytes(garbage, sizeof(garbage), "d", SF_MANIFEST_PARSE_ERROR, &database, &error),
                   SF_MANIFEST_PARSE_ERROR);
  assert_int_equal(strncmp(error.message, "d: can't open the database: ", 28), 0);
  assert_int_equal(sf_sqlite_open_immutable(path_of(path, "missing.db"), "d", SF_DB_ADAPTER_ERROR, &database, &error),
                   SF_DB_ADAPTER_ERROR);
  assert_int_equal(strncmp(error.message, "d: can't open the database: ", 28), 0);
}

static void put_u16(uint8_t *bytes, unsigned value) {
  bytes[0] = (uint8_t)(value >> 8);
  bytes[1] = (uint8_t)value;
}

/* An inner page of a table whose children are all the same page (SQLite file format, section 1.6). */
static void fill_inner_page(uint8_t *page, uint8_t child) {
  enum { NUM_CELLS = 50, CELL = 5 };
  page[0] = 5;
  put_u16(page + 3, NUM_CELLS);
  put_u16(page + 5, PAGE - NUM_CELLS * CELL);
  page[11] = child;
  for (unsigned i = 0; i < NUM_CELLS; i++) {
    unsigned offset = PAGE - (i + 1) * CELL;
    put_u16(page + 12 + 2 * i, offset);
    page[offset + 3] = child;
    page[offset + 4] = (uint8_t)(i + 1);
  }
}

/* Eight kilobytes with 51^14 rows. */
static sf_buffer endless_database(void) {
  enum { LEVELS = 14 };
  sf_buffer bytes = database_of("PRAGMA page_size=512; CREATE TABLE t(x INTEGER)", "INSERT INTO t VALUES (0)");
  uint8_t leaf[PAGE];
  assert_int_equal(bytes.length, 2 * PAGE);
  memcpy(leaf, bytes.data + PAGE, PAGE);
  for (unsigned level = 0; level < LEVELS; level++) {
    uint8_t page[PAGE] = {0};
    fill_inner_page(page, (uint8_t)(level + 3));
    if (level == 0)
      memcpy(bytes.data + PAGE, page, PAGE);
    else
      assert_true(sf_buffer_append(&bytes, page, PAGE));
  }
  assert_true(sf_buffer_append(&bytes, leaf, PAGE));
  bytes.data[31] = LEVELS + 2; /* pages, in the header */
  return bytes;
}

static void a_table_without_end_is_given_up(void **state) {
  (void)state;
  sf_buffer bytes = endless_database();
  sqlite3 *database = open_bytes(&bytes);
  sqlite3_stmt *row;
  sf_error error;
  assert_int_equal(sf_sqlite_prepare(database, "SELECT x FROM t WHERE x=1", "d", SF_DB_ADAPTER_ERROR, &row, NULL),
                   SF_OK);
  assert_int_equal(sqlite3_step(row), SQLITE_INTERRUPT);
  assert_int_equal(sf_sqlite_fail(database, SQLITE_INTERRUPT, "d", "can't read t", SF_DB_ADAPTER_ERROR, &error),
                   SF_DB_ADAPTER_ERROR);
  assert_string_equal(error.message, "d: can't read t: expected it to be read in proportion to its size, found no end");
  sqlite3_finalize(row);
  sqlite3_close(database);
  sf_buffer_free(&bytes);
}

static void a_statement_that_is_renewed_is_not_given_up(void **state) {
  (void)state;
  sf_buffer bytes = database_of("CREATE TABLE t(x INTEGER PRIMARY KEY)", "INSERT INTO t VALUES (7)");
  sqlite3 *database = open_bytes(&bytes);
  sqlite3_stmt *row;
  assert_int_equal(sf_sqlite_prepare(database, "SELECT x FROM t", "d", SF_ERROR, &row, NULL), SF_OK);
  int found = 0;
  for (int i = 0; i < 300000; i++) {
    sf_sqlite_renew(row);
    found += sqlite3_step(row) == SQLITE_ROW;
    sqlite3_reset(row);
  }
  assert_int_equal(found, 300000);
  sqlite3_finalize(row);
  sqlite3_close(database);
  sf_buffer_free(&bytes);
}

static void a_value_longer_than_the_file_is_refused(void **state) {
  (void)state;
  sf_buffer bytes = database_of("CREATE TABLE t(x)", "");
  sqlite3 *database = open_bytes(&bytes);
  sqlite3_stmt *row;
  assert_int_equal(sf_sqlite_prepare(database, "SELECT hex(zeroblob(100000000))", "d", SF_ERROR, &row, NULL), SF_OK);
  assert_int_equal(sqlite3_step(row), SQLITE_TOOBIG);
  sqlite3_finalize(row);
  sqlite3_close(database);
  sf_buffer_free(&bytes);
}

/* sqlite3_deserialize, for one, returns it and leaves the connection without an error. */
static void memory_that_is_out_is_never_a_malformed_database(void **state) {
  (void)state;
  const int statuses[] = {SQLITE_NOMEM, SQLITE_IOERR_NOMEM};
  sf_buffer bytes = database_of("CREATE TABLE t(x)", "");
  sqlite3 *database = open_bytes(&bytes);
  for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
    sf_error error;
    errno = ENOMEM; /* as an allocation that fails leaves it */
    assert_int_equal(sf_sqlite_fail(database, statuses[i], "d", "can't read t", SF_MANIFEST_PARSE_ERROR, &error),
                     SF_OUT_OF_MEMORY_ERROR);
    assert_int_equal(error.code, SF_OUT_OF_MEMORY_ERROR);
  }
  assert_int_equal(sf_sqlite_fail(NULL, SQLITE_ERROR, "d", "can't open it", SF_MANIFEST_PARSE_ERROR, NULL),
                   SF_OUT_OF_MEMORY_ERROR);
  assert_int_equal(sf_sqlite_fail(database, SQLITE_CORRUPT, "d", "can't read t", SF_MANIFEST_PARSE_ERROR, NULL),
                   SF_MANIFEST_PARSE_ERROR);
  sqlite3_close(database);
  sf_buffer_free(&bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(only_ordinary_tables_are_tables),
      cmocka_unit_test(a_database_is_read_and_never_written),
      cmocka_unit_test(a_file_that_is_no_database_fails_with_the_callers_code_and_message),
      cmocka_unit_test(a_table_without_end_is_given_up),
      cmocka_unit_test(a_statement_that_is_renewed_is_not_given_up),
      cmocka_unit_test(a_value_longer_than_the_file_is_refused),
      cmocka_unit_test(memory_that_is_out_is_never_a_malformed_database),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
