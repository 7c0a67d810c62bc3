#include "array.h"

#include <string.h>

int sf_py_array_read(PyObject *object, sf_py_array *array) {
  *array = (sf_py_array){0};
  if (!PyObject_CheckBuffer(object))
    return 0;
  if (PyObject_GetBuffer(object, &array->view, PyBUF_FULL_RO) < 0) {
    if (!PyErr_ExceptionMatches(PyExc_BufferError) && !PyErr_ExceptionMatches(PyExc_ValueError))
      return -1;
    PyErr_Clear();
    return 0;
  }
  array->has_view = true;
  const Py_buffer *view = &array->view;
  if (view->ndim != 2 || !sf_py_number_of(view, &array->number)) {
    sf_py_array_release(array);
    return 0;
  }
  sf_py_number_is_native(&array->number, &array->type);
  array->count = (size_t)view->shape[0];
  array->dim = (size_t)view->shape[1];
  return 1;
}

void sf_py_array_release(sf_py_array *array) {
  if (array->has_view)
    PyBuffer_Release(&array->view);
  *array = (sf_py_array){0};
}

bool sf_py_array_is_in_place(const sf_py_array *array) {
  const Py_buffer *view = &array->view;
  sf_element_type type;
  bool is_contiguous = view->shape[1] <= 1 || view->strides[1] == view->itemsize;
  bool is_aligned = (uintptr_t)view->buf % (uintptr_t)view->itemsize == 0 && view->strides[0] % view->itemsize == 0;
  bool ascends = view->shape[0] <= 1 || view->strides[0] >= view->shape[1] * view->itemsize;
  return sf_py_number_is_native(&array->number, &type) && is_contiguous && is_aligned && ascends;
}

int sf_py_array_slice(const sf_py_array *array, size_t first, size_t count, sf_py_rows *rows) {
  const Py_buffer *view = &array->view;
  sf_row_batch *batch = &rows->batch;
  batch->count = count;
  batch->dim = array->dim;
  batch->vector_type = array->type;
  const char *from = (const char *)view->buf + (Py_ssize_t)first * view->strides[0];
  if (sf_py_array_is_in_place(array)) {
    batch->vectors = from;
    batch->row_stride = view->shape[0] > 1 ? (size_t)view->strides[0] : 0;
    return 0;
  }
  size_t row_size = array->dim * sf_py_element_size(array->type);
  PyMem_Free(rows->strided);
  rows->strided = PyMem_Malloc(count * row_size + 1);
  if (rows->strided == NULL) {
    PyErr_NoMemory();
    return -1;
  }
  for (size_t row = 0; row < count; row++, from += view->strides[0])
    sf_py_numbers_convert(&array->number, from, view->strides[1], array->dim, array->type,
                          (char *)rows->strided + row * row_size);
  batch->vectors = rows->strided;
  return 0;
}
