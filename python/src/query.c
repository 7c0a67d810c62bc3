#include "query.h"

#include <string.h>

int sf_py_element_type(const Py_buffer *view, sf_element_type *type) {
  const char *format = view->format != NULL ? view->format : "B";
  const int little_endian = 1;
  int native_mark = *(const char *)&little_endian == 1 ? '<' : '>';
  if (format[0] == '@' || format[0] == '=' || format[0] == native_mark)
    format++;
  if (strcmp(format, "f") == 0 && view->itemsize == sizeof(float))
    *type = SF_FLOAT32;
  else if (strcmp(format, "d") == 0 && view->itemsize == sizeof(double))
    *type = SF_FLOAT64;
  else if (strcmp(format, "e") == 0 && view->itemsize == 2)
    *type = SF_FLOAT16;
  else
    return 0;
  return 1;
}

/* Where a view's components do not lie one after the other, or not where their type wants them, they are copied. */
static int copy_strided(sf_py_vector *vector) {
  const Py_buffer *view = &vector->view;
  vector->copy = PyMem_Malloc((size_t)view->len);
  if (vector->copy == NULL) {
    PyErr_NoMemory();
    return -1;
  }
  if (PyBuffer_ToContiguous(vector->copy, view, view->len, 'C') < 0)
    return -1;
  vector->components = vector->copy;
  return 0;
}

/* 1: taken; 0: not a buffer of floats, so that it is to be tried as a sequence; -1: an exception is set. */
static int read_buffer(PyObject *query, int num_dimensions, sf_py_vector *vector) {
  if (!PyObject_CheckBuffer(query))
    return 0;
  if (PyObject_GetBuffer(query, &vector->view, PyBUF_FULL_RO) < 0) {
    PyErr_Clear();
    return 0;
  }
  vector->has_view = 1;
  const Py_buffer *view = &vector->view;
  /* A query of float16 is read as numbers: the library searches with none. */
  if (view->ndim != num_dimensions || !sf_py_element_type(view, &vector->type) || vector->type == SF_FLOAT16) {
    sf_py_vector_release(vector);
    return 0;
  }
  vector->dim = (size_t)view->shape[num_dimensions - 1];
  vector->components = view->buf;
  int is_aligned = (uintptr_t)view->buf % (uintptr_t)view->itemsize == 0;
  if ((!PyBuffer_IsContiguous(view, 'C') || !is_aligned) && copy_strided(vector) < 0) {
    sf_py_vector_release(vector);
    return -1;
  }
  return 1;
}

/* Numbers of any kind, as float64. */
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
    if (PyErr_Occurred())
      return -1;
  }
  vector->components = components;
  vector->dim = (size_t)count;
  vector->type = SF_FLOAT64;
  return 0;
}

static int is_text(PyObject *object) {
  return PyUnicode_Check(object) || PyBytes_Check(object) || PyByteArray_Check(object) || PyDict_Check(object) ||
         PyAnySet_Check(object);
}

static void fail_vector(const sf_py_state *state, PyObject *query) {
  PyErr_Clear();
  PyObject *name = PyType_GetName(Py_TYPE(query));
  if (name == NULL)
    return;
  sf_py_fail(state, SF_CONFIG_VALIDATION_ERROR,
             "query: expected float32 or float64 values of one dimension, or a sequence of numbers, found %U", name);
  Py_DECREF(name);
}

/* Whether an exception is one that says that the argument is not what it should be. */
static int is_argument_error(void) {
  return PyErr_ExceptionMatches(PyExc_TypeError) || PyErr_ExceptionMatches(PyExc_ValueError) ||
         PyErr_ExceptionMatches(PyExc_OverflowError);
}

int sf_py_vector_take(PyObject *object, sf_py_vector *vector) {
  int taken = read_buffer(object, 1, vector);
  if (taken != 0)
    return taken;
  PyObject *numbers = is_text(object) || !PySequence_Check(object) ? NULL : PySequence_Tuple(object);
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

int sf_py_vector_read(const sf_py_state *state, PyObject *query, sf_py_vector *vector) {
  int taken = sf_py_vector_take(query, vector);
  if (taken == 0)
    fail_vector(state, query);
  return taken == 1 ? 0 : -1;
}

void sf_py_vector_release(sf_py_vector *vector) {
  if (vector->has_view)
    PyBuffer_Release(&vector->view);
  PyMem_Free(vector->copy);
  *vector = (sf_py_vector){0};
}

/* An integer (with __index__), saturated at the ends of int64. */
static int read_integer(const sf_py_state *state, PyObject *value, const char *name, int64_t *integer) {
  int overflow = 0;
  PyObject *index = PyNumber_Index(value);
  if (index == NULL) {
    if (PyErr_ExceptionMatches(PyExc_TypeError)) {
      PyErr_Clear();
      sf_py_fail(state, SF_CONFIG_VALIDATION_ERROR, "%s: expected an integer, found %R", name, value);
    }
    return -1;
  }
  *integer = PyLong_AsLongLongAndOverflow(index, &overflow);
  Py_DECREF(index);
  if (overflow != 0)
    *integer = overflow > 0 ? INT64_MAX : INT64_MIN;
  return 0;
}

int sf_py_top_k_read(const sf_py_state *state, PyObject *top_k, sf_search_request *request) {
  return read_integer(state, top_k, "top_k", &request->top_k);
}

static int read_shard_ids(const sf_py_state *state, PyObject *value, sf_search_request *request,
                          sf_py_routing *routing) {
  PyObject *ids = is_text(value) && !PyAnySet_Check(value) ? NULL : PySequence_Tuple(value);
  if (ids == NULL) {
    if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_TypeError))
      return -1;
    PyErr_Clear();
    sf_py_fail(state, SF_CONFIG_VALIDATION_ERROR, "shard_ids: expected integers, found %R", value);
    return -1;
  }
  Py_ssize_t count = PyTuple_Size(ids);
  routing->shard_ids = PyMem_Malloc((size_t)count * sizeof(*routing->shard_ids));
  int result = routing->shard_ids == NULL ? -1 : 0;
  if (result < 0)
    PyErr_NoMemory();
  for (Py_ssize_t i = 0; i < count && result == 0; i++)
    result = read_integer(state, PyTuple_GetItem(ids, i), "shard_ids", &routing->shard_ids[i]);
  Py_DECREF(ids);
  request->has_shard_ids = true;
  request->shard_ids = routing->shard_ids;
  request->num_shard_ids = (size_t)count;
  return result;
}

/* Bytes become {"__bytes_hex__": "00ff"}, and NumPy's numbers the ones of Python. A new reference. */
static PyObject *json_value(PyObject *value) {
  if (PyBytes_Check(value)) {
    PyObject *hex = PyObject_CallMethod(value, "hex", NULL);
    return hex == NULL ? NULL : Py_BuildValue("{s:N}", "__bytes_hex__", hex);
  }
  if (PyUnicode_Check(value) || PyLong_Check(value) || PyFloat_Check(value) || value == Py_None)
    return Py_NewRef(value);
  return PyObject_HasAttrString(value, "item") ? PyObject_CallMethod(value, "item", NULL) : Py_NewRef(value);
}

/* JSON is imported for the first value that needs it. */
PyObject *sf_py_dump_json(PyObject *value) {
  PyObject *dumps = sf_py_import("json", "dumps");
  PyObject *text = dumps == NULL ? NULL : PyObject_CallFunctionObjArgs(dumps, value, NULL);
  Py_XDECREF(dumps);
  return text;
}

PyObject *sf_py_dump_context(PyObject *context) {
  PyObject *copy = PyDict_New();
  PyObject *pairs = copy == NULL ? NULL : PyMapping_Items(context);
  Py_ssize_t count = pairs == NULL ? -1 : PyList_Size(pairs);
  int failed = count < 0;
  for (Py_ssize_t i = 0; i < count && !failed; i++) {
    PyObject *pair = PyList_GetItem(pairs, i);
    PyObject *value = json_value(PyTuple_GetItem(pair, 1));
    failed = value == NULL || PyDict_SetItem(copy, PyTuple_GetItem(pair, 0), value) < 0;
    Py_XDECREF(value);
  }
  PyObject *text = failed ? NULL : sf_py_dump_json(copy);
  Py_XDECREF(pairs);
  Py_XDECREF(copy);
  return text;
}

static int read_context(const sf_py_state *state, PyObject *context, sf_search_request *request,
                        sf_py_routing *routing) {
  if (PyObject_HasAttrString(context, "items"))
    routing->context_text = sf_py_dump_context(context);
  if (routing->context_text != NULL)
    request->routing_context = PyUnicode_AsUTF8AndSize(routing->context_text, NULL);
  if (request->routing_context != NULL)
    return 0;
  if (PyErr_Occurred() && !is_argument_error())
    return -1;
  PyErr_Clear();
  sf_py_fail(state, SF_CONFIG_VALIDATION_ERROR,
             "routing_context: expected a mapping of names to numbers, strings, booleans or bytes, found %R", context);
  return -1;
}

int sf_py_routing_read(const sf_py_state *state, PyObject *const *arguments, sf_search_request *request,
                       sf_py_routing *routing) {
  int result = 0;
  if (arguments[0] != Py_None)
    result = read_shard_ids(state, arguments[0], request, routing);
  if (result == 0 && arguments[1] != Py_None) {
    request->has_num_probes = true;
    result = read_integer(state, arguments[1], "num_probes", &request->num_probes);
  }
  if (result == 0 && arguments[2] != Py_None)
    result = read_context(state, arguments[2], request, routing);
  if (result < 0)
    sf_py_routing_release(routing);
  return result;
}

void sf_py_routing_release(sf_py_routing *routing) {
  PyMem_Free(routing->shard_ids);
  Py_XDECREF(routing->context_text);
  *routing = (sf_py_routing){0};
}

static int read_each(const sf_py_state *state, PyObject *queries, sf_py_vectors *vectors) {
  PyObject *all = is_text(queries) ? NULL : PySequence_Tuple(queries);
  if (all == NULL) {
    if (!PyErr_Occurred() || PyErr_ExceptionMatches(PyExc_TypeError))
      fail_vector(state, queries);
    return -1;
  }
  size_t count = (size_t)PyTuple_Size(all);
  vectors->each = PyMem_Calloc(count, sizeof(*vectors->each));
  int result = vectors->each == NULL ? -1 : 0;
  if (result < 0)
    PyErr_NoMemory();
  for (; vectors->count < count && result == 0; vectors->count++)
    result = sf_py_vector_read(state, PyTuple_GetItem(all, (Py_ssize_t)vectors->count), &vectors->each[vectors->count]);
  /* The tuple may hold the only reference to a query, but a buffer that was taken holds its own. */
  Py_DECREF(all);
  return result;
}

int sf_py_vectors_read(const sf_py_state *state, PyObject *queries, sf_py_vectors *vectors) {
  int taken = read_buffer(queries, 2, &vectors->whole);
  if (taken > 0)
    vectors->count = (size_t)vectors->whole.view.shape[0];
  else if (taken == 0 && read_each(state, queries, vectors) < 0)
    taken = -1;
  if (taken < 0)
    sf_py_vectors_release(vectors);
  return taken < 0 ? -1 : 0;
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
  size_t component_size = vector->type == SF_FLOAT32 ? sizeof(float) : sizeof(double);
  size_t row = vectors->each != NULL ? 0 : index;
  request->query = (const char *)vector->components + row * vector->dim * component_size;
  request->dim = vector->dim;
  request->query_type = vector->type;
}
