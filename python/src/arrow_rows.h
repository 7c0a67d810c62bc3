/* Rows of a slice, from the selected columns of a chunk. */
#ifndef SF_PYTHON_ARROW_ROWS_H
#define SF_PYTHON_ARROW_ROWS_H

#include "arrow.h"
#include "rows.h"

/* Columns by their place in the schema; absent ones are -1. */
typedef struct sf_py_arrow_selection {
  int64_t vector;
  int64_t id;
  int64_t payload; /* JSON text, or a struct */
  int64_t shard_id;
  int64_t *payload_members; /* of a payload that is made of columns; NULL: it is not */
  size_t num_payload_members;
  int64_t *context_members; /* NULL: no routing contexts */
  size_t num_context_members;
} sf_py_arrow_selection;

/* What a slice is made from. */
typedef struct sf_py_arrow_slice {
  const struct ArrowSchema *schema; /* of the table */
  const struct ArrowArray *chunk;
  const sf_py_arrow_selection *columns;
  sf_py_json *json; /* scratch */
  sf_py_rows *rows;
  int64_t first; /* as columns count: the chunk's offset is added */
  unsigned long long number;
} sf_py_arrow_slice;

/* Fills `count` rows; -1 with an exception set. */
int sf_py_arrow_slice_fill(const sf_py_arrow_slice *slice, size_t count);

#endif
