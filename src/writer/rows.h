/* Rows on their way from the caller's arrays: converted, checked, a slice of a batch at a time. */
#ifndef SF_WRITER_ROWS_H
#define SF_WRITER_ROWS_H

#include "writer/plan.h"

/* A copy of the caller's batch with the defaults where an older header knew no member. */
sf_code sf_row_batch_read(const sf_row_batch *given, sf_row_batch *batch, sf_error *error);

/* Fails unless the batch has all that the plan asks for. */
sf_code sf_row_batch_check(const sf_row_batch *batch, const sf_build_plan *plan, sf_error *error);

/* Whether vectors have to be converted or moved to be contiguous float32. */
bool sf_row_batch_needs_room(const sf_row_batch *batch);

/* The vector of a row as float32: in place, or, where the batch needs room, in `converted` (dim). Fails where a component
 * is not finite; `row` is its position in the batch. */
sf_code sf_row_vector(const sf_row_batch *batch, size_t row, float *converted, const float **vector, sf_error *error);

/* As sf_row_vector, with a failure that names the row, of a batch before which none was added. */
sf_code sf_row_vector_named(const sf_row_batch *batch, size_t row, float *converted, const float **vector,
                            sf_error *error);

/* The id of a row, checked; `number` is that of a row without one. */
sf_code sf_row_read_id(const sf_row_batch *batch, size_t row, int64_t number, sf_shard_row *described, sf_error *error);

/* The payload of a row, checked, on one line: where it has to be changed for that, *rewritten holds it, for the caller to
 * free. */
sf_code sf_row_payload(const sf_row_batch *batch, size_t row, sf_shard_row *described, char **rewritten,
                       sf_error *error);

/* Puts "vectors.npy: row 17: " before the message. `added` rows came before this batch. */
sf_code sf_row_name_failure(const sf_row_batch *batch, const char *source, uint64_t added, size_t row, sf_error *error);

/* What messages call the arrays of a batch. */
static inline const char *sf_row_source(const char *name, const char *otherwise) {
  return name != NULL ? name : otherwise;
}

#endif
