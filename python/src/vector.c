#include "vector.h"

#include "errors.h"
#include "numbers.h"
#include "object.h"

#include <string.h>

static const char expected_vector[] = "float32 or float64 values of one dimension, or a sequence of numbers";
static const char expected_vectors[] = "an array of two dimensions, or vectors one by one";

/* Whether the exception that is set means an invalid value, rather than a failure of the caller's own code. */
static bool is_argument_error(void) {
  return PyErr_ExceptionMatches(PyExc_TypeError) || PyErr_ExceptionMatches(PyExc_ValueError) ||
         PyErr_ExceptionMatches(PyExc_OverflowError) || PyErr_ExceptionMatches(PyExc_BufferError);
}

/* Copies vectors that the library can't read in place: other types, strides, unaligned numbers. */
static int copy_view(const sf_py_number *number, sf_py_vector *vector) {
  const Py_buffer *view = &vector->view;
  size_t size = sf_py_element_size(vector->type);
  size_t num_components = vector->count * vector->dim;
  const char *from = view->buf;
  Py_ssize_t row_stride = view->ndim == 2 ? view->strides[0] : 0;
  if (num_components > PY_SSIZE_T_MAX / sizeof(double)) {
    PyErr_NoMemory();
    return -1;
  }
  vector->copy = PyMem_Malloc(num_components * size);
  if (vector->copy == NULL) {
    PyErr_NoMemory();
    return -1;
  }
  for (size_t row = 0; row < vector->count && num_components > 0; row++, from += row_stride)
    sf_py_numbers_convert(number, from, view->strides[view->ndim - 1], vector->dim, vector->type,
                          (char *)vector->copy + row * vector->dim * size);
  vector->components = vector->copy;
  return 0;
}

/* 1: taken; 0: not a buffer of numbers with so many dimensions; -1: an exception is set. Masked arrays export what their
 * masks hide: they are left to the conversion. */
static int read_buffer(const sf_py_state *state, PyObject *object, int num_dimensions, sf_py_vector *vector) {
  sf_py_number number;
  if (!PyObject_CheckBuffer(object) || PyBytes_Check(object) || PyByteArray_Check(object) ||
      PyObject_HasAttr(object, state->filled))
    return 0;
  if (PyObject_GetBuffer(object, &vector->view, PyBUF_FULL_RO) < 0) {
    if (!is_argument_error())
      return -1;
    PyErr_Clear();
    return 0;
  }
  vector->has_view = true;
  const Py_buffer *view = &vector->view;
  if (view->ndim != num_dimensions || !sf_py_number_of(view, &number)) {
    sf_py_vector_release(vector);
    return 0;
  }
  bool is_native = sf_py_number_is_native(&number, &vector->type);
  if (vector->type == SF_FLOAT16) { /* the library searches with none */
    vector->type = SF_FLOAT32;
    is_native = false;
  }
  vector->dim = (size_t)view->shape[num_dimensions - 1];
  vector->count = num_dimensions == 2 ? (size_t)view->shape[0] : 1;
  vector->components = view->buf;
  bool is_aligned = (uintptr_t)view->buf % (uintptr_t)view->itemsize == 0;
  if ((!is_native || !is_aligned || !PyBuffer_IsContiguous(view, 'C')) && copy_view(&number, vector) < 0) {
    sf_py_vector_release(vector);
    return -1;
  }
  return 1;
}

/* Numbers of any kind, as float64. The tuple holds them while their own code runs. */
static int read_numbers(PyObject *numbers, sf_py_vector *vector) {
  Py_ssize_t count = PyTuple_Size(numbers);
  double *components = PyMem_Malloc((size_t)count * sizeof(*components));
  vector->copy = components;
  if (components == NULL) {
    PyErr_NoMemory();
    return -1;
  }
  for (Py_ssize_t i = 0; i < count; i++) {
    components[i] = PyFloat_AsDouble(PyTuple_GetItem(numbers, i));
    if (components[i] == -1 && PyErr_Occurred())
      return -1;
  }
  vector->components = components;
  vector->dim = (size_t)count;
  vector->count = 1;
  vector->type = SF_FLOAT64;
  return 0;
}

static bool is_list(PyObject *object) {
  return PyList_CheckExact(object) || PyTuple_CheckExact(object);
}

/* What needs no conversion: a buffer, a list or a tuple. As read_buffer. */
static int take_plain(const sf_py_state *state, PyObject *object, sf_py_vector *vector) {
  int taken = read_buffer(state, object, 1, vector);
  if (taken != 0 || !is_list(object))
    return taken;
  PyObject *numbers = PySequence_Tuple(object);
  taken = numbers != NULL && read_numbers(numbers, vector) == 0;
  Py_XDECREF(numbers);
  if (taken)
    return 1;
  sf_py_vector_release(vector);
  if (PyErr_Occurred() && !is_argument_error())
    return -1;
  PyErr_Clear();
  return 0;
}

/* What a function of shardyfusion/_values.py makes of an object: a new reference. Where the object's own code fails as for a
 * wrong argument, the text that describes it. */
static PyObject *convert(const char *function, PyObject *object) {
  PyObject *callable = sf_py_import("shardyfusion._values", function);
  PyObject *converted = callable == NULL ? NULL : PyObject_CallFunctionObjArgs(callable, object, NULL);
  bool is_described = converted == NULL && callable != NULL && is_argument_error();
  Py_XDECREF(callable);
  if (!is_described)
    return converted;
  PyErr_Clear();
  return sf_py_describe(object);
}

int sf_py_vector_take(const sf_py_state *state, PyObject *object, sf_py_vector *vector, PyObject **found) {
  *found = NULL;
  int taken = take_plain(state, object, vector);
  if (taken != 0)
    return taken;
  PyObject *plain = is_list(object) ? Py_NewRef(object) : convert("vector", object);
  if (plain == NULL)
    return -1;
  if (PyUnicode_Check(plain)) {
    *found = plain;
    return 0;
  }
  taken = is_list(object) ? 0 : take_plain(state, plain, vector);
  if (taken == 0) {
    *found = convert("not_numbers", plain);
    taken = *found == NULL ? -1 : 0;
  }
  Py_DECREF(plain);
  return taken;
}

static int fail(const sf_py_state *state, const char *name, const char *expected, PyObject *found) {
  PyObject *text = PyObject_Str(found);
  if (text != NULL)
    sf_py_fail(state, SF_CONFIG_VALIDATION_ERROR, "%s: expected %s, found %U", name, expected, text);
  Py_XDECREF(text);
  Py_DECREF(found);
  return -1;
}

int sf_py_vector_read(const sf_py_state *state, const char *name, PyObject *object, sf_py_vector *vector) {
  PyObject *found;
  int taken = sf_py_vector_take(state, object, vector, &found);
  if (taken == 0)
    return fail(state, name, expected_vector, found);
  return taken == 1 ? 0 : -1;
}

void sf_py_vector_release(sf_py_vector *vector) {
  if (vector->has_view)
    PyBuffer_Release(&vector->view);
  PyMem_Free(vector->copy);
  *vector = (sf_py_vector){0};
}

/* A list or tuple of vectors. */
static int read_each(const sf_py_state *state, const char *name, PyObject *list, sf_py_vectors *vectors) {
  PyObject *all = PySequence_Tuple(list);
  size_t count = all == NULL ? 0 : (size_t)PyTuple_Size(all);
  vectors->each = all == NULL ? NULL : PyMem_Calloc(count, sizeof(*vectors->each));
  int result = vectors->each == NULL ? -1 : 0;
  if (result < 0 && all != NULL)
    PyErr_NoMemory();
  for (; vectors->count < count && result == 0; vectors->count++) {
    char row_name[64];
    PyOS_snprintf(row_name, sizeof(row_name), "%s: row %zu", name, vectors->count);
    result = sf_py_vector_read(state, row_name, PyTuple_GetItem(all, (Py_ssize_t)vectors->count),
                               &vectors->each[vectors->count]);
  }
  /* The tuple may hold the only reference to a vector, but a buffer that was taken holds its own. */
  Py_XDECREF(all);
  return result;
}

/* An array of two dimensions or a list. As read_buffer. */
static int read_plain(const sf_py_state *state, const char *name, PyObject *object, sf_py_vectors *vectors) {
  int taken = read_buffer(state, object, 2, &vectors->whole);
  if (taken > 0)
    vectors->count = vectors->whole.count;
  else if (taken == 0 && is_list(object))
    taken = read_each(state, name, object, vectors) < 0 ? -1 : 1;
  return taken;
}

int sf_py_vectors_read(const sf_py_state *state, const char *name, PyObject *object, sf_py_vectors *vectors) {
  int taken = read_plain(state, name, object, vectors);
  PyObject *plain = taken != 0 ? NULL : convert("matrix", object);
  if (plain != NULL && !PyUnicode_Check(plain)) {
    taken = read_plain(state, name, plain, vectors);
    if (taken == 0)
      fail(state, name, expected_vectors, sf_py_describe(object));
    Py_DECREF(plain);
  } else if (plain != NULL)
    fail(state, name, expected_vectors, plain);
  if (taken == 1)
    return 0;
  sf_py_vectors_release(vectors);
  return -1;
}

void sf_py_vectors_release(sf_py_vectors *vectors) {
  for (size_t i = 0; vectors->each != NULL && i < vectors->count; i++)
    sf_py_vector_release(&vectors->each[i]);
  PyMem_Free(vectors->each);
  sf_py_vector_release(&vectors->whole);
  *vectors = (sf_py_vectors){0};
}

void sf_py_vectors_request(const sf_py_vectors *vectors, size_t index, sf_search_request *request) {
  const sf_py_vector *vector = vectors->each != NULL ? &vectors->each[index] : &vectors->whole;
  size_t row = vectors->each != NULL ? 0 : index;
  request->query = (const char *)vector->components + row * vector->dim * sf_py_element_size(vector->type);
  request->dim = vector->dim;
  request->query_type = vector->type;
}
