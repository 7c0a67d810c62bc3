#include "writer/index_run.h"

#include "base/time.h"
#include "lists/make_lists.h"
#include "query/list_calibration.h"
#include "query/shard_params.h"
#include "query/stored_lists.h"
#include "snapshot/publish.h"
#include "snapshot/reference.h"
#include "snapshot/run_record.h"
#include "snapshot/snapshot.h"
#include "writer/heartbeat.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

/* A run under way. */
typedef struct indexing {
  const sf_index_params *params;
  sf_pointer pointer; /* as it was when the run began */
  char *manifest_key;
  sf_buffer bytes; /* of the manifest */
  sf_manifest manifest;
  sf_shard_resources *resources;
  char run_id[SF_UUID_SIZE];
  char *folder; /* key "lists/run_id=<run_id>" */
  sf_run_record record;
  sf_heartbeat *heartbeat;
  sf_shard **shards; /* num_dbs, by db_id, as all below; NULL: without rows */
  sf_cached_block *blocks;
  sf_lists *made;
  const sf_lists **of_shards;
  sf_index_progress progress;
  uint64_t num_lists;
  uint64_t num_bytes;
  char *new_key;
  char *new_ref;
  bool is_stored;     /* the manifest: nothing may be removed any more */
  bool may_be_stored; /* a request to store it got no response */
} indexing;

static sf_code report(indexing *run, sf_error *error) {
  const sf_index_options *options = &run->params->options;
  SF_TRY(sf_cancellation_check(run->params->cancellation, error));
  if (options->progress != NULL && !options->progress(&run->progress, options->progress_user_data))
    return sf_fail(error, SF_CANCELLED_ERROR, "the indexing was stopped");
  return SF_OK;
}

/* ------------------------------------------------------------------------------------------------------------ Snapshot */

static sf_code read_manifest(indexing *run, sf_error *error) {
  sf_storage *storage = run->params->storage;
  bool found = false;
  SF_TRY(sf_snapshot_read_pointer(storage, run->params->cancellation, &run->pointer, error));
  SF_TRY(sf_reference_manifest_key(run->pointer.manifest_ref, storage->root, &run->manifest_key, error));
  SF_TRY(sf_storage_get(storage, run->manifest_key, SF_MANIFEST_MAX_BYTES, run->params->cancellation, &found,
                        &run->bytes, error));
  if (!found)
    return sf_fail(error, SF_MANIFEST_STORE_ERROR, "manifest %s: expected an object at %s below %s, found none",
                   run->pointer.manifest_ref, run->manifest_key, storage->root);
  char *what = sf_format("manifest %s", run->pointer.manifest_ref);
  if (what == NULL)
    return sf_fail_memory(error, "manifest");
  sf_code code = sf_manifest_parse(run->bytes.data, run->bytes.length, what, &run->manifest, error);
  if (code == SF_OK && !run->manifest.has_vectors)
    code = sf_fail(error, SF_READER_STATE_ERROR, "%s: expected vector metadata in custom, found none", what);
  free(what);
  return code;
}

static sf_code begin_run(indexing *run, sf_error *error) {
  const sf_index_params *params = run->params;
  uint32_t num_dbs = run->manifest.num_dbs;
  sf_manifest_lists_free(&run->manifest.lists, num_dbs);
  run->manifest.lists.shards = sf_calloc(num_dbs, sizeof(sf_stored_lists));
  run->shards = sf_calloc(num_dbs, sizeof(sf_shard *));
  run->blocks = sf_calloc(num_dbs, sizeof(*run->blocks));
  run->made = sf_calloc(num_dbs, sizeof(*run->made));
  run->of_shards = sf_calloc(num_dbs, sizeof(sf_lists *));
  if (run->manifest.lists.shards == NULL || run->shards == NULL || run->blocks == NULL || run->made == NULL ||
      run->of_shards == NULL)
    return sf_fail_memory(error, "lists of shards");
  SF_TRY(sf_shard_resources_create(&run->resources, error));
  SF_TRY(sf_uuid_make(run->run_id, error));
  run->folder = sf_format("lists/run_id=%s", run->run_id);
  if (run->folder == NULL)
    return sf_fail_memory(error, "key of lists");
  SF_TRY(sf_run_record_begin(&run->record, params->storage, run->run_id, run->manifest.s3_prefix, params->cancellation,
                             error));
  return sf_heartbeat_start(&run->record, params->storage, &params->log, 1000 * SF_RUN_RENEWAL_SECONDS, &run->heartbeat,
                            error);
}

/* --------------------------------------------------------------------------------------------------------------- Shards */

/* Opens the shard of `place` for as long as the run: the calibration searches all of them. */
static sf_code open_shard(indexing *run, uint32_t db_id, const sf_cache_place *place, sf_error *error) {
  sf_storage *storage = run->params->storage;
  char *key;
  SF_TRY(sf_shard_key(storage, &run->manifest, db_id, &key, error));
  sf_shard_params params = sf_shard_params_of(storage, run->resources, &run->manifest, db_id);
  params.key = key;
  params.cache_dir = place->cache_dir;
  sf_code code = sf_shard_open(&params, run->params->cancellation, &run->shards[db_id], error);
  free(key);
  return code;
}

static sf_code make_bytes(const indexing *run, const sf_shard *shard, const sf_cache_place *place, void **bytes,
                          size_t *length, sf_error *error) {
  const sf_index_options *options = &run->params->options;
  const sf_lists_params params = {
      .segments = shard->segments,
      .num_segments = shard->num_segments,
      .dim = shard->dim,
      .metric = run->manifest.metric,
      .identity = {.db_url = place->db_url, .checkpoint_id = place->checkpoint_id},
      .num_lists = options->num_lists,
      .num_threads = options->num_threads,
      .max_memory_bytes = options->max_memory_bytes,
      .seed = options->seed,
  };
  return sf_lists_make(&params, run->params->cancellation, bytes, length, error);
}

/* What the manifest will say of the object. */
static sf_code describe(indexing *run, uint32_t db_id, const void *bytes, size_t length, sf_error *error) {
  sf_stored_lists *stored = &run->manifest.lists.shards[db_id];
  stored->size = length;
  stored->head_size = sf_lists_head_length(bytes, length);
  stored->head_checksum = XXH3_64bits(bytes, (size_t)stored->head_size);
  stored->ref = sf_format("%s/%s/db=%05u.lists", run->manifest.s3_prefix, run->folder, (unsigned)db_id);
  return stored->ref != NULL ? SF_OK : sf_fail_memory(error, "reference of lists");
}

static sf_code store(const indexing *run, uint32_t db_id, sf_error *error) {
  const sf_cached_block *block = &run->blocks[db_id];
  char *key = sf_format("%s/db=%05u.lists", run->folder, (unsigned)db_id);
  sf_code code = key == NULL ? sf_fail_memory(error, "key of lists")
                             : sf_storage_put(run->params->storage, key, block->bytes, block->length, NULL,
                                              run->params->cancellation, NULL, error);
  free(key);
  return code;
}

/* Makes, keeps and stores the lists of a shard. They are mapped from then on, and take no memory of their own. */
static sf_code make_lists(indexing *run, uint32_t db_id, const sf_cache_place *place, sf_error *error) {
  const sf_stored_lists_params stored = {.storage = run->params->storage, .manifest = &run->manifest, .db_id = db_id};
  void *bytes;
  size_t length;
  SF_TRY(make_bytes(run, run->shards[db_id], place, &bytes, &length, error));
  sf_code code = describe(run, db_id, bytes, length, error);
  if (code != SF_OK) {
    free(bytes);
    return code;
  }
  SF_TRY(sf_stored_lists_keep(&stored, place, bytes, length, run->params->cancellation, &run->blocks[db_id],
                              &run->made[db_id], error));
  SF_TRY(store(run, db_id, error));
  run->of_shards[db_id] = &run->made[db_id];
  run->num_lists += run->made[db_id].num_lists;
  run->num_bytes += length;
  run->progress.rows += run->made[db_id].num_rows;
  return SF_OK;
}

static sf_code index_shard(indexing *run, uint32_t db_id, sf_error *error) {
  const sf_manifest_shard *shard = &run->manifest.shards[db_id];
  char *folder;
  SF_TRY(sf_shard_cache_folder(run->params->cache_dir, db_id, &folder, error));
  const sf_cache_place place = {.cache_dir = folder, .db_url = shard->db_url, .checkpoint_id = shard->checkpoint_id};
  sf_code code = open_shard(run, db_id, &place, error);
  if (code == SF_OK &&
      sf_lists_has_rows(run->shards[db_id]->segments, run->shards[db_id]->num_segments, run->manifest.dim))
    code = make_lists(run, db_id, &place, error);
  free(folder);
  return code;
}

static sf_code index_shards(indexing *run, sf_error *error) {
  for (uint32_t id = 0; id < run->manifest.num_dbs; id++)
    run->progress.shards_total += run->manifest.shards[id].db_url != NULL;
  for (uint32_t id = 0; id < run->manifest.num_dbs; id++) {
    if (run->manifest.shards[id].db_url == NULL)
      continue;
    SF_TRY(report(run, error));
    SF_TRY(index_shard(run, id, error));
    run->progress.shards_done++;
  }
  if (run->num_lists == 0)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "%s: expected rows with finite vectors, found none",
                   run->params->storage->root);
  return report(run, error);
}

/* A shard without lists has no rows for the calibration. */
static sf_code calibrate(indexing *run, sf_error *error) {
  const sf_calibration_params params = {.shards = run->shards,
                                        .lists = run->of_shards,
                                        .num_shards = run->manifest.num_dbs,
                                        .dim = run->manifest.dim,
                                        .num_threads = run->params->options.num_threads,
                                        .seed = run->params->options.seed};
  run->progress.phase = SF_INDEX_CALIBRATING;
  SF_TRY(report(run, error));
  return sf_list_calibrate(&params, run->params->cancellation, &run->manifest.lists.calibration, error);
}

/* ----------------------------------------------------------------------------------------------------------- Publishing */

static sf_code make_manifest(indexing *run, sf_buffer *manifest, sf_error *error) {
  char created_at[SF_TIMESTAMP_SIZE];
  sf_buffer json = {0};
  sf_timestamp_now(created_at);
  run->new_key = sf_format("manifests/%s_run_id=%s/manifest", created_at, run->manifest.run_id);
  run->new_ref = run->new_key == NULL ? NULL : sf_format("%s/%s", run->manifest.s3_prefix, run->new_key);
  if (run->new_ref == NULL)
    return sf_fail_memory(error, "reference of the manifest");
  sf_code code = sf_manifest_lists_write(&run->manifest.lists, run->manifest.num_dbs, &json, error);
  if (code == SF_OK)
    code = sf_manifest_with_lists(run->bytes.data, run->bytes.length, (const char *)json.data, created_at, manifest,
                                  error);
  sf_buffer_free(&json);
  return code;
}

/* What is published is what a reader will take. */
static sf_code check_manifest(const indexing *run, const sf_buffer *bytes, sf_error *error) {
  sf_manifest manifest = {0};
  SF_TRY(sf_manifest_parse(bytes->data, bytes->length, run->new_ref, &manifest, error));
  bool has_lists = manifest.lists.shards != NULL;
  sf_manifest_free(&manifest);
  return has_lists ? SF_OK : sf_fail(error, SF_ERROR, "%s: expected lists, found none", run->new_ref);
}

static sf_code put_manifest(indexing *run, const sf_buffer *bytes, sf_error *error) {
  const sf_put_condition condition = {.if_none_match = true};
  bool stored = false;
  run->may_be_stored = true;
  SF_TRY(sf_storage_put(run->params->storage, run->new_key, bytes->data, bytes->length, &condition,
                        run->params->cancellation, &stored, error));
  run->may_be_stored = false;
  if (!stored)
    return sf_fail(error, SF_ERROR, "%s: expected no %s yet, found one", run->params->storage->root, run->new_key);
  run->is_stored = true;
  return SF_OK;
}

static sf_code point_to_manifest(indexing *run, sf_error *error) {
  bool replaced = false;
  sf_error failure;
  sf_code code = sf_publish_pointer_instead_of(run->params->storage, run->pointer.manifest_ref, run->new_ref,
                                               run->manifest.run_id, run->params->cancellation, &replaced, &failure);
  if (code != SF_OK) {
    sf_error_prefix(&failure, "%s is published, but _CURRENT does not point to it", run->new_ref);
    if (error != NULL)
      *error = failure;
    return code;
  }
  if (replaced)
    return SF_OK;
  /* Nothing refers to it, and it would be the newest of the history. */
  code = sf_storage_remove(run->params->storage, run->new_key, run->params->cancellation, error);
  run->is_stored = code != SF_OK;
  if (code == SF_OK)
    code = sf_fail(error, SF_ERROR, "%s: expected %s to stay live while its lists were made, found another",
                   run->params->storage->root, run->pointer.manifest_ref);
  return code;
}

static sf_code publish(indexing *run, sf_error *error) {
  sf_buffer bytes = {0};
  run->progress.phase = SF_INDEX_PUBLISHING;
  sf_code code = report(run, error);
  if (code == SF_OK)
    code = make_manifest(run, &bytes, error);
  if (code == SF_OK)
    code = check_manifest(run, &bytes, error);
  if (code == SF_OK)
    code = put_manifest(run, &bytes, error);
  if (code == SF_OK)
    code = point_to_manifest(run, error);
  sf_buffer_free(&bytes);
  return code;
}

/* -------------------------------------------------------------------------------------------------------------- Results */

static sf_code make_result(const indexing *run, const char *ref, uint64_t started, sf_index_result **result,
                           sf_error *error) {
  size_t length = strlen(ref) + 1;
  sf_index_result *made = sf_calloc(1, sizeof(*made) + length);
  if (made == NULL)
    return sf_fail_memory(error, "result");
  char *copy = (char *)(made + 1);
  memcpy(copy, ref, length);
  made->manifest_ref = copy;
  made->is_published = run->new_ref != NULL;
  made->num_shards = run->progress.shards_done;
  made->num_rows = run->progress.rows;
  made->num_lists = run->num_lists;
  made->num_bytes = run->num_bytes;
  made->seconds = (double)(sf_monotonic_nanoseconds() - started) / 1e9;
  *result = made;
  return SF_OK;
}

static bool has_lists(const indexing *run) {
  for (uint32_t id = 0; run->manifest.lists.shards != NULL && id < run->manifest.num_dbs; id++)
    if (run->manifest.lists.shards[id].ref != NULL)
      return true;
  return false;
}

/* What failed removes what it wrote, the manifest first: none refers to what is gone. A cleanup finds what this leaves. */
static void remove_objects(indexing *run) {
  static const uint64_t patience = 1500000000; /* nanoseconds for a request, and for all: the caller waits */
  static const uint64_t in_all = 30000000000;
  sf_cancellation limit = {0};
  sf_error failure;
  sf_cancellation_limit(&limit, patience, in_all);
  char *folder = run->folder == NULL ? NULL : sf_format("%s/", run->folder);
  sf_code code = run->may_be_stored ? sf_storage_remove(run->params->storage, run->new_key, &limit, &failure) : SF_OK;
  if (code == SF_OK && folder != NULL)
    code = sf_storage_remove_all(run->params->storage, folder, &limit, &failure);
  if (code == SF_OK && run->record.key != NULL)
    code = sf_run_record_remove(&run->record, run->params->storage, &limit, &failure);
  if (code != SF_OK)
    sf_log_message(&run->params->log, SF_LOG_WARNING, "%s: what was written is left: %s", run->params->storage->root,
                   failure.message);
  free(folder);
}

static void end_record(indexing *run) {
  sf_error failure;
  if (sf_run_record_succeed(&run->record, run->params->storage, run->new_ref, run->params->cancellation, &failure) !=
      SF_OK)
    sf_log_message(&run->params->log, SF_LOG_WARNING, "%s: the run's record is left as it is: %s",
                   run->params->storage->root, failure.message);
}

static sf_code index_all(indexing *run, sf_error *error) {
  sf_code code = begin_run(run, error);
  if (code == SF_OK)
    code = index_shards(run, error);
  if (code == SF_OK)
    code = calibrate(run, error);
  if (code == SF_OK)
    code = publish(run, error);
  sf_heartbeat_stop(run->heartbeat);
  if (code == SF_OK)
    end_record(run);
  else if (!run->is_stored)
    remove_objects(run);
  return code;
}

static void end(indexing *run) {
  for (uint32_t i = 0; i < run->manifest.num_dbs; i++) {
    if (run->blocks != NULL)
      sf_cached_block_free(&run->blocks[i]);
    if (run->shards != NULL)
      sf_shard_close(run->shards[i]);
  }
  free((void *)run->shards);
  free(run->blocks);
  free(run->made);
  free((void *)run->of_shards);
  sf_shard_resources_free(run->resources);
  sf_run_record_free(&run->record);
  sf_manifest_free(&run->manifest);
  sf_buffer_free(&run->bytes);
  sf_pointer_free(&run->pointer);
  free(run->manifest_key);
  free(run->folder);
  free(run->new_key);
  free(run->new_ref);
}

sf_code sf_index_run(const sf_index_params *params, sf_index_result **result, sf_error *error) {
  uint64_t started = sf_monotonic_nanoseconds();
  indexing run = {.params = params, .progress = {.size = sizeof(run.progress)}};
  sf_code code = read_manifest(&run, error);
  bool is_indexed = code == SF_OK && has_lists(&run) && !params->options.force;
  if (code == SF_OK && !is_indexed)
    code = index_all(&run, error);
  if (code == SF_OK)
    code = make_result(&run, is_indexed ? run.pointer.manifest_ref : run.new_ref, started, result, error);
  end(&run);
  return code;
}
