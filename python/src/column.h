/* Scores and ids as one contiguous array that NumPy and others take over the buffer protocol, without a copy. */
#ifndef SF_PYTHON_COLUMN_H
#define SF_PYTHON_COLUMN_H

#include "state.h"

/* A memoryview of `count` values of 8 bytes, by the struct format "d" or "q". The memory (PyMem_Malloc) is taken over. */
PyObject *sf_py_column_new(const sf_py_state *state, void *data, Py_ssize_t count, const char *format);

extern PyType_Spec sf_py_column_spec;

#endif
