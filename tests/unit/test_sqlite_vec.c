#include "formats/shard.h"

#include "cmocka_includes.h"
#include "shard_files.h"
#include "temporary_folder.h"

#include <math.h>

#define DIM 4
#define NUM_ROWS 20
#define LONG_PAYLOAD 700 /* more than a page */

/* Row i has the id 2i + 1 and the vector (i, 1, −i, 0.5). */
static int64_t row_ids[NUM_ROWS];
static float vectors[NUM_ROWS * DIM];

static const char cosine[] = DECLARE("embedding float[4] distance_metric=cosine");

static shard_file plain_file(void) {
  for (int i = 0; i < NUM_ROWS; i++) {
    row_ids[i] = 2 * i + 1;
    const float row[DIM] = {(float)i, 1, (float)-i, 0.5F};
    memcpy(vectors + i * DIM, row, sizeof(row));
  }
  return (shard_file){.dim = DIM,
                      .chunk_size = 8,
                      .page_size = 512,
                      .declaration = cosine,
                      .row_ids = row_ids,
                      .vectors = vectors,
                      .num_rows = NUM_ROWS};
}

/* A shard, and what it was opened with. */
typedef struct opened {
  sf_storage *storage;
  sf_shard_resources *resources;
  sf_shard *shard;
} opened;

static sf_code open_bytes(const sf_buffer *bytes, sf_metric metric, bool verify_only, opened *to, sf_error *error) {
  char cache_dir[PATH_SIZE];
  path_of(cache_dir, "cache");
  remove_files(cache_dir);
  put_file("root/shard/shard.db", bytes->data, bytes->length);
  char root[PATH_SIZE];
  *to = (opened){0};
  assert_int_equal(sf_storage_open(path_of(root, "root"), NULL, &to->storage, NULL), SF_OK);
  assert_int_equal(sf_shard_resources_create(&to->resources, NULL), SF_OK);
  const sf_shard_params params = {.storage = to->storage,
                                  .resources = to->resources,
                                  .db_id = 7,
                                  .db_url = "s3://bucket/p/shard",
                                  .key = "shard",
                                  .checkpoint_id = "c7",
                                  .cache_dir = cache_dir,
                                  .dim = DIM,
                                  .metric = metric,
                                  .verify_only = verify_only};
  return sf_shard_open(&params, NULL, &to->shard, error);
}

static void close_opened(opened *from) {
  sf_shard_close(from->shard);
  sf_shard_resources_free(from->resources);
  sf_storage_close(from->storage);
}

static void open_file(const shard_file *file, opened *to) {
  sf_buffer bytes = shard_of(file);
  sf_error error = {0};
  if (open_bytes(&bytes, SF_METRIC_COSINE, false, to, &error) != SF_OK)
    fail_msg("%s", error.message);
  sf_buffer_free(&bytes);
}

/* Opening fails, for searching and for verifying, with an error that names the shard. */
static void assert_bytes_refused(const sf_buffer *bytes, sf_metric metric, const char *message_part) {
  for (int verify_only = 0; verify_only < 2; verify_only++) {
    opened none;
    sf_error error = {0};
    sf_code code = open_bytes(bytes, metric, verify_only != 0, &none, &error);
    if (code != SF_DB_ADAPTER_ERROR || strncmp(error.message, "shard 7 (s3://bucket/p/shard): ", 31) != 0 ||
        strstr(error.message, message_part) == NULL)
      fail_msg("expected a refusal with '%s', found %d '%s'", message_part, (int)code, error.message);
    close_opened(&none);
  }
}

static void assert_refused(const shard_file *file, const char *message_part) {
  sf_buffer bytes = shard_of(file);
  assert_bytes_refused(&bytes, SF_METRIC_COSINE, message_part);
  sf_buffer_free(&bytes);
}

/* What the last row that was fetched is. */
typedef struct last_row {
  sf_row_sink base;
  size_t count;
  sf_id_type id_type;
  int64_t id_integer;
  char id_string[64];
  size_t id_length;
  bool has_payload;
  char payload[1024];
} last_row;

static bool keep_row(sf_row_sink *sink, sf_id_type id_type, int64_t id_integer, const char *id_string, size_t id_length,
                     const char *payload, size_t payload_length) {
  last_row *row = (last_row *)sink;
  row->count++;
  row->id_type = id_type;
  row->id_integer = id_integer;
  row->id_length = id_length;
  if (id_type == SF_ID_STRING)
    memcpy(row->id_string, id_string, id_length);
  row->has_payload = payload != NULL;
  snprintf(row->payload, sizeof(row->payload), "%.*s", (int)payload_length, payload != NULL ? payload : "");
  return true;
}

static sf_code fetch(opened *from, uint64_t row, last_row *fetched, sf_error *error) {
  *fetched = (last_row){.base.add = keep_row};
  return sf_shard_fetch_rows(from->shard, &row, 1, &fetched->base, error);
}

/* Rows in the order of their ids, each with its vector; ids are not mapped. */
static void assert_rows(opened *from, const int64_t *ids, const float *expected, size_t count) {
  assert_int_equal(from->shard->num_rows, count);
  assert_int_equal(from->shard->num_segments, count > 0 ? 1 : 0);
  for (size_t i = 0; i < count; i++) {
    last_row fetched;
    assert_memory_equal(from->shard->segments[0].vectors + i * DIM, expected + i * DIM, DIM * sizeof(float));
    assert_int_equal(fetch(from, i, &fetched, NULL), SF_OK);
    assert_int_equal(fetched.id_type, SF_ID_INTEGER);
    assert_true(fetched.id_integer == ids[i]);
    assert_false(fetched.has_payload);
  }
}

static void rows_are_read_whatever_the_chunks_and_pages_are(void **state) {
  (void)state;
  static const uint32_t chunk_sizes[] = {1, 3, 8, 20, 100, 1024};
  for (size_t i = 0; i < sizeof(chunk_sizes) / sizeof(chunk_sizes[0]); i++) {
    shard_file file = plain_file();
    file.chunk_size = chunk_sizes[i];
    opened shard;
    open_file(&file, &shard);
    assert_rows(&shard, row_ids, vectors, NUM_ROWS);
    close_opened(&shard);
  }
  for (uint32_t page_size = 512; page_size <= 65536; page_size *= 2) {
    shard_file file = plain_file();
    file.page_size = page_size;
    opened shard;
    open_file(&file, &shard);
    assert_rows(&shard, row_ids, vectors, NUM_ROWS);
    assert_int_equal(sf_shard_verify(shard.shard, NULL, NULL), SF_OK);
    close_opened(&shard);
  }
}

static void deleted_rows_are_not_there(void **state) {
  (void)state;
  shard_file file = plain_file();
  const bool deleted[NUM_ROWS] = {[0] = true, [7] = true, [8] = true, [19] = true};
  file.deleted = deleted;
  opened shard;
  open_file(&file, &shard);
  assert_int_equal(shard.shard->num_rows, NUM_ROWS - 4);
  last_row fetched;
  assert_int_equal(fetch(&shard, 0, &fetched, NULL), SF_OK);
  assert_int_equal(fetched.id_integer, 3);
  assert_true(shard.shard->segments[0].vectors[0] == 1);
  close_opened(&shard);
}

static void rows_out_of_order_are_put_in_the_order_of_their_ids(void **state) {
  (void)state;
  shard_file file = plain_file();
  int64_t shuffled_ids[NUM_ROWS];
  float shuffled[NUM_ROWS * DIM];
  for (size_t i = 0; i < NUM_ROWS; i++) {
    size_t from = i * 7 % NUM_ROWS;
    shuffled_ids[i] = row_ids[from];
    memcpy(shuffled + i * DIM, vectors + from * DIM, DIM * sizeof(float));
  }
  file.row_ids = shuffled_ids;
  file.vectors = shuffled;
  opened shard;
  open_file(&file, &shard);
  assert_rows(&shard, row_ids, vectors, NUM_ROWS);
  close_opened(&shard);
}

static void row_ids_may_be_any_int64(void **state) {
  (void)state;
  shard_file file = plain_file();
  const int64_t ids[] = {INT64_MIN, -5, 0, INT64_MAX};
  file.row_ids = ids;
  file.num_rows = 4;
  opened shard;
  open_file(&file, &shard);
  assert_rows(&shard, ids, vectors, 4);
  close_opened(&shard);
}

static void a_shard_without_rows_is_open_and_empty(void **state) {
  (void)state;
  shard_file file = plain_file();
  const bool deleted[] = {true, true};
  file.num_rows = 0;
  opened shard;
  open_file(&file, &shard);
  assert_int_equal(shard.shard->num_rows, 0);
  assert_int_equal(shard.shard->num_segments, 0);
  close_opened(&shard);
  file.num_rows = 2;
  file.deleted = deleted;
  open_file(&file, &shard);
  assert_int_equal(shard.shard->num_rows, 0);
  close_opened(&shard);
}

static void rows_that_are_not_finite_are_excluded_and_counted(void **state) {
  (void)state;
  shard_file file = plain_file();
  vectors[3 * DIM] = NAN;
  vectors[9 * DIM + 3] = INFINITY;
  opened shard;
  open_file(&file, &shard);
  const sf_vector_segment *segment = &shard.shard->segments[0];
  assert_int_equal(shard.shard->num_not_finite, 2);
  assert_int_equal(shard.shard->num_rows, NUM_ROWS - 2);
  assert_int_equal(segment->num_rows, NUM_ROWS);
  for (size_t i = 0; i < NUM_ROWS; i++)
    assert_int_equal(segment->excluded[i / 8] >> (i % 8) & 1, i == 3 || i == 9);
  assert_true(fabs(segment->max_norm - sqrt(19 * 19 * 2 + 1.25)) < 1e-12);
  close_opened(&shard);
}

static void a_second_opening_maps_what_the_first_one_made(void **state) {
  (void)state;
  shard_file file = plain_file();
  opened first;
  open_file(&file, &first);
  opened second = first;
  char cache_dir[PATH_SIZE];
  char vectors_path[PATH_SIZE];
  struct stat before;
  struct stat after;
  assert_int_equal(stat(path_of(vectors_path, "cache/vectors.sfv"), &before), 0);
  const sf_shard_params params = {.storage = first.storage,
                                  .resources = first.resources,
                                  .db_url = "s3://bucket/p/shard",
                                  .key = "shard",
                                  .checkpoint_id = "c7",
                                  .cache_dir = path_of(cache_dir, "cache"),
                                  .dim = DIM,
                                  .metric = SF_METRIC_COSINE};
  assert_int_equal(sf_shard_open(&params, NULL, &second.shard, NULL), SF_OK);
  assert_int_equal(stat(vectors_path, &after), 0);
  assert_true(before.st_ino == after.st_ino);
  assert_rows(&second, row_ids, vectors, NUM_ROWS);
  sf_shard_close(second.shard);
  close_opened(&first);
}

static void verification_leaves_the_cache_alone(void **state) {
  (void)state;
  shard_file file = plain_file();
  sf_buffer bytes = shard_of(&file);
  opened shard;
  char path[PATH_SIZE];
  assert_int_equal(open_bytes(&bytes, SF_METRIC_COSINE, true, &shard, NULL), SF_OK);
  assert_int_equal(shard.shard->num_rows, NUM_ROWS);
  assert_int_not_equal(access(path_of(path, "cache/vectors.sfv"), F_OK), 0);
  close_opened(&shard);
  sf_buffer_free(&bytes);
}

static void chunks_that_do_not_hold_are_refused_by_number(void **state) {
  (void)state;
  static const struct {
    const char *changes;
    const char *message_part;
  } cases[] = {
      {"UPDATE vec_index_chunks SET validity=x'ffff' WHERE chunk_id=2",
       "chunk 2: expected validity of 1 bytes, found 2"},
      {"UPDATE vec_index_chunks SET validity='f' WHERE chunk_id=2", "chunk 2: expected validity of 1 bytes"},
      {"UPDATE vec_index_chunks SET rowids=x'00' WHERE chunk_id=1", "chunk 1: expected rowids of 64 bytes, found 1"},
      {"UPDATE vec_index_chunks SET rowids=zeroblob(72)", "chunk 1: expected rowids of 64 bytes, found 72"},
      {"UPDATE vec_index_chunks SET size=0", "chunk 1: expected a size from 1"},
      {"UPDATE vec_index_chunks SET size=-8", "chunk 1: expected a size from 1"},
      {"UPDATE vec_index_chunks SET size='eight'", "chunk 1: expected a size from 1"},
      {"UPDATE vec_index_chunks SET size=1073741824", "chunk 1: expected a size from 1"},
      {"UPDATE vec_index_chunks SET size=16000, validity=zeroblob(2000), rowids=zeroblob(128000)", "more slots"},
      {"UPDATE vec_index_chunks SET chunk_id=-1 WHERE chunk_id=1", "expected a chunk_id above 0, found -1"},
      {"UPDATE vec_index_vector_chunks00 SET vectors=zeroblob(127) WHERE rowid=3",
       "chunk 3: expected vectors of 128 bytes, found 127"},
      {"UPDATE vec_index_vector_chunks00 SET vectors=7", "chunk 1: expected vectors of 128 bytes"},
      {"DELETE FROM vec_index_vector_chunks00 WHERE rowid=2", "chunk 2: expected its vectors"},
      {"UPDATE vec_index_chunks SET rowids=(SELECT rowids FROM vec_index_chunks WHERE chunk_id=1) WHERE chunk_id=2",
       "expected each row id once in vec_index_chunks, found 1 again"},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    shard_file file = plain_file();
    file.changes = cases[i].changes;
    assert_refused(&file, cases[i].message_part);
  }
}

static void tables_that_are_missing_or_no_tables_are_refused(void **state) {
  (void)state;
  static const char *const tables[] = {"vec_index_chunks", "vec_index_vector_chunks00", "vec_id_map", "vec_payloads"};
  for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
    shard_file file = plain_file();
    char *expected = sf_format("expected a table %s", tables[i]);
    char *dropped = sf_format("DROP TABLE %s", tables[i]);
    char *viewed =
        sf_format("ALTER TABLE %s RENAME TO other; CREATE VIEW %s AS SELECT * FROM other", tables[i], tables[i]);
    char *computed = sf_format("ALTER TABLE %s ADD COLUMN more AS (zeroblob(100))", tables[i]);
    file.changes = dropped;
    assert_refused(&file, expected);
    file.changes = viewed;
    assert_refused(&file, expected);
    file.changes = computed;
    assert_refused(&file, expected);
    free(expected);
    free(dropped);
    free(viewed);
    free(computed);
  }
  shard_file file = plain_file();
  file.changes = "DROP TABLE vec_payloads; CREATE VIRTUAL TABLE vec_payloads USING fts5(payload)";
  assert_refused(&file, "expected a table vec_payloads");
}

static void a_declaration_that_is_not_the_manifests_is_refused(void **state) {
  (void)state;
  static const struct {
    const char *declaration;
    const char *message_part;
  } cases[] = {
      {DECLARE("embedding float[5] distance_metric=cosine"), "vec_index: expected vectors float[4]"},
      {DECLARE("embedding int8[4] distance_metric=cosine"), "vec_index: expected vectors float[4]"},
      {DECLARE("embedding bit[4]"), "vec_index: expected vectors float[4]"},
      {DECLARE("embedding float[4] distance_metric=l2"),
       "expected distance_metric cosine, as the manifest has it, found l2"},
      {DECLARE("embedding float[4]"), "found l2"},
      {DECLARE("embedding float[4] distance_metric=l1"), "found l1"},
      {"PRAGMA writable_schema=0;", "expected a virtual table vec_index, found none"},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    shard_file file = plain_file();
    file.declaration = cases[i].declaration;
    assert_refused(&file, cases[i].message_part);
  }
}

static void spellings_of_a_declaration_are_taken(void **state) {
  (void)state;
  static const char *const declarations[] = {
      DECLARE("embedding FLOAT[4] distance_metric=COSINE"),
      DECLARE("embedding float[4] distance_metric = cosine, chunk_size=8"),
  };
  for (size_t i = 0; i < sizeof(declarations) / sizeof(declarations[0]); i++) {
    shard_file file = plain_file();
    file.declaration = declarations[i];
    opened shard;
    open_file(&file, &shard);
    close_opened(&shard);
  }
  shard_file file = plain_file();
  file.declaration = DECLARE("embedding float[4]");
  sf_buffer bytes = shard_of(&file);
  opened shard;
  assert_int_equal(open_bytes(&bytes, SF_METRIC_L2, false, &shard, NULL), SF_OK);
  assert_int_equal(shard.shard->score_convention, SF_SCORE_L2);
  assert_null(shard.shard->segments[0].inverse_norms);
  close_opened(&shard);
  assert_bytes_refused(&bytes, SF_METRIC_DOT_PRODUCT, "expected metric cosine or l2, found dot_product");
  sf_buffer_free(&bytes);
}

static void a_truncated_file_is_refused(void **state) {
  (void)state;
  shard_file file = plain_file();
  sf_buffer bytes = shard_of(&file);
  for (size_t length = 0; length < bytes.length; length += length < 128 ? 25 : 511) {
    sf_buffer cut = {.data = bytes.data, .length = length};
    assert_bytes_refused(&cut, SF_METRIC_COSINE, "shard.db is truncated");
  }
  memcpy(bytes.data, "something else", 14);
  assert_bytes_refused(&bytes, SF_METRIC_COSINE, "expected a SQLite database");
  sf_buffer_free(&bytes);
}

static void a_missing_shard_is_refused(void **state) {
  (void)state;
  char root[PATH_SIZE];
  sf_error error;
  sf_shard *shard;
  sf_storage *storage;
  put_text("none/_CURRENT", "");
  assert_int_equal(sf_storage_open(path_of(root, "none"), NULL, &storage, NULL), SF_OK);
  const sf_shard_params params = {.storage = storage, .db_url = "s3://bucket/p/shard", .key = "shard", .dim = DIM};
  assert_int_equal(sf_shard_open(&params, NULL, &shard, &error), SF_DB_ADAPTER_ERROR);
  assert_non_null(strstr(error.message, "shard 0 (s3://bucket/p/shard): the shard is missing"));
  sf_storage_close(storage);
}

static void a_header_that_speaks_of_a_wal_is_read(void **state) {
  (void)state;
  shard_file file = plain_file();
  sf_buffer bytes = shard_of(&file);
  bytes.data[18] = bytes.data[19] = 2;
  opened shard;
  assert_int_equal(open_bytes(&bytes, SF_METRIC_COSINE, false, &shard, NULL), SF_OK);
  assert_rows(&shard, row_ids, vectors, NUM_ROWS);
  close_opened(&shard);
  sf_buffer_free(&bytes);
}

static void assert_ids_and_payloads(opened *shard) {
  last_row fetched;
  assert_int_equal(fetch(shard, 0, &fetched, NULL), SF_OK);
  assert_int_equal(fetched.id_integer, 70);
  assert_string_equal(fetched.payload, "{\"a\": 1}");
  assert_int_equal(fetch(shard, 1, &fetched, NULL), SF_OK);
  assert_int_equal(fetched.id_type, SF_ID_STRING);
  assert_int_equal(fetched.id_length, 4);
  assert_memory_equal(fetched.id_string, "a\0\xc3\xa9", 4);
  assert_false(fetched.has_payload);
  assert_int_equal(fetch(shard, 2, &fetched, NULL), SF_OK);
  assert_true(fetched.id_integer == INT64_MAX);
  assert_true(fetched.has_payload);
  assert_string_equal(fetched.payload, "");
  assert_int_equal(fetch(shard, 3, &fetched, NULL), SF_OK);
  assert_true(fetched.id_integer == INT64_MIN);
  assert_false(fetched.has_payload);
  assert_int_equal(fetch(shard, 4, &fetched, NULL), SF_OK);
  assert_int_equal(fetched.id_length, 0);
  assert_string_equal(fetched.payload, "bytes");
  assert_int_equal(fetch(shard, 5, &fetched, NULL), SF_OK);
  assert_int_equal(fetched.id_integer, 11); /* no entry: the row id */
  assert_int_equal(strlen(fetched.payload), LONG_PAYLOAD);
}

/* As SQLite reads them, and with ids from the row directory and payloads from the mapped file, where each is text of one page. */
static void ids_and_payloads_are_fetched(void **state) {
  (void)state;
  shard_file file = plain_file();
  file.changes = "INSERT INTO vec_id_map VALUES (1, '{\"v\": 70, \"t\": \"int\"}'), (3, '{\"v\": \"a\\u0000\xc3\xa9\", "
                 "\"t\": \"str\"}'), (5, '{\"v\": 9223372036854775807, \"t\": \"int\"}'), (7, '{\"v\": "
                 "-9223372036854775808, \"t\": \"int\"}'), (9, '{\"v\": \"\", \"t\": \"str\"}');"
                 "INSERT INTO vec_payloads VALUES (1, '{\"a\": 1}'), (3, NULL), (5, ''), (9, CAST('bytes' AS BLOB)),"
                 "(11, printf('%700d', 1))";
  opened shard;
  open_file(&file, &shard);
  assert_ids_and_payloads(&shard);
  const sf_cache_place place = {.db_url = "s3://bucket/p/shard", .checkpoint_id = "c7"};
  assert_int_equal(sf_shard_open_directory(shard.shard, &place, NULL, NULL), SF_OK);
  assert_ids_and_payloads(&shard);
  assert_ids_and_payloads(&shard);
  close_opened(&shard);
}

static void ids_and_payloads_that_do_not_hold_are_refused_by_row(void **state) {
  (void)state;
  static const struct {
    const char *changes;
    const char *message_part;
    bool only_verified; /* a search hands it on as it is stored */
  } cases[] = {
      {"INSERT INTO vec_id_map VALUES (1, '{\"v\": 9223372036854775808, \"t\": \"int\"}')",
       "row 1: expected original_id", false},
      {"INSERT INTO vec_id_map VALUES (1, '{\"v\": -9223372036854775809, \"t\": \"int\"}')", "row 1: ", false},
      {"INSERT INTO vec_id_map VALUES (1, '{\"v\": 1}')", "row 1: expected original_id", false},
      {"INSERT INTO vec_id_map VALUES (1, '{\"t\": \"int\"}')", "row 1: expected original_id", false},
      {"INSERT INTO vec_id_map VALUES (1, '{\"v\": 1, \"t\": \"str\"}')", "row 1: expected original_id", false},
      {"INSERT INTO vec_id_map VALUES (1, '{\"v\": \"1\", \"t\": \"int\"}')", "row 1: expected original_id", false},
      {"INSERT INTO vec_id_map VALUES (1, '{\"v\": 1.5, \"t\": \"int\"}')", "row 1: expected original_id", false},
      {"INSERT INTO vec_id_map VALUES (1, '{\"v\": 1, \"t\": \"bytes\"}')", "row 1: expected original_id", false},
      {"INSERT INTO vec_id_map VALUES (1, '7')", "row 1: original_id: expected a JSON object", false},
      {"INSERT INTO vec_id_map VALUES (1, '{')", "row 1: original_id: expected JSON", false},
      {"INSERT INTO vec_id_map VALUES (1, x'7b7d')", "row 1: expected text in original_id", false},
      {"INSERT INTO vec_payloads VALUES (1, x'7b7d')", "row 1: expected text in payload", true},
      {"DROP TABLE vec_payloads; CREATE TABLE vec_payloads (rowid INTEGER PRIMARY KEY, payload);"
       "INSERT INTO vec_payloads VALUES (1, 7)",
       "row 1: expected text in payload", true},
      {"INSERT INTO vec_payloads VALUES (1, '{')", "row 1: payload: expected JSON", true},
      {"INSERT INTO vec_payloads VALUES (1, '[]')", "row 1: payload: expected a JSON object", true},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    shard_file file = plain_file();
    file.changes = cases[i].changes;
    opened shard;
    last_row fetched;
    sf_error error = {0};
    open_file(&file, &shard);
    assert_int_equal(fetch(&shard, 1, &fetched, NULL), SF_OK);
    for (int verify = cases[i].only_verified ? 1 : 0; verify < 2; verify++) {
      sf_code code = verify ? sf_shard_verify(shard.shard, NULL, &error) : fetch(&shard, 0, &fetched, &error);
      if (code != SF_DB_ADAPTER_ERROR ||
          strstr(error.message, "shard 7 (s3://bucket/p/shard): shard.db: row 1: ") == NULL ||
          strstr(error.message, cases[i].message_part) == NULL)
        fail_msg("expected '%s', found %d '%s'", cases[i].message_part, (int)code, error.message);
    }
    close_opened(&shard);
  }
}

/* A statement that lives long is not stopped for all that it has run before. */
static void connections_are_used_again_and_again(void **state) {
  (void)state;
  shard_file file = plain_file();
  file.changes = "INSERT INTO vec_payloads VALUES (1, '{}')";
  opened shard;
  open_file(&file, &shard);
  for (int i = 0; i < 30000; i++) {
    last_row fetched;
    assert_int_equal(fetch(&shard, 0, &fetched, NULL), SF_OK);
    assert_string_equal(fetched.payload, "{}");
  }
  close_opened(&shard);
}

/* Whatever a byte is changed to, the shard is read or refused, and never with another code. */
static void a_damaged_shard_is_read_or_refused(void **state) {
  (void)state;
  shard_file file = plain_file();
  file.changes = "INSERT INTO vec_id_map VALUES (1, '{\"v\": 70, \"t\": \"int\"}')";
  sf_buffer bytes = shard_of(&file);
  for (size_t i = 0; i < bytes.length; i += i < 512 ? 3 : 29) {
    uint8_t kept = bytes.data[i];
    bytes.data[i] ^= (uint8_t)(1u << (i % 8));
    opened shard;
    sf_code code = open_bytes(&bytes, SF_METRIC_COSINE, false, &shard, NULL);
    assert_true(code == SF_OK || code == SF_DB_ADAPTER_ERROR);
    if (code == SF_OK)
      code = sf_shard_verify(shard.shard, NULL, NULL);
    assert_true(code == SF_OK || code == SF_DB_ADAPTER_ERROR);
    close_opened(&shard);
    bytes.data[i] = kept;
  }
  sf_buffer_free(&bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rows_are_read_whatever_the_chunks_and_pages_are),
      cmocka_unit_test(deleted_rows_are_not_there),
      cmocka_unit_test(rows_out_of_order_are_put_in_the_order_of_their_ids),
      cmocka_unit_test(row_ids_may_be_any_int64),
      cmocka_unit_test(a_shard_without_rows_is_open_and_empty),
      cmocka_unit_test(rows_that_are_not_finite_are_excluded_and_counted),
      cmocka_unit_test(a_second_opening_maps_what_the_first_one_made),
      cmocka_unit_test(verification_leaves_the_cache_alone),
      cmocka_unit_test(chunks_that_do_not_hold_are_refused_by_number),
      cmocka_unit_test(tables_that_are_missing_or_no_tables_are_refused),
      cmocka_unit_test(a_declaration_that_is_not_the_manifests_is_refused),
      cmocka_unit_test(spellings_of_a_declaration_are_taken),
      cmocka_unit_test(a_truncated_file_is_refused),
      cmocka_unit_test(a_missing_shard_is_refused),
      cmocka_unit_test(a_header_that_speaks_of_a_wal_is_read),
      cmocka_unit_test(ids_and_payloads_are_fetched),
      cmocka_unit_test(ids_and_payloads_that_do_not_hold_are_refused_by_row),
      cmocka_unit_test(connections_are_used_again_and_again),
      cmocka_unit_test(a_damaged_shard_is_read_or_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
