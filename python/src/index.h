/* Making lists for a snapshot. */
#ifndef SF_PYTHON_INDEX_H
#define SF_PYTHON_INDEX_H

#include "state.h"

/* Adds the function; -1 with an exception set when it can't. */
int sf_py_add_index(PyObject *module);

#endif
