/* The stored vector of a result, as a buffer. */
#ifndef SF_PYTHON_VECTOR_VIEW_H
#define SF_PYTHON_VECTOR_VIEW_H

#include "result.h"

/* A read-only memoryview of `dim` float32 in the answer, which it keeps alive; NumPy takes it without a copy. */
PyObject *sf_py_vector_view(const sf_py_state *state, sf_py_answer *answer, const float *vector, uint32_t dim);

/* Makes the type of what the memoryviews show. */
int sf_py_add_vector_views(PyObject *module, sf_py_state *state);

#endif
