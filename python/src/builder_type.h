/* The type Builder: it is made, adds rows, finishes and closes. */
#ifndef SF_PYTHON_BUILDER_TYPE_H
#define SF_PYTHON_BUILDER_TYPE_H

#include "state.h"

/* Adds the type; -1 with an exception set when it can't. */
int sf_py_add_builders(PyObject *module, sf_py_state *state);

#endif
