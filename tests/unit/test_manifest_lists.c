/* Lists that a manifest names: what is written is read, what is malformed is refused, and other versions are as none. */
#include "snapshot/manifest.h"
#include "snapshot/manifest_writer.h"

#include "manifest_files.h"

#include <cmocka_includes.h>
#include <string.h>

#define CALIBRATION                                                                                                    \
  "\"top_k\": [1, 10], \"recall_thousandths\": [500, 950], \"lists_for_1\": [2, 3], \"lists_for_10\": [4, 0]"
#define SHARD(id)                                                                                                      \
  "{\"db_id\": " id                                                                                                    \
  ", \"size\": 900, \"head_size\": 300, \"head_checksum\": \"00ff00ff00ff00fe\", \"ref\": \"s3://bucket/p/l\"}"

static sf_code parse_bytes(const sf_buffer *bytes, sf_manifest *manifest, sf_error *error) {
  *manifest = (sf_manifest){0};
  return sf_manifest_parse(bytes->data, bytes->length, "manifest m", manifest, error);
}

/* The manifest of the tests, with this for its lists. */
static sf_code parse_with(const char *json, sf_manifest *manifest, sf_error *error) {
  sf_buffer plain = manifest_of("");
  sf_buffer bytes = {0};
  assert_int_equal(sf_manifest_with_lists(plain.data, plain.length, json, "2026-02-03T04:05:06.000007Z", &bytes, error),
                   SF_OK);
  sf_code code = parse_bytes(&bytes, manifest, error);
  sf_buffer_free(&plain);
  sf_buffer_free(&bytes);
  return code;
}

static void expect_example(const sf_manifest *manifest) {
  const sf_list_calibration *calibration = &manifest->lists.calibration;
  assert_non_null(manifest->lists.shards);
  assert_string_equal(manifest->lists.shards[0].ref, "s3://bucket/p/l");
  assert_int_equal(manifest->lists.shards[0].size, 900);
  assert_int_equal(manifest->lists.shards[0].head_size, 300);
  assert_true(manifest->lists.shards[0].head_checksum == 0x00ff00ff00ff00feU);
  assert_null(manifest->lists.shards[1].ref);
  assert_non_null(manifest->lists.shards[2].ref);
  assert_int_equal(calibration->num_top_ks, 2);
  assert_int_equal(calibration->num_targets, 2);
  assert_int_equal(calibration->top_ks[1], 10);
  assert_int_equal(calibration->targets[1], 950);
  assert_int_equal(calibration->counts[0][1], 3);
  assert_int_equal(calibration->counts[1][1], 0);
}

static void lists_are_read_and_written_as_they_were(void **state) {
  (void)state;
  sf_manifest manifest;
  sf_manifest again;
  sf_error error;
  sf_buffer json = {0};
  const char *text = "{\"version\": 2, " CALIBRATION ", \"shards\": [" SHARD("0") ", " SHARD("2") "], \"other\": 1}";
  if (parse_with(text, &manifest, &error) != SF_OK)
    fail_msg("%s", error.message);
  expect_example(&manifest);
  assert_int_equal(sf_manifest_lists_write(&manifest.lists, manifest.num_dbs, &json, &error), SF_OK);
  assert_int_equal(parse_with((const char *)json.data, &again, &error), SF_OK);
  expect_example(&again);
  sf_buffer_free(&json);
  sf_manifest_free(&manifest);
  sf_manifest_free(&again);
}

/* Whatever else the manifest says stays: members of this library's own and of others. */
static void a_manifest_with_lists_says_the_same_otherwise(void **state) {
  (void)state;
  sf_manifest manifest;
  sf_error error;
  sf_buffer plain = manifest_of("UPDATE build_meta SET custom = json_insert(custom, '$.mine', json('[1, {}]'));");
  sf_buffer once = {0};
  sf_buffer twice = {0};
  sqlite3 *database;
  sqlite3_stmt *row;
  const char *json = "{\"version\": 2, " CALIBRATION ", \"shards\": [" SHARD("0") ", " SHARD("2") "]}";
  assert_int_equal(sf_manifest_with_lists(plain.data, plain.length, "{\"version\": 9}", "x", &once, &error), SF_OK);
  assert_int_equal(sf_manifest_with_lists(once.data, once.length, json, "now", &twice, &error), SF_OK);
  assert_int_equal(parse_bytes(&twice, &manifest, &error), SF_OK);
  expect_example(&manifest);
  assert_string_equal(manifest.run_id, "run");
  assert_int_equal(manifest.routing.num_probes, 2);
  assert_string_equal(manifest.shards[2].db_url, "s3://bucket/p/shards/run_id=run/db=00002/attempt=00");
  assert_int_equal(sqlite3_open(":memory:", &database), SQLITE_OK);
  assert_int_equal(sqlite3_deserialize(database, "main", twice.data, (sqlite3_int64)twice.length,
                                       (sqlite3_int64)twice.length, SQLITE_DESERIALIZE_READONLY),
                   SQLITE_OK);
  assert_int_equal(sqlite3_prepare_v2(database,
                                      "SELECT created_at, key_col, custom ->> '$.mine[0]', "
                                      "(SELECT min_key || max_key FROM shards WHERE db_id = 0) FROM build_meta",
                                      -1, &row, NULL),
                   SQLITE_OK);
  assert_int_equal(sqlite3_step(row), SQLITE_ROW);
  static const char *const expected[] = {"now", "k", "1", "06"};
  for (int i = 0; i < 4; i++)
    assert_string_equal((const char *)sqlite3_column_text(row, i), expected[i]);
  sqlite3_finalize(row);
  sqlite3_close(database);
  sf_manifest_free(&manifest);
  sf_buffer_free(&plain);
  sf_buffer_free(&once);
  sf_buffer_free(&twice);
}

static void other_versions_are_as_no_lists(void **state) {
  (void)state;
  static const char *const others[] = {"null", "{\"version\": 1}", "{\"version\": 3, \"shards\": 17}"};
  for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
    sf_manifest manifest;
    sf_error error;
    assert_int_equal(parse_with(others[i], &manifest, &error), SF_OK);
    assert_null(manifest.lists.shards);
    sf_manifest_free(&manifest);
  }
}

static void malformed_lists_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *json;
    const char *message;
  } cases[] = {
      {"[]", "lists: expected an object, found []"},
      {"{}", "version"},
      {"{\"version\": 2, " CALIBRATION "}", "expected shards to be a list, found nothing"},
      {"{\"version\": 2, " CALIBRATION ", \"shards\": [7]}", "expected shards to be objects, found 7"},
      {"{\"version\": 2, " CALIBRATION ", \"shards\": [" SHARD("3") "]}", "db_id"},
      {"{\"version\": 2, " CALIBRATION ", \"shards\": [" SHARD("0") ", " SHARD("0") "]}",
       "expected each db_id once, found 0 again"},
      {"{\"version\": 2, " CALIBRATION ", \"shards\": [{\"db_id\": 0, \"size\": 9, \"head_size\": 10}]}", "head_size"},
      {"{\"version\": 2, " CALIBRATION ", \"shards\": [{\"db_id\": 0, \"size\": 9, \"head_size\": 9, "
       "\"head_checksum\": \"00FF00ff00ff00ff\", \"ref\": \"s3://bucket/p/l\"}]}",
       "expected head_checksum to be 16 hexadecimal digits, found 00FF00ff00ff00ff"},
      {"{\"version\": 2, \"shards\": []}", "expected top_k to be a list of 1 to 8 integers, found nothing"},
      {"{\"version\": 2, \"shards\": [], \"top_k\": [10, 10]}", "expected top_k to be ascending integers from 1"},
      {"{\"version\": 2, \"shards\": [], \"top_k\": [1], \"recall_thousandths\": [500], \"lists_for_1\": [1, 2]}",
       "expected lists_for_1 to have 1 integers, found 2"},
      {"{\"version\": 2, \"shards\": [], \"top_k\": [1], \"recall_thousandths\": [500], \"lists_for_1\": [-1]}",
       "expected lists_for_1 to be integers from 0 on, found -1"},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    sf_manifest manifest;
    sf_error error;
    assert_int_equal(parse_with(cases[i].json, &manifest, &error), SF_MANIFEST_PARSE_ERROR);
    if (strstr(error.message, cases[i].message) == NULL || strncmp(error.message, "manifest m: ", 12) != 0)
      fail_msg("%s\nnot: %s", error.message, cases[i].message);
    assert_null(manifest.lists.shards);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lists_are_read_and_written_as_they_were),
      cmocka_unit_test(a_manifest_with_lists_says_the_same_otherwise),
      cmocka_unit_test(other_versions_are_as_no_lists),
      cmocka_unit_test(malformed_lists_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
