/* Arrays of vectors for a builder: read in place, or copied a slice at a time. */
#ifndef SF_PYTHON_ARRAY_H
#define SF_PYTHON_ARRAY_H

#include "numbers.h"
#include "rows.h"

/* An array of vectors, one a row: any buffer of numbers and two dimensions. */
typedef struct sf_py_array {
  Py_buffer view;
  bool has_view;
  sf_py_number number;
  sf_element_type type; /* of the slices: the numbers' own type, or the one that they are converted to */
  size_t count;
  size_t dim;
} sf_py_array;

/* 1: taken; 0: it is no such array; -1: an exception is set. */
int sf_py_array_read(PyObject *object, sf_py_array *array);
void sf_py_array_release(sf_py_array *array);

/* Points the batch at rows of the array, in place where the builder can take them so. */
int sf_py_array_slice(const sf_py_array *array, size_t first, size_t count, sf_py_rows *rows);

/* Whether the builder can read all of it in place, so that no slice is copied. */
bool sf_py_array_is_in_place(const sf_py_array *array);

#endif
