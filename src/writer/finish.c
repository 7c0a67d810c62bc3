/* Finishing a build: complete shards, artifacts, the manifest, `_CURRENT`; in this order. */
#include "async/operation.h"
#include "base/memory.h"
#include "base/time.h"
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

/* What the first rows would have begun. */
static sf_code begin_without_rows(sf_builder *builder, sf_error *error) {
  if (!builder->allows_no_rows)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "expected at least one row, found none");
  if (sf_build_plan_needs_training(&builder->plan))
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "training: expected at least one row, found none");
  sf_log_message(&builder->log, SF_LOG_WARNING, "%s: no rows: the snapshot is empty", builder->storage->root);
  SF_TRY(sf_build_plan_take_dim(&builder->plan, builder->plan.dim, "dim", error));
  return builder->assigner != NULL ? SF_OK : sf_builder_begin_rows(builder, error);
}

static sf_code complete(sf_builder *builder, sf_error *error) {
  if (builder->num_rows == 0)
    SF_TRY(begin_without_rows(builder, error));
  SF_TRY(check_ids(builder, error));
  if (builder->assigner == NULL)
    SF_TRY(sf_builder_train_kept(builder, error));
  builder->state.phase = SF_BUILD_FINISHING;
  SF_TRY(sf_builder_report_progress(builder, error));
  return sf_worker_pool_finish(builder->workers, tell_of_shards, builder, builder->cancellation, error);
}

/* ----------------------------------------------------------------------------------------------------------- Result */

static size_t url_size(const sf_builder *builder) {
  return strlen(builder->s3_prefix) + strlen(builder->shards_key) + SF_SHARD_PREFIX_SIZE + 2; /* two slashes */
}

static void describe_shards(const sf_builder *builder, sf_built_shard *shards, char **text, sf_build_result *result) {
  const sf_shard_result *written = sf_worker_pool_results(builder->workers);
  for (uint32_t id = 0; id < builder->plan.num_dbs; id++) {
    shards[id] = (sf_built_shard){.db_id = id, .num_rows = written[id].num_rows, .num_bytes = written[id].num_bytes};
    if (written[id].num_rows == 0)
      continue;
    char prefix[SF_SHARD_PREFIX_SIZE];
    sf_shard_prefix(id, written[id].attempt, prefix);
    shards[id].attempt = written[id].attempt;
    shards[id].checkpoint_id = sf_block_copy_text(text, written[id].checkpoint_id);
    shards[id].db_url = *text;
    *text += snprintf(*text, url_size(builder), "%s/%s/%s", builder->s3_prefix, builder->shards_key, prefix) + 1;
    result->num_shards++;
    result->num_bytes += written[id].num_bytes;
  }
}

static sf_code describe(const sf_builder *builder, const char *ref, sf_build_result **described, sf_error *error) {
  uint32_t num_dbs = builder->plan.num_dbs;
  char *record = sf_format("%s/%s", builder->s3_prefix, builder->record.key);
  size_t size = sizeof(sf_build_result) + num_dbs * (sizeof(sf_built_shard) + url_size(builder) + SF_HEX_ID_SIZE) +
                sf_block_text_size(builder->run_id) + sf_block_text_size(ref) + sf_block_text_size(record) +
                builder->driver.manifest.length;
  sf_build_result *result = record == NULL ? NULL : sf_calloc(1, size);
  if (result == NULL) {
    free(record);
    return sf_fail_memory(error, "result of the build");
  }
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
  result->run_record_ref = sf_block_copy_text(&text, record);
  free(record);
  describe_shards(builder, shards, &text, result);
  result->manifest = memcpy(text, builder->driver.manifest.data, builder->driver.manifest.length);
  result->manifest_length = builder->driver.manifest.length;
  *described = result;
  return SF_OK;
}

const sf_built_shard *sf_build_result_shard(const sf_build_result *result, uint32_t db_id) {
  return db_id < result->num_dbs ? &result->shards[db_id] : NULL;
}

/* ------------------------------------------------------------------------------------------------------- Publishing */

static sf_driver_params driver_params(const sf_builder *builder) {
  const sf_build_plan *plan = &builder->plan;
  return (sf_driver_params){.storage = builder->storage,
                            .facts = {.run_id = builder->run_id,
                                      .s3_prefix = builder->s3_prefix,
                                      .num_dbs = plan->num_dbs,
                                      .dim = plan->dim,
                                      .metric = plan->metric,
                                      .has_integer_ids = plan->keeps_integer_ids && !builder->has_string_ids &&
                                                         plan->format->has_string_ids_only,
                                      .routing = &plan->routing},
                            .artifact = plan->artifact,
                            .num_rows = builder->num_rows,
                            .shard_rows = sf_worker_pool_rows(builder->workers)};
}

/* The record only informs: without it, the snapshot is live all the same. */
static void complete_record(sf_builder *builder) {
  sf_error failure;
  const char *ref = builder->leaves_unpublished ? NULL : builder->driver.manifest_ref;
  sf_heartbeat_stop(builder->heartbeat);
  builder->heartbeat = NULL;
  if (sf_run_record_succeed(&builder->record, builder->storage, ref, builder->cancellation, &failure) != SF_OK)
    sf_log_message(&builder->log, SF_LOG_WARNING, "the snapshot is live, but its record is not complete: %s",
                   failure.message);
}

sf_code sf_builder_publish_workers(sf_builder *builder, sf_build_result **result, sf_error *error) {
  sf_driver *driver = &builder->driver;
  builder->state.phase = SF_BUILD_PUBLISHING;
  SF_TRY(sf_builder_report_progress(builder, error));
  const sf_driver_params params = driver_params(builder);
  SF_TRY(sf_driver_prepare(driver, &params, sf_worker_pool_results(builder->workers), builder->plan.num_dbs,
                           builder->cancellation, error));
  /* Before the snapshot is live: a build whose result can't be allocated must fail while it can still be undone. */
  SF_TRY(describe(builder, driver->manifest_ref, result, error));
  SF_TRY(sf_routing_check_run(&builder->check, &builder->plan, &driver->manifest, driver->manifest_ref,
                              builder->storage, builder->cancellation, error));
  if (builder->leaves_unpublished)
    driver->is_published = true; /* by the caller, who has the manifest */
  else
    SF_TRY(sf_driver_publish(driver, builder->cancellation, error));
  complete_record(builder);
  return SF_OK;
}

static sf_code finish(sf_builder *builder, sf_build_result **result, sf_error *error) {
  sf_build_result *described = NULL;
  uint64_t started = sf_monotonic_nanoseconds();
  double trained = builder->training_seconds;
  sf_code code = complete(builder, error);
  builder->finishing_seconds = seconds_since(started) - (builder->training_seconds - trained);
  started = sf_monotonic_nanoseconds();
  if (code == SF_OK)
    code = sf_builder_publish_workers(builder, &described, error);
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
  if (builder->role != SF_BUILD_ALONE)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "the builder is one of several: only one that is alone finishes");
  return finish(builder, result, error);
}

static const sf_outcome_kind build_result = {.name = "build result", .free = sf_outcome_free_block};

static sf_code run_finish(void *context, const sf_cancellation *cancellation, sf_outcome *outcome, sf_error *error) {
  sf_builder *builder = context;
  builder->cancellation = cancellation;
  sf_build_result *result = NULL;
  sf_code code = finish(builder, &result, error);
  *outcome = (sf_outcome){.kind = &build_result, .value = result};
  builder->cancellation = NULL;
  return code;
}

sf_build_result *sf_operation_take_build_result(sf_operation *operation) {
  return sf_operation_take(operation, &build_result, NULL);
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
