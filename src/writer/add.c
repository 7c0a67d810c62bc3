/* Adding rows: a slice of the batch at a time is checked and assigned by all threads, then written by all of them. */
#include "async/operation.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/time.h"
#include "writer/builder.h"
#include "writer/rows.h"

#include <stdatomic.h>
#include <string.h>

#define MAX_SLICE_BYTES ((size_t)16 << 20)
#define MAX_SLICE_ROWS ((size_t)16384)
/* What a thread takes at a time. */
#define BLOCK_ROWS ((size_t)128)

/* -------------------------------------------------------------------------------------------------- What takes rows */

static sf_code make_slice(sf_builder *builder, sf_error *error) {
  sf_build_slice *slice = &builder->slice;
  const sf_build_plan *plan = &builder->plan;
  size_t row_bytes = plan->dim * sizeof(float);
  size_t bytes =
      plan->max_memory_bytes / 16 < MAX_SLICE_BYTES ? (size_t)(plan->max_memory_bytes / 16) : MAX_SLICE_BYTES;
  size_t rows = bytes / row_bytes;
  slice->max_rows = rows < 1 ? 1 : rows > MAX_SLICE_ROWS ? MAX_SLICE_ROWS : rows;
  slice->rows = sf_calloc(slice->max_rows, sizeof(*slice->rows));
  slice->shard_ids = sf_calloc(slice->max_rows, sizeof(*slice->shard_ids));
  slice->hashes = sf_calloc(slice->max_rows, sizeof(*slice->hashes));
  slice->rewritten = sf_calloc(slice->max_rows, sizeof(char *));
  bool made = slice->rows != NULL && slice->shard_ids != NULL && slice->hashes != NULL && slice->rewritten != NULL;
  return made ? SF_OK : sf_fail_memory(error, "rows");
}

/* At the first batch, when the dimension is known. */
static sf_code begin_batches(sf_builder *builder, const sf_row_batch *batch, sf_error *error) {
  SF_TRY(make_slice(builder, error));
  builder->ids_name = sf_strdup(sf_row_source(batch->ids_name, "ids"));
  builder->row_word = sf_strdup(sf_row_source(batch->row_word, "row"));
  builder->first_number = batch->has_first_number ? batch->first_number : 0;
  builder->has_given_ids = batch->integer_ids != NULL || batch->string_ids != NULL;
  if (builder->ids_name == NULL || builder->row_word == NULL)
    return sf_fail_memory(error, "rows");
  if (builder->has_given_ids && builder->role == SF_BUILD_ALONE)
    SF_TRY(sf_unique_ids_create(builder->temporary_directory, (size_t)(builder->plan.max_memory_bytes / 8),
                                &builder->ids, error));
  return builder->assigner != NULL || sf_build_plan_needs_training(&builder->plan)
             ? SF_OK
             : sf_builder_begin_rows(builder, error);
}

/* --------------------------------------------------------------------------------------------------------- Checking */

/* What went wrong first in a thread's part of a slice. */
typedef struct slice_failure {
  sf_code code;
  size_t row; /* of the batch */
  const char *source;
  sf_error error;
} slice_failure;

/* A slice of a batch, while all threads check and assign it. */
typedef struct checking {
  sf_builder *builder;
  const sf_row_batch *batch;
  size_t first; /* row of the batch */
  size_t count;
  slice_failure *failures; /* one for each thread */
  atomic_size_t next_row;  /* that no thread has taken yet */
} checking;

static sf_code assign_row(const checking *of, size_t slot, uint32_t thread, sf_error *error) {
  sf_builder *builder = of->builder;
  const sf_row_batch *batch = of->batch;
  size_t row = of->first + slot;
  const sf_assign_row assigned = {.vector = builder->slice.rows[slot].vector,
                                  .shard_id = batch->shard_ids != NULL ? batch->shard_ids[row] : 0,
                                  .routing_context =
                                      batch->routing_contexts != NULL ? batch->routing_contexts[row] : NULL};
  return sf_assigner_assign(builder->assigner, &assigned, builder->scratch + (size_t)thread * builder->plan.num_dbs,
                            &builder->slice.shard_ids[slot], error);
}

/* The array that decides where a row goes, for messages. */
static const char *deciding_source(const checking *of) {
  const sf_row_batch *batch = of->batch;
  switch (sf_build_plan_routing(&of->builder->plan)->input) {
  case SF_ROUTE_BY_SHARD_ID:
    return sf_row_source(batch->shard_ids_name, "shard_ids");
  case SF_ROUTE_BY_CONTEXT:
    return sf_row_source(batch->routing_contexts_name, "routing_contexts");
  case SF_ROUTE_BY_VECTOR:
    break;
  }
  return sf_row_source(batch->vectors_name, "vectors");
}

static sf_code check_row(const checking *of, size_t slot, uint32_t thread, const char **source, sf_error *error) {
  sf_builder *builder = of->builder;
  sf_build_slice *slice = &builder->slice;
  const sf_row_batch *batch = of->batch;
  sf_shard_row *row = &slice->rows[slot];
  size_t number = of->first + slot;
  bool needs_room = sf_row_batch_needs_room(batch);
  float *converted = needs_room ? slice->converted + slot * builder->plan.dim : NULL;
  *row = (sf_shard_row){0};
  *source = sf_row_source(batch->vectors_name, "vectors");
  SF_TRY(sf_row_vector(batch, number, converted, &row->vector, error));
  *source = sf_row_source(batch->ids_name, "ids");
  SF_TRY(sf_row_read_id(batch, number, (int64_t)(builder->num_rows + slot), row, error));
  if (builder->has_given_ids)
    slice->hashes[slot] = sf_unique_id_hash(row, builder->plan.format->has_string_ids_only);
  *source = sf_row_source(batch->payloads_name, "payloads");
  SF_TRY(sf_row_payload(batch, number, row, &slice->rewritten[slot], error));
  *source = deciding_source(of);
  bool is_assigned_alone = builder->assigner != NULL && !sf_assigner_takes_many(builder->assigner);
  return is_assigned_alone ? assign_row(of, slot, thread, error) : SF_OK;
}

/* Checks the rows of a block and, where rows are assigned many at a time, assigns them while they are in the cache. */
static void check_block(checking *of, size_t begin, size_t end, uint32_t thread, slice_failure *failure) {
  const sf_build_slice *slice = &of->builder->slice;
  const sf_assigner *assigner = of->builder->assigner;
  for (size_t slot = begin; slot < end && failure->code == SF_OK; slot++) {
    failure->row = of->first + slot;
    failure->code = check_row(of, slot, thread, &failure->source, &failure->error);
  }
  /* The vectors of a slice are contiguous, in the caller's array or in `converted`. */
  if (failure->code == SF_OK && assigner != NULL && sf_assigner_takes_many(assigner))
    failure->code = sf_assigner_assign_many(assigner, slice->rows[begin].vector, end - begin, slice->shard_ids + begin,
                                            &failure->error);
}

/* Blocks are taken in their order, so that none before a failure is left out. */
static void check_blocks(void *context, uint32_t thread) {
  checking *of = context;
  slice_failure *failure = &of->failures[thread];
  failure->code = SF_OK;
  while (failure->code == SF_OK) {
    size_t begin = atomic_fetch_add(&of->next_row, BLOCK_ROWS);
    if (begin >= of->count)
      return;
    size_t end = of->count - begin < BLOCK_ROWS ? of->count : begin + BLOCK_ROWS;
    check_block(of, begin, end, thread, failure);
  }
}

/* Of what went wrong, the first row counts. */
static sf_code report_failure(const checking *of, sf_error *error) {
  const sf_builder *builder = of->builder;
  slice_failure *failure = NULL;
  for (uint32_t thread = 0; thread < sf_build_threads_size(builder->threads); thread++) {
    slice_failure *candidate = &of->failures[thread];
    if (candidate->code != SF_OK && (failure == NULL || candidate->row < failure->row))
      failure = candidate;
  }
  if (failure == NULL)
    return SF_OK;
  if (failure->code != SF_OUT_OF_MEMORY_ERROR)
    sf_row_name_failure(of->batch, failure->source, builder->num_rows - of->first, failure->row, &failure->error);
  if (error != NULL)
    *error = failure->error;
  return failure->code;
}

static sf_code check_slice(checking *of, sf_error *error) {
  sf_builder *builder = of->builder;
  of->failures = sf_calloc(sf_build_threads_size(builder->threads), sizeof(*of->failures));
  if (of->failures == NULL)
    return sf_fail_memory(error, "rows");
  atomic_init(&of->next_row, 0);
  sf_build_threads_run(builder->threads, check_blocks, of);
  sf_code code = report_failure(of, error);
  free(of->failures);
  return code;
}

/* ---------------------------------------------------------------------------------------------------------- Writing */

static sf_code take_slice(checking *of, sf_error *error) {
  sf_builder *builder = of->builder;
  const sf_build_slice *slice = &builder->slice;
  const char *const *contexts = of->batch->routing_contexts;
  SF_TRY(check_slice(of, error));
  for (size_t i = 0; i < of->count && builder->ids != NULL; i++)
    SF_TRY(sf_unique_ids_add(builder->ids, slice->hashes[i], builder->num_rows + i, error));
  if (builder->assigner == NULL)
    SF_TRY(sf_builder_keep_rows(builder, slice->rows, of->count, error));
  else
    SF_TRY(sf_builder_write_rows(builder, slice->rows, contexts != NULL ? contexts + of->first : NULL, slice->shard_ids,
                                 of->count, error));
  builder->num_rows += of->count;
  return sf_builder_report_progress(builder, error);
}

static void free_rewritten(sf_build_slice *slice) {
  for (size_t i = 0; i < slice->max_rows; i++) {
    free(slice->rewritten[i]);
    slice->rewritten[i] = NULL;
  }
}

static sf_code prepare(sf_builder *builder, const sf_row_batch *batch, sf_error *error) {
  const char *vectors = sf_row_source(batch->vectors_name, "vectors");
  SF_TRY(sf_build_plan_take_dim(&builder->plan, batch->dim, vectors, error));
  SF_TRY(sf_row_batch_check(batch, &builder->plan, error));
  if (builder->slice.rows == NULL)
    SF_TRY(begin_batches(builder, batch, error));
  bool has_ids = batch->integer_ids != NULL || batch->string_ids != NULL;
  if (has_ids != builder->has_given_ids)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "ids: expected them with all batches of rows or with none");
  if (!sf_row_batch_needs_room(batch) || builder->slice.converted != NULL)
    return SF_OK;
  builder->slice.converted = sf_calloc(builder->slice.max_rows, builder->plan.dim * sizeof(float));
  return builder->slice.converted != NULL ? SF_OK : sf_fail_memory(error, "rows");
}

static sf_code add_batch(sf_builder *builder, const sf_row_batch *batch, sf_error *error) {
  SF_TRY(prepare(builder, batch, error));
  sf_code code = SF_OK;
  for (size_t first = 0; first < batch->count && code == SF_OK;) {
    size_t left = batch->count - first;
    checking of = {.builder = builder,
                   .batch = batch,
                   .first = first,
                   .count = left < builder->slice.max_rows ? left : builder->slice.max_rows};
    code = take_slice(&of, error);
    if (batch->payloads != NULL)
      free_rewritten(&builder->slice);
    first += of.count;
  }
  return code;
}

sf_code sf_builder_add(sf_builder *builder, const sf_row_batch *given, sf_error *error) {
  sf_row_batch batch;
  uint64_t started = sf_monotonic_nanoseconds();
  SF_TRY(sf_builder_check(builder, error));
  if (builder->role == SF_BUILD_DRIVER)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "the builder is a driver: rows are added to routers");
  double trained = builder->training_seconds;
  sf_code code = sf_row_batch_read(given, &batch, error);
  if (code == SF_OK && batch.count > 0)
    code = add_batch(builder, &batch, error);
  builder->has_failed = code != SF_OK;
  builder->writing_seconds += (double)(sf_monotonic_nanoseconds() - started) / 1e9;
  builder->writing_seconds -= builder->training_seconds - trained;
  return code;
}

/* ------------------------------------------------------------------------------------------------------ Asynchronously */

typedef struct addition {
  sf_builder *builder;
  sf_row_batch batch; /* what it points to is the caller's */
} addition;

static sf_code run_addition(void *context, const sf_cancellation *cancellation, sf_outcome *outcome, sf_error *error) {
  (void)outcome;
  addition *running = context;
  running->builder->cancellation = cancellation;
  sf_code code = sf_builder_add(running->builder, &running->batch, error);
  running->builder->cancellation = NULL;
  return code;
}

static sf_code run_training(void *context, const sf_cancellation *cancellation, sf_outcome *outcome, sf_error *error) {
  (void)outcome;
  addition *running = context;
  running->builder->cancellation = cancellation;
  sf_code code = sf_builder_train(running->builder, &running->batch, error);
  running->builder->cancellation = NULL;
  return code;
}

static sf_code submit_rows(sf_builder *builder, const sf_row_batch *rows, const sf_job_functions *functions,
                           sf_completion_queue *queue, void *user_data, sf_operation **operation, sf_error *error) {
  sf_row_batch batch;
  SF_TRY(sf_builder_check(builder, error));
  SF_TRY(sf_row_batch_read(rows, &batch, error));
  addition *submitted = sf_calloc(1, sizeof(*submitted));
  if (submitted == NULL)
    return sf_fail_memory(error, "operation");
  *submitted = (addition){.builder = builder, .batch = batch};
  return sf_job_submit(builder->executor, queue, user_data, functions, submitted, operation, error);
}

sf_code sf_builder_add_submit(sf_builder *builder, const sf_row_batch *rows, sf_completion_queue *queue,
                              void *user_data, sf_operation **operation, sf_error *error) {
  static const sf_job_functions functions = {.run = run_addition, .free_context = free};
  return submit_rows(builder, rows, &functions, queue, user_data, operation, error);
}

sf_code sf_builder_train_submit(sf_builder *builder, const sf_row_batch *rows, sf_completion_queue *queue,
                                void *user_data, sf_operation **operation, sf_error *error) {
  static const sf_job_functions functions = {.run = run_training, .free_context = free};
  return submit_rows(builder, rows, &functions, queue, user_data, operation, error);
}
