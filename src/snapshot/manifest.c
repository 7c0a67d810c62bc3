#include "snapshot/manifest.h"

#include "base/json.h"
#include "base/memory.h"
#include "base/sqlite.h"
#include "base/utf8.h"

#include <string.h>

static const sf_code malformed = SF_MANIFEST_PARSE_ERROR;

/* Columns of build_meta and of shards, in the order of the queries below. */
enum { RUN_ID, NUM_DBS, S3_PREFIX, SHARDING, FORMAT_VERSION, CUSTOM };
enum { DB_ID, DB_URL, ATTEMPT, ROW_COUNT, DB_BYTES, MIN_KEY, MAX_KEY, CHECKPOINT_ID, WRITER_INFO };

static const char build_meta_query[] =
    "SELECT run_id, num_dbs, s3_prefix, sharding, format_version, custom FROM build_meta NOT INDEXED LIMIT 2";
/* In the table's own order: an index or a sort would be work that the file decides on. */
static const char shards_query[] = "SELECT db_id, db_url, attempt, row_count, db_bytes, min_key, max_key, "
                                   "checkpoint_id, writer_info FROM shards NOT INDEXED";

/* The most bytes of a JSON text: what is read from it can take seventy times as much. */
#define MAX_JSON_BYTES ((size_t)64 << 20)

/* A row of the manifest, as far as it was read. */
typedef struct reading {
  sqlite3 *database;
  sqlite3_stmt *row;
  const char *what;        /* what messages begin with */
  sf_json key_sharding;    /* of build_meta */
  char *key_sharding_text; /* what it was parsed from */
  /* Bytes of text that may still come. A sound database holds each of its bytes once, so that all its text is no longer
   * than the file (twice that, where it is UTF-16); cells that share their pages could ask for any amount. */
  size_t text_left;
} reading;

static sf_code read_integer(const reading *from, int column, int64_t minimum, int64_t maximum, int64_t *value,
                            sf_error *error) {
  static const char *const types[] = {"", "an integer", "a float", "text", "a blob", "NULL"};
  const char *name = sqlite3_column_name(from->row, column);
  int type = sqlite3_column_type(from->row, column);
  if (type != SQLITE_INTEGER)
    return sf_fail(error, malformed, "%s: expected %s to be an integer, found %s", from->what, name, types[type]);
  *value = sqlite3_column_int64(from->row, column);
  if (*value < minimum || *value > maximum)
    return sf_fail(error, malformed, "%s: expected %s from %lld to %lld, found %lld", from->what, name,
                   (long long)minimum, (long long)maximum, (long long)*value);
  return SF_OK;
}

/* The text of a column, borrowed until the row moves on; NULL for a NULL that is allowed. */
static sf_code read_text(reading *from, int column, bool required, const char **text, sf_error *error) {
  const char *name = sqlite3_column_name(from->row, column);
  *text = NULL;
  int type = sqlite3_column_type(from->row, column);
  if (type == SQLITE_NULL && !required)
    return SF_OK;
  if (type != SQLITE_TEXT)
    return sf_fail(error, malformed, "%s: expected %s to be text, found %s", from->what, name,
                   type == SQLITE_NULL ? "NULL" : "another type");
  size_t length;
  SF_TRY(sf_sqlite_text(from->row, column, from->what, text, &length, error));
  if (strlen(*text) != length || !sf_utf8_valid(*text, length, NULL))
    return sf_fail(error, malformed, "%s: expected %s to be text, found what is not UTF-8 or has a NUL in it",
                   from->what, name);
  if (length > from->text_left)
    return sf_fail(error, malformed, "%s: expected no more text than the database is long, found it at %s", from->what,
                   name);
  from->text_left -= length;
  return SF_OK;
}

static sf_code copy_text(reading *from, int column, bool required, char **copy, sf_error *error) {
  const char *text;
  SF_TRY(read_text(from, column, required, &text, error));
  *copy = sf_strdup(text);
  return *copy != NULL || text == NULL ? SF_OK : sf_fail_memory(error, from->what);
}

static sf_code check_json_length(const char *text, const char *what, sf_error *error) {
  if (strlen(text) <= MAX_JSON_BYTES)
    return SF_OK;
  return sf_fail(error, malformed, "%s: expected at most %zu bytes of JSON, found %zu", what, MAX_JSON_BYTES,
                 strlen(text));
}

/* A column that must hold JSON, whatever it says. */
static sf_code check_json(reading *from, int column, bool required, sf_error *error) {
  const char *text;
  SF_TRY(read_text(from, column, required, &text, error));
  if (text == NULL)
    return SF_OK;
  const char *name = sqlite3_column_name(from->row, column);
  sf_json value = {0};
  sf_code code = check_json_length(text, name, error);
  if (code == SF_OK)
    code = sf_json_parse(text, strlen(text), SF_JSON_WITH_NAN, name, malformed, &value, error);
  sf_json_free(&value);
  if (code == malformed)
    sf_error_prefix(error, "%s", from->what);
  return code;
}

static sf_code fail_if_present(const json_t *sharding, const char *name, const char *strategy, const char *what,
                               sf_error *error) {
  if (sf_json_member(sharding, name) == NULL)
    return SF_OK;
  return sf_fail(error, malformed, "%s: expected no %s beside the strategy %s, found one", what, name, strategy);
}

static sf_code check_cel_sharding(const json_t *sharding, uint32_t num_dbs, const char *what, sf_error *error) {
  const char *expression;
  SF_TRY(sf_json_string(sharding, "cel_expr", true, what, malformed, &expression, error));
  if (!json_is_object(sf_json_member(sharding, "cel_columns")))
    return sf_fail(error, malformed, "%s: expected cel_columns beside the strategy cel, found none", what);
  const json_t *values = sf_json_member(sharding, "routing_values");
  if (values == NULL)
    return SF_OK;
  if (!json_is_array(values))
    return sf_fail(error, malformed, "%s: expected routing_values to be a list", what);
  size_t count = json_array_size(values);
  if ((count == 0 ? 1 : count) != num_dbs)
    return sf_fail(error, malformed, "%s: expected %u routing_values, as many as num_dbs, found %zu", what,
                   (unsigned)num_dbs, count);
  return SF_OK;
}

/* The sharding of the key-value data: seldom ours to route by, but a manifest is whole or it is not. */
static sf_code check_sharding(const json_t *sharding, uint32_t num_dbs, const char *what, sf_error *error) {
  const char *strategy;
  const char *algorithm;
  SF_TRY(sf_json_string(sharding, "strategy", true, what, malformed, &strategy, error));
  SF_TRY(sf_json_string(sharding, "hash_algorithm", true, what, malformed, &algorithm, error));
  if (strcmp(algorithm, "xxh3_64") != 0)
    return sf_fail(error, malformed, "%s: expected hash_algorithm xxh3_64, found %s", what, algorithm);
  if (strcmp(strategy, "cel") == 0)
    return check_cel_sharding(sharding, num_dbs, what, error);
  SF_TRY(fail_if_present(sharding, "cel_expr", strategy, what, error));
  SF_TRY(fail_if_present(sharding, "cel_columns", strategy, what, error));
  return fail_if_present(sharding, "routing_values", strategy, what, error);
}

static sf_code read_sharding(reading *from, uint32_t num_dbs, sf_error *error) {
  const char *text;
  SF_TRY(read_text(from, SHARDING, true, &text, error));
  char *named = sf_format("%s: sharding", from->what);
  if (named == NULL)
    return sf_fail_memory(error, from->what);
  sf_code code = check_json_length(text, named, error);
  if (code == SF_OK)
    code = sf_json_parse_object(text, strlen(text), SF_JSON_WITH_NAN, named, malformed, &from->key_sharding, error);
  if (code == SF_OK)
    code = check_sharding(from->key_sharding.root, num_dbs, named, error);
  if (code == SF_OK && (from->key_sharding_text = sf_strdup(text)) == NULL)
    code = sf_fail_memory(error, from->what);
  free(named);
  return code;
}

static sf_code read_build_meta_row(reading *from, sf_manifest *manifest, sf_error *error) {
  const int64_t version = SF_MANIFEST_FORMAT_VERSION;
  int64_t found_version;
  int64_t num_dbs;
  SF_TRY(read_integer(from, FORMAT_VERSION, version, version, &found_version, error));
  SF_TRY(read_integer(from, NUM_DBS, 1, SF_MANIFEST_MAX_SHARDS, &num_dbs, error));
  manifest->num_dbs = (uint32_t)num_dbs;
  SF_TRY(copy_text(from, RUN_ID, true, &manifest->run_id, error));
  SF_TRY(copy_text(from, S3_PREFIX, true, &manifest->s3_prefix, error));
  for (size_t length = strlen(manifest->s3_prefix); length > 0 && manifest->s3_prefix[length - 1] == '/'; length--)
    manifest->s3_prefix[length - 1] = '\0';
  return read_sharding(from, manifest->num_dbs, error);
}

/* Reads build_meta but for `custom`, of which it gives a copy: that is read once the shards are known. */
static sf_code read_build_meta(reading *from, sf_manifest *manifest, char **custom, sf_error *error) {
  SF_TRY(sf_sqlite_require_table(from->database, "build_meta", from->what, malformed, error));
  SF_TRY(sf_sqlite_prepare(from->database, build_meta_query, from->what, malformed, &from->row, error));
  int status = sqlite3_step(from->row);
  sf_code code;
  if (status == SQLITE_DONE)
    code = sf_fail(error, malformed, "%s: expected one row in build_meta, found none", from->what);
  else if (status != SQLITE_ROW)
    code = sf_sqlite_fail(from->database, status, from->what, "can't read build_meta", malformed, error);
  else
    code = read_build_meta_row(from, manifest, error);
  if (code == SF_OK)
    code = copy_text(from, CUSTOM, true, custom, error);
  if (code == SF_OK && (status = sqlite3_step(from->row)) != SQLITE_DONE)
    code = status == SQLITE_ROW
               ? sf_fail(error, malformed, "%s: expected one row in build_meta, found more", from->what)
               : sf_sqlite_fail(from->database, status, from->what, "can't read build_meta", malformed, error);
  sqlite3_finalize(from->row);
  return code;
}

static sf_code read_shard_columns(reading *from, sf_manifest_shard *shard, sf_error *error) {
  int64_t ignored;
  SF_TRY(read_integer(from, ATTEMPT, 0, INT64_MAX, &ignored, error));
  SF_TRY(read_integer(from, ROW_COUNT, 0, INT64_MAX, &shard->row_count, error));
  SF_TRY(read_integer(from, DB_BYTES, 0, INT64_MAX, &ignored, error));
  SF_TRY(check_json(from, MIN_KEY, false, error));
  SF_TRY(check_json(from, MAX_KEY, false, error));
  SF_TRY(check_json(from, WRITER_INFO, true, error));
  SF_TRY(copy_text(from, CHECKPOINT_ID, false, &shard->checkpoint_id, error));
  return copy_text(from, DB_URL, false, &shard->db_url, error);
}

/* `seen` has a mark for each db_id that was there before. */
static sf_code read_shard_row(reading *from, sf_manifest *manifest, bool *seen, sf_error *error) {
  int64_t db_id;
  SF_TRY(read_integer(from, DB_ID, 0, (int64_t)manifest->num_dbs - 1, &db_id, error));
  if (seen[db_id])
    return sf_fail(error, malformed, "%s: expected each db_id once, found %lld again", from->what, (long long)db_id);
  seen[db_id] = true;
  const char *what = from->what;
  char *named = sf_format("%s: db_id %lld", what, (long long)db_id);
  if (named == NULL)
    return sf_fail_memory(error, what);
  from->what = named;
  sf_code code = read_shard_columns(from, &manifest->shards[db_id], error);
  from->what = what;
  free(named);
  return code;
}

static sf_code read_shard_rows(reading *from, sf_manifest *manifest, bool *seen, sf_error *error) {
  SF_TRY(sf_sqlite_require_table(from->database, "shards", from->what, malformed, error));
  SF_TRY(sf_sqlite_prepare(from->database, shards_query, from->what, malformed, &from->row, error));
  sf_code code = SF_OK;
  uint32_t count = 0;
  int status;
  while (code == SF_OK && (status = sqlite3_step(from->row)) != SQLITE_DONE) {
    if (status != SQLITE_ROW)
      code = sf_sqlite_fail(from->database, status, from->what, "can't read shards", malformed, error);
    else if (++count > manifest->num_dbs)
      code = sf_fail(error, malformed, "%s: expected at most num_dbs = %u shards, found more", from->what,
                     (unsigned)manifest->num_dbs);
    else
      code = read_shard_row(from, manifest, seen, error);
  }
  sqlite3_finalize(from->row);
  return code;
}

static sf_code read_shards(reading *from, sf_manifest *manifest, sf_error *error) {
  manifest->shards = sf_calloc(manifest->num_dbs, sizeof(*manifest->shards));
  bool *seen = sf_calloc(manifest->num_dbs, sizeof(*seen));
  sf_code code = manifest->shards == NULL || seen == NULL ? sf_fail_memory(error, from->what)
                                                          : read_shard_rows(from, manifest, seen, error);
  free(seen);
  return code;
}

static sf_code read_key_sharding(const reading *from, sf_manifest *manifest, sf_error *error) {
  const char *strategy = NULL;
  char *named = sf_format("%s: sharding", from->what);
  if (named == NULL)
    return sf_fail_memory(error, from->what);
  sf_code code = sf_json_string(from->key_sharding.root, "strategy", true, named, malformed, &strategy, error);
  if (code == SF_OK)
    code = sf_manifest_parse_key_sharding(from->key_sharding.root, from->key_sharding_text, strategy, named, manifest,
                                          error);
  free(named);
  return code;
}

static sf_code read_database(reading *from, sf_manifest *manifest, sf_error *error) {
  char *custom = NULL;
  sf_code code = read_build_meta(from, manifest, &custom, error);
  if (code == SF_OK)
    code = check_json_length(custom, from->what, error);
  if (code == SF_OK)
    code = read_shards(from, manifest, error);
  if (code == SF_OK)
    code = sf_manifest_parse_custom(custom, strlen(custom), from->what, manifest, error);
  if (code == SF_OK)
    code = read_key_sharding(from, manifest, error);
  free(custom);
  return code;
}

sf_code sf_manifest_parse(const void *bytes, size_t length, const char *what, sf_manifest *manifest, sf_error *error) {
  static const char magic[] = "SQLite format 3"; /* its NUL is part of it */
  if (length < 100 || memcmp(bytes, magic, sizeof(magic)) != 0)
    return sf_fail(error, malformed, "%s: expected a SQLite database, found %zu bytes of something else", what, length);
  sqlite3 *database;
  SF_TRY(sf_sqlite_open_bytes(bytes, length, what, malformed, &database, error));
  sf_manifest parsed = {0};
  reading from = {.database = database, .what = what, .text_left = length > SIZE_MAX / 2 ? SIZE_MAX : length * 2};
  sf_code code = read_database(&from, &parsed, error);
  sf_json_free(&from.key_sharding);
  free(from.key_sharding_text);
  sqlite3_close(database);
  if (code != SF_OK)
    sf_manifest_free(&parsed);
  else
    *manifest = parsed;
  return code;
}

void sf_manifest_free(sf_manifest *manifest) {
  for (uint32_t i = 0; manifest->shards != NULL && i < manifest->num_dbs; i++) {
    free(manifest->shards[i].db_url);
    free(manifest->shards[i].checkpoint_id);
  }
  free(manifest->shards);
  free(manifest->run_id);
  free(manifest->s3_prefix);
  for (size_t i = 0; i < SF_NUM_STRATEGIES; i++)
    free(manifest->artifact_refs[i]);
  sf_routing_config_free(&manifest->routing);
  sf_manifest_lists_free(&manifest->lists, manifest->num_dbs);
  *manifest = (sf_manifest){0};
}
