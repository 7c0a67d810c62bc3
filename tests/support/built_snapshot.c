#include "support/built_snapshot.h"

#include "base/memory.h"
#include "query/scan.h"
#include "random.h"
#include "support/require.h"
#include "support/scratch.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

enum { CHUNK_ROWS = 1024 };

static const char shard_schema[] =
    "CREATE TABLE vec_index_chunks(chunk_id INTEGER PRIMARY KEY, size INTEGER NOT NULL, validity BLOB NOT NULL,"
    " rowids BLOB NOT NULL);"
    "CREATE TABLE vec_index_vector_chunks00(rowid PRIMARY KEY, vectors BLOB NOT NULL);"
    "CREATE TABLE vec_payloads(rowid INTEGER PRIMARY KEY, payload TEXT NOT NULL);"
    "CREATE TABLE vec_id_map(internal_id INTEGER PRIMARY KEY, original_id TEXT NOT NULL);"
    "PRAGMA writable_schema=ON";

static const char manifest_schema[] =
    "CREATE TABLE build_meta(run_id TEXT NOT NULL, created_at TEXT NOT NULL, num_dbs INTEGER NOT NULL, s3_prefix TEXT"
    " NOT NULL, key_col TEXT NOT NULL, sharding TEXT NOT NULL, db_path_template TEXT NOT NULL, shard_prefix TEXT NOT"
    " NULL, format_version INTEGER NOT NULL, key_encoding TEXT NOT NULL, custom TEXT NOT NULL DEFAULT '{}');"
    "CREATE TABLE shards(db_id INTEGER NOT NULL PRIMARY KEY, db_url TEXT, attempt INTEGER NOT NULL, row_count INTEGER"
    " NOT NULL, db_bytes INTEGER NOT NULL, min_key TEXT, max_key TEXT, checkpoint_id TEXT, writer_info TEXT NOT NULL"
    " DEFAULT '{}')";

static void execute(sqlite3 *database, const char *sql) {
  require(sqlite3_exec(database, sql, NULL, NULL, NULL) == SQLITE_OK, sqlite3_errmsg(database));
}

static void execute_text(sqlite3 *database, char *sql) {
  execute(database, sql);
  sqlite3_free(sql);
}

static sqlite3 *create_database(const char *path, const char *schema) {
  sqlite3 *database = NULL;
  scratch_make_parents(path);
  require(sqlite3_open(path, &database) == SQLITE_OK, path);
  execute(database, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF");
  execute(database, "BEGIN");
  execute(database, schema);
  return database;
}

static void close_database(sqlite3 *database) {
  execute(database, "COMMIT");
  require(sqlite3_close(database) == SQLITE_OK, "closing the database");
}

static sqlite3_stmt *prepare(sqlite3 *database, const char *sql) {
  sqlite3_stmt *statement = NULL;
  require(sqlite3_prepare_v2(database, sql, -1, &statement, NULL) == SQLITE_OK, sqlite3_errmsg(database));
  return statement;
}

static void step(sqlite3_stmt *statement) {
  require(sqlite3_step(statement) == SQLITE_DONE, "a row");
  sqlite3_reset(statement);
}

/* One chunk, its rows' internal ids being their numbers. */
static void insert_chunk(const built_snapshot *snapshot, uint32_t db_id, size_t first, sqlite3_stmt *chunks,
                         sqlite3_stmt *vectors) {
  const snapshot_plan *plan = &snapshot->plan;
  size_t count = plan->num_rows - first < CHUNK_ROWS ? plan->num_rows - first : CHUNK_ROWS;
  uint8_t validity[CHUNK_ROWS / 8] = {0};
  static int64_t row_ids[CHUNK_ROWS];
  for (size_t i = 0; i < count; i++) {
    validity[i / 8] = (uint8_t)(validity[i / 8] | 1U << (i % 8));
    row_ids[i] = (int64_t)(first + i);
  }
  int row_bytes = (int)(plan->dim * sizeof(float));
  float *slots = sf_calloc(CHUNK_ROWS, (size_t)row_bytes);
  require(slots != NULL, "memory");
  memcpy(slots, snapshot->vectors[db_id] + first * plan->dim, count * (size_t)row_bytes);
  sqlite3_int64 chunk_id = (sqlite3_int64)(first / CHUNK_ROWS + 1);
  sqlite3_bind_int64(chunks, 1, chunk_id);
  sqlite3_bind_blob(chunks, 2, validity, sizeof(validity), SQLITE_TRANSIENT);
  sqlite3_bind_blob(chunks, 3, row_ids, sizeof(row_ids), SQLITE_TRANSIENT);
  step(chunks);
  sqlite3_bind_int64(vectors, 1, chunk_id);
  sqlite3_bind_blob(vectors, 2, slots, CHUNK_ROWS * row_bytes, free);
  step(vectors);
}

static int64_t id_of(const snapshot_plan *plan, uint32_t db_id, uint64_t row) {
  return plan->first_id + (int64_t)(db_id * plan->num_rows + row);
}

static void insert_row(const snapshot_plan *plan, uint32_t db_id, size_t row, sqlite3_stmt *ids,
                       sqlite3_stmt *payloads) {
  int64_t id = id_of(plan, db_id, row);
  char text[80];
  snprintf(text, sizeof(text), id % 3 == 0 ? "{\"v\": \"%lld\", \"t\": \"str\"}" : "{\"v\": %lld, \"t\": \"int\"}",
           (long long)id);
  sqlite3_bind_int64(ids, 1, (sqlite3_int64)row);
  sqlite3_bind_text(ids, 2, text, -1, SQLITE_TRANSIENT);
  step(ids);
  if (id % 5 == 0)
    return;
  snprintf(text, sizeof(text), "{\"id\":%lld}", (long long)id);
  sqlite3_bind_int64(payloads, 1, (sqlite3_int64)row);
  sqlite3_bind_text(payloads, 2, text, -1, SQLITE_TRANSIENT);
  step(payloads);
}

static char *shard_folder(const built_snapshot *snapshot, uint32_t db_id) {
  return sf_format("shards/run_id=%s/db=%05u/attempt=00", snapshot->plan.run_id, (unsigned)db_id);
}

char *snapshot_shard_path(const built_snapshot *snapshot, uint32_t db_id) {
  char *folder = shard_folder(snapshot, db_id);
  char *path = sf_format("%s/%s/shard.db", snapshot->root, folder);
  free(folder);
  return path;
}

static void write_shard(const built_snapshot *snapshot, uint32_t db_id) {
  const snapshot_plan *plan = &snapshot->plan;
  char *path = snapshot_shard_path(snapshot, db_id);
  sqlite3 *database = create_database(path, shard_schema);
  execute_text(database,
               sqlite3_mprintf("INSERT INTO sqlite_master(type, name, tbl_name, rootpage, sql) VALUES('table',"
                               " 'vec_index', 'vec_index', 0, 'CREATE VIRTUAL TABLE vec_index USING"
                               " vec0(embedding float[%u] distance_metric=%s)')",
                               (unsigned)plan->dim, sf_metric_name(plan->metric)));
  sqlite3_stmt *statements[] = {
      prepare(database, "INSERT INTO vec_index_chunks VALUES(?1, 1024, ?2, ?3)"),
      prepare(database, "INSERT INTO vec_index_vector_chunks00(_rowid_, rowid, vectors) VALUES(?1, ?1, ?2)"),
      prepare(database, "INSERT INTO vec_id_map VALUES(?1, ?2)"),
      prepare(database, "INSERT INTO vec_payloads VALUES(?1, ?2)"),
  };
  for (size_t first = 0; first < plan->num_rows; first += CHUNK_ROWS)
    insert_chunk(snapshot, db_id, first, statements[0], statements[1]);
  for (size_t row = 0; row < plan->num_rows; row++)
    insert_row(plan, db_id, row, statements[2], statements[3]);
  for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++)
    sqlite3_finalize(statements[i]);
  close_database(database);
  free(path);
}

static char *manifest_key(const snapshot_plan *plan) {
  return sf_format("manifests/%s_run_id=%s/manifest", plan->timestamp, plan->run_id);
}

static void write_manifest(const built_snapshot *snapshot) {
  const snapshot_plan *plan = &snapshot->plan;
  char *key = manifest_key(plan);
  char *path = scratch_path(snapshot->root, key);
  sqlite3 *database = create_database(path, manifest_schema);
  execute_text(database,
               sqlite3_mprintf("INSERT INTO build_meta VALUES(%Q, %Q, %u, 's3://built', 'id', '{\"strategy\": \"hash\","
                               " \"hash_algorithm\": \"xxh3_64\"}', 'db={db_id:05d}', 'shards', 4, 'u64be',"
                               " '{\"vector\": {\"dim\": %u, \"metric\": \"%s\", \"index_type\": \"hnsw\","
                               " \"total_vectors\": %llu, \"sharding_strategy\": \"explicit\"}}')",
                               plan->run_id, plan->timestamp, (unsigned)plan->num_shards, (unsigned)plan->dim,
                               sf_metric_name(plan->metric), (unsigned long long)plan->num_shards * plan->num_rows));
  for (uint32_t db_id = 0; db_id < plan->num_shards; db_id++) {
    char *folder = shard_folder(snapshot, db_id);
    execute_text(database, sqlite3_mprintf("INSERT INTO shards VALUES(%u, 's3://built/%q', 0, %llu, 0, NULL, NULL,"
                                           " '%q-%u', '{}')",
                                           (unsigned)db_id, folder, (unsigned long long)plan->num_rows, plan->run_id,
                                           (unsigned)db_id));
    free(folder);
  }
  close_database(database);
  free(path);
  free(key);
}

static void draw_vectors(built_snapshot *snapshot) {
  const snapshot_plan *plan = &snapshot->plan;
  uint64_t state = plan->seed;
  snapshot->vectors = sf_calloc(plan->num_shards, sizeof(float *));
  require(snapshot->vectors != NULL, "memory");
  for (uint32_t db_id = 0; db_id < plan->num_shards; db_id++) {
    size_t count = plan->num_rows * plan->dim;
    float *vectors = sf_calloc(count, sizeof(float));
    require(vectors != NULL, "memory");
    for (size_t i = 0; i < count; i++)
      vectors[i] = random_component(&state);
    snapshot->vectors[db_id] = vectors;
  }
}

built_snapshot *snapshot_describe(const char *root, const snapshot_plan *plan) {
  built_snapshot *snapshot = sf_calloc(1, sizeof(*snapshot));
  require(snapshot != NULL, "memory");
  snapshot->plan = *plan;
  snapshot->root = sf_strdup(root);
  draw_vectors(snapshot);
  return snapshot;
}

void snapshot_write(const built_snapshot *snapshot) {
  for (uint32_t db_id = 0; db_id < snapshot->plan.num_shards; db_id++)
    write_shard(snapshot, db_id);
  write_manifest(snapshot);
}

void snapshot_free(built_snapshot *snapshot) {
  for (uint32_t db_id = 0; db_id < snapshot->plan.num_shards; db_id++)
    free(snapshot->vectors[db_id]);
  free(snapshot->vectors);
  free(snapshot->root);
  free(snapshot);
}

void snapshot_publish(const built_snapshot *snapshot) {
  const snapshot_plan *plan = &snapshot->plan;
  char *key = manifest_key(plan);
  char *path = scratch_path(snapshot->root, "_CURRENT");
  char *pointer =
      sf_format("{\"manifest_ref\": \"s3://built/%s\", \"manifest_content_type\": \"application/x-sqlite3\","
                " \"run_id\": \"%s\", \"updated_at\": \"%s\", \"format_version\": 1}",
                key, plan->run_id, plan->timestamp);
  scratch_write(path, pointer, strlen(pointer));
  free(pointer);
  free(path);
  free(key);
}

/* What an exact search has to give. ---------------------------------------------------------------------------- */

typedef struct scored_row {
  double score;
  uint32_t db_id;
  uint64_t row;
} scored_row;

static int compare_rows(const void *left, const void *right) {
  const scored_row *a = left;
  const scored_row *b = right;
  if (a->score != b->score)
    return a->score < b->score ? -1 : 1;
  if (a->db_id != b->db_id)
    return a->db_id < b->db_id ? -1 : 1;
  return a->row < b->row ? -1 : a->row > b->row;
}

static scored_row *score_all(const built_snapshot *snapshot, const float *query, const int64_t *shard_ids,
                             size_t num_shard_ids) {
  const snapshot_plan *plan = &snapshot->plan;
  scored_row *rows = sf_calloc(num_shard_ids * plan->num_rows, sizeof(*rows));
  float *scaled = sf_calloc(plan->dim, sizeof(*scaled));
  require(rows != NULL && scaled != NULL, "memory");
  sf_query_vector query_vector;
  sf_query_vector_init(&query_vector, query, plan->dim,
                       plan->metric == SF_METRIC_COSINE ? SF_SCORE_COSINE : SF_SCORE_L2, scaled);
  size_t count = 0;
  for (size_t i = 0; i < num_shard_ids; i++)
    for (size_t row = 0; row < plan->num_rows; row++)
      rows[count++] =
          (scored_row){.score = sf_exact_score(&query_vector, snapshot->vectors[shard_ids[i]] + row * plan->dim),
                       .db_id = (uint32_t)shard_ids[i],
                       .row = row};
  free(scaled);
  qsort(rows, count, sizeof(*rows), compare_rows);
  return rows;
}

static bool text_is(const char *expected, const char *found, size_t found_length) {
  return found != NULL && strlen(expected) == found_length && memcmp(expected, found, found_length + 1) == 0;
}

static bool id_is(int64_t id, const sf_search_result *result) {
  char text[32];
  snprintf(text, sizeof(text), "%lld", (long long)id);
  if (id % 3 == 0)
    return result->id_type == SF_ID_STRING && text_is(text, result->id_string, result->id_length);
  return result->id_type == SF_ID_INTEGER && result->id_integer == id && result->id_string == NULL;
}

static bool payload_is(int64_t id, const sf_search_result *result) {
  char text[48];
  snprintf(text, sizeof(text), "{\"id\":%lld}", (long long)id);
  return id % 5 == 0 ? result->payload == NULL : text_is(text, result->payload, result->payload_length);
}

bool snapshot_answers(const built_snapshot *snapshot, const float *query, size_t top_k, const int64_t *shard_ids,
                      size_t num_shard_ids, const sf_search_response *response) {
  size_t expected = num_shard_ids * snapshot->plan.num_rows;
  if (expected > top_k)
    expected = top_k;
  scored_row *rows = score_all(snapshot, query, shard_ids, num_shard_ids);
  bool same = sf_search_response_count(response) == expected &&
              sf_search_response_num_shards_queried(response) == num_shard_ids;
  for (size_t i = 0; same && i < expected; i++) {
    int64_t id = id_of(&snapshot->plan, rows[i].db_id, rows[i].row);
    const sf_search_result *result = sf_search_response_result(response, i);
    same = memcmp(&result->score, &rows[i].score, sizeof(double)) == 0 && result->shard_id == rows[i].db_id &&
           id_is(id, result) && payload_is(id, result);
  }
  free(rows);
  return same;
}

bool snapshot_has_row(const built_snapshot *snapshot, int64_t id, const sf_search_result *result) {
  const snapshot_plan *plan = &snapshot->plan;
  uint64_t number = (uint64_t)(id - plan->first_id);
  uint32_t db_id = (uint32_t)(number / plan->num_rows);
  const float *vector = snapshot->vectors[db_id] + number % plan->num_rows * plan->dim;
  bool has_vector = result->vector == NULL ||
                    (result->dim == plan->dim && memcmp(result->vector, vector, plan->dim * sizeof(float)) == 0);
  return !result->is_missing && result->shard_id == db_id && id_is(id, result) && payload_is(id, result) && has_vector;
}
