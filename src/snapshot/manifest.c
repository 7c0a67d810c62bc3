#include "snapshot/manifest.h"

#include "base/json.h"
#include "base/memory.h"
#include "base/sqlite.h"

#include <string.h>

static const sf_code malformed = SF_MANIFEST_PARSE_ERROR;

/* Columns of build_meta and of shards, in the order of the queries below. */
enum { RUN_ID, NUM_DBS, S3_PREFIX, SHARDING, FORMAT_VERSION, CUSTOM };
enum { DB_ID, DB_URL, ATTEMPT, ROW_COUNT, DB_BYTES, MIN_KEY, MAX_KEY, CHECKPOINT_ID, WRITER_INFO };

static const char build_meta_query[] =
    "SELECT run_id, num_dbs, s3_prefix, sharding, format_version, custom FROM build_meta LIMIT 2";
static const char shards_query[] = "SELECT db_id, db_url, attempt, row_count, db_bytes, min_key, max_key, "
                                   "checkpoint_id, writer_info FROM shards ORDER BY db_id";

static sf_code read_integer(sqlite3_stmt *row, int column, int64_t minimum, int64_t maximum, const char *what,
                            int64_t *value, sf_error *error) {
  const char *name = sqlite3_column_name(row, column);
  if (sqlite3_column_type(row, column) != SQLITE_INTEGER)
    return sf_fail(error, malformed, "%s: expected %s to be an integer, found %.80s", what, name,
                   sqlite3_column_type(row, column) == SQLITE_NULL ? "NULL"
                                                                   : (const char *)sqlite3_column_text(row, column));
  *value = sqlite3_column_int64(row, column);
  if (*value < minimum || *value > maximum)
    return sf_fail(error, malformed, "%s: expected %s from %lld to %lld, found %lld", what, name, (long long)minimum,
                   (long long)maximum, (long long)*value);
  return SF_OK;
}

/* The text of a column, borrowed until the row moves on; NULL for a NULL that is allowed. */
static sf_code read_text(sqlite3_stmt *row, int column, bool required, const char *what, const char **text,
                         sf_error *error) {
  const char *name = sqlite3_column_name(row, column);
  *text = NULL;
  int type = sqlite3_column_type(row, column);
  if (type == SQLITE_NULL && !required)
    return SF_OK;
  if (type != SQLITE_TEXT)
    return sf_fail(error, malformed, "%s: expected %s to be text, found %s", what, name,
                   type == SQLITE_NULL ? "NULL" : "another type");
  *text = (const char *)sqlite3_column_text(row, column);
  if (*text == NULL)
    return sf_fail_memory(error, what);
  if (strlen(*text) != (size_t)sqlite3_column_bytes(row, column))
    return sf_fail(error, malformed, "%s: expected %s to be text, found a NUL in it", what, name);
  return SF_OK;
}

static sf_code copy_text(sqlite3_stmt *row, int column, bool required, const char *what, char **copy, sf_error *error) {
  const char *text;
  SF_TRY(read_text(row, column, required, what, &text, error));
  *copy = sf_strdup(text);
  return *copy != NULL || text == NULL ? SF_OK : sf_fail_memory(error, what);
}

/* A column that must hold JSON, whatever it says. */
static sf_code check_json(sqlite3_stmt *row, int column, bool required, const char *what, sf_error *error) {
  const char *text;
  SF_TRY(read_text(row, column, required, what, &text, error));
  if (text == NULL)
    return SF_OK;
  json_object *value = NULL;
  sf_code code = sf_json_parse(text, strlen(text), sqlite3_column_name(row, column), malformed, &value, error);
  json_object_put(value);
  return code == SF_OK ? SF_OK : sf_error_prefix(error, "%s", what);
}

static sf_code fail_if_present(const json_object *sharding, const char *name, const char *strategy, const char *what,
                               sf_error *error) {
  if (sf_json_member(sharding, name) == NULL)
    return SF_OK;
  return sf_fail(error, malformed, "%s: expected no %s beside the strategy %s, found one", what, name, strategy);
}

static sf_code check_cel_sharding(const json_object *sharding, uint32_t num_dbs, const char *what, sf_error *error) {
  const char *expression;
  SF_TRY(sf_json_string(sharding, "cel_expr", true, what, malformed, &expression, error));
  if (!json_object_is_type(sf_json_member(sharding, "cel_columns"), json_type_object))
    return sf_fail(error, malformed, "%s: expected cel_columns beside the strategy cel, found none", what);
  json_object *values = sf_json_member(sharding, "routing_values");
  if (values == NULL)
    return SF_OK;
  if (!json_object_is_type(values, json_type_array))
    return sf_fail(error, malformed, "%s: expected routing_values to be a list", what);
  size_t count = json_object_array_length(values);
  if ((count == 0 ? 1 : count) != num_dbs)
    return sf_fail(error, malformed, "%s: expected %u routing_values, as many as num_dbs, found %zu", what,
                   (unsigned)num_dbs, count);
  return SF_OK;
}

/* The sharding of the key-value data: not ours to route by, but a manifest is whole or it is not. */
static sf_code check_sharding(const json_object *sharding, uint32_t num_dbs, const char *what, sf_error *error) {
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

static sf_code read_sharding(sqlite3_stmt *row, uint32_t num_dbs, const char *what, sf_error *error) {
  const char *text;
  SF_TRY(read_text(row, SHARDING, true, what, &text, error));
  char *named = sf_format("%s: sharding", what);
  if (named == NULL)
    return sf_fail_memory(error, what);
  json_object *sharding;
  sf_code code = sf_json_parse_object(text, strlen(text), named, malformed, &sharding, error);
  if (code == SF_OK) {
    code = check_sharding(sharding, num_dbs, named, error);
    json_object_put(sharding);
  }
  free(named);
  return code;
}

static sf_code read_build_meta_row(sqlite3_stmt *row, const char *what, sf_manifest *manifest, sf_error *error) {
  int64_t version;
  int64_t num_dbs;
  SF_TRY(
      read_integer(row, FORMAT_VERSION, SF_MANIFEST_FORMAT_VERSION, SF_MANIFEST_FORMAT_VERSION, what, &version, error));
  SF_TRY(read_integer(row, NUM_DBS, 1, SF_MANIFEST_MAX_SHARDS, what, &num_dbs, error));
  manifest->num_dbs = (uint32_t)num_dbs;
  SF_TRY(copy_text(row, RUN_ID, true, what, &manifest->run_id, error));
  SF_TRY(copy_text(row, S3_PREFIX, true, what, &manifest->s3_prefix, error));
  for (size_t length = strlen(manifest->s3_prefix); length > 0 && manifest->s3_prefix[length - 1] == '/'; length--)
    manifest->s3_prefix[length - 1] = '\0';
  return read_sharding(row, manifest->num_dbs, what, error);
}

/* Reads build_meta but for `custom`, of which it gives a copy: that is read once the shards are known. */
static sf_code read_build_meta(sqlite3 *database, const char *what, sf_manifest *manifest, char **custom,
                               sf_error *error) {
  sqlite3_stmt *row = NULL;
  SF_TRY(sf_sqlite_require_table(database, "build_meta", what, malformed, error));
  SF_TRY(sf_sqlite_prepare(database, build_meta_query, what, malformed, &row, error));
  int status = sqlite3_step(row);
  sf_code code;
  if (status == SQLITE_DONE)
    code = sf_fail(error, malformed, "%s: expected one row in build_meta, found none", what);
  else if (status != SQLITE_ROW)
    code = sf_sqlite_fail(database, what, "can't read build_meta", malformed, error);
  else
    code = read_build_meta_row(row, what, manifest, error);
  if (code == SF_OK)
    code = copy_text(row, CUSTOM, true, what, custom, error);
  if (code == SF_OK && (status = sqlite3_step(row)) != SQLITE_DONE)
    code = status == SQLITE_ROW ? sf_fail(error, malformed, "%s: expected one row in build_meta, found more", what)
                                : sf_sqlite_fail(database, what, "can't read build_meta", malformed, error);
  sqlite3_finalize(row);
  return code;
}

static sf_code read_shard_row(sqlite3_stmt *row, const char *what, int64_t previous_id, sf_manifest *manifest,
                              int64_t *db_id, sf_error *error) {
  SF_TRY(read_integer(row, DB_ID, 0, (int64_t)manifest->num_dbs - 1, what, db_id, error));
  if (*db_id == previous_id)
    return sf_fail(error, malformed, "%s: expected each db_id once, found %lld again", what, (long long)*db_id);
  int64_t ignored;
  sf_manifest_shard *shard = &manifest->shards[*db_id];
  SF_TRY(read_integer(row, ATTEMPT, 0, INT64_MAX, what, &ignored, error));
  SF_TRY(read_integer(row, ROW_COUNT, 0, INT64_MAX, what, &shard->row_count, error));
  SF_TRY(read_integer(row, DB_BYTES, 0, INT64_MAX, what, &ignored, error));
  SF_TRY(check_json(row, MIN_KEY, false, what, error));
  SF_TRY(check_json(row, MAX_KEY, false, what, error));
  SF_TRY(check_json(row, WRITER_INFO, true, what, error));
  SF_TRY(copy_text(row, CHECKPOINT_ID, false, what, &shard->checkpoint_id, error));
  return copy_text(row, DB_URL, false, what, &shard->db_url, error);
}

static sf_code read_shards(sqlite3 *database, const char *what, sf_manifest *manifest, sf_error *error) {
  manifest->shards = sf_calloc(manifest->num_dbs, sizeof(*manifest->shards));
  if (manifest->shards == NULL)
    return sf_fail_memory(error, what);
  sqlite3_stmt *row = NULL;
  SF_TRY(sf_sqlite_require_table(database, "shards", what, malformed, error));
  SF_TRY(sf_sqlite_prepare(database, shards_query, what, malformed, &row, error));
  sf_code code = SF_OK;
  int64_t db_id = -1;
  uint32_t count = 0;
  int status;
  while (code == SF_OK && (status = sqlite3_step(row)) != SQLITE_DONE) {
    if (status != SQLITE_ROW)
      code = sf_sqlite_fail(database, what, "can't read shards", malformed, error);
    else if (++count > manifest->num_dbs)
      code = sf_fail(error, malformed, "%s: expected at most num_dbs = %u shards, found more", what,
                     (unsigned)manifest->num_dbs);
    else
      code = read_shard_row(row, what, db_id, manifest, &db_id, error);
  }
  sqlite3_finalize(row);
  return code;
}

static sf_code read_database(sqlite3 *database, const char *what, sf_manifest *manifest, sf_error *error) {
  char *custom = NULL;
  sf_code code = read_build_meta(database, what, manifest, &custom, error);
  if (code == SF_OK)
    code = read_shards(database, what, manifest, error);
  if (code == SF_OK)
    code = sf_manifest_parse_custom(custom, strlen(custom), what, manifest, error);
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
  sf_code code = read_database(database, what, &parsed, error);
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
  free(manifest->centroids_ref);
  free(manifest->hyperplanes_ref);
  sf_routing_config_free(&manifest->routing);
  *manifest = (sf_manifest){0};
}
