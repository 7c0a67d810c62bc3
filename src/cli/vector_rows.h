/*
 * The rows of a mapped .npy array as a builder takes them: where they lie, if they are floats of the machine's own byte
 * order, aligned and in C order; else turned into such, some rows at a time, so that the array is never in memory whole.
 */
#ifndef SF_CLI_VECTOR_ROWS_H
#define SF_CLI_VECTOR_ROWS_H

#include "cli/mapped_array.h"
#include "shardyfusion/types.h"

typedef struct sf_cli_vector_rows {
  const char *path;
  sf_cli_mapped_array array;
  size_t num_rows;
  size_t dim;
  sf_element_type type; /* of the rows that are handed out */
  size_t element_size;
  size_t batch_rows; /* the most that are asked for at once, at least 1 */
  bool is_in_place;
  void *converted; /* NULL: in place. Else rows held_first to held_first + num_held */
  size_t held_first;
  size_t num_held;
} sf_cli_vector_rows;

/* Opens a two-dimensional array. What it is not is SF_CONFIG_VALIDATION_ERROR. Close it whatever happened. */
sf_code sf_cli_vector_rows_open(sf_cli_vector_rows *rows, const char *path, sf_error *error);
void sf_cli_vector_rows_close(sf_cli_vector_rows *rows); /* a zeroed one is allowed */

/* `count` rows from `first` on, at most batch_rows: good until rows are asked for again. */
const void *sf_cli_vector_rows_get(sf_cli_vector_rows *rows, size_t first, size_t count);
/* One row, among others that are asked for in ascending order: it may be held already. */
const void *sf_cli_vector_rows_one(sf_cli_vector_rows *rows, size_t row);

/* Says that rows are wanted soon; that those before `end` are not wanted any more; that none is for now. */
void sf_cli_vector_rows_fetch(const sf_cli_vector_rows *rows, size_t first, size_t count);
void sf_cli_vector_rows_release(sf_cli_vector_rows *rows, size_t end);
void sf_cli_vector_rows_release_all(sf_cli_vector_rows *rows);

#endif
