/* Rows that were checked and assigned go to the workers of their shards: from add.c, and from train.c once it has centroids. */
#include "base/memory.h"
#include "writer/builder.h"

/* What a router has instead of workers. Its buffers grow by doubling, so that a quarter of the memory becomes half of it. */
static sf_code begin_partition(sf_builder *builder, sf_error *error) {
  const sf_partition_writer_params params = {.storage = builder->storage,
                                             .run_id = builder->run_id,
                                             .staging_directory = builder->staging.path,
                                             .num_dbs = builder->plan.num_dbs,
                                             .dim = builder->plan.dim,
                                             .max_bytes = (size_t)(builder->plan.max_memory_bytes / 4)};
  return sf_partition_writer_create(&params, &builder->partition, error);
}

sf_code sf_builder_begin_rows(sf_builder *builder, sf_error *error) {
  if (builder->role == SF_BUILD_DRIVER)
    return SF_OK;
  SF_TRY(sf_assigner_create(&builder->plan, &builder->assigner, error));
  builder->scratch =
      sf_calloc((size_t)sf_build_threads_size(builder->threads) * builder->plan.num_dbs, sizeof(uint32_t));
  if (builder->scratch == NULL)
    return sf_fail_memory(error, "rows");
  if (builder->role == SF_BUILD_ROUTER)
    return begin_partition(builder, error);
  const sf_worker_pool_params params = {.plan = &builder->plan,
                                        .threads = builder->threads,
                                        .storage = builder->storage,
                                        .run_key = builder->shards_key,
                                        .directory = builder->shards_directory,
                                        .staging_directory = builder->temporary_directory};
  return sf_worker_pool_create(&params, &builder->workers, error);
}

sf_code sf_builder_write_rows(sf_builder *builder, const sf_shard_row *rows, const char *const *contexts,
                              const uint32_t *shard_ids, size_t count, sf_error *error) {
  for (size_t i = 0; i < count; i++) {
    SF_TRY(sf_routing_check_see(&builder->check, &builder->plan, rows[i].vector, contexts != NULL ? contexts[i] : NULL,
                                shard_ids[i], error));
    builder->has_string_ids |= rows[i].id_type == SF_ID_STRING;
  }
  const sf_partition_rows routed = {.rows = rows,
                                    .shard_ids = shard_ids,
                                    .hashes = builder->has_given_ids ? builder->slice.hashes : NULL,
                                    .first = builder->num_rows,
                                    .count = count};
  if (builder->role == SF_BUILD_ROUTER)
    SF_TRY(sf_partition_writer_add(builder->partition, &routed, error));
  else
    SF_TRY(sf_worker_pool_add(builder->workers, rows, shard_ids, count, error));
  builder->state.phase = SF_BUILD_WRITING;
  builder->state.rows += count;
  return SF_OK;
}
