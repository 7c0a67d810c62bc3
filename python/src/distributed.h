/* Building one snapshot in many processes: what a driver and a router add to a builder, and a worker's tasks. */
#ifndef SF_PYTHON_DISTRIBUTED_H
#define SF_PYTHON_DISTRIBUTED_H

#include "state.h"

/* Methods of builders. */
PyObject *sf_py_builder_artifact(PyObject *object, PyObject *unused);
PyObject *sf_py_builder_publish(PyObject *object, PyObject *args);
PyObject *sf_py_builder_finish_partition(PyObject *object, PyObject *unused);

/* Adds the functions that run tasks; -1 with an exception set when it can't. */
int sf_py_add_distributed(PyObject *module);

#endif
