/* Making another of the published manifests the live one. */
#include "async/operation.h"
#include "reader/options.h"
#include "shardyfusion/build.h"
#include "snapshot/publish.h"
#include "snapshot/reference.h"
#include "snapshot/snapshot.h"

#include <string.h>

static sf_code fail_missing(const sf_storage *storage, const char *target, sf_error *error) {
  return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "%s: expected a published manifest that is '%s', found none",
                 storage->root, target);
}

static sf_code has_manifest(sf_storage *storage, const char *name, const sf_cancellation *cancellation, bool *exists,
                            char **key, sf_error *error) {
  sf_object_info info;
  *key = sf_format("manifests/%s/manifest", name);
  if (*key == NULL)
    return sf_fail_memory(error, "key of a manifest");
  return sf_storage_head(storage, *key, cancellation, exists, &info, error);
}

/* The live manifest's name among those of the listing, or NULL. */
static sf_code find_live(sf_storage *storage, const sf_cancellation *cancellation, char **live_key, sf_error *error) {
  sf_pointer pointer = {0};
  SF_TRY(sf_snapshot_read_pointer(storage, cancellation, &pointer, error));
  sf_code code = sf_reference_manifest_key(pointer.manifest_ref, storage->root, live_key, error);
  sf_pointer_free(&pointer);
  return code;
}

/* Whether a manifest of the listing, newest first, is the target. For "previous", *behind_live says that the live one has
 * passed. */
static bool is_target(const char *name, const char *key, const char *target, const char *live_key, bool *behind_live) {
  sf_manifest_name parsed;
  if (live_key == NULL)
    return sf_manifest_name_parse(name, &parsed) && strcmp(parsed.run_id, target) == 0;
  bool found = *behind_live;
  if (strcmp(key, live_key) == 0)
    *behind_live = true;
  return found;
}

/* The key of the target, looked for among the published; *key stays NULL where there is none. */
static sf_code find_listed(sf_storage *storage, const char *target, const char *live_key,
                           const sf_cancellation *cancellation, char **key, sf_error *error) {
  sf_name_list list;
  bool behind_live = false;
  SF_TRY(sf_snapshot_list_manifests(storage, "", cancellation, &list, error));
  sf_code code = SF_OK;
  for (size_t i = 0; i < list.count && code == SF_OK && *key == NULL; i++) {
    char *candidate = NULL;
    bool exists = false;
    code = has_manifest(storage, list.names[i], cancellation, &exists, &candidate, error);
    if (code == SF_OK && exists && is_target(list.names[i], candidate, target, live_key, &behind_live))
      *key = candidate;
    else
      free(candidate);
  }
  sf_name_list_free(&list);
  return code;
}

static sf_code find_target(sf_storage *storage, const char *target, const sf_cancellation *cancellation, char **key,
                           sf_error *error) {
  bool is_previous = strcmp(target, "previous") == 0;
  char *live_key = NULL;
  *key = NULL;
  if (strchr(target, '/') != NULL) {
    sf_code code = sf_reference_manifest_key(target, storage->root, key, error);
    return code == SF_MANIFEST_PARSE_ERROR ? fail_missing(storage, target, error) : code;
  }
  if (is_previous)
    SF_TRY(find_live(storage, cancellation, &live_key, error));
  sf_code code = find_listed(storage, target, live_key, cancellation, key, error);
  free(live_key);
  return code == SF_OK && *key == NULL ? fail_missing(storage, target, error) : code;
}

/* --------------------------------------------------------------------------------------------------------- Checking */

static bool note_name(const char *name, void *user_data) {
  (void)name;
  *(bool *)user_data = true;
  return false;
}

static sf_code check_shard(sf_storage *storage, const sf_manifest *manifest, uint32_t db_id,
                           const sf_cancellation *cancellation, sf_error *error) {
  const char *url = manifest->shards[db_id].db_url;
  char *key = NULL;
  bool found = false;
  if (url == NULL)
    return SF_OK;
  SF_TRY(sf_reference_key(url, manifest->s3_prefix, storage->root, "db_url", SF_DB_ADAPTER_ERROR, &key, error));
  char *folder = sf_format("%s/", key);
  sf_code code = folder == NULL ? sf_fail_memory(error, "key of a shard")
                                : sf_storage_list(storage, folder, cancellation, note_name, &found, error);
  if (code == SF_OK && !found)
    code =
        sf_fail(error, SF_DB_ADAPTER_ERROR, "shard %u (%s): expected objects there, found none", (unsigned)db_id, url);
  free(folder);
  free(key);
  return code;
}

static sf_code check_target(sf_storage *storage, const char *key, const sf_cancellation *cancellation,
                            sf_snapshot *snapshot, sf_error *error) {
  SF_TRY(sf_snapshot_read_manifest(storage, key, key, cancellation, &snapshot->manifest, error));
  snapshot->manifest_ref = sf_format("%s/%s", snapshot->manifest.s3_prefix, key);
  if (snapshot->manifest_ref == NULL)
    return sf_fail_memory(error, "reference of a manifest");
  if (!snapshot->manifest.has_vectors)
    return sf_fail(error, SF_READER_STATE_ERROR, "manifest %s: expected vector metadata in custom, found none", key);
  SF_TRY(sf_snapshot_load_routing(storage, cancellation, snapshot, error));
  for (uint32_t id = 0; id < snapshot->manifest.num_dbs; id++)
    SF_TRY(check_shard(storage, &snapshot->manifest, id, cancellation, error));
  return SF_OK;
}

static sf_code roll_back(sf_storage *storage, const char *target, const sf_cancellation *cancellation,
                         char **manifest_ref, sf_error *error) {
  char *key = NULL;
  SF_TRY(find_target(storage, target, cancellation, &key, error));
  sf_snapshot *snapshot = sf_calloc(1, sizeof(*snapshot));
  sf_code code =
      snapshot == NULL ? sf_fail_memory(error, "snapshot") : check_target(storage, key, cancellation, snapshot, error);
  if (code == SF_OK)
    code = sf_publish_pointer(storage, snapshot->manifest_ref, snapshot->manifest.run_id, cancellation, error);
  if (code == SF_OK) {
    *manifest_ref = snapshot->manifest_ref;
    snapshot->manifest_ref = NULL;
  }
  sf_snapshot_free(snapshot);
  free(key);
  return code;
}

/* ------------------------------------------------------------------------------------------------------------ Calls */

static sf_code roll_back_root(const char *root, const sf_reader_options *options, const char *target,
                              const sf_cancellation *cancellation, char **manifest_ref, sf_error *error) {
  sf_storage *storage;
  if (target == NULL || target[0] == '\0')
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR,
                   "target: expected a run id, a manifest's reference or \"previous\", found nothing");
  SF_TRY(sf_reader_options_open_storage(options, root, &storage, error));
  sf_code code = roll_back(storage, target, cancellation, manifest_ref, error);
  sf_storage_close(storage);
  return code;
}

sf_code sf_snapshot_rollback(const char *root, const sf_reader_options *given, const char *target, char **manifest_ref,
                             sf_error *error) {
  sf_reader_options options;
  SF_TRY(sf_reader_options_read(given, &options, error));
  return roll_back_root(root, &options, target, NULL, manifest_ref, error);
}

typedef struct rollback_context {
  char *root;
  char *target;
  sf_reader_options options;
} rollback_context;

static void free_context(void *context) {
  rollback_context *freed = context;
  sf_reader_options_copy_free(&freed->options);
  free(freed->root);
  free(freed->target);
  free(freed);
}

static const sf_outcome_kind live_manifest_ref = {.name = "rollback", .free = sf_outcome_free_block};

static sf_code run(void *context, const sf_cancellation *cancellation, sf_outcome *outcome, sf_error *error) {
  const rollback_context *of = context;
  char *manifest_ref = NULL;
  sf_code code = roll_back_root(of->root, &of->options, of->target, cancellation, &manifest_ref, error);
  *outcome = (sf_outcome){.kind = &live_manifest_ref, .value = manifest_ref};
  return code;
}

char *sf_operation_take_rollback(sf_operation *operation) {
  return sf_operation_take(operation, &live_manifest_ref, NULL);
}

sf_code sf_snapshot_rollback_submit(const char *root, const sf_reader_options *given, const char *target,
                                    sf_executor *executor, sf_completion_queue *queue, void *user_data,
                                    sf_operation **operation, sf_error *error) {
  static const sf_job_functions functions = {.run = run, .free_context = free_context};
  rollback_context *context = sf_calloc(1, sizeof(*context));
  if (context == NULL)
    return sf_fail_memory(error, "operation");
  sf_code code = sf_reader_options_copy(given, &context->options, error);
  if (code == SF_OK) {
    context->root = sf_strdup(root);
    context->target = sf_strdup(target);
    if ((root != NULL && context->root == NULL) || (target != NULL && context->target == NULL))
      code = sf_fail_memory(error, "operation");
  }
  if (code != SF_OK) {
    free_context(context);
    return code;
  }
  return sf_job_submit(executor, queue, user_data, &functions, context, operation, error);
}
