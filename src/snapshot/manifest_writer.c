#include "snapshot/manifest_writer.h"

#include "base/json_text.h"
#include "base/json_writer.h"
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

/* ---------------------------------------------------------------------------------------- custom["vector"], in JSON */

/* "<s3_prefix>/vector_meta/run_id=<run_id>/centroids.npy", and what else the strategy needs to route. */
static void write_routing(sf_json_writer *writer, const sf_manifest_facts *facts) {
  const sf_routing_strategy *strategy = sf_routing_strategy_of(facts->routing->strategy);
  if (strategy->artifact != NULL) {
    char *ref = sf_format("%s/vector_meta/run_id=%s/%s", facts->s3_prefix, facts->run_id, strategy->artifact->file);
    writer->is_out_of_memory = writer->is_out_of_memory || ref == NULL;
    sf_json_write_text(writer, strategy->artifact->ref_member, ref);
    free(ref);
  }
  if (strategy->write != NULL)
    strategy->write(facts->routing, writer);
}

static sf_code make_custom(const sf_manifest_facts *facts, sf_buffer *text, sf_error *error) {
  int64_t total = 0;
  for (uint32_t id = 0; id < facts->num_dbs; id++)
    total += (int64_t)facts->shards[id].num_rows;
  sf_json_writer writer;
  sf_json_writer_begin(&writer);
  sf_json_write_begin(&writer, "vector");
  sf_json_write_integer(&writer, "dim", facts->dim);
  sf_json_write_text(&writer, "metric", sf_metric_name(facts->metric));
  /* These two inform; they are what the format's first writer says of shards that are scanned. */
  sf_json_write_text(&writer, "index_type", "hnsw");
  sf_json_write_text(&writer, "quantization", NULL);
  sf_json_write_integer(&writer, "total_vectors", total);
  sf_json_write_text(&writer, "sharding_strategy", sf_sharding_strategy_name(facts->routing->strategy));
  sf_json_write_integer(&writer, "num_probes", facts->routing->num_probes);
  if (facts->has_integer_ids) /* other readers ignore this */
    sf_json_write_text(&writer, "id_type", "int");
  write_routing(&writer, facts);
  sf_json_write_end(&writer);
  return sf_json_writer_end(&writer, what, text, error);
}

/* ------------------------------------------------------------------------------------------------------- The tables */

static sf_code fail(sqlite3 *database, int status, sf_error *error) {
  return sf_sqlite_fail(database, status, what, "can't write it", SF_ERROR, error);
}

static sf_code run(sqlite3 *database, const char *sql, sf_error *error) {
  int status = sqlite3_exec(database, sql, NULL, NULL, NULL);
  return status == SQLITE_OK ? SF_OK : fail(database, status, error);
}

/* The database is in UTF-8 as the texts are, which are not copied: there is nothing in this that can fail. */
static void bind_text(sqlite3_stmt *row, int column, const char *text) {
  sqlite3_bind_text(row, column, text, -1, SQLITE_STATIC);
}

static sf_code step(sqlite3 *database, sqlite3_stmt *row, sf_error *error) {
  int status = sqlite3_step(row);
  sqlite3_reset(row);
  return status == SQLITE_DONE ? SF_OK : fail(database, status, error);
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
  sqlite3_bind_int64(row, 3, facts->num_dbs);
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
  const sf_shard_result *shard = &facts->shards[db_id];
  char *url = sf_shard_url(facts->s3_prefix, facts->run_id, shard);
  char *writer_info = sf_format("{\"attempt\": %u, \"duration_ms\": 0, \"stage_id\": null, \"task_attempt_id\": null}",
                                (unsigned)shard->attempt);
  sf_code code = SF_OK;
  if (url == NULL || writer_info == NULL) {
    code = sf_fail_memory(error, what);
    goto done;
  }
  sqlite3_bind_int64(row, 1, db_id);
  bind_text(row, 2, url);
  sqlite3_bind_int64(row, 3, shard->attempt);
  sqlite3_bind_int64(row, 4, (sqlite3_int64)shard->num_rows);
  sqlite3_bind_int64(row, 5, (sqlite3_int64)shard->num_bytes);
  bind_text(row, 6, shard->checkpoint_id);
  bind_text(row, 7, writer_info);
  code = step(database, row, error);
done:
  free(url);
  free(writer_info);
  return code;
}

/* Shards without rows are absent. */
static sf_code write_shards(sqlite3 *database, const sf_manifest_facts *facts, sf_error *error) {
  sqlite3_stmt *row;
  SF_TRY(sf_sqlite_prepare(database, "INSERT INTO shards VALUES (?1, ?2, ?3, ?4, ?5, NULL, NULL, ?6, ?7)", what,
                           SF_ERROR, &row, error));
  sf_code code = SF_OK;
  for (uint32_t id = 0; id < facts->num_dbs && code == SF_OK; id++)
    if (facts->shards[id].num_rows > 0)
      code = write_shard(database, row, facts, id, error);
  sqlite3_finalize(row);
  return code;
}

static sf_code write_tables(sqlite3 *database, const sf_manifest_facts *facts, sf_error *error) {
  sf_buffer custom = {0};
  sf_code code = make_custom(facts, &custom, error);
  if (code == SF_OK)
    code = run(database, schema, error);
  if (code == SF_OK)
    code = run(database, "BEGIN", error);
  if (code == SF_OK)
    code = write_build_meta(database, facts, (const char *)custom.data, error);
  if (code == SF_OK)
    code = write_shards(database, facts, error);
  if (code == SF_OK)
    code = run(database, "COMMIT", error);
  sf_buffer_free(&custom);
  return code;
}

static sf_code append_image(sqlite3 *database, sf_buffer *bytes, sf_error *error) {
  sqlite3_int64 size = 0;
  unsigned char *image = sqlite3_serialize(database, "main", &size, 0);
  bool done = image != NULL && sf_buffer_append(bytes, image, (size_t)size);
  sqlite3_free(image);
  return done ? SF_OK : sf_fail_memory(error, what);
}

sf_code sf_manifest_write(const sf_manifest_facts *facts, sf_buffer *bytes, sf_error *error) {
  sqlite3 *database = NULL;
  int status = sf_sqlite_open(":memory:", SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, &database);
  sf_code code = status == SQLITE_OK ? write_tables(database, facts, error) : fail(database, status, error);
  if (code == SF_OK)
    code = append_image(database, bytes, error);
  sqlite3_close(database);
  return code;
}

/* ----------------------------------------------------------------------------------------- The same, with other lists */

/* `custom`, which parsing has accepted, with another member at the end of its member "vector": of members with the same name
 * the last one counts. */
static sf_code add_lists(const char *custom, const char *json, sf_buffer *text, sf_error *error) {
  sf_json_text vector;
  if (!sf_json_find_member(custom, strlen(custom), "vector", &vector) || vector.length < 2)
    return sf_fail(error, SF_MANIFEST_PARSE_ERROR, "%s: expected vector metadata in custom, found none", what);
  size_t before = (size_t)(vector.data - custom) + vector.length - 1; /* the brace that ends the member */
  bool done = sf_buffer_append(text, custom, before) && sf_buffer_append_format(text, ", \"lists\": %s", json) &&
              sf_buffer_append(text, custom + before, strlen(custom) - before + 1);
  return done ? SF_OK : sf_fail_memory(error, what);
}

/* The rows of a query go into a table. Those of build_meta with another `created_at` and with lists. */
typedef struct row_copy {
  const char *query;
  const char *insert;
  const char *json; /* NULL: every column is copied */
  const char *created_at;
} row_copy;

static sf_code copy_row(const row_copy *copy, sqlite3_stmt *from, sqlite3 *target, sqlite3_stmt *to, sf_error *error) {
  enum { CREATED_AT = 1, CUSTOM = 10 };
  sf_buffer custom = {0};
  int status = SQLITE_OK;
  sf_code code = SF_OK;
  for (int i = 0; i < sqlite3_column_count(from) && status == SQLITE_OK; i++)
    status = sqlite3_bind_value(to, i + 1, sqlite3_column_value(from, i));
  if (status != SQLITE_OK)
    return fail(target, status, error);
  if (copy->json != NULL) {
    const char *text;
    size_t length;
    SF_TRY(sf_sqlite_text(from, CUSTOM, what, &text, &length, error));
    code = add_lists(text, copy->json, &custom, error);
    if (code == SF_OK) {
      bind_text(to, CREATED_AT + 1, copy->created_at);
      bind_text(to, CUSTOM + 1, (const char *)custom.data);
    }
  }
  if (code == SF_OK)
    code = step(target, to, error);
  sqlite3_clear_bindings(to);
  sf_buffer_free(&custom);
  return code;
}

static sf_code copy_rows(const row_copy *copy, sqlite3 *source, sqlite3 *target, sf_error *error) {
  sqlite3_stmt *from = NULL;
  sqlite3_stmt *to = NULL;
  sf_code code = sf_sqlite_prepare(source, copy->query, what, SF_MANIFEST_PARSE_ERROR, &from, error);
  if (code == SF_OK)
    code = sf_sqlite_prepare(target, copy->insert, what, SF_ERROR, &to, error);
  for (int status; code == SF_OK && (status = sqlite3_step(from)) != SQLITE_DONE;)
    code = status == SQLITE_ROW ? copy_row(copy, from, target, to, error)
                                : sf_sqlite_fail(source, status, what, "can't read it", SF_MANIFEST_PARSE_ERROR, error);
  sqlite3_finalize(from);
  sqlite3_finalize(to);
  return code;
}

static sf_code copy_tables(sqlite3 *source, sqlite3 *target, const char *json, const char *created_at,
                           sf_error *error) {
  const row_copy build_meta = {
      .query = "SELECT run_id, created_at, num_dbs, s3_prefix, key_col, sharding, db_path_template, shard_prefix, "
               "format_version, key_encoding, custom FROM build_meta NOT INDEXED",
      .insert = "INSERT INTO build_meta VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
      .json = json,
      .created_at = created_at};
  const row_copy shards = {.query = "SELECT db_id, db_url, attempt, row_count, db_bytes, min_key, max_key, "
                                    "checkpoint_id, writer_info FROM shards NOT INDEXED",
                           .insert = "INSERT INTO shards VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"};
  SF_TRY(sf_sqlite_require_table(source, "build_meta", what, SF_MANIFEST_PARSE_ERROR, error));
  SF_TRY(sf_sqlite_require_table(source, "shards", what, SF_MANIFEST_PARSE_ERROR, error));
  SF_TRY(run(target, schema, error));
  SF_TRY(run(target, "BEGIN", error));
  SF_TRY(copy_rows(&build_meta, source, target, error));
  SF_TRY(copy_rows(&shards, source, target, error));
  return run(target, "COMMIT", error);
}

sf_code sf_manifest_with_lists(const void *bytes, size_t length, const char *json, const char *created_at,
                               sf_buffer *manifest, sf_error *error) {
  sqlite3 *source = NULL;
  sqlite3 *target = NULL;
  SF_TRY(sf_sqlite_open_bytes(bytes, length, what, SF_MANIFEST_PARSE_ERROR, &source, error));
  int status = sf_sqlite_open(":memory:", SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, &target);
  sf_code code =
      status == SQLITE_OK ? copy_tables(source, target, json, created_at, error) : fail(target, status, error);
  if (code == SF_OK)
    code = append_image(target, manifest, error);
  sqlite3_close(source);
  sqlite3_close(target);
  return code;
}

sf_code sf_pointer_write(const char *manifest_ref, const char *run_id, const char *updated_at, sf_buffer *text,
                         sf_error *error) {
  sf_json_writer writer;
  sf_json_writer_begin(&writer);
  sf_json_write_integer(&writer, "format_version", 1);
  sf_json_write_text(&writer, "manifest_content_type", "application/x-sqlite3");
  sf_json_write_text(&writer, "manifest_ref", manifest_ref);
  sf_json_write_text(&writer, "run_id", run_id);
  sf_json_write_text(&writer, "updated_at", updated_at);
  return sf_json_writer_end(&writer, "_CURRENT", text, error);
}
