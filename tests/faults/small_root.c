#include "faults/small_root.h"

#include "base/memory.h"
#include "shardyfusion/build.h"

#include <stdio.h>
#include <unistd.h>

typedef struct small_rows {
  float vectors[SMALL_ROWS * SMALL_DIM];
  int64_t integer_ids[SMALL_ROWS];
  char texts[SMALL_ROWS][32];
  const char *string_ids[SMALL_ROWS];
  const char *payloads[SMALL_ROWS];
  int64_t shard_ids[SMALL_ROWS];
  const char *contexts[SMALL_ROWS];
} small_rows;

static void fill(small_rows *rows, int64_t first_id) {
  for (int i = 0; i < SMALL_ROWS; i++) {
    int64_t id = first_id + i;
    bool is_text = id % 2 != 0;
    for (int j = 0; j < SMALL_DIM; j++)
      rows->vectors[i * SMALL_DIM + j] = (float)((id * 7 + j * j * 3) % 11) + (i % 2 == 0 ? 20.0f : -20.0f);
    snprintf(rows->texts[i], sizeof(rows->texts[i]), "id%lld", (long long)id);
    rows->integer_ids[i] = id;
    rows->string_ids[i] = is_text ? rows->texts[i] : NULL;
    rows->payloads[i] = is_text ? NULL : "{\"a\": [1, \"zwei\"]}";
    rows->shard_ids[i] = i % SMALL_DBS;
    rows->contexts[i] = i % SMALL_DBS == 0 ? "{\"shard\": 0, \"name\": \"b\"}" : SMALL_CONTEXT;
  }
}

static sf_row_batch batch_of(const small_rows *rows, const small_plan *plan) {
  sf_row_batch batch = SF_ROW_BATCH_INIT;
  batch.count = SMALL_ROWS;
  batch.vectors = rows->vectors;
  batch.dim = SMALL_DIM;
  batch.integer_ids = rows->integer_ids;
  batch.string_ids = rows->string_ids;
  batch.payloads = rows->payloads;
  if (plan->strategy == SF_SHARDING_EXPLICIT)
    batch.shard_ids = rows->shard_ids;
  if (plan->strategy == SF_SHARDING_CEL)
    batch.routing_contexts = rows->contexts;
  return batch;
}

static sf_build_options options_of(const small_plan *plan) {
  sf_build_options options = SF_BUILD_OPTIONS_INIT;
  options.backend = plan->backend;
  options.strategy = plan->strategy;
  options.metric = plan->is_by_cosine ? SF_METRIC_COSINE : SF_METRIC_L2;
  options.num_dbs = SMALL_DBS;
  options.num_threads = 2;
  options.run_id = plan->run_id;
  if (plan->strategy == SF_SHARDING_CEL) {
    options.cel_expr = "shard == 0 && name.matches('^[b-z]+$') ? 0 : shard";
    options.cel_columns = "{\"shard\": \"int\", \"name\": \"string\"}";
    options.emit_sidecar = true; /* all that route by CEL are of sqlite-vec */
  }
  return options;
}

static sf_code finish(sf_builder *builder, const small_plan *plan, sf_error *error) {
  sf_build_result *result = NULL;
  if (!plan->is_asynchronous) {
    sf_code code = sf_builder_finish(builder, &result, error);
    sf_free(result);
    return code;
  }
  sf_completion_queue *queue = NULL;
  sf_operation *operation = NULL;
  sf_code code = sf_completion_queue_create(&queue, error);
  if (code == SF_OK)
    code = sf_builder_finish_submit(builder, queue, NULL, &operation, error);
  if (code == SF_OK) {
    sf_completion_queue_wait(queue, -1);
    code = sf_operation_result(operation, error);
    sf_free(sf_operation_take_build_result(operation));
  }
  sf_operation_release(operation);
  sf_completion_queue_free(queue);
  return code;
}

sf_code small_root_build(const char *root, const small_plan *plan, sf_error *error) {
  small_rows rows;
  fill(&rows, plan->first_id);
  sf_row_batch batch = batch_of(&rows, plan);
  sf_build_options options = options_of(plan);
  sf_builder *builder = NULL;
  sf_code code = sf_builder_create(root, &options, &builder, error);
  if (code == SF_OK)
    code = sf_builder_add(builder, &batch, error);
  if (code == SF_OK)
    code = finish(builder, plan, error);
  sf_builder_free(builder);
  return code;
}

char *small_root_in_store(void) {
  static unsigned number;
  char *root = sf_format("%s/%lld-%u", getenv("FAULTS_STORE"), (long long)getpid(), number++);
  if (root == NULL)
    abort();
  return root;
}

const float *small_query(void) {
  static const float query[SMALL_DIM] = {21, 22, 25, 20, 19, 27, 24, 20};
  return query;
}
