/* Finishing a build: complete shards, artifacts, the manifest, `_CURRENT`; in this order. */
#include "async/operation.h"
#include "base/block.h"
#include "base/memory.h"
#include "base/time.h"
#include "snapshot/manifest_writer.h"
#include "snapshot/npy_writer.h"
#include "snapshot/publish.h"
#include "writer/builder.h"

#include <stdio.h>
#include <string.h>

static double seconds_since(uint64_t started) {
  return (double)(sf_monotonic_nanoseconds() - started) / 1e9;
}

/* ------------------------------------------------------------------------------------------------------- Completing */

static sf_code check_ids(sf_builder *builder, sf_error *error) {
  sf_same_ids same = {0};
  if (builder->ids == NULL)
    return SF_OK;
  SF_TRY(sf_unique_ids_check(builder->ids, &same, error));
  if (!same.found)
    return SF_OK;
  return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "%s: %s %llu: expected an id of its own, found that of %s %llu%s",
                 builder->ids_name, builder->row_word, (unsigned long long)(builder->first_number + same.second_row),
                 builder->row_word, (unsigned long long)(builder->first_number + same.first_row),
                 builder->plan.format->has_string_ids_only ? " (lance stores every id as text: 1 is \"1\")" : "");
}

static bool tell_of_shards(uint32_t shards_done, uint32_t shards_total, uint64_t bytes_done, void *user_data) {
  sf_builder *builder = user_data;
  builder->state.shards_done = shards_done;
  builder->state.shards_total = shards_total;
  builder->state.bytes_done = bytes_done;
  return sf_builder_report_progress(builder, NULL) == SF_OK;
}

static sf_code complete(sf_builder *builder, sf_error *error) {
  if (builder->num_rows == 0)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "expected at least one row, found none");
  SF_TRY(check_ids(builder, error));
  if (builder->assigner == NULL)
    SF_TRY(sf_builder_train_kept(builder, error));
  builder->state.phase = SF_BUILD_FINISHING;
  SF_TRY(sf_builder_report_progress(builder, error));
  SF_TRY(sf_worker_pool_finish(builder->set, tell_of_shards, builder, builder->cancellation, error));
  return sf_run_record_renew(&builder->record, builder->storage, builder->cancellation, error);
}

/* ----------------------------------------------------------------------------------------------------------- Result */

static size_t url_size(const sf_builder *builder) {
  return strlen(builder->s3_prefix) + strlen(builder->shards_key) + 34; /* two slashes, the shard's name and a NUL */
}

static void describe_shards(const sf_builder *builder, sf_built_shard *shards, char **text, sf_build_result *result) {
  const sf_shard_record *records = sf_worker_pool_records(builder->set);
  for (uint32_t id = 0; id < builder->plan.num_dbs; id++) {
    shards[id] = (sf_built_shard){.db_id = id, .num_rows = records[id].num_rows, .num_bytes = records[id].num_bytes};
    if (records[id].num_rows == 0)
      continue;
    char name[32];
    sf_shard_name(id, name);
    shards[id].db_url = *text;
    *text += snprintf(*text, url_size(builder), "%s/%s/%s", builder->s3_prefix, builder->shards_key, name) + 1;
    result->num_shards++;
    result->num_bytes += records[id].num_bytes;
  }
}

static sf_code describe(const sf_builder *builder, const char *ref, sf_build_result **described, sf_error *error) {
  uint32_t num_dbs = builder->plan.num_dbs;
  size_t size = sizeof(sf_build_result) + num_dbs * (sizeof(sf_built_shard) + url_size(builder)) +
                sf_block_text_size(builder->run_id) + sf_block_text_size(ref);
  sf_build_result *result = sf_calloc(1, size);
  if (result == NULL)
    return sf_fail_memory(error, "result of the build");
  sf_built_shard *shards = (void *)(result + 1);
  char *text = (char *)(shards + num_dbs);
  *result = (sf_build_result){.num_rows = builder->num_rows,
                              .dim = builder->plan.dim,
                              .num_dbs = num_dbs,
                              .shards = shards,
                              .training_seconds = builder->training_seconds,
                              .writing_seconds = builder->writing_seconds,
                              .finishing_seconds = builder->finishing_seconds};
  result->run_id = sf_block_copy_text(&text, builder->run_id);
  result->manifest_ref = sf_block_copy_text(&text, ref);
  describe_shards(builder, shards, &text, result);
  *described = result;
  return SF_OK;
}

/* ------------------------------------------------------------------------------------------------------- Publishing */

static sf_code put_array(sf_builder *builder, const char *name, const float *values, size_t num_rows, sf_error *error) {
  char *key = sf_format("vector_meta/run_id=%s/%s", builder->run_id, name);
  sf_buffer bytes = {0};
  sf_code code =
      key == NULL || !sf_npy_append(values, num_rows, builder->plan.dim, &bytes)
          ? sf_fail_memory(error, name)
          : sf_storage_put(builder->storage, key, bytes.data, bytes.length, NULL, builder->cancellation, NULL, error);
  sf_buffer_free(&bytes);
  free(key);
  return code;
}

static sf_code put_artifacts(sf_builder *builder, sf_error *error) {
  const sf_build_plan *plan = &builder->plan;
  if (plan->routing.strategy == SF_SHARDING_CLUSTER)
    return put_array(builder, "centroids.npy", plan->centroids, plan->num_dbs, error);
  if (plan->routing.strategy == SF_SHARDING_LSH)
    return put_array(builder, "hyperplanes.npy", plan->hyperplanes, plan->routing.num_hash_bits, error);
  return SF_OK;
}

static sf_code put_manifest(sf_builder *builder, const char *key, const sf_buffer *bytes, sf_error *error) {
  const sf_put_condition condition = {.if_none_match = true};
  bool stored = false;
  SF_TRY(sf_storage_put(builder->storage, key, bytes->data, bytes->length, &condition, builder->cancellation, &stored,
                        error));
  return stored ? SF_OK : sf_fail(error, SF_ERROR, "%s: expected no %s yet, found one", builder->storage->root, key);
}

/* From here on the snapshot is one of those that can be rolled back to: nothing of it is removed any more. */
static sf_code make_live(sf_builder *builder, const char *key, const char *ref, const sf_buffer *manifest,
                         sf_error *error) {
  SF_TRY(sf_routing_check_run(&builder->check, &builder->plan, manifest, ref, builder->storage, builder->cancellation,
                              error));
  SF_TRY(put_manifest(builder, key, manifest, error));
  builder->is_published = true;
  sf_error failure;
  sf_code code = sf_publish_pointer(builder->storage, ref, builder->run_id, builder->cancellation, &failure);
  if (code != SF_OK) {
    sf_error_prefix(&failure, "%s is published, but _CURRENT does not point to it", ref);
    if (error != NULL)
      *error = failure;
    return code;
  }
  if (sf_run_record_succeed(&builder->record, builder->storage, ref, builder->cancellation, &failure) != SF_OK)
    sf_log_message(&builder->log, SF_LOG_WARNING, "the snapshot is live, but its record is not complete: %s",
                   failure.message);
  return SF_OK;
}

static sf_code publish(sf_builder *builder, sf_build_result **result, sf_error *error) {
  char now[SF_TIMESTAMP_SIZE];
  sf_buffer manifest = {0};
  builder->state.phase = SF_BUILD_PUBLISHING;
  SF_TRY(sf_builder_report_progress(builder, error));
  SF_TRY(put_artifacts(builder, error));
  sf_timestamp_now(now);
  const sf_manifest_facts facts = {.plan = &builder->plan,
                                   .run_id = builder->run_id,
                                   .created_at = now,
                                   .s3_prefix = builder->s3_prefix,
                                   .shards = sf_worker_pool_records(builder->set),
                                   .has_integer_ids = builder->plan.keeps_integer_ids && !builder->has_string_ids &&
                                                      builder->plan.format->has_string_ids_only};
  char *key = sf_format("manifests/%s_run_id=%s/manifest", now, builder->run_id);
  char *ref = key == NULL ? NULL : sf_format("%s/%s", builder->s3_prefix, key);
  sf_code code =
      ref == NULL ? sf_fail_memory(error, "reference of the manifest") : sf_manifest_write(&facts, &manifest, error);
  if (code == SF_OK && (builder->manifest_folder = sf_format("manifests/%s_run_id=%s/", now, builder->run_id)) == NULL)
    code = sf_fail_memory(error, "key of the manifest");
  /* Before the snapshot is live: a build that fails after that would have been done all the same. */
  if (code == SF_OK)
    code = describe(builder, ref, result, error);
  if (code == SF_OK)
    code = make_live(builder, key, ref, &manifest, error);
  sf_buffer_free(&manifest);
  free(key);
  free(ref);
  return code;
}

static sf_code finish(sf_builder *builder, sf_build_result **result, sf_error *error) {
  sf_build_result *described = NULL;
  uint64_t started = sf_monotonic_nanoseconds();
  double trained = builder->training_seconds;
  sf_code code = complete(builder, error);
  builder->finishing_seconds = seconds_since(started) - (builder->training_seconds - trained);
  started = sf_monotonic_nanoseconds();
  if (code == SF_OK)
    code = publish(builder, &described, error);
  if (code == SF_OK) {
    described->publishing_seconds = seconds_since(started);
    *result = described;
  } else
    free(described);
  builder->has_failed = true; /* or finished: there is nothing more to do with it */
  return code;
}

sf_code sf_builder_finish(sf_builder *builder, sf_build_result **result, sf_error *error) {
  SF_TRY(sf_builder_check(builder, error));
  return finish(builder, result, error);
}

static sf_code run_finish(void *context, const sf_cancellation *cancellation, sf_outcome *outcome, sf_error *error) {
  sf_builder *builder = context;
  builder->cancellation = cancellation;
  sf_code code = finish(builder, &outcome->build_result, error);
  builder->cancellation = NULL;
  return code;
}

/* The builder is the submitter's. */
static void keep_builder(void *context) {
  (void)context;
}

sf_code sf_builder_finish_submit(sf_builder *builder, sf_completion_queue *queue, void *user_data,
                                 sf_operation **operation, sf_error *error) {
  static const sf_job_functions functions = {.run = run_finish, .free_context = keep_builder};
  SF_TRY(sf_builder_check(builder, error));
  return sf_job_submit(builder->executor, queue, user_data, &functions, builder, operation, error);
}
