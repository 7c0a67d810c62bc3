/*
 * A filter evaluated over columns, many rows at a time. The logic of CEL (&&, ||, !, ?:) works on blocks of rows with the four
 * outcomes that a row can have: true, false, an error, and unknown, where the columns don't tell. What is below the logic, a
 * comparison for one, is evaluated by the ordinary evaluator, once for each distinct string, null, boolean and missing value of
 * a column, and row by row for numbers, lists and what reads several columns: so that the outcome is the ordinary one.
 */
#ifndef SF_FILTER_BULK_H
#define SF_FILTER_BULK_H

#include "base/cancellation.h"
#include "filter/column.h"
#include "filter/filter.h"
#include "filter/paths.h"

typedef struct sf_bulk_node sf_bulk_node;

/* Makes the tree of a program whose paths were found; it is in the program's memory. NULL when that is out. */
const sf_bulk_node *sf_bulk_compile(const sf_filter_paths *paths);

typedef struct sf_bulk_params {
  const sf_filter_paths *paths;
  const sf_bulk_node *root;
  const sf_column *columns; /* of each path, all with as many rows */
  uint64_t num_rows;
} sf_bulk_params;

/* Sets the bits of the rows for which the filter is true, and those for which the columns don't tell, which begin empty.
 * `steps` is lowered by those that the evaluation took; it fails where none is left. */
sf_code sf_bulk_evaluate(const sf_bulk_params *params, uint64_t *steps, const sf_cancellation *cancellation,
                         sf_row_bitmap *matching, sf_row_bitmap *unknown, sf_error *error);

#endif
