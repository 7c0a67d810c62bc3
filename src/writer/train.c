/* Training centroids: from a sample of an array, or from the first rows of a stream, which are kept meanwhile. */
#include "base/memory.h"
#include "base/time.h"
#include "kmeans/kmeans.h"
#include "writer/builder.h"
#include "writer/rows.h"

#include <string.h>

static bool goes_on(void *context) {
  return sf_builder_report_progress(context, NULL) == SF_OK;
}

/* Trains from num_rows × dim, and makes what takes rows. */
static sf_code train(sf_builder *builder, const float *sample, size_t num_rows, sf_error *error) {
  sf_build_plan *plan = &builder->plan;
  uint64_t started = sf_monotonic_nanoseconds();
  const sf_kmeans_options options = {.num_clusters = plan->num_dbs,
                                     .metric = plan->metric,
                                     .iterations = plan->training_iterations,
                                     .seed = plan->seed,
                                     .num_threads = plan->num_threads,
                                     .goes_on = goes_on,
                                     .goes_on_context = builder};
  if (num_rows < plan->num_dbs)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR,
                   "training: expected at least as many rows as num_dbs, %u, found %zu", (unsigned)plan->num_dbs,
                   num_rows);
  builder->state.phase = SF_BUILD_TRAINING;
  SF_TRY(sf_builder_report_progress(builder, error));
  float *centroids = sf_calloc(plan->num_dbs, plan->dim * sizeof(float));
  if (centroids == NULL)
    return sf_fail_memory(error, "centroids");
  sf_code code = sf_kmeans_train(&options, sample, num_rows, plan->dim, centroids, NULL, builder->cancellation, error);
  if (code != SF_OK) {
    free(centroids);
    return code;
  }
  plan->artifact = centroids;
  builder->training_seconds += (double)(sf_monotonic_nanoseconds() - started) / 1e9;
  return sf_builder_begin_rows(builder, error);
}

/* -------------------------------------------------------------------------------------------------- From given rows */

/* All rows, as they lie there. */
static sf_code train_in_place(sf_builder *builder, const sf_row_batch *batch, sf_error *error) {
  const float *vector;
  for (size_t row = 0; row < batch->count; row++)
    SF_TRY(sf_row_vector_named(batch, row, NULL, &vector, error));
  return train(builder, batch->vectors, batch->count, error);
}

/* `count` of the rows, in their order, each subset as likely as any other (Knuth, The Art of Computer Programming, volume 2,
 * section 3.4.2, algorithm S). */
static sf_code draw_sample(const sf_build_plan *plan, const sf_row_batch *batch, size_t count, float *sample,
                           sf_error *error) {
  sf_random random = {.state = plan->seed};
  size_t taken = 0;
  for (size_t row = 0; taken < count; row++) {
    if (sf_random_below(&random, batch->count - row) >= count - taken)
      continue;
    float *to = sample + taken++ * plan->dim;
    const float *vector;
    SF_TRY(sf_row_vector_named(batch, row, to, &vector, error));
    if (vector != to)
      memcpy(to, vector, plan->dim * sizeof(float));
  }
  return SF_OK;
}

static sf_code train_from(sf_builder *builder, const sf_row_batch *batch, sf_error *error) {
  sf_build_plan *plan = &builder->plan;
  SF_TRY(sf_build_plan_take_dim(plan, batch->dim, sf_row_source(batch->vectors_name, "vectors"), error));
  SF_TRY(sf_row_batch_check(batch, plan, error));
  uint64_t wanted = sf_build_plan_training_rows(plan, plan->dim);
  if (batch->count <= wanted && !sf_row_batch_needs_room(batch))
    return train_in_place(builder, batch, error);
  size_t count = batch->count < wanted ? batch->count : (size_t)wanted;
  float *sample = sf_calloc(count, plan->dim * sizeof(float));
  if (sample == NULL)
    return sf_fail_memory(error, "training sample");
  sf_code code = draw_sample(plan, batch, count, sample, error);
  if (code == SF_OK)
    code = train(builder, sample, count, error);
  free(sample);
  return code;
}

uint64_t sf_builder_training_rows(const sf_builder *builder, size_t dim) {
  bool needs_training = sf_builder_check(builder, NULL) == SF_OK && sf_build_plan_needs_training(&builder->plan);
  return needs_training && dim > 0 ? sf_build_plan_training_rows(&builder->plan, dim) : 0;
}

sf_code sf_builder_train(sf_builder *builder, const sf_row_batch *given, sf_error *error) {
  sf_row_batch batch;
  SF_TRY(sf_builder_check(builder, error));
  if (!sf_build_plan_needs_training(&builder->plan))
    return SF_OK;
  sf_code code = sf_row_batch_read(given, &batch, error);
  if (code == SF_OK && builder->num_rows > 0)
    code = sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "training: expected it before rows are added, found %llu rows",
                   (unsigned long long)builder->num_rows);
  if (code == SF_OK)
    code = train_from(builder, &batch, error);
  builder->has_failed = code != SF_OK;
  return code;
}

/* --------------------------------------------------------------------------------------------------- From kept rows */

static sf_code make_sample_room(sf_builder *builder, sf_error *error) {
  if (builder->sample_rows < builder->sample_capacity)
    return SF_OK;
  size_t capacity = builder->sample_capacity == 0 ? 1024 : builder->sample_capacity * 2;
  uint64_t most = sf_build_plan_training_rows(&builder->plan, builder->plan.dim);
  size_t bytes;
  if (capacity > most)
    capacity = (size_t)most;
  float *sample = sf_multiply_size(capacity, builder->plan.dim * sizeof(float), &bytes)
                      ? sf_reallocarray(builder->sample, bytes, 1)
                      : NULL;
  if (sample == NULL)
    return sf_fail_memory(error, "training sample");
  builder->sample = sample;
  builder->sample_capacity = capacity;
  return SF_OK;
}

static sf_code keep_row(sf_builder *builder, const sf_shard_row *row, sf_error *error) {
  const sf_build_plan *plan = &builder->plan;
  SF_TRY(make_sample_room(builder, error));
  SF_TRY(sf_spool_add(builder->spool, 0, row, error));
  memcpy(builder->sample + builder->sample_rows * plan->dim, row->vector, plan->dim * sizeof(float));
  builder->sample_rows++;
  return SF_OK;
}

/* Assigns rows that stand outside the slice's order: all of them at once, by their vectors. */
static sf_code write_outside_slice(sf_builder *builder, const sf_shard_row *rows, const float *vectors, size_t count,
                                   sf_error *error) {
  uint32_t *shard_ids = sf_calloc(count, sizeof(*shard_ids));
  if (shard_ids == NULL)
    return sf_fail_memory(error, "rows");
  sf_code code = sf_assigner_assign_many(builder->assigner, vectors, count, shard_ids, error);
  if (code == SF_OK)
    code = sf_builder_write_rows(builder, rows, NULL, shard_ids, count, error);
  free(shard_ids);
  return code;
}

/* Kept rows on their way out: their vectors are those of the sample, in the same order. */
typedef struct replay {
  sf_builder *builder;
  const float *next;
} replay;

static sf_code replay_rows(const sf_shard_row *rows, size_t count, void *user_data, sf_error *error) {
  replay *replaying = user_data;
  const float *vectors = replaying->next;
  replaying->next += count * replaying->builder->plan.dim;
  SF_TRY(write_outside_slice(replaying->builder, rows, vectors, count, error));
  return sf_builder_report_progress(replaying->builder, error);
}

sf_code sf_builder_train_kept(sf_builder *builder, sf_error *error) {
  SF_TRY(train(builder, builder->sample, builder->sample_rows, error));
  replay replaying = {.builder = builder, .next = builder->sample};
  sf_code code = sf_spool_flush(builder->spool, error);
  if (code == SF_OK)
    code = sf_spool_read(builder->spool, 0, replay_rows, &replaying, error);
  sf_spool_free(builder->spool);
  builder->spool = NULL;
  free(builder->sample);
  builder->sample = NULL;
  return code;
}

sf_code sf_builder_keep_rows(sf_builder *builder, const sf_shard_row *rows, size_t count, sf_error *error) {
  const sf_build_plan *plan = &builder->plan;
  uint64_t wanted = sf_build_plan_training_rows(plan, plan->dim);
  size_t kept = 0;
  if (builder->spool == NULL)
    SF_TRY(sf_spool_create(builder->temporary_directory, 1, plan->dim, (size_t)(plan->max_memory_bytes / 16),
                           &builder->spool, error));
  for (; kept < count && builder->sample_rows < wanted; kept++)
    SF_TRY(keep_row(builder, &rows[kept], error));
  if (builder->sample_rows < wanted)
    return SF_OK;
  SF_TRY(sf_builder_train_kept(builder, error));
  if (kept == count)
    return SF_OK;
  return write_outside_slice(builder, rows + kept, rows[kept].vector, count - kept, error);
}
