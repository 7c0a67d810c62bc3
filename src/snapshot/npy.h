/*
 * NumPy's `.npy` files: routing artifacts (centroids, hyperplanes) and query vectors.
 *
 * Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html, versions 1.0 to 3.0, C or Fortran
 * order, little-endian float16, float32 and float64, one or two dimensions. Arrays of integers are known by their layout.
 */
#ifndef SF_SNAPSHOT_NPY_H
#define SF_SNAPSHOT_NPY_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

typedef enum sf_npy_type {
  SF_NPY_FLOAT16,
  SF_NPY_FLOAT32,
  SF_NPY_FLOAT64,
  SF_NPY_INT32,
  SF_NPY_INT64,
  SF_NPY_UINT32,
  SF_NPY_UINT64,
} sf_npy_type;

/* Where an array's elements lie in its file, to be read in place. */
typedef struct sf_npy_layout {
  size_t num_rows;    /* 1 for an array of one dimension; may be 0 */
  size_t num_columns; /* at least 1, but for an empty array of one dimension */
  int num_dimensions; /* 1 or 2 */
  sf_npy_type type;
  bool is_fortran_order;
  size_t offset; /* of the first element, in bytes */
} sf_npy_layout;

/* Reads what stands before the elements, and checks that the file has all of them. As sf_npy_parse otherwise. */
sf_code sf_npy_parse_layout(const void *bytes, size_t length, const char *name, sf_npy_layout *layout, sf_error *error);

typedef struct sf_npy {
  size_t num_rows;    /* 1 for an array of one dimension; may be 0 */
  size_t num_columns; /* at least 1 */
  int num_dimensions; /* 1 or 2, as the file has it */
  sf_npy_type type;   /* as stored */
  double *values;     /* num_rows × num_columns in C order, whatever the file's; each component is held exactly */
} sf_npy;

/* Reads the array in `bytes`, all of them. `name` is what messages call it. Failures are SF_READER_STATE_ERROR (and
 * SF_OUT_OF_MEMORY_ERROR); the memory asked for is in proportion to `length`. Free with sf_npy_free. */
sf_code sf_npy_parse(const void *bytes, size_t length, const char *name, sf_npy *array, sf_error *error);

/* A zeroed array is allowed. */
void sf_npy_free(sf_npy *array);

#endif
