/*
 * NumPy's `.npy` files: routing artifacts (centroids, hyperplanes), query vectors, and the rows of a build.
 *
 * Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html, versions 1.0 to 3.0, C or Fortran
 * order, one or two dimensions; floats of 16, 32 and 64 bits, integers of 8 to 64 and booleans, of either byte order.
 */
#ifndef SF_SNAPSHOT_NPY_H
#define SF_SNAPSHOT_NPY_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum sf_npy_kind { SF_NPY_FLOAT, SF_NPY_INT, SF_NPY_UINT, SF_NPY_BOOL } sf_npy_kind;

typedef struct sf_npy_type {
  sf_npy_kind kind;
  uint8_t size; /* in bytes: of a float 2, 4 or 8, of an integer 1, 2, 4 or 8, of a boolean 1 */
  bool is_big_endian;
} sf_npy_type;

bool sf_npy_is_integer(sf_npy_type type);

/* The element at `bytes`: exactly, but for integers beyond 2^53, which are rounded to the nearest double. */
double sf_npy_number(sf_npy_type type, const uint8_t *bytes);
/* The same of an integer; false where int64 can't hold it, or the type is none of integers. */
bool sf_npy_integer(sf_npy_type type, const uint8_t *bytes, int64_t *value);

/* Where an array's elements lie in its file, to be read in place. */
typedef struct sf_npy_layout {
  size_t num_rows;    /* 1 for an array of one dimension; may be 0 */
  size_t num_columns; /* at least 1, but for an empty array of one dimension */
  int num_dimensions; /* 1 or 2 */
  sf_npy_type type;
  bool is_fortran_order;
  size_t offset; /* of the first element, in bytes */
} sf_npy_layout;

/* Reads the header, and checks that the file has all of them. As sf_npy_parse otherwise. */
sf_code sf_npy_parse_layout(const void *bytes, size_t length, const char *name, sf_npy_layout *layout, sf_error *error);

/* What messages call an array that isn't the one that was expected: "'>f4' of shape (40, 5)". */
void sf_npy_describe(const sf_npy_layout *layout, char *text, size_t size);

typedef struct sf_npy {
  size_t num_rows;    /* 1 for an array of one dimension; may be 0 */
  size_t num_columns; /* at least 1 */
  int num_dimensions; /* 1 or 2, as the file has it */
  sf_npy_type type;   /* as stored */
  double *values;     /* num_rows × num_columns in C order, whatever the file's; each as sf_npy_number gives it */
} sf_npy;

/* Reads the array in `bytes`, all of them. `name` is what messages call it. Failures are SF_READER_STATE_ERROR (and
 * SF_OUT_OF_MEMORY_ERROR); the memory asked for is in proportion to `length`. Free with sf_npy_free. */
sf_code sf_npy_parse(const void *bytes, size_t length, const char *name, sf_npy *array, sf_error *error);

/* A zeroed array is allowed. */
void sf_npy_free(sf_npy *array);

#endif
