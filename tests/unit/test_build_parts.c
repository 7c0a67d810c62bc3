/* The parts of a builder by themselves: ids that occur once, rows that are kept, names, arrays. */
#include "formats/sqlite_vec/written_id.h"
#include "snapshot/npy.h"
#include "snapshot/npy_writer.h"
#include "snapshot/run_id.h"
#include "snapshot/run_record.h"
#include "writer/spool.h"
#include "writer/unique_ids.h"

#include "base/json.h"
#include "cmocka_includes.h"
#include "temporary_folder.h"

static XXH128_hash_t hash_of(int64_t integer) {
  const sf_shard_row row = {.id_type = SF_ID_INTEGER, .id_integer = integer};
  return sf_unique_id_hash(&row, false);
}

static sf_same_ids check_ids(size_t max_bytes, size_t count, int64_t twice) {
  sf_unique_ids *ids;
  sf_same_ids same;
  assert_int_equal(sf_unique_ids_create(use_temporary_folder(), max_bytes, &ids, NULL), SF_OK);
  for (size_t i = 0; i < count; i++)
    assert_int_equal(sf_unique_ids_add(ids, hash_of((int64_t)i), i, NULL), SF_OK);
  if (twice >= 0)
    assert_int_equal(sf_unique_ids_add(ids, hash_of(twice), count, NULL), SF_OK);
  assert_int_equal(sf_unique_ids_check(ids, &same, NULL), SF_OK);
  sf_unique_ids_free(ids);
  return same;
}

static void an_id_twice_is_found_in_memory_and_on_disk(void **state) {
  (void)state;
  static const size_t limits[] = {1 << 20, 100000, 100};
  for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
    assert_false(check_ids(limits[i], 20000, -1).found);
    sf_same_ids same = check_ids(limits[i], 20000, 777);
    assert_true(same.found);
    assert_int_equal(same.first_row, 777);
    assert_int_equal(same.second_row, 20000);
  }
  assert_false(check_ids(100, 0, -1).found);
}

static void an_integer_and_a_string_are_not_the_same_id(void **state) {
  (void)state;
  int64_t integer = 0x3131313131313131;
  const sf_shard_row number = {.id_type = SF_ID_INTEGER, .id_integer = integer};
  const sf_shard_row text = {.id_type = SF_ID_STRING, .id_string = "11111111", .id_length = 8};
  assert_int_equal(memcmp(&integer, "11111111", 8), 0);
  assert_false(XXH128_isEqual(sf_unique_id_hash(&number, false), sf_unique_id_hash(&text, false)));
}

static void they_are_where_a_format_stores_strings_only(void **state) {
  (void)state;
  static const struct {
    int64_t integer;
    const char *text;
    bool is_same;
  } cases[] = {{1, "1", true},   {0, "0", true},   {-7, "-7", true}, {INT64_MIN, "-9223372036854775808", true},
               {1, "01", false}, {1, " 1", false}, {0, "-0", false}, {1, "1.0", false},
               {1, "", false},   {12, "1", false}};
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    const sf_shard_row number = {.id_type = SF_ID_INTEGER, .id_integer = cases[i].integer};
    const sf_shard_row text = {.id_type = SF_ID_STRING, .id_string = cases[i].text, .id_length = strlen(cases[i].text)};
    bool is_same = XXH128_isEqual(sf_unique_id_hash(&number, true), sf_unique_id_hash(&text, true));
    assert_int_equal(is_same, cases[i].is_same);
  }
}

enum { DIM = 3, LISTS = 5, ROWS = 500 };

typedef struct expected_rows {
  uint32_t list;
  size_t next;
} expected_rows;

static sf_shard_row row_of(size_t number, float vector[DIM], char id[32]) {
  for (size_t i = 0; i < DIM; i++)
    vector[i] = (float)(number * DIM + i);
  sf_shard_row row = {.vector = vector, .id_type = number % 2 == 0 ? SF_ID_INTEGER : SF_ID_STRING};
  row.id_integer = (int64_t)number;
  row.id_length = (size_t)snprintf(id, 32, "id %zu", number);
  row.id_string = id;
  if (number % 3 == 0) {
    row.payload = "{\"a\": 1}";
    row.payload_length = number % 4 == 0 ? 8 : 0; /* any length: the spool does not look into it */
  }
  return row;
}

static sf_code check_rows(const sf_shard_row *rows, size_t count, void *user_data, sf_error *error) {
  (void)error;
  expected_rows *expected = user_data;
  for (size_t i = 0; i < count; i++, expected->next += LISTS) {
    float vector[DIM];
    char id[32];
    sf_shard_row row = row_of(expected->next, vector, id);
    assert_memory_equal(rows[i].vector, vector, sizeof(vector));
    assert_int_equal(rows[i].id_type, row.id_type);
    if (row.id_type == SF_ID_INTEGER)
      assert_int_equal(rows[i].id_integer, row.id_integer);
    else
      assert_memory_equal(rows[i].id_string, id, row.id_length);
    assert_int_equal(rows[i].payload == NULL, row.payload == NULL);
    assert_int_equal(rows[i].payload_length, row.payload_length);
    if (row.payload != NULL)
      assert_memory_equal(rows[i].payload, row.payload, row.payload_length);
  }
  return SF_OK;
}

static void kept_rows_come_back_in_their_order(void **state) {
  (void)state;
  static const size_t limits[] = {100, 5000, 1 << 20};
  for (size_t limit = 0; limit < sizeof(limits) / sizeof(limits[0]); limit++) {
    sf_spool *spool;
    assert_int_equal(sf_spool_create(use_temporary_folder(), LISTS, DIM, limits[limit], &spool, NULL), SF_OK);
    for (size_t i = 0; i < ROWS; i++) {
      float vector[DIM];
      char id[32];
      sf_shard_row row = row_of(i, vector, id);
      assert_int_equal(sf_spool_add(spool, (uint32_t)(i % LISTS), &row, NULL), SF_OK);
    }
    assert_int_equal(sf_spool_flush(spool, NULL), SF_OK);
    for (uint32_t list = 0; list < LISTS; list++) {
      expected_rows expected = {.list = list, .next = list};
      assert_int_equal(sf_spool_read(spool, list, check_rows, &expected, NULL), SF_OK);
      assert_int_equal(expected.next, ROWS + list);
    }
    sf_spool_free(spool);
  }
}

static void arrays_are_read_as_they_were_written(void **state) {
  (void)state;
  float values[7 * 11];
  for (size_t i = 0; i < 77; i++)
    values[i] = (float)i / 3 - 10;
  sf_buffer bytes = {0};
  sf_npy array;
  assert_true(sf_npy_append(values, 7, 11, &bytes));
  assert_int_equal(sf_npy_parse(bytes.data, bytes.length, "array", &array, NULL), SF_OK);
  assert_int_equal(array.num_rows, 7);
  assert_int_equal(array.num_columns, 11);
  for (size_t i = 0; i < 77; i++)
    assert_true((float)array.values[i] == values[i]);
  assert_int_equal((bytes.length - 77 * sizeof(float)) % 64, 0);
  sf_npy_free(&array);
  sf_buffer_free(&bytes);
}

static void names_are_new_and_of_the_formats_form(void **state) {
  (void)state;
  char uuid[SF_UUID_SIZE];
  char other[SF_UUID_SIZE];
  char timestamp[SF_TIMESTAMP_SIZE];
  assert_int_equal(sf_uuid_make(uuid, NULL), SF_OK);
  assert_int_equal(sf_uuid_make(other, NULL), SF_OK);
  assert_string_not_equal(uuid, other);
  assert_int_equal(strlen(uuid), 36);
  assert_int_equal(uuid[14], '4');
  assert_int_equal(sf_run_id_check(uuid, NULL), SF_OK);
  sf_timestamp_now(timestamp);
  assert_int_equal(strlen(timestamp), 27);
  static const char *const refused[] = {"", ".", "..", "a/b", "a=b", "a b", "\xc3\xa4"};
  for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
    assert_int_equal(sf_run_id_check(refused[i], NULL), SF_CONFIG_VALIDATION_ERROR);
}

static void the_name_of_a_record_says_whose_it_is(void **state) {
  (void)state;
  sf_run_record_name parsed;
  assert_true(sf_run_record_name_parse("2026-01-02T03:04:05.000006Z_run_id=a_b_00ff", &parsed));
  assert_int_equal(parsed.run_id_length, 3);
  assert_memory_equal(parsed.run_id, "a_b", 3);
  static const char *const others[] = {"", "x_run_id=a_b",
                                       "2026-01-02T03:04:05Z_run_id=", "2026-01-02T03:04:05Z_run_id=_",
                                       "2026-01-02T03:04:05Z_run_id=abc"};
  for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
    assert_false(sf_run_record_name_parse(others[i], &parsed));
}

static void assert_written(sf_written_id id, const char *expected) {
  sf_buffer text = {0};
  assert_true(sf_written_id_append(&id, &text));
  assert_string_equal((const char *)text.data, expected);
  sf_json json;
  assert_int_equal(
      sf_json_parse_object((const char *)text.data, text.length, SF_JSON_EXACT, "id", SF_ERROR, &json, NULL), SF_OK);
  if (id.type == SF_ID_STRING)
    assert_memory_equal(json_string_value(sf_json_member(json.root, "v")), id.string, id.length);
  sf_json_free(&json);
  sf_buffer_free(&text);
}

static void ids_are_written_as_json(void **state) {
  (void)state;
  assert_written((sf_written_id){.type = SF_ID_INTEGER, .integer = 0}, "{\"v\": 0, \"t\": \"int\"}");
  assert_written((sf_written_id){.type = SF_ID_INTEGER, .integer = INT64_MIN},
                 "{\"v\": -9223372036854775808, \"t\": \"int\"}");
  assert_written((sf_written_id){.type = SF_ID_INTEGER, .integer = INT64_MAX},
                 "{\"v\": 9223372036854775807, \"t\": \"int\"}");
  assert_written((sf_written_id){.type = SF_ID_STRING, .string = "", .length = 0}, "{\"v\": \"\", \"t\": \"str\"}");
  assert_written((sf_written_id){.type = SF_ID_STRING, .string = "a\"\\\n\x01\xc3\xa4", .length = 7},
                 "{\"v\": \"a\\\"\\\\\\u000a\\u0001\xc3\xa4\", \"t\": \"str\"}");
  assert_written((sf_written_id){.type = SF_ID_STRING, .string = "a\0b", .length = 3},
                 "{\"v\": \"a\\u0000b\", \"t\": \"str\"}");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_id_twice_is_found_in_memory_and_on_disk),
      cmocka_unit_test(an_integer_and_a_string_are_not_the_same_id),
      cmocka_unit_test(they_are_where_a_format_stores_strings_only),
      cmocka_unit_test(kept_rows_come_back_in_their_order),
      cmocka_unit_test(arrays_are_read_as_they_were_written),
      cmocka_unit_test(names_are_new_and_of_the_formats_form),
      cmocka_unit_test(the_name_of_a_record_says_whose_it_is),
      cmocka_unit_test(ids_are_written_as_json),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
