#include "vector_view.h"

#include "object.h"

#include <string.h>

/* What a memoryview shows. */
typedef struct view {
  PyObject_HEAD
  sf_py_answer *answer;
  const float *vector; /* in the answer */
  Py_ssize_t dim;
} view;

static void dealloc(PyObject *object) {
  sf_py_answer_release(((view *)object)->answer);
  sf_py_free(object);
}

static int get_buffer(PyObject *object, Py_buffer *buffer, int flags) {
  static Py_ssize_t stride = sizeof(float);
  view *self = (view *)object;
  if ((flags & PyBUF_WRITABLE) != 0) {
    buffer->obj = NULL;
    PyErr_SetString(PyExc_BufferError, "a stored vector can't be written to");
    return -1;
  }
  *buffer = (Py_buffer){.buf = (void *)(uintptr_t)self->vector,
                        .obj = Py_NewRef(object),
                        .len = self->dim * (Py_ssize_t)sizeof(float),
                        .itemsize = sizeof(float),
                        .readonly = 1,
                        .ndim = 1,
                        .format = (flags & PyBUF_FORMAT) != 0 ? (char *)(uintptr_t) "f" : NULL,
                        .shape = (flags & PyBUF_ND) != 0 ? &self->dim : NULL,
                        .strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? &stride : NULL};
  return 0;
}

PyObject *sf_py_vector_view(const sf_py_state *state, sf_py_answer *answer, const float *vector, uint32_t dim) {
  view *self = (view *)PyType_GenericAlloc(state->vector_type, 0);
  if (self == NULL)
    return NULL;
  atomic_fetch_add(&answer->references, 1);
  self->answer = answer;
  self->vector = vector;
  self->dim = (Py_ssize_t)dim;
  PyObject *shown = PyMemoryView_FromObject((PyObject *)self);
  Py_DECREF(self);
  return shown;
}

static PyType_Slot slots[] = {
    {Py_tp_dealloc, SF_PY_SLOT(dealloc)}, {Py_bf_getbuffer, SF_PY_SLOT(get_buffer)}, {0, NULL}};

static PyType_Spec spec = {.name = "shardyfusion._core.StoredVector",
                           .basicsize = sizeof(view),
                           .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                           .slots = slots};

int sf_py_add_vector_views(PyObject *module, sf_py_state *state) {
  state->vector_type = sf_py_add_type(module, &spec, 0);
  return state->vector_type == NULL ? -1 : 0;
}
