/* Answers to searches as Python objects, made as late and as few as can be. */
#ifndef SF_PYTHON_RESULT_H
#define SF_PYTHON_RESULT_H

#include "module.h"

#include <stdatomic.h>

/* A response of the library, shared by the objects that show parts of it. */
typedef struct sf_py_answer {
  atomic_size_t references;
  sf_search_response *response;
} sf_py_answer;

void sf_py_answer_release(sf_py_answer *answer);

/* A SearchResult that shows the result at `index`; it holds the answer. */
PyObject *sf_py_result_new(const sf_py_state *state, sf_py_answer *answer, size_t index);

/* A VectorSearchResponse over a response, which is taken over (freed on failure, too). */
PyObject *sf_py_response_new(const sf_py_state *state, sf_search_response *response);

/* A memoryview of `count` values of 8 bytes, by the struct format "d" or "q". The memory (PyMem_Malloc) is taken over. */
PyObject *sf_py_column_new(const sf_py_state *state, void *data, Py_ssize_t count, const char *format);

/* The arguments of the constructor that would make the object anew: a new tuple, or NULL with an exception set. */
typedef PyObject *(*sf_py_fields)(PyObject *object);

/* For tp_richcompare: equal when the types and the fields are. */
PyObject *sf_py_compare(PyObject *left, PyObject *right, int operation, sf_py_fields fields);
/* For __reduce__. */
PyObject *sf_py_reduce(PyObject *object, sf_py_fields fields);

extern PyType_Spec sf_py_column_spec;
extern PyType_Spec sf_py_result_spec;
extern PyType_Spec sf_py_response_spec;

#endif
