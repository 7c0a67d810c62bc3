/* Sidecars: what a parser of its own finds in them is what the database has, and what SQLite's dbstat says of its pages. */
#include "formats/sqlite_vec/write_sidecar.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "cmocka_includes.h"
#include "random.h"
#include "support/scratch.h"

#include <glob.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <zstd.h>

static sf_buffer read_file(const char *path) {
  sf_buffer contents = {0};
  FILE *file = fopen(path, "rb");
  assert_non_null(file);
  uint8_t bytes[4096];
  for (size_t got; (got = fread(bytes, 1, sizeof(bytes), file)) > 0;)
    assert_true(sf_buffer_append(&contents, bytes, got));
  fclose(file);
  return contents;
}

/* ------------------------------------------------------------------------------------------------------------ Parser */

/* A sidecar, with its lists as they are in the body. Owns the body. */
typedef struct sidecar {
  char tag[256];
  uint32_t page_size;
  sf_buffer body;
  uint32_t num_pages;
  const uint8_t *numbers;
  const uint8_t *offsets;
  uint32_t num_chains;
  const uint8_t *heads;
  const uint8_t *chain_offsets;
  const uint8_t *chain_pages;
  const uint8_t *pages;
} sidecar;

static uint32_t at(const uint8_t *list, size_t index) {
  return sf_load_u32(list + 4 * index);
}

static const uint8_t *take_list(sf_cursor *cursor, size_t count) {
  const uint8_t *list = sf_cursor_take(cursor, 4 * count);
  assert_non_null(list);
  return list;
}

static void parse_body(sidecar *read) {
  sf_cursor cursor = sf_cursor_over(read->body.data, read->body.length);
  assert_true(sf_cursor_u32(&cursor, &read->num_pages));
  read->numbers = take_list(&cursor, read->num_pages);
  read->offsets = take_list(&cursor, (size_t)read->num_pages + 1);
  assert_true(sf_cursor_u32(&cursor, &read->num_chains));
  read->heads = take_list(&cursor, read->num_chains);
  read->chain_offsets = take_list(&cursor, (size_t)read->num_chains + 1);
  read->chain_pages = take_list(&cursor, at(read->chain_offsets, read->num_chains));
  read->pages = read->body.data + cursor.position;
  assert_int_equal(at(read->offsets, 0), 0);
  assert_int_equal(at(read->offsets, read->num_pages), sf_cursor_remaining(&cursor));
  assert_int_equal(at(read->chain_offsets, 0), 0);
  for (uint32_t i = 1; i < read->num_pages; i++)
    assert_true(at(read->numbers, i - 1) < at(read->numbers, i));
  for (uint32_t i = 0; i < read->num_chains; i++) {
    assert_true(i == 0 || at(read->heads, i - 1) < at(read->heads, i));
    assert_true(at(read->chain_offsets, i) < at(read->chain_offsets, i + 1));
    assert_int_equal(at(read->chain_pages, at(read->chain_offsets, i)), at(read->heads, i));
  }
}

/* Also that the frame has the body's size in its head (bits 6 and 7 of its fifth byte, or bit 5), and a checksum at its end (bit 2). */
static sidecar parse(const uint8_t *bytes, size_t length) {
  sidecar read = {0};
  assert_true(length > 18 && memcmp(bytes, "SQPC", 4) == 0);
  assert_int_equal(bytes[4], 8);
  uint64_t body_size = sf_load_u64(bytes + 5);
  read.page_size = sf_load_u32(bytes + 13);
  size_t head = 18 + (size_t)bytes[17];
  assert_true(length > head + 5);
  memcpy(read.tag, bytes + 18, bytes[17]);
  assert_true((bytes[head + 4] & 4) != 0);
  assert_int_equal(ZSTD_getFrameContentSize(bytes + head, length - head), body_size);
  assert_true(sf_buffer_reserve(&read.body, body_size + 1));
  read.body.length = ZSTD_decompress(read.body.data, body_size, bytes + head, length - head);
  assert_int_equal(read.body.length, body_size);
  parse_body(&read);
  return read;
}

static uint32_t big_u16(const uint8_t *bytes) {
  return 256U * bytes[0] + bytes[1];
}

static bool is_tree_page(const uint8_t *page) {
  return page[0] == 2 || page[0] == 5 || page[0] == 10 || page[0] == 13;
}

/* A stored page with zeros for its gap, which begins at `*gap` (the page's size: it has none). */
static void restore(const sidecar *from, uint32_t index, uint8_t *page, size_t *gap, size_t *gap_length) {
  const uint8_t *stored = from->pages + at(from->offsets, index);
  size_t length = at(from->offsets, index + 1) - at(from->offsets, index);
  const uint8_t *header = stored + (at(from->numbers, index) == 1 ? 100 : 0);
  *gap = length;
  *gap_length = 0;
  if (is_tree_page(header)) {
    size_t cells = big_u16(header + 5) == 0 ? 65536 : big_u16(header + 5);
    *gap = (size_t)(header - stored) + (header[0] < 8 ? 12 : 8) + 2 * (size_t)big_u16(header + 3);
    assert_true(*gap <= cells && *gap <= length);
    *gap_length = cells - *gap;
  }
  assert_int_equal(length + *gap_length, from->page_size);
  memcpy(page, stored, *gap);
  memset(page + *gap, 0, *gap_length);
  memcpy(page + *gap + *gap_length, stored + *gap, length - *gap);
}

/* Each page is the database's, but for the gap; each chain is what its pages say. */
static void expect_pages_of(const sidecar *read, const sf_buffer *database) {
  static uint8_t page[65536];
  size_t gap;
  size_t gap_length;
  for (uint32_t i = 0; i < read->num_pages; i++) {
    restore(read, i, page, &gap, &gap_length);
    const uint8_t *expected = database->data + (size_t)(at(read->numbers, i) - 1) * read->page_size;
    assert_memory_equal(page, expected, gap);
    assert_memory_equal(page + gap + gap_length, expected + gap + gap_length, read->page_size - gap - gap_length);
  }
  for (uint32_t i = 0; i < read->num_chains; i++) {
    for (uint32_t k = at(read->chain_offsets, i); k < at(read->chain_offsets, i + 1); k++) {
      const uint8_t *next = database->data + (size_t)(at(read->chain_pages, k) - 1) * read->page_size;
      uint32_t found = 65536 * big_u16(next) + big_u16(next + 2);
      assert_int_equal(found, k + 1 < at(read->chain_offsets, i + 1) ? at(read->chain_pages, k + 1) : 0);
    }
  }
}

/* ------------------------------------------------------------------------------------------------------------ dbstat */

static void run(sqlite3 *database, const char *sql) {
  char *message = NULL;
  if (sqlite3_exec(database, sql, NULL, NULL, &message) != SQLITE_OK)
    fail_msg("%s: %s", sql, message);
}

static sqlite3_stmt *ask(sqlite3 *database, const char *sql) {
  sqlite3_stmt *rows;
  if (sqlite3_prepare_v2(database, sql, -1, &rows, NULL) != SQLITE_OK)
    fail_msg("%s", sqlite3_errmsg(database));
  return rows;
}

/* The path of an overflow page ends with its cell's number, '+' and its number in the chain. */
static void expect_chains_of_dbstat(const sidecar *read, sqlite3 *database) {
  run(database, "CREATE TEMP TABLE pages AS SELECT name, path, pageno FROM dbstat WHERE pagetype = 'overflow'");
  sqlite3_stmt *rows =
      ask(database, "SELECT first.pageno, page.pageno FROM pages AS page JOIN pages AS first ON first.path ="
                    " substr(page.path, 1, length(page.path) - 6) || '000000' AND first.name = page.name"
                    " ORDER BY first.pageno, page.path");
  uint32_t num_pages = 0;
  uint32_t chain = 0;
  while (sqlite3_step(rows) == SQLITE_ROW) {
    assert_true(num_pages < at(read->chain_offsets, read->num_chains));
    chain += num_pages == at(read->chain_offsets, chain + 1);
    assert_int_equal(at(read->heads, chain), sqlite3_column_int64(rows, 0));
    assert_int_equal(at(read->chain_pages, num_pages++), sqlite3_column_int64(rows, 1));
  }
  assert_int_equal(num_pages, at(read->chain_offsets, read->num_chains));
  sqlite3_finalize(rows);
}

/* All interior pages, and all of the schema's. */
static void expect_what_dbstat_says(const sidecar *read, const char *path) {
  sqlite3 *database;
  assert_int_equal(sqlite3_open_v2(path, &database, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
  sqlite3_stmt *rows = ask(database, "SELECT pageno FROM dbstat WHERE pagetype = 'internal' OR name IN"
                                     " ('sqlite_master', 'sqlite_schema') ORDER BY pageno");
  for (uint32_t i = 0; i < read->num_pages; i++) {
    assert_int_equal(sqlite3_step(rows), SQLITE_ROW);
    assert_int_equal(at(read->numbers, i), sqlite3_column_int64(rows, 0));
  }
  assert_int_equal(sqlite3_step(rows), SQLITE_DONE);
  sqlite3_finalize(rows);
  expect_chains_of_dbstat(read, database);
  sqlite3_close(database);
}

/* ------------------------------------------------------------------------------------------------------------- Tests */

typedef struct world {
  char *folder;
  char *database;
  char *path;
} world;

static world open_world(void) {
  world opened = {.folder = scratch_make()};
  opened.database = scratch_path(opened.folder, "shard.db");
  opened.path = scratch_path(opened.folder, "shard.sidecar");
  return opened;
}

static void close_world(world *closed) {
  scratch_remove(closed->folder);
  free(closed->database);
  free(closed->path);
}

static void make_database(const world *in, int reserved, const char *settings, const char *sql) {
  sqlite3 *database;
  remove(in->database);
  assert_int_equal(sqlite3_open(in->database, &database), SQLITE_OK);
  run(database, settings);
  assert_int_equal(sqlite3_file_control(database, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserved), SQLITE_OK);
  run(database, sql);
  assert_int_equal(sqlite3_close(database), SQLITE_OK);
}

static sf_code write_sidecar(const world *in, const char *tag, bool *written, sf_error *error) {
  return sf_sqlite_vec_sidecar.write(in->folder, tag, NULL, written, error);
}

static sidecar write_and_parse(const world *in, const char *tag) {
  bool written = false;
  sf_error error = {0};
  if (write_sidecar(in, tag, &written, &error) != SF_OK)
    fail_msg("%s", error.message);
  assert_true(written);
  sf_buffer bytes = read_file(in->path);
  sidecar read = parse(bytes.data, bytes.length);
  sf_buffer_free(&bytes);
  return read;
}

/* Trees of several levels, of tables and of indexes whose interior cells overflow; chains of one page and of many; a schema with more
 * than a page, and a statement in it that overflows; free pages, and gaps where rows were. */
static const char everything[] =
    "CREATE TABLE numbers (a INTEGER PRIMARY KEY, b TEXT, c BLOB); CREATE INDEX texts ON numbers (b);"
    "CREATE TABLE keys (k TEXT PRIMARY KEY, v BLOB) WITHOUT ROWID; CREATE TABLE none (a); CREATE VIEW seen AS SELECT 1;"
    "BEGIN;"
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000) INSERT INTO numbers"
    " SELECT i, printf('%0*d', CASE WHEN i % 97 = 0 THEN 70000 WHEN i % 7 = 0 THEN 1200 ELSE 9 END, i),"
    " zeroblob(CASE WHEN i % 501 = 0 THEN 300000 ELSE i % 61 END) FROM n;"
    "INSERT INTO keys SELECT b || a, zeroblob(length(b) / 3) FROM numbers WHERE a % 5 = 0;"
    "DELETE FROM numbers WHERE a % 3 = 0; COMMIT;";

static void long_schema(const world *in, const char *settings) {
  sf_buffer sql = {0};
  assert_true(sf_buffer_append_text(&sql, everything));
  for (int i = 0; i < 60; i++)
    assert_true(sf_buffer_append_format(&sql, "CREATE TABLE t%d (a DEFAULT '%0*d');", i, i == 30 ? 150000 : 40, i));
  make_database(in, 0, settings, (const char *)sql.data);
  sf_buffer_free(&sql);
}

static void a_sidecar_has_what_the_database_has_whatever_the_size_of_pages(void **state) {
  (void)state;
  const bool has_dbstat = sqlite3_compileoption_used("ENABLE_DBSTAT_VTAB") != 0;
  world in = open_world();
  for (unsigned page_size = 512; page_size <= 65536; page_size *= 2) {
    char settings[96];
    snprintf(settings, sizeof(settings), "PRAGMA page_size=%u; PRAGMA synchronous=OFF; PRAGMA auto_vacuum=%d",
             page_size, page_size == 1024);
    long_schema(&in, settings);
    sidecar read = write_and_parse(&in, "\"tag\"");
    sf_buffer database = read_file(in.database);
    assert_string_equal(read.tag, "\"tag\"");
    assert_int_equal(read.page_size, page_size);
    assert_true(read.num_pages > 1 && read.num_chains > 1);
    expect_pages_of(&read, &database);
    if (has_dbstat)
      expect_what_dbstat_says(&read, in.database);
    sf_buffer_free(&database);
    sf_buffer_free(&read.body);
  }
  close_world(&in);
}

/* They were written by the format's first library. */
static void sidecars_of_golden_shards_are_the_same(void **state) {
  (void)state;
  glob_t found;
  assert_int_equal(glob(SF_TEST_GOLDEN "/sqlite-*/snapshot/shards/*/*/*/shard.sidecar", 0, NULL, &found), 0);
  assert_int_equal(found.gl_pathc, 26);
  world in = open_world();
  for (size_t i = 0; i < found.gl_pathc; i++) {
    char *of = sf_format("%.*s.db", (int)(strlen(found.gl_pathv[i]) - strlen(".sidecar")), found.gl_pathv[i]);
    sf_buffer database = read_file(of);
    sf_buffer golden = read_file(found.gl_pathv[i]);
    sidecar expected = parse(golden.data, golden.length);
    scratch_write(in.database, database.data, database.length);
    sidecar read = write_and_parse(&in, expected.tag);
    assert_string_equal(read.tag, expected.tag);
    assert_int_equal(read.page_size, expected.page_size);
    assert_int_equal(read.body.length, expected.body.length);
    assert_memory_equal(read.body.data, expected.body.data, expected.body.length);
    expect_pages_of(&read, &database);
    sf_buffer_free(&database);
    sf_buffer_free(&golden);
    sf_buffer_free(&expected.body);
    sf_buffer_free(&read.body);
    free(of);
  }
  globfree(&found);
  close_world(&in);
}

static void a_tag_that_is_too_long_binds_to_nothing(void **state) {
  (void)state;
  char tag[257];
  world in = open_world();
  make_database(&in, 0, "PRAGMA page_size=4096", "CREATE TABLE t (a)");
  memset(tag, 'x', sizeof(tag));
  for (size_t length = 254; length <= 256; length++) {
    tag[length] = '\0';
    sidecar read = write_and_parse(&in, tag);
    assert_string_equal(read.tag, length <= 255 ? tag : "");
    assert_int_equal(read.num_pages, 1);
    assert_int_equal(read.num_chains, 0);
    sf_buffer_free(&read.body);
    tag[length] = 'x';
  }
  close_world(&in);
}

static void a_database_with_reserved_bytes_has_no_sidecar(void **state) {
  (void)state;
  struct stat status;
  bool written = true;
  world in = open_world();
  make_database(&in, 8, "PRAGMA page_size=4096", everything);
  assert_int_equal(write_sidecar(&in, "", &written, NULL), SF_OK);
  assert_false(written);
  assert_int_not_equal(stat(in.path, &status), 0);
  close_world(&in);
}

static void expect_failure(const world *in, const char *message) {
  sf_error error = {0};
  bool written = true;
  assert_int_equal(write_sidecar(in, "", &written, &error), SF_ERROR);
  assert_false(written);
  if (strstr(error.message, message) == NULL)
    fail_msg("expected '%s' in '%s'", message, error.message);
}

static void what_is_no_sound_database_is_refused(void **state) {
  (void)state;
  static const struct {
    size_t offset;
    uint8_t value;
    const char *message;
  } changes[] = {
      {0, 'x', "expected a SQLite database"},
      {17, 1, "expected a SQLite database"},
      {19, 2, "without a WAL"},
      {31, 99, "expected "},
      {100, 13 - 11, "page 1: expected "},
      {4096, 7, "page 2: expected a page of its tree, found 7"},
      {4096 + 3, 0xFF, "page 2: expected cells behind their pointers, and in the page"},
      {4096 + 5, 0xFF, "page 2: expected cells behind their pointers, and in the page"},
      {4096 + 8, 0, "page 2: expected cells among its cells"},
      {2 * 4096 + 3, 2, "page 3: expected a page that nothing else refers to, found 2"},
      {2 * 4096 + 1, 1, "page 3: expected the number of a page of the file, found 65540"},
      {2 * 4096 + 3, 0, "page 3: expected the number of a page of the file, found 0"},
      {3 * 4096 + 3, 3, "page 4: expected the end of its chain, found 3"},
  };
  world in = open_world();
  expect_failure(&in, "shard.db");
  make_database(&in, 0, "PRAGMA page_size=4096", "CREATE TABLE t (a); INSERT INTO t VALUES (zeroblob(10000))");
  sf_buffer database = read_file(in.database);
  for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
    uint8_t *changed = database.data + changes[i].offset;
    uint8_t before = *changed;
    *changed = changes[i].value;
    scratch_write(in.database, database.data, database.length);
    expect_failure(&in, changes[i].message);
    *changed = before;
  }
  scratch_write(in.database, database.data, database.length - 1);
  expect_failure(&in, "expected ");
  scratch_write(in.database, database.data, 50);
  expect_failure(&in, "expected 100 bytes at offset 0, found 50");
  sf_buffer_free(&database);
  close_world(&in);
}

/* Whatever the file has: a failure, or a sidecar of it that holds what the format asks for. */
static void a_corrupt_database_gives_no_wrong_sidecar(void **state) {
  (void)state;
  uint64_t seed = random_seed(18);
  size_t num_written = 0;
  size_t num_failed = 0;
  world in = open_world();
  make_database(
      &in, 0, "PRAGMA page_size=512",
      "CREATE TABLE t (a INTEGER PRIMARY KEY, b); CREATE INDEX i ON t (b); WITH RECURSIVE n(i) AS (SELECT 1 UNION"
      " ALL SELECT i + 1 FROM n WHERE i < 60) INSERT INTO t SELECT i, printf('%0*d', i * 20, i) FROM n");
  sf_buffer sound = read_file(in.database);
  sf_buffer database = {0};
  assert_true(sf_buffer_append(&database, sound.data, sound.length));
  for (int i = 0; i < 1000; i++) {
    bool written;
    memcpy(database.data, sound.data, sound.length);
    for (uint64_t changes = 1 + random_below(&seed, 3); changes > 0; changes--) {
      size_t page = 512 * random_below(&seed, sound.length / 512);
      size_t offset = random_below(&seed, 2) == 0 ? random_below(&seed, 16) : random_below(&seed, 512);
      database.data[page + offset] = (uint8_t)random_bits(&seed);
    }
    scratch_write(in.database, database.data, database.length);
    sf_code code = write_sidecar(&in, "", &written, NULL);
    num_written += code == SF_OK && written;
    num_failed += code != SF_OK;
    if (code != SF_OK || !written)
      continue;
    sf_buffer bytes = read_file(in.path);
    sidecar read = parse(bytes.data, bytes.length);
    expect_pages_of(&read, &database);
    sf_buffer_free(&bytes);
    sf_buffer_free(&read.body);
  }
  assert_true(num_written > 100 && num_failed > 100);
  sf_buffer_free(&sound);
  sf_buffer_free(&database);
  close_world(&in);
}

static void a_sidecar_that_cannot_be_written_is_an_error(void **state) {
  (void)state;
  sf_error error = {0};
  sf_cancellation cancellation = {0};
  bool written = true;
  world in = open_world();
  make_database(&in, 0, "PRAGMA page_size=4096", everything);
  assert_int_equal(mkdir(in.path, 0777), 0);
  assert_int_equal(write_sidecar(&in, "", &written, &error), SF_ERROR);
  assert_non_null(strstr(error.message, "shard.sidecar"));
  assert_int_equal(remove(in.path), 0);
  sf_cancellation_request(&cancellation);
  assert_int_equal(sf_sqlite_vec_sidecar.write(in.folder, "", &cancellation, &written, NULL), SF_CANCELLED_ERROR);
  close_world(&in);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_sidecar_has_what_the_database_has_whatever_the_size_of_pages),
      cmocka_unit_test(sidecars_of_golden_shards_are_the_same),
      cmocka_unit_test(a_tag_that_is_too_long_binds_to_nothing),
      cmocka_unit_test(a_database_with_reserved_bytes_has_no_sidecar),
      cmocka_unit_test(what_is_no_sound_database_is_refused),
      cmocka_unit_test(a_corrupt_database_gives_no_wrong_sidecar),
      cmocka_unit_test(a_sidecar_that_cannot_be_written_is_an_error),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
