#include "state.h"

sf_py_state *sf_py_state_of(PyObject *object) {
  return PyType_GetModuleState(Py_TYPE(object));
}

int sf_py_state_traverse(sf_py_state *state, visitproc visit, void *arg) {
  for (size_t i = 0; i < SF_PY_NUM_CODES; i++)
    Py_VISIT(state->errors[i]);
  Py_VISIT(state->column_type);
  Py_VISIT(state->vector_type);
  Py_VISIT(state->result_type);
  Py_VISIT(state->response_type);
  Py_VISIT(state->queue_type);
  Py_VISIT(state->operation_type);
  Py_VISIT(state->sink_type);
  Py_VISIT(state->reader_type);
  Py_VISIT(state->builder_type);
  Py_VISIT(state->arrow_stream_type);
  Py_VISIT(state->json_loads);
  Py_VISIT(state->json_raw_decode);
  Py_VISIT(state->done);
  Py_VISIT(state->set_result);
  Py_VISIT(state->set_exception);
  Py_VISIT(state->filled);
  return 0;
}

void sf_py_state_clear(sf_py_state *state) {
  for (size_t i = 0; i < SF_PY_NUM_CODES; i++)
    Py_CLEAR(state->errors[i]);
  Py_CLEAR(state->column_type);
  Py_CLEAR(state->vector_type);
  Py_CLEAR(state->result_type);
  Py_CLEAR(state->response_type);
  Py_CLEAR(state->queue_type);
  Py_CLEAR(state->operation_type);
  Py_CLEAR(state->sink_type);
  Py_CLEAR(state->reader_type);
  Py_CLEAR(state->builder_type);
  Py_CLEAR(state->arrow_stream_type);
  Py_CLEAR(state->json_loads);
  Py_CLEAR(state->json_raw_decode);
  Py_CLEAR(state->done);
  Py_CLEAR(state->set_result);
  Py_CLEAR(state->set_exception);
  Py_CLEAR(state->filled);
}
