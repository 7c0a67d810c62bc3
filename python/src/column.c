#include "column.h"

#include "object.h"

typedef struct column {
  PyObject_HEAD
  void *data;
  Py_ssize_t shape[1];
  Py_ssize_t strides[1];
  const char *format; /* static */
} column;

static void dealloc(PyObject *object) {
  PyMem_Free(((column *)object)->data);
  sf_py_free(object);
}

static int get_buffer(PyObject *object, Py_buffer *view, int flags) {
  column *self = (column *)object;
  if ((flags & PyBUF_WRITABLE) == PyBUF_WRITABLE) {
    view->obj = NULL;
    PyErr_SetString(PyExc_BufferError, "results are read-only");
    return -1;
  }
  *view = (Py_buffer){.buf = self->data,
                      .obj = Py_NewRef(object),
                      .len = self->shape[0] * 8,
                      .itemsize = 8,
                      .readonly = 1,
                      .ndim = 1,
                      .format = (flags & PyBUF_FORMAT) == PyBUF_FORMAT ? (char *)(uintptr_t)self->format : NULL,
                      .shape = (flags & PyBUF_ND) == PyBUF_ND ? self->shape : NULL,
                      .strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? self->strides : NULL};
  return 0;
}

PyObject *sf_py_column_new(const sf_py_state *state, void *data, Py_ssize_t count, const char *format) {
  column *self = PyObject_New(column, state->column_type);
  if (self == NULL) {
    PyMem_Free(data);
    return NULL;
  }
  self->data = data;
  self->shape[0] = count;
  self->strides[0] = 8;
  self->format = format;
  PyObject *view = PyMemoryView_FromObject((PyObject *)self);
  Py_DECREF(self);
  return view;
}

static PyType_Slot slots[] = {
    {Py_tp_dealloc, SF_PY_SLOT(dealloc)}, {Py_bf_getbuffer, SF_PY_SLOT(get_buffer)}, {0, NULL}};

PyType_Spec sf_py_column_spec = {.name = "shardyfusion._core.Column",
                                 .basicsize = sizeof(column),
                                 .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                                 .slots = slots};
