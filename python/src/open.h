/* Functions of the module that work on a root: opening a reader, the history, single objects. */
#ifndef SF_PYTHON_OPEN_H
#define SF_PYTHON_OPEN_H

#include "python.h"

/* Adds the functions; -1 with an exception set when it can't. */
int sf_py_add_open(PyObject *module);

#endif
