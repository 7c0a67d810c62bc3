/*
 * Verifying a snapshot: the pointer, the manifest, the routing artifacts and every shard are read whole and checked, one
 * after the other. Each check's result goes to the callback; a failed check does not end the verification, unless the
 * failure is one of the environment (cancelled, out of memory, or one that may pass when retried).
 */
#include "async/operation.h"
#include "query/shard_params.h"
#include "query/stored_lists.h"
#include "query/verify_lists.h"
#include "reader/options.h"
#include "snapshot/reference.h"
#include "snapshot/snapshot.h"

#include <stdio.h>

/* A verification that is running. */
typedef struct verification {
  sf_storage *storage;
  sf_shard_resources *resources;
  const char *cache_dir;
  const sf_cancellation *cancellation;
  sf_verify_callback callback;
  void *user_data;
  sf_pointer pointer;
  char *manifest_key;
  sf_snapshot snapshot;
  size_t done;
  size_t total;
  size_t num_failed;
} verification;

/* Failures to check an object, rather than of the object. */
static bool stops_verification(sf_code code) {
  return code == SF_CANCELLED_ERROR || code == SF_OUT_OF_MEMORY_ERROR || sf_code_retryable(code);
}

/* Reports the result for one object. Fails only where the verification has to stop. */
static sf_code report(verification *running, const char *object, sf_code code, const char *message, sf_error *error) {
  if (stops_verification(code) && code != SF_MANIFEST_STORE_ERROR)
    return code;
  running->done++;
  running->num_failed += code != SF_OK;
  if (running->total < running->done)
    running->total = running->done;
  const sf_verify_finding finding = {.object = object, .code = code, .message = message};
  if (running->callback != NULL && !running->callback(&finding, running->done, running->total, running->user_data))
    return sf_fail(error, SF_CANCELLED_ERROR, "the verification was stopped");
  return SF_OK;
}

/* As report, for a check with an error; `holds` is the message where it succeeded. */
static sf_code report_check(verification *running, const char *object, sf_code code, const sf_error *failure,
                            const char *holds, sf_error *error) {
  sf_code stop = report(running, object, code, code == SF_OK ? holds : failure->message, error);
  if (stop != SF_OK && stop == code && error != NULL)
    *error = *failure;
  return stop;
}

static sf_code check_pointer(verification *running, sf_error *error) {
  sf_error failure;
  sf_code code = sf_snapshot_read_pointer(running->storage, running->cancellation, &running->pointer, &failure);
  if (code == SF_OK)
    code = sf_reference_manifest_key(running->pointer.manifest_ref, running->storage->root, &running->manifest_key,
                                     &failure);
  return report_check(running, SF_POINTER_KEY, code, &failure, "points to a manifest", error);
}

static size_t count_objects(const sf_manifest *manifest) {
  size_t count = 2;
  for (size_t i = 0; i < SF_NUM_STRATEGIES; i++)
    count += manifest->artifact_refs[i] != NULL;
  for (uint32_t i = 0; i < manifest->num_dbs; i++)
    count += (manifest->shards[i].db_url != NULL) + (sf_manifest_names_lists(manifest, i) ? 1 : 0);
  return count;
}

/* Checks what parsing leaves out: that the snapshot has vectors, and what its routing strategy needs. */
static sf_code check_metadata(const sf_snapshot *snapshot, sf_error *error) {
  const sf_manifest *manifest = &snapshot->manifest;
  if (!manifest->has_vectors)
    return sf_fail(error, SF_READER_STATE_ERROR, "expected vector metadata in custom, found none");
  const sf_routing_strategy *strategy = sf_routing_strategy_of(manifest->routing.strategy);
  const sf_routing_artifact *artifact = strategy->artifact;
  if (artifact != NULL &&
      (manifest->artifact_refs[strategy->id] == NULL || artifact->num_rows(&manifest->routing, manifest->num_dbs) == 0))
    return sf_fail(error, SF_READER_STATE_ERROR, "expected %s%s%s beside the strategy %s, found none",
                   artifact->ref_member, artifact->size_member != NULL ? " and " : "",
                   artifact->size_member != NULL ? artifact->size_member : "", strategy->name);
  if (artifact != NULL)
    return SF_OK;
  const sf_router_params params = {.config = &manifest->routing, .num_dbs = manifest->num_dbs, .dim = manifest->dim};
  sf_router *router;
  sf_code code = sf_router_create(&params, &router, error);
  if (code == SF_OK)
    sf_router_free(router);
  return code;
}

static sf_code check_manifest(verification *running, sf_error *error) {
  sf_error failure;
  const char *ref = running->pointer.manifest_ref;
  sf_code code = sf_snapshot_read_manifest(running->storage, running->manifest_key, ref, running->cancellation,
                                           &running->snapshot.manifest, &failure);
  if (code == SF_OK) {
    running->total = count_objects(&running->snapshot.manifest);
    code = check_metadata(&running->snapshot, &failure);
  }
  char holds[64];
  snprintf(holds, sizeof(holds), "%u shards", (unsigned)running->snapshot.manifest.num_dbs);
  return report_check(running, ref, code, &failure, holds, error);
}

static sf_code check_artifact(verification *running, const char *reference, const char *what, size_t num_rows,
                              sf_error *error) {
  if (reference == NULL)
    return SF_OK;
  sf_error failure;
  sf_npy array = {0};
  sf_code code = sf_snapshot_read_artifact(running->storage, &running->snapshot.manifest, reference, what, num_rows,
                                           running->cancellation, &array, &failure);
  char holds[96];
  snprintf(holds, sizeof(holds), "%zu × %zu", array.num_rows, array.num_columns);
  sf_npy_free(&array);
  return report_check(running, reference, code, &failure, holds, error);
}

/* Checks that need the manifest, or that a format leaves to its caller. */
static sf_code check_contents(const sf_shard *shard, const sf_manifest *manifest, sf_error *error) {
  int64_t expected = manifest->shards[shard->db_id].row_count;
  uint64_t found = shard->num_rows + shard->num_not_finite;
  if (!manifest->is_unified && found != (uint64_t)expected)
    return sf_fail(error, SF_DB_ADAPTER_ERROR, "shard %u: expected %lld rows, as the manifest has it, found %llu",
                   (unsigned)shard->db_id, (long long)expected, (unsigned long long)found);
  if (shard->num_not_finite > 0) {
    char rows[sizeof(shard->first_not_finite.rows) / sizeof(uint64_t) * 24] = "";
    size_t length = 0;
    for (size_t i = 0; i < shard->first_not_finite.count; i++)
      length += (size_t)snprintf(rows + length, sizeof(rows) - length, "%s%llu", i > 0 ? ", " : "",
                                 (unsigned long long)shard->first_not_finite.rows[i]);
    return sf_fail(error, SF_DB_ADAPTER_ERROR,
                   "shard %u: expected finite vectors, found %llu that are not, which no search returns (rows %s%s)",
                   (unsigned)shard->db_id, (unsigned long long)shard->num_not_finite, rows,
                   shard->num_not_finite > shard->first_not_finite.count ? ", …" : "");
  }
  return SF_OK;
}

static sf_code verify_shard(const verification *running, const sf_shard_params *params, uint64_t *num_rows,
                            sf_error *error) {
  sf_shard *shard;
  SF_TRY(sf_shard_open(params, running->cancellation, &shard, error));
  sf_code code = sf_shard_verify(shard, running->cancellation, error);
  if (code == SF_OK)
    code = check_contents(shard, &running->snapshot.manifest, error);
  *num_rows = shard->num_rows;
  sf_shard_close(shard);
  return code;
}

static sf_code check_shard(verification *running, uint32_t db_id, sf_error *error) {
  const sf_manifest *manifest = &running->snapshot.manifest;
  sf_error failure;
  uint64_t num_rows = 0;
  char *key = NULL;
  char *folder = NULL;
  SF_TRY(sf_shard_cache_folder(running->cache_dir, db_id, &folder, error));
  sf_code code = sf_shard_key(running->storage, manifest, db_id, &key, &failure);
  if (code == SF_OK) {
    sf_shard_params params = sf_shard_params_of(running->storage, running->resources, manifest, db_id);
    params.key = key;
    params.cache_dir = folder;
    params.verify_only = true;
    code = verify_shard(running, &params, &num_rows, &failure);
  }
  free(key);
  free(folder);
  char holds[64];
  snprintf(holds, sizeof(holds), "%llu vectors", (unsigned long long)num_rows);
  return report_check(running, manifest->shards[db_id].db_url, code, &failure, holds, error);
}

/* The shard is opened as searches open it: its own check keeps no vectors. */
static sf_code verify_lists(const verification *running, const sf_shard_params *params, uint64_t *num_rows,
                            sf_error *error) {
  const sf_manifest *manifest = &running->snapshot.manifest;
  const sf_stored_lists_params stored = {.storage = running->storage, .manifest = manifest, .db_id = params->db_id};
  void *bytes;
  size_t length;
  sf_lists lists;
  sf_shard *shard = NULL;
  SF_TRY(sf_stored_lists_fetch(&stored, running->cancellation, &bytes, &length, &lists, error));
  sf_code code = sf_shard_open(params, running->cancellation, &shard, error);
  if (code == SF_OK)
    code = sf_lists_verify(&lists, shard, running->cancellation, error);
  *num_rows = lists.num_rows;
  sf_shard_close(shard);
  free(bytes);
  return code;
}

static sf_code check_lists(verification *running, uint32_t db_id, sf_error *error) {
  const sf_manifest *manifest = &running->snapshot.manifest;
  sf_error failure;
  uint64_t num_rows = 0;
  char *key = NULL;
  char *folder = NULL;
  SF_TRY(sf_shard_cache_folder(running->cache_dir, db_id, &folder, error));
  sf_code code = sf_shard_key(running->storage, manifest, db_id, &key, &failure);
  if (code == SF_OK) {
    sf_shard_params params = sf_shard_params_of(running->storage, running->resources, manifest, db_id);
    params.key = key;
    params.cache_dir = folder;
    code = verify_lists(running, &params, &num_rows, &failure);
  }
  free(key);
  free(folder);
  char holds[64];
  snprintf(holds, sizeof(holds), "lists of %llu vectors", (unsigned long long)num_rows);
  return report_check(running, manifest->lists.shards[db_id].ref, code, &failure, holds, error);
}

static sf_code check_all(verification *running, sf_error *error) {
  const sf_manifest *manifest = &running->snapshot.manifest;
  SF_TRY(check_pointer(running, error));
  if (running->manifest_key == NULL)
    return SF_OK;
  SF_TRY(check_manifest(running, error));
  if (!manifest->has_vectors)
    return SF_OK;
  for (sf_sharding_strategy id = 0; id < SF_NUM_STRATEGIES; id++) {
    const sf_routing_artifact *artifact = sf_routing_strategy_of(id)->artifact;
    if (artifact != NULL)
      SF_TRY(check_artifact(running, manifest->artifact_refs[id], artifact->name,
                            artifact->num_rows(&manifest->routing, manifest->num_dbs), error));
  }
  for (uint32_t id = 0; id < manifest->num_dbs; id++)
    if (manifest->shards[id].db_url != NULL)
      SF_TRY(check_shard(running, id, error));
  for (uint32_t id = 0; id < manifest->num_dbs; id++)
    if (sf_manifest_names_lists(manifest, id))
      SF_TRY(check_lists(running, id, error));
  return SF_OK;
}

static sf_code verify_storage(verification *running, sf_error *error) {
  SF_TRY(sf_shard_resources_create(&running->resources, error));
  sf_code code = check_all(running, error);
  sf_shard_resources_free(running->resources);
  sf_pointer_free(&running->pointer);
  sf_manifest_free(&running->snapshot.manifest);
  free(running->manifest_key);
  return code;
}

static sf_code verify_root(const char *root, const sf_reader_options *options, sf_verify_callback callback,
                           void *user_data, const sf_cancellation *cancellation, size_t *num_failed, sf_error *error) {
  verification running = {.callback = callback, .user_data = user_data, .cancellation = cancellation};
  char *cache_dir = NULL;
  SF_TRY(sf_reader_options_open_storage(options, root, &running.storage, error));
  sf_code code = sf_reader_options_cache_dir(options, running.storage->root, &cache_dir, error);
  running.cache_dir = cache_dir;
  if (code == SF_OK)
    code = verify_storage(&running, error);
  sf_storage_close(running.storage);
  free(cache_dir);
  *num_failed = running.num_failed;
  return code;
}

sf_code sf_snapshot_verify(const char *root, const sf_reader_options *given, sf_verify_callback callback,
                           void *callback_user_data, size_t *num_failed, sf_error *error) {
  sf_reader_options options;
  SF_TRY(sf_reader_options_read(given, &options, error));
  return verify_root(root, &options, callback, callback_user_data, NULL, num_failed, error);
}

typedef struct verify_context {
  char *root;
  sf_reader_options options;
  sf_verify_callback callback;
  void *user_data;
} verify_context;

static void free_verify(void *context) {
  verify_context *verifying = context;
  sf_reader_options_copy_free(&verifying->options);
  free(verifying->root);
  free(verifying);
}

static const sf_outcome_kind failed_objects = {.name = "number of objects that failed a verification"};

static sf_code run_verify(void *context, const sf_cancellation *cancellation, sf_outcome *outcome, sf_error *error) {
  const verify_context *verifying = context;
  *outcome = (sf_outcome){.kind = &failed_objects};
  return verify_root(verifying->root, &verifying->options, verifying->callback, verifying->user_data, cancellation,
                     &outcome->count, error);
}

size_t sf_operation_verify_failed(const sf_operation *operation) {
  return sf_operation_count(operation, &failed_objects);
}

sf_code sf_snapshot_verify_submit(const char *root, const sf_reader_options *given, sf_verify_callback callback,
                                  void *callback_user_data, sf_executor *executor, sf_completion_queue *queue,
                                  void *user_data, sf_operation **operation, sf_error *error) {
  static const sf_job_functions functions = {.run = run_verify, .free_context = free_verify};
  verify_context *verifying = sf_calloc(1, sizeof(*verifying));
  if (verifying == NULL)
    return sf_fail_memory(error, "operation");
  sf_code code = sf_reader_options_copy(given, &verifying->options, error);
  if (code == SF_OK && root != NULL && (verifying->root = sf_strdup(root)) == NULL)
    code = sf_fail_memory(error, "operation");
  if (code != SF_OK) {
    free_verify(verifying);
    return code;
  }
  verifying->callback = callback;
  verifying->user_data = callback_user_data;
  return sf_job_submit(executor, queue, user_data, &functions, verifying, operation, error);
}
