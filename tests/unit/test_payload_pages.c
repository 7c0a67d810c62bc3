/* Payloads from the pages of a database are what SQLite reads, or are left to it. */
#include "formats/sqlite_vec/payload_pages.h"

#include "cmocka_includes.h"
#include "manifest_files.h"
#include "random.h"

#include <string.h>

#define PLAIN "CREATE TABLE vec_payloads (rowid INTEGER PRIMARY KEY, payload TEXT NOT NULL);"

/* A database in memory, as a file of exactly its length. */
typedef struct payload_file {
  sf_buffer bytes;
  sqlite3 *database;
  sf_payload_pages pages;
  bool usable;
} payload_file;

static payload_file open_bytes(sf_buffer bytes) {
  payload_file file = {.bytes = bytes};
  assert_int_equal(sf_sqlite_open_bytes(bytes.data, bytes.length, "test", SF_ERROR, &file.database, NULL), SF_OK);
  assert_int_equal(sf_payload_pages_find(file.database, bytes.data, bytes.length, &file.pages, &file.usable, NULL),
                   SF_OK);
  return file;
}

static payload_file open_sql(const char *sql, const char *changes) {
  return open_bytes(database_of(sql, changes));
}

static void close_file(payload_file *file) {
  sqlite3_close(file->database);
  sf_buffer_free(&file->bytes);
}

/* Whether the pages have the payload; then it is the same as SQLite's. */
static bool is_found(const payload_file *file, int64_t row_id) {
  sqlite3_stmt *row;
  const char *text;
  size_t length;
  if (!sf_payload_pages_get(&file->pages, row_id, &text, &length))
    return false;
  assert_int_equal(
      sqlite3_prepare_v2(file->database, "SELECT payload FROM vec_payloads WHERE rowid=?1", -1, &row, NULL), SQLITE_OK);
  sqlite3_bind_int64(row, 1, row_id);
  bool exists = sqlite3_step(row) == SQLITE_ROW && sqlite3_column_type(row, 0) != SQLITE_NULL;
  assert_int_equal(text != NULL, exists);
  if (exists) {
    const unsigned char *expected = sqlite3_column_text(row, 0);
    assert_int_equal(length, sqlite3_column_bytes(row, 0));
    assert_memory_equal(text, expected, length);
  }
  sqlite3_finalize(row);
  return true;
}

static void every_row_is_found_whatever_the_size_of_pages(void **state) {
  (void)state;
  static const char *const sizes[] = {"512", "1024", "4096", "65536"};
  for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
    char sql[256];
    snprintf(sql, sizeof(sql), "PRAGMA page_size=%s; %s", sizes[i], PLAIN);
    payload_file file = open_sql(sql, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)"
                                      "INSERT INTO vec_payloads SELECT i, '{\"i\": ' || i || '}' FROM n");
    assert_true(file.usable);
    for (int64_t row = -3; row <= 5003; row++)
      assert_true(is_found(&file, row));
    close_file(&file);
  }
}

static void gaps_and_extreme_row_ids_are_found(void **state) {
  (void)state;
  payload_file file =
      open_sql("PRAGMA page_size=512;" PLAIN,
               "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900)"
               "INSERT INTO vec_payloads SELECT (i - 450) * i * i, 'row ' || i FROM n WHERE i <> 450;"
               "INSERT INTO vec_payloads VALUES (9223372036854775807, 'last'), (-9223372036854775808, 'first'),"
               "(9223372036854775806, ''); DELETE FROM vec_payloads WHERE rowid % 3 = 0");
  assert_true(file.usable);
  for (int64_t i = 1; i <= 900; i++) {
    assert_true(is_found(&file, (i - 450) * i * i));
    assert_true(is_found(&file, (i - 450) * i * i + 1));
  }
  static const int64_t extremes[] = {INT64_MAX, INT64_MAX - 1, INT64_MAX - 2, INT64_MIN, INT64_MIN + 1, 0};
  for (size_t i = 0; i < sizeof(extremes) / sizeof(extremes[0]); i++)
    assert_true(is_found(&file, extremes[i]));
  close_file(&file);
}

static void values_that_are_no_text_of_one_page_are_left_to_sqlite(void **state) {
  (void)state;
  payload_file file =
      open_sql("PRAGMA page_size=1024; CREATE TABLE vec_payloads (a, rowid INTEGER PRIMARY KEY, b BLOB, payload, c);",
               "INSERT INTO vec_payloads VALUES (1.5, 1, zeroblob(40), 'text', 7), (NULL, 2, NULL, NULL, NULL),"
               "(0, 3, 1, 17, 'x'), (1, 4, -300, 0.25, 2), (70000, 5, 'b', x'7b7d', 3), (NULL, 6, 5000000000, '', 4),"
               "(1, 7, 2, printf('%989d', 1), 0), (1, 8, 2, printf('%2000d', 1), 0);"
               "ALTER TABLE vec_payloads ADD COLUMN late DEFAULT 4");
  static const bool expected[] = {true, true, true, false, false, false, true, false, false, true};
  assert_true(file.usable);
  assert_int_equal(file.pages.column, 3);
  for (int64_t row = 0; row < 10; row++)
    assert_int_equal(is_found(&file, row), expected[row]);
  close_file(&file);
}

/* As long as fits into a page, and one byte more: SQLite then moves most of it to other pages. */
static void the_longest_payload_of_one_page_is_found(void **state) {
  (void)state;
  payload_file file = open_sql("PRAGMA page_size=512;" PLAIN,
                               "INSERT INTO vec_payloads VALUES (1, printf('%473d', 1)), (2, printf('%474d', 1))");
  assert_true(file.usable);
  assert_true(is_found(&file, 1));
  assert_false(is_found(&file, 2));
  close_file(&file);
}

static void a_column_added_later_is_left_to_sqlite(void **state) {
  (void)state;
  payload_file file = open_sql("CREATE TABLE vec_payloads (rowid INTEGER PRIMARY KEY);",
                               "INSERT INTO vec_payloads VALUES (1);"
                               "ALTER TABLE vec_payloads ADD COLUMN payload TEXT NOT NULL DEFAULT '{}'");
  assert_true(file.usable);
  assert_false(is_found(&file, 1));
  close_file(&file);
}

/* A row is not looked up by the key of such a table's pages, or its text is not UTF-8. */
static void other_tables_are_not_usable(void **state) {
  (void)state;
  static const char *const tables[] = {
      "CREATE TABLE vec_payloads (rowid TEXT, payload TEXT);",
      "CREATE TABLE vec_payloads (rowid TEXT, id INTEGER PRIMARY KEY, payload TEXT);",
      "CREATE TABLE vec_payloads (rowid INTEGER PRIMARY KEY DESC, payload TEXT);",
      "CREATE TABLE vec_payloads (rowid INT UNIQUE, payload TEXT);",
      "CREATE TABLE vec_payloads (rowid INTEGER PRIMARY KEY, payload TEXT) WITHOUT ROWID;",
      "CREATE TABLE vec_payloads (other INTEGER, payload INTEGER PRIMARY KEY);",
      "CREATE TABLE vec_payloads (rowid INTEGER PRIMARY KEY, a TEXT, payload AS (a));",
      "CREATE VIEW vec_payloads AS SELECT 1 AS rowid, '{}' AS payload;",
      "CREATE TABLE payloads (rowid INTEGER PRIMARY KEY, payload TEXT);",
      ("PRAGMA encoding='UTF-16le';" PLAIN),
      ("PRAGMA encoding='UTF-16be';" PLAIN),
  };
  for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
    payload_file file = open_sql(tables[i], "CREATE TABLE last (x)");
    if (file.usable)
      print_error("%s\n", tables[i]);
    assert_false(file.usable);
    close_file(&file);
  }
}

static void a_plain_table_beside_an_index_is_usable(void **state) {
  (void)state;
  payload_file file = open_sql("CREATE TABLE vec_payloads (payload TEXT); CREATE INDEX i ON vec_payloads (payload);",
                               "INSERT INTO vec_payloads VALUES ('a'), ('b')");
  assert_true(file.usable);
  for (int64_t row = 0; row < 4; row++)
    assert_true(is_found(&file, row));
  close_file(&file);
}

static sf_buffer copy_of(const sf_buffer *bytes, size_t length) {
  sf_buffer copy = {0};
  assert_true(sf_buffer_append(&copy, bytes->data, length));
  return copy;
}

/* The sanitizer sees a byte too far: the copy is no longer than it says. Returns the sum of what was read. */
static size_t read_all(const payload_file *from, const uint8_t *bytes, size_t length, size_t *num_read) {
  sf_payload_pages pages = from->pages;
  pages.bytes = bytes;
  pages.length = length;
  size_t sum = 0;
  for (int64_t row = 0; row < 300; row++) {
    const char *text;
    size_t size;
    if (!sf_payload_pages_get(&pages, row, &text, &size))
      continue;
    (*num_read)++;
    for (size_t i = 0; i < size; i++)
      sum += (unsigned char)text[i];
  }
  return sum;
}

static payload_file many_pages(void) {
  return open_sql("PRAGMA page_size=512;" PLAIN,
                  "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)"
                  "INSERT INTO vec_payloads SELECT i, printf('%*d', i % 100, i) FROM n");
}

static void a_truncated_file_is_read_to_its_end_and_no_further(void **state) {
  (void)state;
  payload_file file = many_pages();
  size_t before = 0;
  for (size_t length = 512; length <= file.bytes.length; length += 512) {
    sf_buffer cut = copy_of(&file.bytes, length);
    size_t num_read = 0;
    void *exact = malloc(length);
    assert_non_null(exact);
    memcpy(exact, cut.data, length);
    assert_true(read_all(&file, exact, length, &num_read) > 0 || num_read == 0);
    assert_true(num_read >= before);
    before = num_read;
    free(exact);
    sf_buffer_free(&cut);
  }
  assert_int_equal(before, 300);
  close_file(&file);
}

/* Whatever the pages say: pages in a circle, cells and records that end outside. */
static void files_with_random_bytes_are_read_within_their_bounds(void **state) {
  (void)state;
  uint64_t random = random_seed(5);
  payload_file file = many_pages();
  size_t num_read = 0;
  size_t sum = 0;
  for (int round = 0; round < 3000; round++) {
    uint8_t *exact = malloc(file.bytes.length);
    assert_non_null(exact);
    memcpy(exact, file.bytes.data, file.bytes.length);
    for (uint64_t i = 0, count = 1 + random_below(&random, 200); i < count; i++) {
      uint64_t page = random_below(&random, file.bytes.length / 512);
      uint64_t within =
          random_below(&random, random_below(&random, 2) == 0 ? 100 : 512); /* headers and pointers more often */
      exact[page * 512 + within] = (uint8_t)random_bits(&random);
    }
    sum += read_all(&file, exact, file.bytes.length, &num_read);
    free(exact);
  }
  assert_true(num_read > 0 && sum > 0);
  close_file(&file);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_row_is_found_whatever_the_size_of_pages),
      cmocka_unit_test(gaps_and_extreme_row_ids_are_found),
      cmocka_unit_test(values_that_are_no_text_of_one_page_are_left_to_sqlite),
      cmocka_unit_test(the_longest_payload_of_one_page_is_found),
      cmocka_unit_test(a_column_added_later_is_left_to_sqlite),
      cmocka_unit_test(other_tables_are_not_usable),
      cmocka_unit_test(a_plain_table_beside_an_index_is_usable),
      cmocka_unit_test(a_truncated_file_is_read_to_its_end_and_no_further),
      cmocka_unit_test(files_with_random_bytes_are_read_within_their_bounds),
  };
  return cmocka_run_group_tests_name("payload_pages", tests, NULL, NULL);
}
