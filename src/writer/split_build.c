/* A build in several processes: the driver, which publishes what workers elsewhere wrote, and the router of a partition. */
#include "base/files.h"
#include "base/memory.h"
#include "shardyfusion/distributed.h"
#include "writer/builder.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const sf_code invalid = SF_CONFIG_VALIDATION_ERROR;

static sf_code check_role(const sf_builder *builder, sf_build_role role, sf_error *error) {
  SF_TRY(sf_builder_check(builder, error));
  if (builder->role == role)
    return SF_OK;
  return sf_fail(error, invalid, "builder: expected a %s, found another role",
                 role == SF_BUILD_DRIVER ? "driver" : "router");
}

/* ---------------------------------------------------------------------------------------------------------- The driver */

/* Routers make no folder of the run: one that outlives it fails. */
static sf_code make_partition_folder(sf_builder *builder, sf_error *error) {
  char *path = sf_format("%s/" SF_PARTITION_FOLDER, builder->shards_directory);
  sf_code code = path == NULL ? sf_fail_memory(error, "path of partition files") : sf_make_folders(path, error);
  free(path);
  return code;
}

sf_code sf_builder_open_driver(sf_builder *builder, sf_error *error) {
  if (builder->storage->vtable->is_remote)
    return SF_OK;
  SF_TRY(sf_builder_open_directory(builder, NULL, error));
  return make_partition_folder(builder, error);
}

const char *sf_builder_run_id(const sf_builder *builder) {
  return builder->run_id;
}

uint32_t sf_builder_num_dbs(const sf_builder *builder) {
  return builder->plan.num_dbs;
}

sf_code sf_builder_artifact(sf_builder *builder, const float **artifact, size_t *num_rows, size_t *dim,
                            sf_error *error) {
  sf_build_plan *plan = &builder->plan;
  SF_TRY(check_role(builder, SF_BUILD_DRIVER, error));
  if (plan->dim == 0)
    return sf_fail(error, invalid, "dim: expected it in the options of a driver, found 0");
  SF_TRY(sf_build_plan_take_dim(plan, plan->dim, "dim", error));
  if (sf_build_plan_needs_training(plan))
    return sf_fail(error, invalid, "centroids: expected them, or training, found neither");
  *artifact = plan->artifact;
  *num_rows = sf_build_plan_artifact_rows(plan);
  *dim = plan->dim;
  return SF_OK;
}

static sf_code adopt(sf_builder *builder, const sf_written_shard *shards, size_t num_shards, const uint64_t *shard_rows,
                     sf_error *error) {
  uint32_t num_dbs = builder->plan.num_dbs;
  sf_shard_result *results = sf_calloc(num_dbs, sizeof(*results));
  if (results == NULL)
    return sf_fail_memory(error, "results of shards");
  sf_code code = SF_OK;
  for (uint32_t id = 0; id < num_dbs; id++)
    results[id].db_id = id;
  for (size_t i = 0; i < num_shards && code == SF_OK; i++) {
    const sf_written_shard *shard = &shards[i];
    if (shard->db_id >= num_dbs || results[shard->db_id].num_rows != 0) {
      code = sf_fail(error, invalid, "shard %u: expected one result of shards 0 to %u each, found another",
                     (unsigned)shard->db_id, (unsigned)(num_dbs - 1));
      break;
    }
    sf_shard_result *result = &results[shard->db_id];
    *result = (sf_shard_result){
        .db_id = shard->db_id, .attempt = shard->attempt, .num_rows = shard->num_rows, .num_bytes = shard->num_bytes};
    snprintf(result->checkpoint_id, sizeof(result->checkpoint_id), "%.*s", SF_HEX_ID_SIZE - 1, shard->checkpoint_id);
  }
  if (code == SF_OK)
    sf_worker_pool_adopt(builder->workers, results, shard_rows);
  free(results);
  return code;
}

static sf_code make_pool(sf_builder *builder, sf_error *error) {
  const sf_worker_pool_params params = {.plan = &builder->plan,
                                        .threads = builder->threads,
                                        .storage = builder->storage,
                                        .run_key = builder->shards_key,
                                        .is_elsewhere = true};
  return sf_worker_pool_create(&params, &builder->workers, error);
}

/* Rows that a reader has to route where they are. A named shard is not routed to. */
static sf_code see_samples(sf_builder *builder, const sf_written_shard *shards, size_t num_shards, const float *samples,
                           sf_error *error) {
  if (samples == NULL || sf_build_plan_routing(&builder->plan)->input != SF_ROUTE_BY_VECTOR)
    return SF_OK;
  for (size_t i = 0; i < num_shards; i++)
    SF_TRY(sf_routing_check_see(&builder->check, &builder->plan, samples + i * builder->plan.dim, NULL, shards[i].db_id,
                                error));
  return SF_OK;
}

/* ----------------------------------------------------------------------------------------------------- What is left over */

/* Removes the attempts at a shard that are not `kept` (NULL: all of them). */
static sf_code remove_attempts(const sf_builder *builder, const char *shard, const char *kept, sf_error *error) {
  sf_storage_names names;
  SF_TRY(sf_storage_list_names(builder->storage, shard, builder->cancellation, &names, error));
  sf_code code = SF_OK;
  for (size_t i = 0; i < names.count && code == SF_OK; i++) {
    char *attempt = sf_format("%s%s", shard, names.names[i]);
    if (attempt == NULL)
      code = sf_fail_memory(error, "attempts at a shard");
    else if (kept == NULL || strcmp(attempt, kept) != 0)
      code = sf_storage_remove_all(builder->storage, attempt, builder->cancellation, error);
    free(attempt);
  }
  sf_storage_names_free(&names);
  return code;
}

/* The key of the attempt that is published, for a folder of attempts; *kept stays NULL where there is none. */
static sf_code find_kept(const sf_builder *builder, const char *folder, char **kept, sf_error *error) {
  const sf_shard_result *results = sf_worker_pool_results(builder->workers);
  unsigned db_id;
  if (sscanf(folder, "db=%u/", &db_id) != 1 || db_id >= builder->plan.num_dbs || results[db_id].num_rows == 0)
    return SF_OK;
  char prefix[SF_SHARD_PREFIX_SIZE];
  sf_shard_prefix(db_id, results[db_id].attempt, prefix);
  *kept = sf_format("%s/%s/", builder->shards_key, prefix);
  return *kept != NULL ? SF_OK : sf_fail_memory(error, "attempts at a shard");
}

static sf_code remove_losers(const sf_builder *builder, sf_error *error) {
  sf_storage_names names = {0};
  char *run = sf_format("%s/", builder->shards_key);
  sf_code code = run == NULL ? sf_fail_memory(error, "attempts at shards")
                             : sf_storage_list_names(builder->storage, run, builder->cancellation, &names, error);
  for (size_t i = 0; code == SF_OK && i < names.count; i++) {
    char *kept = NULL;
    char *shard = sf_format("%s%s", run, names.names[i]);
    code =
        shard == NULL ? sf_fail_memory(error, "attempts at shards") : find_kept(builder, names.names[i], &kept, error);
    if (code == SF_OK && strncmp(names.names[i], "db=", 3) == 0)
      code = remove_attempts(builder, shard, kept, error);
    free(kept);
    free(shard);
  }
  sf_storage_names_free(&names);
  free(run);
  return code;
}

/* Before anything is published: afterwards, the run's folder is a snapshot's. Without the right to remove, all of it stays. */
static sf_code remove_scratch(const sf_builder *builder, sf_error *error) {
  sf_error failure;
  char *partitions = sf_partition_folder(builder->run_id);
  sf_code code = partitions == NULL
                     ? sf_fail_memory(&failure, "key of partition files")
                     : sf_storage_remove_all(builder->storage, partitions, builder->cancellation, &failure);
  free(partitions);
  if (code == SF_OK)
    code = remove_losers(builder, &failure);
  if (code == SF_OK)
    return SF_OK;
  if (code == SF_CANCELLED_ERROR || code == SF_OUT_OF_MEMORY_ERROR) {
    if (error != NULL)
      *error = failure;
    return code;
  }
  sf_log_message(&builder->log, SF_LOG_WARNING, "%s/%s: partition files and attempts that lost are left: %s",
                 builder->storage->root, builder->shards_key, failure.message);
  return SF_OK;
}

static sf_code publish(sf_builder *builder, const sf_written_shard *shards, size_t num_shards,
                       const uint64_t *shard_rows, const float *samples, sf_build_result **result, sf_error *error) {
  const float *artifact;
  size_t num_rows;
  size_t dim;
  SF_TRY(sf_builder_artifact(builder, &artifact, &num_rows, &dim, error));
  SF_TRY(make_pool(builder, error));
  SF_TRY(adopt(builder, shards, num_shards, shard_rows, error));
  SF_TRY(see_samples(builder, shards, num_shards, samples, error));
  for (uint32_t id = 0; id < builder->plan.num_dbs; id++)
    builder->num_rows += shard_rows[id];
  builder->has_string_ids = true; /* or not known */
  if (builder->num_rows == 0)
    return sf_fail(error, invalid, "expected at least one row, found none");
  SF_TRY(remove_scratch(builder, error));
  return sf_builder_publish_workers(builder, result, error);
}

sf_code sf_builder_publish(sf_builder *builder, const sf_written_shard *shards, size_t num_shards,
                           const uint64_t *shard_rows, const float *samples, sf_build_result **result,
                           sf_error *error) {
  sf_build_result *described = NULL;
  SF_TRY(check_role(builder, SF_BUILD_DRIVER, error));
  sf_code code = publish(builder, shards, num_shards, shard_rows, samples, &described, error);
  builder->has_failed = true; /* or finished */
  if (code == SF_OK)
    *result = described;
  else
    free(described);
  return code;
}

/* ---------------------------------------------------------------------------------------------------------- The router */

static sf_code open_staging(sf_builder *builder, const char *staging_dir, sf_error *error) {
  char uuid[SF_UUID_SIZE];
  SF_TRY(sf_uuid_make(uuid, error));
  char *name = sf_format("%s-%s", builder->run_id, uuid);
  sf_code code = name == NULL ? sf_fail_memory(error, "path of the staging folder")
                              : sf_staging_open(staging_dir, name, &builder->log, &builder->staging, error);
  free(name);
  return code;
}

sf_code sf_builder_open_router(sf_builder *builder, const char *staging_dir, sf_error *error) {
  if (sf_build_plan_needs_training(&builder->plan))
    return sf_fail(error, invalid, "centroids: expected the driver's, found none");
  return builder->storage->vtable->is_remote ? open_staging(builder, staging_dir, error) : SF_OK;
}

sf_code sf_builder_finish_partition(sf_builder *builder, sf_partition **partition, sf_error *error) {
  SF_TRY(check_role(builder, SF_BUILD_ROUTER, error));
  builder->has_failed = true; /* or finished */
  if (builder->partition != NULL)
    return sf_partition_writer_finish(builder->partition, builder->num_rows, builder->cancellation, partition, error);
  sf_partition *empty = sf_calloc(1, sizeof(*empty));
  if (empty == NULL)
    return sf_fail_memory(error, "partition");
  *partition = empty;
  return SF_OK;
}
