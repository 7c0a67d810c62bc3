/* Routing on its own: expressions, the assignment of rows to shards, and the training of centroids. */
#ifndef SF_PYTHON_ROUTING_H
#define SF_PYTHON_ROUTING_H

#include "state.h"

/* Adds the types and functions; -1 with an exception set when it can't. */
int sf_py_add_routing(PyObject *module);

#endif
