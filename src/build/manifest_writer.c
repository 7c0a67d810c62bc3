#include "build/manifest_writer.h"

#include "base/memory.h"
#include "base/sqlite.h"
#include "base/sqlite_fork.h"
#include "snapshot/manifest.h"

#include <string.h>

static const char what[] = "manifest";

static const char schema[] = "CREATE TABLE build_meta ("
                             "run_id TEXT NOT NULL, created_at TEXT NOT NULL, num_dbs INTEGER NOT NULL, "
                             "s3_prefix TEXT NOT NULL, key_col TEXT NOT NULL, sharding TEXT NOT NULL, "
                             "db_path_template TEXT NOT NULL, shard_prefix TEXT NOT NULL, "
                             "format_version INTEGER NOT NULL, key_encoding TEXT NOT NULL, "
                             "custom TEXT NOT NULL DEFAULT '{}');"
                             "CREATE TABLE shards ("
                             "db_id INTEGER NOT NULL PRIMARY KEY, db_url TEXT, attempt INTEGER NOT NULL, "
                             "row_count INTEGER NOT NULL, db_bytes INTEGER NOT NULL, min_key TEXT, max_key TEXT, "
                             "checkpoint_id TEXT, writer_info TEXT NOT NULL DEFAULT '{}');";

/* Of the key-value data that a manifest may have beside vectors: there is none. */
static const char sharding[] = "{\"cel_columns\": null, \"cel_expr\": null, \"hash_algorithm\": \"xxh3_64\", "
                               "\"routing_values\": null, \"strategy\": \"hash\"}";
static const char writer_info[] = "{\"attempt\": 0, \"duration_ms\": 0, \"stage_id\": null, \"task_attempt_id\": null}";

/* ---------------------------------------------------------------------------------------- custom["vector"], in JSON */

/* Takes the value over. */
static bool set(json_object *object, const char *name, json_object *value) {
  if (value != NULL && json_object_object_add(object, name, value) == 0)
    return true;
  json_object_put(value);
  return false;
}

static bool set_text(json_object *object, const char *name, const char *text) {
  return set(object, name, json_object_new_string(text));
}

static bool set_integer(json_object *object, const char *name, int64_t integer) {
  return set(object, name, json_object_new_int64(integer));
}

/* "<s3_prefix>/vector_meta/run_id=<run_id>/<name>" */
static bool set_artifact(json_object *object, const char *member, const sf_manifest_facts *facts, const char *name) {
  char *ref = sf_format("%s/vector_meta/run_id=%s/%s", facts->s3_prefix, facts->run_id, name);
  bool is_set = ref != NULL && set_text(object, member, ref);
  free(ref);
  return is_set;
}

static bool set_routing(json_object *vector, const sf_manifest_facts *facts) {
  const sf_routing_config *routing = &facts->plan->routing;
  switch (routing->strategy) {
  case SF_SHARDING_CLUSTER:
    return set_artifact(vector, "centroids_ref", facts, "centroids.npy");
  case SF_SHARDING_LSH:
    return set_artifact(vector, "hyperplanes_ref", facts, "hyperplanes.npy") &&
           set_integer(vector, "num_hash_bits", routing->num_hash_bits);
  case SF_SHARDING_CEL:
    return set_text(vector, "cel_expr", routing->cel_expression) &&
           set(vector, "cel_columns", json_object_get(facts->plan->cel_columns)) &&
           (facts->plan->routing_values == NULL ||
            set(vector, "routing_values", json_object_get(facts->plan->routing_values)));
  case SF_SHARDING_EXPLICIT:
    break;
  }
  return true;
}

static bool describe_vectors(json_object *vector, const sf_manifest_facts *facts) {
  const sf_build_plan *plan = facts->plan;
  int64_t total = 0;
  for (uint32_t id = 0; id < plan->num_dbs; id++)
    total += (int64_t)facts->shards[id].num_rows;
  /* index_type and quantization inform; these are the values of the format's first writer for shards that are scanned. */
  return set_integer(vector, "dim", plan->dim) && set_text(vector, "metric", sf_metric_name(plan->metric)) &&
         set_text(vector, "index_type", "hnsw") && json_object_object_add(vector, "quantization", NULL) == 0 &&
         set_integer(vector, "total_vectors", total) &&
         set_text(vector, "sharding_strategy", sf_sharding_strategy_name(plan->routing.strategy)) &&
         set_integer(vector, "num_probes", plan->routing.num_probes) && set_routing(vector, facts);
}

static json_object *make_custom(const sf_manifest_facts *facts) {
  json_object *custom = json_object_new_object();
  json_object *vector = json_object_new_object();
  if (custom != NULL && set(custom, "vector", vector) && describe_vectors(vector, facts))
    return custom;
  json_object_put(custom);
  return NULL;
}

/* ------------------------------------------------------------------------------------------------------- The tables */

static sf_code fail(sqlite3 *database, sf_error *error) {
  return sf_sqlite_fail(database, what, "can't write it", SF_ERROR, error);
}

static void bind_text(sqlite3_stmt *row, int column, const char *text) {
  sqlite3_bind_text(row, column, text, -1, SQLITE_STATIC);
}

static sf_code step(sqlite3 *database, sqlite3_stmt *row, sf_error *error) {
  sf_code code = sqlite3_step(row) == SQLITE_DONE ? SF_OK : fail(database, error);
  sqlite3_reset(row);
  return code;
}

static sf_code write_build_meta(sqlite3 *database, const sf_manifest_facts *facts, const char *custom,
                                sf_error *error) {
  sqlite3_stmt *row;
  SF_TRY(sf_sqlite_prepare(database,
                           "INSERT INTO build_meta VALUES (?1, ?2, ?3, ?4, '_vector_id', ?5, 'db={db_id:05d}', "
                           "'shards', ?6, 'raw', ?7)",
                           what, SF_ERROR, &row, error));
  bind_text(row, 1, facts->run_id);
  bind_text(row, 2, facts->created_at);
  sqlite3_bind_int64(row, 3, facts->plan->num_dbs);
  bind_text(row, 4, facts->s3_prefix);
  bind_text(row, 5, sharding);
  sqlite3_bind_int64(row, 6, SF_MANIFEST_FORMAT_VERSION);
  bind_text(row, 7, custom);
  sf_code code = step(database, row, error);
  sqlite3_finalize(row);
  return code;
}

static sf_code write_shard(sqlite3 *database, sqlite3_stmt *row, const sf_manifest_facts *facts, uint32_t db_id,
                           sf_error *error) {
  const sf_shard_record *shard = &facts->shards[db_id];
  char name[32];
  sf_shard_name(db_id, name);
  char *url = sf_format("%s/shards/run_id=%s/%s", facts->s3_prefix, facts->run_id, name);
  if (url == NULL)
    return sf_fail_memory(error, what);
  sqlite3_bind_int64(row, 1, db_id);
  bind_text(row, 2, url);
  sqlite3_bind_int64(row, 3, (sqlite3_int64)shard->num_rows);
  sqlite3_bind_int64(row, 4, (sqlite3_int64)shard->num_bytes);
  bind_text(row, 5, shard->checkpoint_id);
  bind_text(row, 6, writer_info);
  sf_code code = step(database, row, error);
  free(url);
  return code;
}

/* Shards without rows are absent. */
static sf_code write_shards(sqlite3 *database, const sf_manifest_facts *facts, sf_error *error) {
  sqlite3_stmt *row;
  SF_TRY(sf_sqlite_prepare(database, "INSERT INTO shards VALUES (?1, ?2, 0, ?3, ?4, NULL, NULL, ?5, ?6)", what,
                           SF_ERROR, &row, error));
  sf_code code = SF_OK;
  for (uint32_t id = 0; id < facts->plan->num_dbs && code == SF_OK; id++)
    if (facts->shards[id].num_rows > 0)
      code = write_shard(database, row, facts, id, error);
  sqlite3_finalize(row);
  return code;
}

static sf_code write_tables(sqlite3 *database, const sf_manifest_facts *facts, sf_error *error) {
  json_object *custom = make_custom(facts);
  const char *text = custom == NULL ? NULL : json_object_to_json_string_ext(custom, JSON_C_TO_STRING_NOSLASHESCAPE);
  sf_code code = text == NULL ? sf_fail_memory(error, what) : SF_OK;
  if (code == SF_OK && sqlite3_exec(database, schema, NULL, NULL, NULL) != SQLITE_OK)
    code = fail(database, error);
  if (code == SF_OK && sqlite3_exec(database, "BEGIN", NULL, NULL, NULL) != SQLITE_OK)
    code = fail(database, error);
  if (code == SF_OK)
    code = write_build_meta(database, facts, text, error);
  if (code == SF_OK)
    code = write_shards(database, facts, error);
  if (code == SF_OK && sqlite3_exec(database, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
    code = fail(database, error);
  json_object_put(custom);
  return code;
}

sf_code sf_manifest_write(const sf_manifest_facts *facts, sf_buffer *bytes, sf_error *error) {
  sqlite3 *database = NULL;
  sf_code code = sf_sqlite_open(":memory:", SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, &database) == SQLITE_OK
                     ? write_tables(database, facts, error)
                     : fail(database, error);
  if (code == SF_OK) {
    sqlite3_int64 size = 0;
    unsigned char *image = sqlite3_serialize(database, "main", &size, 0);
    if (image == NULL || !sf_buffer_append(bytes, image, (size_t)size))
      code = sf_fail_memory(error, what);
    sqlite3_free(image);
  }
  sqlite3_close(database);
  return code;
}

sf_code sf_pointer_write(const char *manifest_ref, const char *run_id, const char *updated_at, sf_buffer *text,
                         sf_error *error) {
  json_object *pointer = json_object_new_object();
  bool made = pointer != NULL && set_integer(pointer, "format_version", 1) &&
              set_text(pointer, "manifest_content_type", "application/x-sqlite3") &&
              set_text(pointer, "manifest_ref", manifest_ref) && set_text(pointer, "run_id", run_id) &&
              set_text(pointer, "updated_at", updated_at);
  const int flags = JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE;
  made = made && sf_buffer_append_text(text, json_object_to_json_string_ext(pointer, flags));
  json_object_put(pointer);
  return made ? SF_OK : sf_fail_memory(error, "_CURRENT");
}
