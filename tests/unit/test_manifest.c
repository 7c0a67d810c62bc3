#include "snapshot/manifest.h"

#include "cmocka_includes.h"
#include "manifest_files.h"

#include <string.h>

static sf_code parse(const char *changes, sf_manifest *manifest, sf_error *error) {
  sf_buffer bytes = manifest_of(changes);
  sf_code code = sf_manifest_parse(bytes.data, bytes.length, "manifest m", manifest, error);
  sf_buffer_free(&bytes);
  return code;
}

static void assert_parses(const char *changes, sf_manifest *manifest) {
  sf_error error = {0};
  sf_code code = parse(changes, manifest, &error);
  if (code != SF_OK)
    fail_msg("%s\n%s", error.message, changes);
}

/* The message names the manifest and says what is amiss; nothing is handed out. */
static void assert_refused(const char *changes, const char *message_part) {
  sf_manifest manifest = {0};
  sf_error error = {0};
  sf_code code = parse(changes, &manifest, &error);
  if (code != SF_MANIFEST_PARSE_ERROR || strncmp(error.message, "manifest m: ", 12) != 0 ||
      strstr(error.message, message_part) == NULL)
    fail_msg("expected a refusal with '%s', found %d '%s'\n%s", message_part, (int)code, error.message, changes);
  assert_null(manifest.shards);
  assert_null(manifest.run_id);
  assert_int_equal(parse(changes, &manifest, NULL), SF_MANIFEST_PARSE_ERROR);
}

static void a_manifest_is_read_whole(void **state) {
  (void)state;
  sf_manifest manifest;
  assert_parses("", &manifest);
  assert_string_equal(manifest.run_id, "run");
  assert_string_equal(manifest.s3_prefix, "s3://bucket/p");
  assert_int_equal(manifest.num_dbs, 3);
  assert_string_equal(manifest.shards[0].db_url, "s3://bucket/p/shards/run_id=run/db=00000/attempt=00");
  assert_string_equal(manifest.shards[0].checkpoint_id, "c0");
  assert_int_equal(manifest.shards[0].row_count, 7);
  assert_null(manifest.shards[2].checkpoint_id);
  assert_true(manifest.has_vectors);
  assert_false(manifest.is_unified);
  assert_int_equal(manifest.dim, 4);
  assert_int_equal(manifest.metric, SF_METRIC_L2);
  assert_int_equal(manifest.total_vectors, 12);
  assert_int_equal(manifest.routing.strategy, SF_SHARDING_CLUSTER);
  assert_int_equal(manifest.routing.num_probes, 2);
  assert_string_equal(manifest.artifact_refs[SF_SHARDING_CLUSTER],
                      "s3://bucket/p/vector_meta/run_id=run/centroids.npy");
  assert_null(manifest.artifact_refs[SF_SHARDING_LSH]);
  sf_manifest_free(&manifest);
}

static void a_shard_that_is_absent_or_has_no_url_has_no_rows(void **state) {
  (void)state;
  sf_manifest manifest;
  assert_parses("INSERT INTO shards VALUES (1, NULL, 0, 0, 0, NULL, NULL, NULL, '{}');", &manifest);
  assert_null(manifest.shards[1].db_url);
  assert_int_equal(manifest.shards[1].row_count, 0);
  sf_manifest_free(&manifest);
  assert_parses("DELETE FROM shards;", &manifest);
  for (uint32_t i = 0; i < 3; i++)
    assert_null(manifest.shards[i].db_url);
  sf_manifest_free(&manifest);
}

static void bytes_that_are_no_database_are_refused(void **state) {
  (void)state;
  sf_manifest manifest = {0};
  sf_error error;
  char zeros[200] = {0};
  assert_int_equal(sf_manifest_parse(NULL, 0, "manifest m", &manifest, &error), SF_MANIFEST_PARSE_ERROR);
  assert_non_null(strstr(error.message, "expected a SQLite database"));
  assert_int_equal(sf_manifest_parse(zeros, sizeof(zeros), "manifest m", &manifest, &error), SF_MANIFEST_PARSE_ERROR);
  memcpy(zeros, "SQLite format 3", 16);
  assert_int_equal(sf_manifest_parse(zeros, sizeof(zeros), "manifest m", &manifest, &error), SF_MANIFEST_PARSE_ERROR);
  assert_int_equal(strncmp(error.message, "manifest m: ", 12), 0);
  assert_int_equal(sf_manifest_parse(zeros, 99, "manifest m", &manifest, &error), SF_MANIFEST_PARSE_ERROR);
}

static void tables_that_cannot_be_read_are_refused(void **state) {
  (void)state;
  assert_refused("DROP TABLE build_meta", "expected a table build_meta");
  assert_refused("DROP TABLE shards", "expected a table shards");
  assert_refused("DELETE FROM build_meta", "expected one row in build_meta, found none");
  assert_refused("INSERT INTO build_meta SELECT * FROM build_meta", "expected one row in build_meta, found more");
  assert_refused("ALTER TABLE build_meta DROP COLUMN custom", "custom");
  assert_refused("ALTER TABLE shards DROP COLUMN db_url", "db_url");
  assert_refused("ALTER TABLE shards RENAME TO s; CREATE VIEW shards AS SELECT * FROM s", "expected a table shards");
  assert_refused("ALTER TABLE shards ADD COLUMN x AS (zeroblob(1000000))", "shards without computed columns");
}

static void what_build_meta_must_not_say_is_refused(void **state) {
  (void)state;
  static const struct {
    const char *change;
    const char *message_part;
  } cases[] = {
      {"format_version=3", "format_version from 4 to 4, found 3"},
      {"format_version=5", "format_version from 4 to 4, found 5"},
      {"format_version='four'", "format_version to be an integer, found text"},
      {"num_dbs=0", "num_dbs from 1"},
      {"num_dbs=-1", "num_dbs from 1"},
      {"num_dbs=1000001", "num_dbs from 1 to 1000000, found 1000001"},
      {"num_dbs=1.5", "num_dbs to be an integer, found a float"},
      {"num_dbs=NULL", "num_dbs to be an integer, found NULL"},
      {"num_dbs=1", "expected at most num_dbs = 1 shards"},
      {"num_dbs=2", "db_id from 0 to 1, found 2"},
      {"run_id=NULL", "run_id to be text, found NULL"},
      {"run_id=x'00ff'", "run_id to be text, found another type"},
      {"run_id=CAST(x'610062' AS TEXT)", "run_id to be text, found what is not UTF-8 or has a NUL in it"},
      {"run_id=CAST(x'ff' AS TEXT)", "run_id to be text, found what is not UTF-8 or has a NUL in it"},
      {"s3_prefix=NULL", "s3_prefix to be text, found NULL"},
      {"sharding=NULL", "sharding to be text, found NULL"},
      {"sharding='{'", "sharding: expected JSON"},
      {"sharding='[]'", "sharding: expected a JSON object, found array"},
      {"sharding='{\"hash_algorithm\": \"xxh3_64\"}'", "\"strategy\" to be a string, found nothing"},
      {"sharding='{\"strategy\": 7, \"hash_algorithm\": \"xxh3_64\"}'", "\"strategy\" to be a string, found 7"},
      {"sharding='{\"strategy\": \"hash\"}'", "\"hash_algorithm\" to be a string, found nothing"},
      {"sharding='{\"strategy\": \"hash\", \"hash_algorithm\": \"md5\"}'", "hash_algorithm xxh3_64, found md5"},
      {"custom=NULL", "custom to be text, found NULL"},
      {"custom='{\"vector\": '", "custom: expected JSON"},
      {"custom='null'", "custom: expected a JSON object, found null"},
      {"custom='{} {}'", "custom: expected JSON"},
      {"custom='{\"vector\": 3}'", "\"vector\" to be an object, found 3"},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    char *changes = sf_format(LOOSEN("build_meta") "UPDATE build_meta SET %s;", cases[i].change);
    assert_refused(changes, cases[i].message_part);
    free(changes);
  }
}

static void fields_of_cel_belong_to_the_strategy_cel(void **state) {
  (void)state;
  static const struct {
    const char *members;
    const char *message_part; /* NULL: it parses */
  } cases[] = {
      {"\"cel\", \"cel_expr\": \"k\", \"cel_columns\": {\"k\": \"int\"}", NULL},
      {"\"cel\", \"cel_expr\": \"k\", \"cel_columns\": {\"k\": \"int\"}, \"routing_values\": [1, 2, 3]", NULL},
      {"\"hash\", \"cel_expr\": null, \"cel_columns\": null, \"routing_values\": null", NULL},
      {"\"cel\", \"cel_columns\": {}", "\"cel_expr\" to be a string, found nothing"},
      {"\"cel\", \"cel_expr\": \"k\"", "expected cel_columns"},
      {"\"cel\", \"cel_expr\": \"k\", \"cel_columns\": []", "expected cel_columns"},
      {"\"cel\", \"cel_expr\": \"k\", \"cel_columns\": {}, \"routing_values\": [1, 2]", "3 routing_values, as many as"},
      {"\"cel\", \"cel_expr\": \"k\", \"cel_columns\": {}, \"routing_values\": []", "found 0"},
      {"\"cel\", \"cel_expr\": \"k\", \"cel_columns\": {}, \"routing_values\": 3", "routing_values to be a list"},
      {"\"hash\", \"cel_expr\": \"k\"", "expected no cel_expr beside the strategy hash"},
      {"\"hash\", \"cel_columns\": {}", "expected no cel_columns beside the strategy hash"},
      {"\"hash\", \"routing_values\": []", "expected no routing_values beside the strategy hash"},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    char *changes = sf_format("UPDATE build_meta SET sharding='{\"hash_algorithm\": \"xxh3_64\", \"strategy\": %s}';",
                              cases[i].members);
    if (cases[i].message_part != NULL)
      assert_refused(changes, cases[i].message_part);
    else {
      sf_manifest manifest;
      assert_parses(changes, &manifest);
      sf_manifest_free(&manifest);
    }
    free(changes);
  }
}

static void no_routing_values_do_for_one_shard(void **state) {
  (void)state;
  sf_manifest manifest;
  assert_parses(
      "DELETE FROM shards WHERE db_id=2; UPDATE build_meta SET num_dbs=1, sharding='{\"hash_algorithm\": "
      "\"xxh3_64\", \"strategy\": \"cel\", \"cel_expr\": \"k\", \"cel_columns\": {}, \"routing_values\": []}';" VECTOR(
          "{\"dim\": 4, \"metric\": \"l2\", \"sharding_strategy\": \"cel\", \"cel_expr\": \"0\", "
          "\"cel_columns\": {}, \"routing_values\": []}"),
      &manifest);
  assert_false(manifest.routing.has_routing_values);
  sf_manifest_free(&manifest);
}

static void what_a_shard_must_not_say_is_refused_with_its_id(void **state) {
  (void)state;
  static const struct {
    const char *change; /* of the shard 2 */
    const char *message_part;
  } cases[] = {
      {"db_id=0", "expected each db_id once, found 0 again"},
      {"db_id=3", "expected db_id from 0 to 2, found 3"},
      {"db_id=-1", "expected db_id from 0 to 2, found -1"},
      {"db_id=NULL", "expected db_id to be an integer, found NULL"},
      {"row_count=-1", "db_id 2: expected row_count from 0"},
      {"db_bytes=-1", "db_id 2: expected db_bytes from 0"},
      {"attempt=-1", "db_id 2: expected attempt from 0"},
      {"row_count='many'", "db_id 2: expected row_count to be an integer, found text"},
      {"row_count=9223372036854775808", "db_id 2: expected row_count to be an integer, found a float"},
      {"min_key='{'", "db_id 2: min_key: expected JSON"},
      {"max_key='nothing'", "db_id 2: max_key: expected JSON"},
      {"min_key=''", "db_id 2: min_key: expected JSON"},
      {"min_key=x'31'", "db_id 2: expected min_key to be text"},
      {"writer_info='{]'", "db_id 2: writer_info: expected JSON"},
      {"writer_info=NULL", "db_id 2: expected writer_info to be text, found NULL"},
      {"db_url=x'00'", "db_id 2: expected db_url to be text"},
      {"db_url=CAST(x'c3' AS TEXT)", "db_id 2: expected db_url to be text, found what is not UTF-8"},
      {"checkpoint_id=x'00'", "db_id 2: expected checkpoint_id to be text"},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    char *changes = sf_format(LOOSEN("shards") "UPDATE shards SET %s WHERE db_id=2;", cases[i].change);
    assert_refused(changes, cases[i].message_part);
    free(changes);
  }
  assert_refused(LOOSEN("shards") "INSERT INTO shards SELECT * FROM shards;", "expected each db_id once");
}

static void keys_may_be_any_json(void **state) {
  (void)state;
  static const char *const keys[] = {"18446744073709551615",
                                     "-9223372036854775808",
                                     "1.5e300",
                                     "\"\\u00e9\"",
                                     "null",
                                     "[1, {\"a\": []}]",
                                     "true",
                                     " 7 "};
  for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
    char *changes = sf_format("UPDATE shards SET min_key='%s', max_key='%s';", keys[i], keys[i]);
    sf_manifest manifest;
    assert_parses(changes, &manifest);
    sf_manifest_free(&manifest);
    free(changes);
  }
}

static void json_that_is_nested_too_deeply_is_refused(void **state) {
  (void)state;
  char nested[2 * 5000 + 1];
  memset(nested, '[', 5000);
  memset(nested + 5000, ']', 5000);
  nested[sizeof(nested) - 1] = '\0';
  char *changes = sf_format("UPDATE shards SET min_key='%s';", nested);
  assert_refused(changes, "nested at most");
  free(changes);
  changes = sf_format("UPDATE build_meta SET custom='{\"other\": %s}';", nested);
  assert_refused(changes, "nested at most");
  free(changes);
}

static void members_that_are_absent_or_null_have_defaults(void **state) {
  (void)state;
  static const char *const vectors[] = {
      VECTOR("{\"dim\": 4, \"metric\": \"cosine\"}"),
      VECTOR("{\"dim\": 4, \"metric\": \"cosine\", \"total_vectors\": null, \"num_probes\": null,"
             " \"sharding_strategy\": null, \"centroids_ref\": null, \"hyperplanes_ref\": null,"
             " \"num_hash_bits\": null, \"unified\": null, \"quantization\": null, \"other\": [1]}")};
  for (size_t i = 0; i < 2; i++) {
    sf_manifest manifest;
    assert_parses(vectors[i], &manifest);
    assert_int_equal(manifest.routing.strategy, SF_SHARDING_EXPLICIT);
    assert_false(manifest.routing.searches_all_shards);
    assert_int_equal(manifest.routing.num_probes, 1);
    assert_int_equal(manifest.total_vectors, 7 + 5); /* of the shards */
    assert_null(manifest.artifact_refs[SF_SHARDING_CLUSTER]);
    sf_manifest_free(&manifest);
  }
}

static void vectors_beside_key_value_data_are_searched_over_all_shards(void **state) {
  (void)state;
  sf_manifest manifest;
  assert_parses(VECTOR("{\"dim\": 4, \"metric\": \"l2\", \"unified\": true, \"backend\": \"sqlite-vec\","
                       " \"kv_backend\": \"sqlite\"}"),
                &manifest);
  assert_true(manifest.is_unified);
  assert_string_equal(manifest.shard_format, "sqlite-vec");
  assert_true(manifest.routing.searches_all_shards);
  sf_manifest_free(&manifest);
  assert_parses(VECTOR("{\"dim\": 4, \"metric\": \"l2\", \"unified\": true, \"sharding_strategy\": \"explicit\"}"),
                &manifest);
  assert_false(manifest.routing.searches_all_shards);
  sf_manifest_free(&manifest);
}

#define KEY_SHARDING(text) "UPDATE build_meta SET sharding = '" text "';"
#define HASHED KEY_SHARDING("{\"strategy\": \"hash\", \"hash_algorithm\": \"xxh3_64\"}")
#define BY_TENANT(columns, values)                                                                                     \
  KEY_SHARDING("{\"strategy\": \"cel\", \"hash_algorithm\": \"xxh3_64\", \"cel_expr\": \"tenant\", "                   \
               "\"cel_columns\": " columns ", \"routing_values\": " values "}")

static void the_sharding_of_keys_is_for_vectors_without_a_strategy(void **state) {
  (void)state;
  sf_manifest manifest;
  assert_parses(BY_TENANT("{\"tenant\": \"string\"}", "[\"a\", \"b\", \"c\"]")
                    VECTOR("{\"dim\": 4, \"metric\": \"l2\", \"unified\": true, \"backend\": \"lancedb\"}"),
                &manifest);
  assert_string_equal(manifest.shard_format, "lance");
  assert_int_equal(manifest.routing.strategy, SF_SHARDING_EXPLICIT);
  assert_true(manifest.routing.searches_all_shards);
  assert_int_equal(manifest.routing.context_use, SF_CONTEXT_BY_KEY);
  assert_string_equal(manifest.routing.cel_expression, "tenant");
  assert_int_equal(manifest.routing.num_cel_columns, 1);
  assert_int_equal(manifest.routing.num_routing_values, 3);
  sf_manifest_free(&manifest);
  assert_parses(HASHED VECTOR("{\"dim\": 4, \"metric\": \"l2\", \"unified\": true}"), &manifest);
  assert_null(manifest.shard_format);
  assert_int_equal(manifest.routing.context_use, SF_CONTEXT_REFUSED);
  sf_manifest_free(&manifest);
  assert_parses(BY_TENANT("{\"tenant\": \"another\"}", "null")
                    VECTOR("{\"dim\": 4, \"metric\": \"l2\", \"sharding_strategy\": \"explicit\"}"),
                &manifest);
  assert_int_equal(manifest.routing.context_use, SF_CONTEXT_BY_STRATEGY);
  assert_null(manifest.routing.cel_expression);
  sf_manifest_free(&manifest);
  assert_refused(BY_TENANT("{\"tenant\": \"another\"}", "null") VECTOR("{\"dim\": 4, \"metric\": \"l2\"}"),
                 "sharding: expected the type of cel_columns.tenant to be int");
}

static void no_vector_metadata_is_no_malformation(void **state) {
  (void)state;
  static const char *const customs[] = {"{}", "{\"vector\": null}", "{\"vector\": {}}", "{\"other\": 1}"};
  for (size_t i = 0; i < sizeof(customs) / sizeof(customs[0]); i++) {
    char *changes = sf_format("UPDATE build_meta SET custom='%s';", customs[i]);
    sf_manifest manifest;
    assert_parses(changes, &manifest);
    assert_false(manifest.has_vectors);
    sf_manifest_free(&manifest);
    free(changes);
  }
}

static void vector_metadata_that_does_not_hold_is_refused(void **state) {
  (void)state;
  static const struct {
    const char *members;
    const char *message_part;
  } cases[] = {
      {"\"metric\": \"l2\"", "\"dim\" to be an integer from 1 to 65536, found nothing"},
      {"\"dim\": 0, \"metric\": \"l2\"", "\"dim\" to be an integer"},
      {"\"dim\": 65537, \"metric\": \"l2\"", "\"dim\" to be an integer"},
      {"\"dim\": 4.0, \"metric\": \"l2\"", "\"dim\" to be an integer"},
      {"\"dim\": \"4\", \"metric\": \"l2\"", "\"dim\" to be an integer"},
      {"\"dim\": 18446744073709551615, \"metric\": \"l2\"", "\"dim\" to be an integer"},
      {"\"dim\": 4", "\"metric\" to be a string, found nothing"},
      {"\"dim\": 4, \"metric\": \"l1\"", "expected metric cosine, l2 or dot_product, found l1"},
      {"\"dim\": 4, \"metric\": \"l2\\u0000\"", "\"metric\" to be a string"},
      {"\"dim\": 4, \"metric\": \"l2\", \"total_vectors\": -1", "\"total_vectors\" to be an integer"},
      {"\"dim\": 4, \"metric\": \"l2\", \"total_vectors\": 18446744073709551615", "\"total_vectors\" to be an integer"},
      {"\"dim\": 4, \"metric\": \"l2\", \"num_probes\": 0", "\"num_probes\" to be an integer"},
      {"\"dim\": 4, \"metric\": \"l2\", \"num_hash_bits\": 4097", "\"num_hash_bits\" to be an integer"},
      {"\"dim\": 4, \"metric\": \"l2\", \"unified\": 1", "expected unified to be true or false, found 1"},
      {"\"dim\": 4, \"metric\": \"l2\", \"centroids_ref\": 1", "\"centroids_ref\" to be a string, found 1"},
      {"\"dim\": 4, \"metric\": \"l2\", \"sharding_strategy\": \"hash\"", "found hash"},
      {"\"dim\": 4, \"metric\": \"l2\", \"sharding_strategy\": \"cel\"", "expected cel_expr"},
      {"\"dim\": 4, \"metric\": \"l2\", \"sharding_strategy\": \"cel\", \"cel_expr\": \"1\"", "expected cel_columns"},
      {"\"dim\": 4, \"metric\": \"l2\", \"sharding_strategy\": \"cel\", \"cel_expr\": \"1\", \"cel_columns\":"
       " {\"k\": \"list\"}",
       "type of cel_columns.k to be int, string"},
      {"\"dim\": 4, \"metric\": \"l2\", \"sharding_strategy\": \"cel\", \"cel_expr\": \"1\", \"cel_columns\":"
       " {\"k\": 7}",
       "type of cel_columns.k to be int, string"},
      {"\"dim\": 4, \"metric\": \"l2\", \"sharding_strategy\": \"cel\", \"cel_expr\": \"1\", \"cel_columns\": {},"
       " \"routing_values\": [1]",
       "expected 3 routing_values, as many as num_dbs, found 1"},
      {"\"dim\": 4, \"metric\": \"l2\", \"sharding_strategy\": \"cel\", \"cel_expr\": \"1\", \"cel_columns\": {},"
       " \"routing_values\": {}",
       "routing_values to be a list"},
      {"\"dim\": 4, \"metric\": \"l2\", \"sharding_strategy\": \"cel\", \"cel_expr\": \"1\", \"cel_columns\": {},"
       " \"routing_values\": [1, 2, 3.5]",
       "routing_values[2] to be an integer"},
      {"\"dim\": 4, \"metric\": \"l2\", \"sharding_strategy\": \"cel\", \"cel_expr\": \"1\", \"cel_columns\": {},"
       " \"routing_values\": [1, {\"__bytes_hex__\": \"0\"}, 3]",
       "routing_values[1] to be an integer"},
      {"\"dim\": 4, \"metric\": \"l2\", \"sharding_strategy\": \"cel\", \"cel_expr\": \"1\", \"cel_columns\": {},"
       " \"routing_values\": [{\"__bytes_hex__\": \"00\", \"more\": 1}, 2, 3]",
       "routing_values[0] to be an integer"},
      {"\"dim\": 4, \"metric\": \"l2\", \"sharding_strategy\": \"cel\", \"cel_expr\": \"1\", \"cel_columns\": {},"
       " \"routing_values\": [18446744073709551616, 2, 3]",
       "routing_values[0] to be an integer"},
      {"\"dim\": 4, \"metric\": \"l2\", \"backend\": 7", "\"backend\" to be a string, found 7"},
      {"\"dim\": 4, \"metric\": \"l2\", \"backend\": \"faiss\"", "backend sqlite-vec or lancedb, found faiss"},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    char *changes = sf_format(VECTOR("{%s}"), cases[i].members);
    assert_refused(changes, cases[i].message_part);
    free(changes);
  }
}

static void routing_values_are_integers_strings_and_bytes(void **state) {
  (void)state;
  sf_manifest manifest;
  assert_parses(VECTOR("{\"dim\": 4, \"metric\": \"l2\", \"sharding_strategy\": \"cel\", \"cel_expr\": \"k\", "
                       "\"cel_columns\": {\"k\": \"bytes\", \"n\": \"uint\"}, "
                       "\"routing_values\": [-5, \"a\\u0000b\", {\"__bytes_hex__\": \"00fFAa\"}]}"),
                &manifest);
  const sf_routing_config *routing = &manifest.routing;
  assert_int_equal(routing->num_cel_columns, 2);
  assert_int_equal(routing->num_routing_values, 3);
  assert_int_equal(routing->routing_values[0].integer, -5);
  assert_int_equal(routing->routing_values[1].length, 3);
  assert_memory_equal(routing->routing_values[1].data, "a\0b", 3);
  assert_int_equal(routing->routing_values[2].kind, SF_CEL_BYTES);
  assert_memory_equal(routing->routing_values[2].data, "\x00\xff\xaa", 3);
  sf_manifest_free(&manifest);
}

static void trailing_slashes_of_the_prefix_do_not_matter(void **state) {
  (void)state;
  sf_manifest manifest;
  assert_parses("UPDATE build_meta SET s3_prefix='s3://bucket/p//';", &manifest);
  assert_string_equal(manifest.s3_prefix, "s3://bucket/p");
  sf_manifest_free(&manifest);
}

static void text_may_be_stored_as_utf_16(void **state) {
  (void)state;
  sf_buffer bytes =
      database_of("PRAGMA encoding='UTF-16be';" MANIFEST_SQL, "UPDATE build_meta SET run_id='r\xc3\xa9';");
  sf_manifest manifest;
  assert_int_equal(sf_manifest_parse(bytes.data, bytes.length, "manifest m", &manifest, NULL), SF_OK);
  assert_string_equal(manifest.run_id, "r\xc3\xa9");
  sf_manifest_free(&manifest);
  sf_buffer_free(&bytes);
}

/* Whatever a byte is changed to, or wherever the file ends, it is read or refused. */
static void a_damaged_manifest_is_read_or_refused(void **state) {
  (void)state;
  sf_buffer bytes = manifest_of("");
  sf_manifest manifest;
  for (size_t i = 0; i < bytes.length; i++) {
    uint8_t kept = bytes.data[i];
    bytes.data[i] ^= (uint8_t)(1u << (i % 8));
    sf_code code = sf_manifest_parse(bytes.data, bytes.length, "manifest m", &manifest, NULL);
    assert_true(code == SF_OK || code == SF_MANIFEST_PARSE_ERROR);
    if (code == SF_OK)
      sf_manifest_free(&manifest);
    bytes.data[i] = kept;
  }
  for (size_t length = 0; length < bytes.length; length += 64)
    assert_int_equal(sf_manifest_parse(bytes.data, length, "manifest m", &manifest, NULL), SF_MANIFEST_PARSE_ERROR);
  sf_buffer_free(&bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_manifest_is_read_whole),
      cmocka_unit_test(a_shard_that_is_absent_or_has_no_url_has_no_rows),
      cmocka_unit_test(bytes_that_are_no_database_are_refused),
      cmocka_unit_test(tables_that_cannot_be_read_are_refused),
      cmocka_unit_test(what_build_meta_must_not_say_is_refused),
      cmocka_unit_test(fields_of_cel_belong_to_the_strategy_cel),
      cmocka_unit_test(no_routing_values_do_for_one_shard),
      cmocka_unit_test(what_a_shard_must_not_say_is_refused_with_its_id),
      cmocka_unit_test(keys_may_be_any_json),
      cmocka_unit_test(json_that_is_nested_too_deeply_is_refused),
      cmocka_unit_test(members_that_are_absent_or_null_have_defaults),
      cmocka_unit_test(vectors_beside_key_value_data_are_searched_over_all_shards),
      cmocka_unit_test(the_sharding_of_keys_is_for_vectors_without_a_strategy),
      cmocka_unit_test(no_vector_metadata_is_no_malformation),
      cmocka_unit_test(vector_metadata_that_does_not_hold_is_refused),
      cmocka_unit_test(routing_values_are_integers_strings_and_bytes),
      cmocka_unit_test(trailing_slashes_of_the_prefix_do_not_matter),
      cmocka_unit_test(text_may_be_stored_as_utf_16),
      cmocka_unit_test(a_damaged_manifest_is_read_or_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
