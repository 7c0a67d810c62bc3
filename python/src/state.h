/* The state of a module: its types and exceptions, and names that its objects use. */
#ifndef SF_PYTHON_STATE_H
#define SF_PYTHON_STATE_H

#include "python.h"

#define SF_PY_NUM_CODES 16

/* What the objects of a module share: references that the module holds. */
typedef struct sf_py_state {
  PyObject *errors[SF_PY_NUM_CODES]; /* exception types, by sf_code; NULL where there is none */
  PyTypeObject *column_type;
  PyTypeObject *vector_type;
  PyTypeObject *result_type;
  PyTypeObject *response_type;
  PyTypeObject *queue_type;
  PyTypeObject *operation_type;
  PyTypeObject *sink_type;
  PyTypeObject *reader_type;
  PyTypeObject *builder_type;
  PyTypeObject *arrow_stream_type;
  PyObject *json_loads;      /* json.loads; NULL: not imported yet */
  PyObject *json_raw_decode; /* json.JSONDecoder().raw_decode; NULL: not made yet */
  PyObject *done;            /* the names of a future's methods */
  PyObject *set_result;
  PyObject *set_exception;
  PyObject *filled; /* the name of an attribute that only masked arrays have */
} sf_py_state;

/* The state of the module that made the type of `object` (which is never a subtype). */
sf_py_state *sf_py_state_of(PyObject *object);

/* For the module's garbage collection. */
int sf_py_state_traverse(sf_py_state *state, visitproc visit, void *arg);
void sf_py_state_clear(sf_py_state *state);

#endif
