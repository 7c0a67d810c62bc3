/* The methods of a builder that add rows: from records, from Arrow streams, from arrays. */
#ifndef SF_PYTHON_BUILDER_ROWS_H
#define SF_PYTHON_BUILDER_ROWS_H

#include "python.h"

PyObject *sf_py_builder_add_records(PyObject *self, PyObject *args);
PyObject *sf_py_builder_add_stream(PyObject *self, PyObject *args);
PyObject *sf_py_builder_add_array(PyObject *self, PyObject *args);
PyObject *sf_py_builder_train(PyObject *self, PyObject *vectors);

#endif
