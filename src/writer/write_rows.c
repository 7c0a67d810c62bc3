/* Rows that were checked and assigned go to the workers of their shards: from add.c, and from train.c once it has centroids. */
#include "base/memory.h"
#include "writer/builder.h"

sf_code sf_builder_begin_rows(sf_builder *builder, sf_error *error) {
  SF_TRY(sf_assigner_create(&builder->plan, &builder->assigner, error));
  builder->scratch =
      sf_calloc((size_t)sf_build_threads_size(builder->threads) * builder->plan.num_dbs, sizeof(uint32_t));
  if (builder->scratch == NULL)
    return sf_fail_memory(error, "rows");
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
  SF_TRY(sf_worker_pool_add(builder->workers, rows, shard_ids, count, error));
  builder->state.phase = SF_BUILD_WRITING;
  builder->state.rows += count;
  return SF_OK;
}
