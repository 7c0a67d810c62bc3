/* Shards of the sqlite-vec backend: shard.db. */
#include "base/json.h"
#include "shard/cache_folder.h"
#include "shard/shard_resources.h"
#include "shard/sqlite_vec/vec0_tables.h"
#include "shard/vector_file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

typedef struct sqlite_vec_shard {
  sf_shard base;
  sf_connection_pool *connections; /* shared by the reader's shards */
  char *path;                      /* of shard.db on this machine */
  char *name;                      /* "shard 3 (s3://…)": what messages begin with */
  sf_vector_file file;
} sqlite_vec_shard;

/* Every sf_shard of this format is the first member of a sqlite_vec_shard. */
static sqlite_vec_shard *sqlite_vec_of(sf_shard *shard) {
  return (sqlite_vec_shard *)shard;
}

static char *object_key(const sf_shard_source *source) {
  return sf_format("%s/shard.db", source->key);
}

static sf_code sqlite_vec_detect(const sf_shard_source *source, const sf_cancellation *cancellation, bool *detected,
                                 sf_error *error) {
  char *key = object_key(source);
  if (key == NULL)
    return sf_fail_memory(error, "key of a shard");
  sf_object_info info;
  sf_code code = sf_storage_head(source->storage, key, cancellation, detected, &info, error);
  free(key);
  return code;
}

/* Where shard.db lies on this machine: in place, or in the cache after a download. */
static sf_code localize(const sf_shard_source *source, const sf_cancellation *cancellation, char **path,
                        sf_error *error) {
  char *key = object_key(source);
  char *download_path = sf_format("%s/shard.db", source->cache_dir);
  bool found = false;
  sf_code code = SF_OK;
  if (key == NULL || download_path == NULL)
    code = sf_fail_memory(error, "path of a shard");
  else
    code = sf_storage_local_file(source->storage, key, download_path, cancellation, &found, path, error);
  if (code == SF_OK && !found)
    code = sf_fail(error, SF_DB_ADAPTER_ERROR, "the shard is missing: expected an object at %s, found none", key);
  free(key);
  free(download_path);
  return code;
}

static sf_code identify(const sf_shard_source *source, const char *path, sf_vector_file_identity *identity,
                        sf_error *error) {
  struct stat status;
  if (stat(path, &status) != 0)
    return sf_fail(error, SF_DB_ADAPTER_ERROR, "can't look at %s: %s", path, strerror(errno));
#if defined(__APPLE__)
  const struct timespec modified = status.st_mtimespec;
#else
  const struct timespec modified = status.st_mtim;
#endif
  *identity = (sf_vector_file_identity){.db_url = source->db_url,
                                        .checkpoint_id = source->checkpoint_id,
                                        .source_size = (uint64_t)status.st_size,
                                        .source_modified = (int64_t)modified.tv_sec * 1000000000 + modified.tv_nsec,
                                        .dim = source->dim,
                                        .metric = source->metric};
  return SF_OK;
}

static sf_code write_rows(uint64_t first_row, const float *vectors, const int64_t *row_ids, size_t count,
                          void *user_data, sf_error *error) {
  return sf_vector_file_write_rows(user_data, first_row, vectors, row_ids, count, error);
}

static sf_code look_at_rows(uint64_t first_row, const float *vectors, const int64_t *row_ids, size_t count,
                            void *user_data, sf_error *error) {
  (void)first_row, (void)vectors, (void)row_ids, (void)count, (void)user_data, (void)error;
  return SF_OK;
}

static sf_code write_vector_file(sqlite3 *database, const sf_vec0_rows *rows, const char *path,
                                 const sf_vector_file_identity *identity, const sf_cancellation *cancellation,
                                 sf_error *error) {
  sf_vector_file_writer *writer;
  SF_TRY(sf_vector_file_create(path, identity, rows->count, &writer, error));
  sf_code code = sf_vec0_read(database, identity->dim, rows, cancellation, write_rows, writer, error);
  if (code == SF_OK)
    return sf_vector_file_finish(writer, error);
  sf_vector_file_abandon(writer);
  return code;
}

/* Reads the tables of shard.db. With `vectors_path`, what they hold becomes a vector file there. */
static sf_code decode(const char *path, const char *vectors_path, const sf_vector_file_identity *identity,
                      const sf_cancellation *cancellation, uint64_t *num_rows, sf_error *error) {
  sqlite3 *database;
  SF_TRY(sf_vec0_check_length(path, error));
  SF_TRY(sf_sqlite_open_immutable(path, "shard.db", SF_DB_ADAPTER_ERROR, &database, error));
  sf_vec0_rows rows = {0};
  sf_code code = sf_vec0_check_schema(database, identity->dim, identity->metric, error);
  if (code == SF_OK)
    code = sf_vec0_survey(database, cancellation, &rows, error);
  if (code == SF_OK && vectors_path != NULL)
    code = write_vector_file(database, &rows, vectors_path, identity, cancellation, error);
  else if (code == SF_OK)
    code = sf_vec0_read(database, identity->dim, &rows, cancellation, look_at_rows, NULL, error);
  *num_rows = rows.count;
  sf_vec0_rows_free(&rows);
  sqlite3_close(database);
  return code;
}

/* Makes the vector file under the folder's lock, unless another process did while we waited for it. */
static sf_code make_vector_file(const sf_shard_source *source, sqlite_vec_shard *shard, const char *vectors_path,
                                const sf_vector_file_identity *identity, const sf_cancellation *cancellation,
                                sf_error *error) {
  sf_cache_folder folder;
  bool usable = false;
  uint64_t num_rows;
  SF_TRY(sf_cache_folder_open(source->cache_dir, source->db_url, source->checkpoint_id, cancellation, &folder, error));
  sf_code code = sf_vector_file_map(vectors_path, identity, &usable, &shard->file, error);
  if (code == SF_OK && !usable)
    code = decode(shard->path, vectors_path, identity, cancellation, &num_rows, error);
  if (code == SF_OK && !usable)
    code = sf_vector_file_map(vectors_path, identity, &usable, &shard->file, error);
  sf_cache_folder_close(&folder);
  if (code == SF_OK && !usable)
    code = sf_fail(error, SF_ERROR, "local cache: %s does not hold what was just written to it", vectors_path);
  return code;
}

static sf_code load_vectors(const sf_shard_source *source, sqlite_vec_shard *shard,
                            const sf_cancellation *cancellation, sf_error *error) {
  sf_vector_file_identity identity;
  bool usable = false;
  SF_TRY(identify(source, shard->path, &identity, error));
  char *vectors_path = sf_format("%s/" SF_VECTOR_FILE_NAME, source->cache_dir);
  if (vectors_path == NULL)
    return sf_fail_memory(error, "path of the cache");
  sf_code code = SF_OK;
  if (sf_cache_folder_matches(source->cache_dir, source->db_url, source->checkpoint_id))
    code = sf_vector_file_map(vectors_path, &identity, &usable, &shard->file, error);
  if (code == SF_OK && !usable)
    code = make_vector_file(source, shard, vectors_path, &identity, cancellation, error);
  free(vectors_path);
  return code;
}

static sf_code check_shard(const sf_shard_source *source, sqlite_vec_shard *shard,
                           const sf_cancellation *cancellation, sf_error *error) {
  sf_vector_file_identity identity;
  SF_TRY(identify(source, shard->path, &identity, error));
  return decode(shard->path, NULL, &identity, cancellation, &shard->base.num_rows, error);
}

static void sqlite_vec_close(sf_shard *closed) {
  sqlite_vec_shard *shard = sqlite_vec_of(closed);
  sf_connection_pool_forget(shard->connections, shard);
  sf_vector_file_unmap(&shard->file);
  free(shard->path);
  free(shard->name);
  free(shard);
}

static void describe(const sf_shard_source *source, sqlite_vec_shard *shard) {
  shard->base.format = &sf_sqlite_vec_format;
  shard->base.db_id = source->db_id;
  shard->base.dim = source->dim;
  shard->base.score_convention = source->metric == SF_METRIC_COSINE ? SF_SCORE_COSINE : SF_SCORE_L2;
  shard->connections = source->resources->connections;
}

static void describe_vectors(sqlite_vec_shard *shard) {
  shard->base.segments = &shard->file.segment;
  shard->base.num_segments = shard->file.segment.num_rows > 0 ? 1 : 0;
  shard->base.num_not_finite = shard->file.num_not_finite;
  shard->base.num_rows = shard->file.segment.num_rows - shard->file.num_not_finite;
}

static sf_code sqlite_vec_open(const sf_shard_source *source, const sf_cancellation *cancellation, sf_shard **opened,
                               sf_error *error) {
  if (source->metric == SF_METRIC_DOT_PRODUCT)
    return sf_fail(error, SF_DB_ADAPTER_ERROR, "shard.db: expected metric cosine or l2, found %s",
                   sf_metric_name(source->metric));
  sqlite_vec_shard *shard = sf_calloc(1, sizeof(*shard));
  if (shard == NULL)
    return sf_fail_memory(error, "shard");
  describe(source, shard);
  shard->name = sf_format("shard %u (%s)", (unsigned)source->db_id, source->db_url);
  sf_code code = shard->name == NULL ? sf_fail_memory(error, "shard")
                                     : localize(source, cancellation, &shard->path, error);
  if (code == SF_OK && source->verify_only)
    code = check_shard(source, shard, cancellation, error);
  else if (code == SF_OK) {
    code = load_vectors(source, shard, cancellation, error);
    describe_vectors(shard);
  }
  if (code == SF_OK)
    *opened = &shard->base;
  else
    sqlite_vec_close(&shard->base);
  return code;
}

/* A column's text, which must be text or NULL; borrowed until the statement is reset. */
static sf_code read_text(sqlite3 *database, sqlite3_stmt *statement, int64_t row_id, const char **text, size_t *length,
                         sf_error *error) {
  *text = NULL;
  *length = 0;
  sqlite3_bind_int64(statement, 1, row_id);
  int status = sqlite3_step(statement);
  if (status == SQLITE_DONE || (status == SQLITE_ROW && sqlite3_column_type(statement, 0) == SQLITE_NULL))
    return SF_OK;
  if (status != SQLITE_ROW)
    return sf_sqlite_fail(database, "shard.db", "can't read a row", SF_DB_ADAPTER_ERROR, error);
  if (sqlite3_column_type(statement, 0) != SQLITE_TEXT)
    return sf_fail(error, SF_DB_ADAPTER_ERROR, "shard.db: row %lld: expected text in %s, found another type",
                   (long long)row_id, sqlite3_column_name(statement, 0));
  *text = (const char *)sqlite3_column_text(statement, 0);
  *length = (size_t)sqlite3_column_bytes(statement, 0);
  return *text != NULL ? SF_OK : sf_fail_memory(error, "row of a shard");
}

/* An id as the writer encodes it: {"v": value, "t": "int"|"str"}. `parsed` keeps what a string id points to. */
static sf_code parse_id(const char *text, size_t length, int64_t row_id, json_object **parsed, sf_id_type *type,
                        int64_t *integer, sf_error *error) {
  SF_TRY(sf_json_parse_object(text, length, "shard.db: an id in vec_id_map", SF_DB_ADAPTER_ERROR, parsed, error));
  json_object *value = sf_json_member(*parsed, "v");
  json_object *tag = sf_json_member(*parsed, "t");
  const char *name = json_object_is_type(tag, json_type_string) ? json_object_get_string(tag) : "";
  *type = strcmp(name, "int") == 0 ? SF_ID_INTEGER : SF_ID_STRING;
  bool fits = *type == SF_ID_INTEGER ? sf_json_to_int64(value, integer)
                                     : strcmp(name, "str") == 0 && json_object_is_type(value, json_type_string);
  if (fits)
    return SF_OK;
  return sf_fail(error, SF_DB_ADAPTER_ERROR,
                 "shard.db: row %lld: expected original_id {\"v\": …, \"t\": \"int\" or \"str\"}, found %.120s",
                 (long long)row_id, text);
}

static sf_code fetch_row(const sf_connection *connection, int64_t row_id, sf_row_sink *sink, sf_error *error) {
  const char *id;
  const char *payload;
  size_t id_length;
  size_t payload_length;
  json_object *parsed = NULL;
  sf_id_type type = SF_ID_INTEGER;
  int64_t integer = row_id; /* without an entry, the row id is the id */
  sf_code code = read_text(connection->database, connection->select_id, row_id, &id, &id_length, error);
  if (code == SF_OK && id != NULL)
    code = parse_id(id, id_length, row_id, &parsed, &type, &integer, error);
  if (code == SF_OK)
    code = read_text(connection->database, connection->select_payload, row_id, &payload, &payload_length, error);
  if (code == SF_OK) {
    json_object *value = type == SF_ID_STRING ? sf_json_member(parsed, "v") : NULL;
    size_t length = value == NULL ? 0 : (size_t)json_object_get_string_len(value);
    if (!sink->add(sink, type, integer, value == NULL ? NULL : json_object_get_string(value), length, payload,
                   payload_length))
      code = sf_fail_memory(error, "results");
  }
  json_object_put(parsed);
  sqlite3_reset(connection->select_id);
  sqlite3_reset(connection->select_payload);
  return code;
}

static sf_code sqlite_vec_fetch_rows(sf_shard *from, const uint64_t *rows, size_t count, sf_row_sink *sink,
                                     sf_error *error) {
  sqlite_vec_shard *shard = sqlite_vec_of(from);
  sf_connection *connection;
  sf_code code = sf_connection_pool_take(shard->connections, shard, shard->path, &connection, error);
  if (code != SF_OK)
    return sf_error_prefix(error, "%s", shard->name), code;
  for (size_t i = 0; i < count && code == SF_OK; i++)
    code = fetch_row(connection, shard->file.row_ids[rows[i]], sink, error);
  sf_connection_pool_give(shard->connections, connection);
  if (code != SF_OK && code != SF_OUT_OF_MEMORY_ERROR)
    sf_error_prefix(error, "%s", shard->name);
  return code;
}

const sf_shard_format sf_sqlite_vec_format = {
    .name = "sqlite-vec",
    .detect = sqlite_vec_detect,
    .open = sqlite_vec_open,
    .fetch_rows = sqlite_vec_fetch_rows,
    .verify = NULL,
    .close = sqlite_vec_close,
};
