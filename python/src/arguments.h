/* Text, integers and scalars from arguments of Python. */
#ifndef SF_PYTHON_ARGUMENTS_H
#define SF_PYTHON_ARGUMENTS_H

#include "state.h"

/* The UTF-8 of a string, which holds it. -1 with a ConfigValidationError set where it is none, has a NUL, or can't be
 * encoded. */
int sf_py_text(const sf_py_state *state, const char *name, PyObject *value, const char **text);

/* An integer from what has __index__, or is a scalar of an array library that holds one: a new reference. NULL with an
 * exception set, a TypeError where it is none. */
PyObject *sf_py_index(PyObject *value);

/* The Python value of a scalar of an array library; all else as it is. A new reference, NULL with an exception set. */
PyObject *sf_py_scalar(PyObject *value);

#endif
