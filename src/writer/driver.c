#include "writer/driver.h"

#include "base/files.h"
#include "base/hexadecimal.h"
#include "snapshot/npy.h"
#include "snapshot/npy_writer.h"
#include "snapshot/publish.h"

#include <string.h>

static const sf_code invalid = SF_CONFIG_VALIDATION_ERROR;

/* --------------------------------------------------------------------------------------------------------- Coverage */

static bool is_checkpoint_id(const char *id) {
  size_t length = 0;
  while (length < SF_HEX_ID_SIZE - 1 && sf_is_hexadecimal_digit(id[length]))
    length++;
  return length == SF_HEX_ID_SIZE - 1 && id[length] == '\0';
}

static sf_code check_result(const sf_driver_params *params, const sf_shard_result *result, sf_error *error) {
  unsigned id = (unsigned)result->db_id;
  if (result->num_rows > INT64_MAX || result->num_bytes > INT64_MAX)
    return sf_fail(error, invalid, "shard %u: expected rows and bytes that fit in 63 bits, found %llu and %llu", id,
                   (unsigned long long)result->num_rows, (unsigned long long)result->num_bytes);
  if (params->shard_rows != NULL && result->num_rows != params->shard_rows[result->db_id])
    return sf_fail(error, invalid, "shard %u: expected %llu rows, as many as were assigned to it, found %llu", id,
                   (unsigned long long)params->shard_rows[result->db_id], (unsigned long long)result->num_rows);
  if (result->num_rows > 0 && !is_checkpoint_id(result->checkpoint_id))
    return sf_fail(error, invalid, "shard %u: expected a checkpoint id of %d hexadecimal digits, found another", id,
                   SF_HEX_ID_SIZE - 1);
  return SF_OK;
}

/* Puts the results in the order of their shards. `is_covered` has num_dbs elements, all false. */
static sf_code cover(const sf_driver_params *params, const sf_shard_result *results, size_t num_results,
                     bool *is_covered, sf_shard_result *shards, sf_error *error) {
  uint32_t num_dbs = params->facts.num_dbs;
  uint64_t total = 0;
  for (size_t i = 0; i < num_results; i++) {
    const sf_shard_result *result = &results[i];
    if (result->db_id >= num_dbs)
      return sf_fail(error, invalid, "shard %u: expected results of shards 0 to %u, found one of it",
                     (unsigned)result->db_id, (unsigned)(num_dbs - 1));
    if (is_covered[result->db_id])
      return sf_fail(error, invalid, "shard %u: expected one result, found another", (unsigned)result->db_id);
    SF_TRY(check_result(params, result, error));
    is_covered[result->db_id] = true;
    if (shards != NULL)
      shards[result->db_id] = *result;
    if (__builtin_add_overflow(total, result->num_rows, &total))
      total = UINT64_MAX;
  }
  for (uint32_t id = 0; id < num_dbs; id++)
    if (!is_covered[id])
      return sf_fail(error, invalid, "shard %u: expected a result, found none", (unsigned)id);
  if (total == params->num_rows)
    return SF_OK;
  return sf_fail(error, invalid, "shards: expected %llu rows in all, found %llu", (unsigned long long)params->num_rows,
                 (unsigned long long)total);
}

static sf_code check_coverage(const sf_driver_params *params, const sf_shard_result *results, size_t num_results,
                              sf_shard_result *shards, sf_error *error) {
  bool *is_covered = sf_calloc(params->facts.num_dbs, sizeof(bool));
  if (is_covered == NULL)
    return sf_fail_memory(error, "results of shards");
  sf_code code = cover(params, results, num_results, is_covered, shards, error);
  free(is_covered);
  return code;
}

sf_code sf_driver_check(const sf_driver_params *params, const sf_shard_result *results, size_t num_results,
                        sf_error *error) {
  return check_coverage(params, results, num_results, NULL, error);
}

/* -------------------------------------------------------------------------------------------------------- Preparing */

/* Shards in a directory: their folders' names, and the run's, are on disk once the folders above are synced. */
static sf_code sync_run_folder(const sf_driver_params *params, sf_error *error) {
  if (params->storage->vtable->is_remote)
    return SF_OK;
  char *shards = sf_format("%s/shards", params->storage->root);
  char *run = sf_format("%s/shards/run_id=%s", params->storage->root, params->facts.run_id);
  sf_code code = shards == NULL || run == NULL ? sf_fail_memory(error, "path of a folder") : SF_OK;
  if (code == SF_OK) {
    sf_sync_folder(run);
    sf_sync_folder(shards);
    sf_sync_folder(params->storage->root);
  }
  free(shards);
  free(run);
  return code;
}

static sf_code put_artifact(const sf_driver_params *params, const sf_cancellation *cancellation, sf_error *error) {
  const sf_manifest_facts *facts = &params->facts;
  const sf_routing_artifact *artifact = sf_routing_strategy_of(facts->routing->strategy)->artifact;
  if (artifact == NULL)
    return SF_OK;
  size_t num_rows = artifact->num_rows(facts->routing, facts->num_dbs);
  char *key = sf_format("vector_meta/run_id=%s/%s", facts->run_id, artifact->file);
  sf_buffer bytes = {0};
  sf_code code = key == NULL || !sf_npy_append(params->artifact, num_rows, facts->dim, &bytes)
                     ? sf_fail_memory(error, artifact->name)
                     : sf_storage_put(params->storage, key, bytes.data, bytes.length, NULL, cancellation, NULL, error);
  sf_buffer_free(&bytes);
  free(key);
  return code;
}

static sf_code make_manifest(sf_driver *driver, sf_error *error) {
  sf_manifest_facts facts = driver->params.facts;
  sf_timestamp_now(driver->created_at);
  facts.created_at = driver->created_at;
  facts.shards = driver->shards;
  SF_TRY(sf_manifest_write(&facts, &driver->manifest, error));
  driver->manifest_ref =
      sf_format("%s/manifests/%s_run_id=%s/manifest", facts.s3_prefix, driver->created_at, facts.run_id);
  if (driver->manifest_ref == NULL)
    return sf_fail_memory(error, "reference of the manifest");
  driver->manifest_folder = sf_format("manifests/%s_run_id=%s/", driver->created_at, facts.run_id);
  return driver->manifest_folder != NULL ? SF_OK : sf_fail_memory(error, "key of the manifest");
}

sf_code sf_driver_prepare(sf_driver *driver, const sf_driver_params *params, const sf_shard_result *results,
                          size_t num_results, const sf_cancellation *cancellation, sf_error *error) {
  driver->params = *params;
  driver->shards = sf_calloc(params->facts.num_dbs, sizeof(*driver->shards));
  if (driver->shards == NULL)
    return sf_fail_memory(error, "results of shards");
  SF_TRY(check_coverage(params, results, num_results, driver->shards, error));
  SF_TRY(sync_run_folder(params, error));
  SF_TRY(put_artifact(params, cancellation, error));
  return make_manifest(driver, error);
}

/* ------------------------------------------------------------------------------------------------------- Publishing */

static sf_code put_manifest(const sf_driver *driver, const sf_cancellation *cancellation, sf_error *error) {
  const sf_put_condition condition = {.if_none_match = true};
  sf_storage *storage = driver->params.storage;
  bool stored = false;
  char *key = sf_format("%smanifest", driver->manifest_folder);
  sf_code code = key == NULL ? sf_fail_memory(error, "key of the manifest")
                             : sf_storage_put(storage, key, driver->manifest.data, driver->manifest.length, &condition,
                                              cancellation, &stored, error);
  if (code == SF_OK && !stored)
    code = sf_fail(error, SF_ERROR, "%s: expected no %s yet, found one", storage->root, key);
  free(key);
  return code;
}

sf_code sf_driver_publish(sf_driver *driver, const sf_cancellation *cancellation, sf_error *error) {
  SF_TRY(put_manifest(driver, cancellation, error));
  /* The snapshot is now one of those that can be rolled back to. */
  driver->is_published = true;
  sf_error failure;
  sf_code code = sf_publish_pointer(driver->params.storage, driver->manifest_ref, driver->params.facts.run_id,
                                    cancellation, &failure);
  if (code == SF_OK)
    return SF_OK;
  sf_error_prefix(&failure, "%s is published, but _CURRENT does not point to it", driver->manifest_ref);
  if (error != NULL)
    *error = failure;
  return code;
}

void sf_driver_free(sf_driver *driver) {
  free(driver->shards);
  sf_buffer_free(&driver->manifest);
  free(driver->manifest_folder);
  free(driver->manifest_ref);
  *driver = (sf_driver){0};
}
