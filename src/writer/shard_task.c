/*
 * A worker's tasks over the pieces of partition files: one shard from its rows, and ids that occur twice. Pieces are read one
 * after the other, so that a task needs memory for the largest, not for its shard.
 */
#include "base/memory.h"
#include "base/options.h"
#include "base/report.h"
#include "snapshot/manifest.h"
#include "vectors/metrics.h"
#include "writer/partition_file.h"
#include "writer/staging.h"
#include "writer/upload.h"
#include "writer/worker.h"

#include <stdio.h>
#include <string.h>

static sf_code read_task(const sf_shard_task *given, sf_shard_task *task, sf_storage **storage, sf_error *error) {
  *task = (sf_shard_task)SF_SHARD_TASK_INIT;
  SF_TRY(sf_options_read(given, SF_SIZE_WITH(sf_shard_task, staging_dir), task, "shard task: expected one", error));
  if (task->run_id == NULL || task->dim < 1 || task->dim > SF_MAX_DIM)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "shard task: expected a run id and 1 to %d components",
                   SF_MAX_DIM);
  SF_TRY(sf_run_id_check(task->run_id, error));
  const sf_storage_options options = {.s3 = task->s3, .log = task->log, .log_user_data = task->log_user_data};
  return sf_storage_open(task->root, &options, storage, error);
}

/* The rows of a piece. */
typedef struct piece_rows {
  void *bytes;
  sf_shard_row *rows;
  uint64_t *numbers;
  size_t count;
} piece_rows;

static void free_rows(piece_rows *read) {
  free(read->bytes);
  free(read->rows);
  free(read->numbers);
  *read = (piece_rows){0};
}

static sf_code read_rows(sf_storage *storage, const sf_shard_task *task, const sf_partition_piece *piece,
                         piece_rows *read, sf_error *error) {
  uint64_t count = piece->extent.num_rows;
  if (count > piece->extent.num_bytes / (task->dim * sizeof(float)))
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR,
                   "shard task: expected pieces of whole rows, found %llu in %llu bytes", (unsigned long long)count,
                   (unsigned long long)piece->extent.num_bytes);
  *read = (piece_rows){.count = (size_t)count};
  read->rows = sf_calloc(read->count, sizeof(*read->rows));
  read->numbers = sf_calloc(read->count, sizeof(*read->numbers));
  sf_code code = read->rows == NULL || read->numbers == NULL
                     ? sf_fail_memory(error, "rows of a shard")
                     : sf_partition_read(storage, task->run_id, piece, &read->bytes, error);
  if (code == SF_OK)
    code = sf_partition_parse_rows(read->bytes, (size_t)piece->extent.num_bytes, task->dim, read->count, read->rows,
                                   read->numbers, error);
  if (code != SF_OK)
    free_rows(read);
  return code;
}

/* ------------------------------------------------------------------------------------------------------------ A shard */

typedef struct shard_writing {
  const sf_shard_task *task;
  sf_storage *storage;
  sf_staging staging;
  char *run_key;
  char *directory; /* the run's shards on this machine */
  char prefix[SF_SHARD_PREFIX_SIZE];
  sf_worker *worker;
  bool has_begun; /* something may be there to remove */
} shard_writing;

static sf_code open_folders(shard_writing *of, sf_error *error) {
  const sf_shard_task *task = of->task;
  sf_shard_prefix(task->db_id, task->attempt, of->prefix);
  of->run_key = sf_format("shards/run_id=%s", task->run_id);
  if (of->run_key == NULL)
    return sf_fail_memory(error, "key of a shard");
  if (!of->storage->vtable->is_remote) {
    of->directory = sf_format("%s/%s", of->storage->root, of->run_key);
    return of->directory != NULL ? SF_OK : sf_fail_memory(error, "path of a shard");
  }
  const sf_log log = {.callback = task->log, .user_data = task->log_user_data};
  char *name = sf_format("%s-%u-%u", task->run_id, (unsigned)task->db_id, (unsigned)task->attempt);
  sf_code code = name == NULL ? sf_fail_memory(error, "path of a shard")
                              : sf_staging_open(task->staging_dir, name, &log, &of->staging, error);
  free(name);
  if (code == SF_OK && (of->directory = sf_strdup(of->staging.path)) == NULL)
    code = sf_fail_memory(error, "path of a shard");
  return code;
}

static sf_code open_worker(shard_writing *of, sf_error *error) {
  const sf_shard_task *task = of->task;
  sf_worker_params params = {.metric = task->metric,
                             .dim = task->dim,
                             .emits_sidecar = task->emit_sidecar,
                             .db_id = task->db_id,
                             .attempt = task->attempt,
                             .storage = of->storage,
                             .run_key = of->run_key,
                             .directory = of->directory};
  SF_TRY(sf_shard_writer_find(task->backend != NULL ? task->backend : "lance", &params.format, error));
  SF_TRY(params.format->check(task->metric, task->dim, error));
  if (task->emit_sidecar)
    SF_TRY(sf_shard_writer_check_sidecar(params.format, error));
  of->has_begun = true;
  return sf_worker_create(&params, &of->worker, error);
}

/* The worker begins after the first piece was read: a run that has ended is not begun again. */
static sf_code write_pieces(shard_writing *of, float *sample, sf_error *error) {
  for (size_t i = 0; i < of->task->num_pieces; i++) {
    piece_rows read;
    SF_TRY(read_rows(of->storage, of->task, &of->task->pieces[i], &read, error));
    sf_code code = of->worker != NULL ? SF_OK : open_worker(of, error);
    if (code == SF_OK && i == 0 && sample != NULL && read.count > 0)
      memcpy(sample, read.rows[0].vector, of->task->dim * sizeof(float));
    if (code == SF_OK)
      code = sf_worker_add(of->worker, read.rows, read.count, error);
    free_rows(&read);
    SF_TRY(code);
  }
  return SF_OK;
}

/* The first partition file is there as long as the run is under way. */
static sf_code check_run(const shard_writing *of, sf_error *error) {
  bool found = false;
  sf_object_info info;
  char *key = sf_partition_key(of->task->run_id, of->task->pieces[0].token);
  sf_code code = key == NULL ? sf_fail_memory(error, "key of a partition file")
                             : sf_storage_head(of->storage, key, NULL, &found, &info, error);
  free(key);
  if (code == SF_OK && !found)
    code = sf_fail(error, SF_READER_STATE_ERROR, "%s: shard %u: the run %s has ended meanwhile", of->storage->root,
                   (unsigned)of->task->db_id, of->task->run_id);
  return code;
}

static sf_code write_shard(shard_writing *of, sf_written_shard *written, float *sample, sf_error *error) {
  sf_shard_result result;
  SF_TRY(open_folders(of, error));
  SF_TRY(write_pieces(of, sample, error));
  SF_TRY(sf_worker_finish(of->worker, NULL, &result, error));
  SF_TRY(check_run(of, error));
  *written = (sf_written_shard){
      .db_id = result.db_id, .attempt = result.attempt, .num_rows = result.num_rows, .num_bytes = result.num_bytes};
  snprintf(written->checkpoint_id, sizeof(written->checkpoint_id), "%s", result.checkpoint_id);
  return SF_OK;
}

/* What was stored; a folder of the run's own that was made anew, too, where nothing else is in it. */
static void remove_attempt(const shard_writing *of) {
  char *key = sf_format("%s/%s/", of->run_key, of->prefix);
  if (key != NULL)
    sf_storage_remove_all(of->storage, key, NULL, NULL);
  free(key);
  for (int depth = 0; depth < 2 && !of->storage->vtable->is_remote; depth++) {
    char above[SF_SHARD_PREFIX_SIZE] = "";
    if (depth == 0)
      snprintf(above, sizeof(above), "%.*s/", (int)strcspn(of->prefix, "/"), of->prefix);
    key = sf_format("%s/%s", of->run_key, above);
    if (key != NULL)
      sf_storage_remove(of->storage, key, NULL, NULL);
    free(key);
  }
}

sf_code sf_shard_task_run(const sf_shard_task *given, sf_written_shard *written, float *sample, sf_error *error) {
  sf_shard_task task;
  shard_writing of = {.task = &task, .staging.lock = -1};
  SF_TRY(read_task(given, &task, &of.storage, error));
  sf_code code = SF_OK;
  if (task.num_pieces == 0 || !sf_metric_is_known(task.metric))
    code = sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "shard task: shard %u: expected pieces with rows, and a metric",
                   (unsigned)task.db_id);
  if (code == SF_OK)
    code = write_shard(&of, written, sample, error);
  sf_worker_free(of.worker);
  if (code != SF_OK && of.has_begun)
    remove_attempt(&of);
  sf_staging_close(&of.staging);
  sf_storage_close(of.storage);
  free(of.directory);
  free(of.run_key);
  return code;
}

/* ---------------------------------------------------------------------------------------------------------------- Ids */

typedef struct located_id {
  sf_partition_id id;
  size_t piece;
} located_id;

static int compare_ids(const void *left, const void *right) {
  const located_id *a = left;
  const located_id *b = right;
  if (a->id.high != b->id.high)
    return a->id.high < b->id.high ? -1 : 1;
  if (a->id.low != b->id.low)
    return a->id.low < b->id.low ? -1 : 1;
  if (a->piece != b->piece)
    return a->piece < b->piece ? -1 : 1;
  return a->id.row < b->id.row ? -1 : a->id.row > b->id.row;
}

static sf_code count_ids(const sf_shard_task *task, size_t *count, sf_error *error) {
  *count = 0;
  for (size_t i = 0; i < task->num_pieces; i++) {
    const sf_partition_extent *extent = &task->pieces[i].extent;
    if (extent->num_bytes / sizeof(sf_partition_id) != extent->num_rows ||
        extent->num_bytes % sizeof(sf_partition_id) != 0 || !sf_add_size(*count, (size_t)extent->num_rows, count))
      return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "ids: expected pieces of whole ids, found %llu in %llu bytes",
                     (unsigned long long)extent->num_rows, (unsigned long long)extent->num_bytes);
  }
  return SF_OK;
}

static sf_code read_ids(sf_storage *storage, const sf_shard_task *task, located_id *ids, sf_error *error) {
  for (size_t i = 0; i < task->num_pieces; i++) {
    void *bytes;
    SF_TRY(sf_partition_read(storage, task->run_id, &task->pieces[i], &bytes, error));
    const sf_partition_id *read = bytes;
    for (uint64_t row = 0; row < task->pieces[i].extent.num_rows; row++)
      *ids++ = (located_id){.id = read[row], .piece = i};
    free(bytes);
  }
  return SF_OK;
}

static sf_code find_equal(sf_storage *storage, const sf_shard_task *task, bool *found, sf_partition_row *rows,
                          sf_error *error) {
  size_t count;
  SF_TRY(count_ids(task, &count, error));
  located_id *ids = sf_calloc(count, sizeof(*ids));
  if (ids == NULL)
    return sf_fail_memory(error, "ids");
  sf_code code = read_ids(storage, task, ids, error);
  *found = false;
  if (code == SF_OK)
    qsort(ids, count, sizeof(*ids), compare_ids);
  for (size_t i = 1; i < count && code == SF_OK && !*found; i++) {
    const located_id *pair = &ids[i - 1];
    *found = pair[0].id.high == pair[1].id.high && pair[0].id.low == pair[1].id.low;
    for (size_t k = 0; k < 2 && *found; k++)
      rows[k] = (sf_partition_row){.token = task->pieces[pair[k].piece].token, .row = pair[k].id.row};
  }
  free(ids);
  return code;
}

sf_code sf_partitions_find_equal_ids(const sf_shard_task *given, bool *found, sf_partition_row *rows, sf_error *error) {
  sf_shard_task task;
  sf_storage *storage;
  SF_TRY(read_task(given, &task, &storage, error));
  sf_code code = find_equal(storage, &task, found, rows, error);
  sf_storage_close(storage);
  return code;
}

static sf_code copy_id(const sf_shard_row *row, char **id, bool *is_string, sf_error *error) {
  *is_string = row->id_type == SF_ID_STRING;
  *id = *is_string ? sf_memdup_string(row->id_string, row->id_length) : sf_format("%lld", (long long)row->id_integer);
  return *id != NULL ? SF_OK : sf_fail_memory(error, "id");
}

sf_code sf_partitions_row_id(const sf_shard_task *given, uint64_t row, char **id, bool *is_string, sf_error *error) {
  sf_shard_task task;
  sf_storage *storage;
  SF_TRY(read_task(given, &task, &storage, error));
  sf_code code = SF_OK;
  *id = NULL;
  for (size_t i = 0; i < task.num_pieces && code == SF_OK && *id == NULL; i++) {
    piece_rows read;
    code = read_rows(storage, &task, &task.pieces[i], &read, error);
    if (code != SF_OK)
      break;
    for (size_t at = 0; at < read.count && code == SF_OK && *id == NULL; at++)
      if (read.numbers[at] == row)
        code = copy_id(&read.rows[at], id, is_string, error);
    free_rows(&read);
  }
  sf_storage_close(storage);
  return code;
}

/* --------------------------------------------------------------------------------------------------------------- Rows */

/* The rows of a piece, with its bytes after them. */
static sf_code copy_rows(const piece_rows *read, size_t num_bytes, sf_piece_rows **copied, sf_error *error) {
  const size_t rows_at = sizeof(sf_piece_rows);
  const size_t bytes_at = rows_at + read->count * sizeof(sf_piece_row); /* far fewer than the bytes that were read */
  char *block = sf_calloc(1, bytes_at + num_bytes);
  if (block == NULL)
    return sf_fail_memory(error, "rows of a piece");
  const char *from = read->bytes;
  char *bytes = memcpy(block + bytes_at, from, num_bytes);
  sf_piece_row *rows = (sf_piece_row *)(void *)(block + rows_at);
  for (size_t i = 0; i < read->count; i++) {
    const sf_shard_row *row = &read->rows[i];
    rows[i] = (sf_piece_row){.id = {.type = row->id_type, .integer = row->id_integer, .length = row->id_length},
                             .vector = (const float *)(void *)(bytes + ((const char *)row->vector - from)),
                             .payload = row->payload != NULL ? bytes + (row->payload - from) : NULL,
                             .payload_length = row->payload_length};
    if (row->id_string != NULL)
      rows[i].id.string = bytes + (row->id_string - from);
  }
  *copied = (sf_piece_rows *)(void *)block;
  **copied = (sf_piece_rows){.num_rows = read->count, .rows = rows};
  return SF_OK;
}

sf_code sf_partitions_read_piece(const sf_shard_task *given, sf_piece_rows **rows, sf_error *error) {
  sf_shard_task task;
  sf_storage *storage;
  SF_TRY(read_task(given, &task, &storage, error));
  piece_rows read = {0};
  sf_code code = task.num_pieces == 1 ? SF_OK
                                      : sf_fail(error, SF_CONFIG_VALIDATION_ERROR,
                                                "shard task: expected one piece, found %zu", task.num_pieces);
  if (code == SF_OK)
    code = read_rows(storage, &task, &task.pieces[0], &read, error);
  if (code == SF_OK)
    code = copy_rows(&read, (size_t)task.pieces[0].extent.num_bytes, rows, error);
  free_rows(&read);
  sf_storage_close(storage);
  return code;
}
